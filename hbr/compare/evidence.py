"""Evidence: results on one data set, lined up by study cell, and what tests say of them."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from hbr.compare.results import (
    CENTER,
    Keep,
    Result,
    cell_key,
    settings_of,
    training_languages,
    word_of,
    written,
)
from hbr.core import inference, languages, registry, statistics
from hbr.core.errors import UserError
from hbr.core.inference import Estimate, Term
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget, short_name

KEYS = ("setting", "concept", "query_language", "passage_language")
Among = Mapping[str, str]  # a group of languages: {"resource": "low"}
T = TypeVar("T")


class StudyCell(NamedTuple):
    """Runs that differ in their seed alone, which have one `key`.

    `members` are their positions in the results, `expected` how many the study has. `settings` are
    what a claim may name, by full name or by its last word.
    """

    key: str
    config: Config
    members: tuple[int, ...]
    expected: int
    settings: Mapping[str, Any]


def _cached(method: Callable[..., T]) -> Callable[..., T]:
    """Compute a method of `Evidence` once for equal arguments, which may be mappings."""

    @wraps(method)
    def call(self: "Evidence", *arguments: Any) -> T:
        key = (method.__name__, *map(str, arguments))
        if key not in self._cache:
            self._cache[key] = method(self, *arguments)
        return self._cache[key]

    return call


@dataclass(frozen=True)
class Evidence:
    """Results on one data set under one protocol, and the cells that a study expects there."""

    results: tuple[Result, ...]
    expected: tuple[Config, ...] = ()
    over: inference.Over = "seeds and concepts"  # what is random in tests of tables

    @property
    def dataset(self) -> str:
        """The name of what was evaluated: a data set, perhaps with perturbed queries."""
        return str(self.target)

    @property
    def target(self) -> EvaluationTarget:
        """What was evaluated: without centring, unless all results are centred."""
        return min(result.target for result in self.results)

    @property
    def protocol(self) -> str:
        """How the values were measured."""
        return self.results[0].protocol

    @property
    def has_queries(self) -> bool:
        """Whether there are values by query, not means alone."""
        return all(result.folder is not None for result in self.results)

    @cached_property
    def training_languages(self) -> frozenset[str] | None:
        """The languages that any of the runs was trained on.

        None for printed figures, and for encoders that are no runs.
        """
        if not self.has_queries or not all(result.stages for result in self.results):
            return None
        return training_languages(result.metrics for result in self.results)

    @cached_property
    def encoders(self) -> dict[str, str]:
        """Short names of the encoders, or full ones where two have the same short name."""
        configs = (*(result.config for result in self.results), *self.expected)
        short = {config.encoder.name: short_name(config.encoder.name) for config in configs}
        names = list(short.values())
        return {full: name if names.count(name) == 1 else full for full, name in short.items()}

    @property
    def heads(self) -> tuple[str, ...]:
        """What `label` names: encoder, sampler, and `varied` in words, in full if words agree."""
        words = ["vectors" if key == CENTER else word_of(key) for key in self.varied]
        names = zip(words, self.varied, strict=True)
        settings = (word if words.count(word) == 1 else key for word, key in names)
        return ("encoder", "sampler", *settings)

    def label(self, config: Config) -> tuple[str, ...]:
        """Name a cell: encoder, sampler, and the values of `varied`."""
        settings = settings_of(config)
        values = (written(key, settings.get(key)) for key in self.varied)
        return (self.encoders[config.encoder.name], config.method, *values)

    @cached_property
    def cells(self) -> tuple[StudyCell, ...]:
        """The study's cells, also those without results, in the order of tables."""
        configs: dict[str, Config] = {}
        seeds: dict[str, set[int]] = {}
        members: dict[str, list[int]] = {}
        runs = [(result.config, [i]) for i, result in enumerate(self.results)]
        for config, places in [*runs, *((config, []) for config in self.expected)]:
            key = cell_key(config)
            configs.setdefault(key, config)
            seeds.setdefault(key, set()).add(config.seed)
            members.setdefault(key, []).extend(places)
        return tuple(
            StudyCell(key, config, tuple(members[key]), len(seeds[key]), self._settings(config))
            for key, config in sorted(configs.items(), key=lambda item: _order(item[1]))
        )

    def _settings(self, config: Config) -> dict[str, Any]:
        """Return what a claim may name of a cell: full names, last words, and effective α."""
        full = settings_of(config)
        words = {word_of(key): value for key, value in full.items()}
        sampler = registry.get("sampler", config.sampler.name)
        alpha = words.get("alpha", sampler.alpha if config.is_trained else None)
        effective = {} if alpha is None else {"alpha": alpha, "sampler.alpha": alpha}
        return {**full, **words, **effective, "encoder": self.encoders[config.encoder.name]}

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """The settings, besides sampler and encoder, in which cells of one encoder differ."""
        by_encoder: dict[str, list[dict[str, Any]]] = {}
        for config in (cell.config for cell in self.cells if cell.config.is_trained):
            by_encoder.setdefault(config.encoder.name, []).append(settings_of(config))
        centred = {cell.settings[CENTER] for cell in self.cells}
        varied = {CENTER} if len(centred) > 1 else set()
        varied |= {
            key
            for cells in by_encoder.values()
            for key in {key for cell in cells for key in cell} - {"sampler.name", "encoder.name"}
            if len({str(cell[key]) for cell in cells if key in cell}) > 1
        }
        return tuple(sorted(varied))

    @cached_property
    def by_key(self) -> dict[str, StudyCell]:
        """The cells by their keys, which are the same for every data set."""
        return {cell.key: cell for cell in self.cells}

    def members(self, cell: StudyCell) -> list[Result]:
        """Return the results of a cell, one a seed."""
        return [self.results[i] for i in cell.members]

    def keep(self, among: Among) -> Keep:
        """Return which pairs of languages are of a group."""
        return of_group(among, self.training_languages)

    @_cached
    def values(self, setting: str, metric: str, among: Among) -> np.ndarray:
        """Return every result's value of a metric, NaN where there is none: (results,)."""
        keep = self.keep(among) if among else None
        return np.array([result.value(setting, metric, keep) for result in self.results])

    def mean(self, cell: StudyCell, values: np.ndarray) -> float:
        """Average a cell's seeds; NaN where one that is expected is missing."""
        complete = cell.members and len(cell.members) == cell.expected
        return float(values[list(cell.members)].mean()) if complete else math.nan

    def estimate(
        self,
        column: tuple[str, str, Among],
        weights: Mapping[int, float],
        over: inference.Over | None = None,
    ) -> Estimate:
        """Return the weighted sum of cells, means over seeds, of a setting, metric and group."""
        terms = [
            Term(weight, self.cells[i].members, fixed=not self.cells[i].config.is_trained)
            for i, weight in weights.items()
        ]
        _, design = self._design(column[0], column[2])
        df = design.degrees_of_freedom
        return inference.estimate(*self._by_concept(*column), terms, df, over=over or self.over)

    @_cached
    def _by_concept(self, setting: str, metric: str, among: Among) -> tuple[np.ndarray, np.ndarray]:
        """Return every result's value (results,) and what concepts add: (concepts, results)."""
        rows, design = self._design(setting, among)
        values = self._by_query(metric)[rows]
        return design.contributions(values).sum(0), design.influence(values)

    @_cached
    def _design(self, setting: str, among: Among) -> tuple[np.ndarray, statistics.Design]:
        """Return the rows of a setting, and which of them belong together."""
        table = self._rows
        rows = np.flatnonzero(np.asarray(table["setting"]) == setting)
        queries, query = _coded(table["query_language"], rows)
        passages, passage = _coded(table["passage_language"], rows)
        stratum = query * len(passages) + passage
        if among:
            keep = self.keep(among)
            kept = np.array([[keep(q, p) for p in passages] for q in queries]).ravel()
            rows, stratum = rows[kept[stratum]], stratum[kept[stratum]]
        if not len(rows):
            raise UserError(f"{self.dataset}: no pair of languages in {setting} is of {among}")
        return rows, statistics.Design.of(np.asarray(table["concept"])[rows], stratum)

    @cached_property
    def _rows(self) -> pa.Table:
        """What the values by query are of: the same in all results."""
        first, *others = [result.columns(KEYS) for result in self.results]
        for result, table in zip(self.results[1:], others, strict=True):
            if not table.equals(first):
                raise UserError(
                    f"{result.folder} holds other queries than {self.results[0].folder}; renew "
                    "both with `hbr evaluate --force`"
                )
        return first

    @_cached
    def _by_query(self, metric: str) -> np.ndarray:
        """Return a metric of all rows and results, NaN where one lacks it: (rows, results)."""
        missing = np.full(len(self._rows), np.nan)
        columns = [
            result.columns([metric])[metric].to_numpy() if result.has_values(metric) else missing
            for result in self.results
        ]
        return np.stack(columns, axis=1)

    @cached_property
    def _cache(self) -> dict[Any, Any]:
        return {}


def of_group(among: Among, trained: Collection[str] | None) -> Keep:
    """Return which pairs of languages are of a group; `trained` are those of training."""
    return lambda query, passage: all(
        languages.group(by, query, passage, trained) == label for by, label in among.items()
    )


def gather(
    results: Iterable[Result],
    expected: Iterable[Config] = (),
    over: inference.Over = "seeds and concepts",
) -> list[Evidence]:
    """Sort results by data set and protocol: different ones never share a table.

    Raises UserError where results on a data set come from different versions of it.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(_without_twins(results), key=lambda result: _order(result.config)):
        groups.setdefault((str(result.target.tabled), result.protocol), []).append(result)
    for (dataset, _), group in groups.items():
        if len({result.metrics.get("task") for result in group}) > 1:
            raise UserError(
                f"the runs were evaluated on different versions of {dataset}; evaluate all of "
                "them with the same --source"
            )
    cells = tuple(expected)
    return [Evidence(tuple(group), _with_centred(cells, group), over) for group in groups.values()]


def _with_centred(cells: Sequence[Config], results: Sequence[Result]) -> tuple[Config, ...]:
    """Return the expected cells as they are evaluated: as they are, centred by language, or both.

    Without results of a kind, none is expected.
    """
    targets = sorted({result.target for result in results})
    return tuple(cell.at(target) for target in targets for cell in cells)


def _without_twins(results: Iterable[Result]) -> Sequence[Result]:
    """Return results once each. Raises UserError where two of one configuration differ."""
    distinct: dict[Any, Result] = {}
    for result in results:
        key = (cell_key(result.config), result.config.seed, result.metrics["dataset"])
        twin = distinct.setdefault((*key, result.protocol), result)
        if twin.metrics != result.metrics:
            raise UserError(
                f"{twin.folder} and {result.folder} are results of one and the same configuration, "
                "but differ; leave one out"
            )
    return list(distinct.values())


def _order(config: Config) -> tuple[Any, ...]:
    """Return the place of a run in a table."""
    sampler = config.sampler
    place = registry.get("sampler", sampler.name).order if config.is_trained else 0
    center = config.evaluate.center_languages
    return config.encoder.name, place, sampler.name, str(sampler.alpha), center, config.seed


def _coded(column: pa.ChunkedArray, rows: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Return the distinct values of some rows, and which of them each row has."""
    coded = column.combine_chunks().take(rows).dictionary_encode(null_encoding="encode")
    return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
