"""What runs say: results read, lined up by study cell, and drawn again by chance."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hbr.core import languages, registry, statistics
from hbr.core.errors import UserError
from hbr.core.settings import Config, short_name
from hbr.core.store import Store
from hbr.core.target import EvaluationTarget, folder_name
from hbr.evaluation.diagnostics import FILE

KEYS = ("setting", "concept", "query_language", "passage_language")
Among = Mapping[str, str]  # a group of languages: {"resource": "low"}
T = TypeVar("T")


class Chance(NamedTuple):
    """How much is left to chance: draws, and the seed that they follow from."""

    resamples: int = 10_000
    seed: int = 0


USUAL = Chance()


class Result(NamedTuple):
    """What one run says of one data set.

    `folder` holds its values by query, and is None for printed figures; `stages` is the manifest,
    `diagnostics` the file of them, where the vectors were diagnosed.
    """

    config: Config
    metrics: Mapping[str, Any]
    folder: Path | None = None
    stages: Mapping[str, Any] = {}
    diagnostics: Path | None = None

    @property
    def name(self) -> str:
        """The run's own name, or the words for printed figures."""
        return self.folder.parents[1].resolve().name if self.folder else "printed figures"

    @property
    def protocol(self) -> str:
        """How the values were measured: protocol and search."""
        search = self.metrics.get("search", "exact")
        return self.metrics["protocol"] + ("" if search == "exact" else f"; search: {search}")

    @property
    def training(self) -> Mapping[str, Any]:
        """The languages that were trained on, and how many texts of the data set."""
        return self.metrics.get("training", {})


class StudyCell(NamedTuple):
    """Runs that differ in their seed alone: positions in the results, and how many there should be.

    `settings` are what a claim may name, by full name or by its last word.
    """

    config: Config
    members: tuple[int, ...]
    expected: int
    settings: Mapping[str, Any]

    @property
    def is_trained(self) -> bool:
        """Whether the encoder was trained, so that seeds mean something."""
        return self.config.is_trained


def read_result(run: Store, config: Config, dataset: str) -> Result:
    """Read a run's metrics.

    Raises UserError where the data set was not evaluated, or on vectors of another model.
    """
    stages = run.entries()
    target = EvaluationTarget.parse(dataset)
    perturb = f" --perturb {target.perturbation}" if target.perturbation else ""
    again = f"hbr evaluate --dataset {target.dataset}{perturb} --run {run.path}"
    chain = ("train", *(f"{stage}/{folder_name(dataset)}" for stage in ("encode", "evaluate")))
    if any(stage not in stages for stage in chain):
        raise UserError(f"{run.path} has no results on {dataset}; get them with `{again}`")
    for before, after in pairwise(chain):
        made_from = stages[after].get("inputs", {}).get(before.partition("/")[0])
        if made_from != stages[before].get("id"):
            raise UserError(
                f"{run.path}: the results on {dataset} are stale; renew them: `{again}`"
            )
    _refuse_other_clean(run, stages, dataset, chain)
    folder = run.path / chain[-1]
    try:
        metrics = dict(json.loads((folder / "metrics.json").read_text()))
    except (OSError, TypeError, ValueError) as error:
        path = folder / "metrics.json"
        raise UserError(f"{path} is missing or damaged; renew it: `{again} --force`") from error
    if "training" not in metrics:
        raise UserError(
            f"{run.path}: the results on {dataset} are an older hbr's; renew them: "
            f"`{again} --force`"
        )
    own = dict(zip(("train", "encode", "evaluate"), (stages[s] for s in chain), strict=True))
    return Result(config, metrics, folder, own, _diagnostics(run, stages, dataset))


def _refuse_other_clean(
    run: Store, stages: Mapping[str, Any], dataset: str, chain: Sequence[str]
) -> None:
    """Raise UserError for results on perturbed queries beside other clean ones than theirs."""
    target = EvaluationTarget.parse(dataset)
    clean, change = target.clean, target.perturbation
    for stage in chain[1:] if change else ():
        made_from = stages[stage]["inputs"].get("clean")
        now = stages.get(f"{stage.partition('/')[0]}/{clean.folder}", {}).get("id")
        if made_from not in (None, now):
            raise UserError(
                f"{run.path}: the results on {dataset} are of other clean queries; renew them: "
                f"`hbr evaluate --dataset {clean} --perturb {change} --run {run.path}`"
            )


def _diagnostics(run: Store, stages: Mapping[str, Any], dataset: str) -> Path | None:
    """Return the diagnostics of the vectors that stand there now, if there are any."""
    name = folder_name(dataset)
    made = stages.get(f"diagnose/{name}", {}).get("inputs", {}).get("encode")
    path = run.path / "diagnose" / name / FILE
    return path if made and made == stages[f"encode/{name}"].get("id") else None


@dataclass(frozen=True)
class Evidence:
    """Results on one data set under one protocol, and the cells that a study expects there."""

    results: tuple[Result, ...]
    expected: tuple[Config, ...] = ()
    chance: Chance = USUAL

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.results[0].metrics["dataset"]

    @property
    def protocol(self) -> str:
        """How the values were measured."""
        return self.results[0].protocol

    @property
    def has_queries(self) -> bool:
        """Whether values by query are there, not means alone."""
        return all(result.folder is not None for result in self.results)

    @cached_property
    def seen(self) -> frozenset[str] | None:
        """The languages that any of the runs was trained on; None of printed figures."""
        if not self.has_queries:
            return None
        return frozenset(c for r in self.results for c in r.training.get("languages", ()))

    @cached_property
    def encoders(self) -> dict[str, str]:
        """What to call each encoder: its last telling word, or all of it where that is shared."""
        configs = (*(result.config for result in self.results), *self.expected)
        short = {config.encoder.name: short_name(config.encoder.name) for config in configs}
        names = list(short.values())
        return {full: name if names.count(name) == 1 else full for full, name in short.items()}

    def label(self, config: Config) -> tuple[str, ...]:
        """Name a cell: encoder, sampler, and what else differs."""
        own = flat(config)
        extra = ("" if own.get(key) is None else str(own[key]) for key in self.varied)
        return (self.encoders[config.encoder.name], config.method, *extra)

    @cached_property
    def cells(self) -> tuple[StudyCell, ...]:
        """The study's cells, also those without results, in the order of tables."""
        configs: dict[str, Config] = {}
        seeds: dict[str, set[int]] = {}
        members: dict[str, list[int]] = {}
        found = [(result.config, [i]) for i, result in enumerate(self.results)]
        for config, places in [*found, *((config, []) for config in self.expected)]:
            key = cell_key(config)
            configs.setdefault(key, config)
            seeds.setdefault(key, set()).add(config.seed)
            members.setdefault(key, []).extend(places)
        ordered = sorted(configs, key=lambda key: order(configs[key]))
        return tuple(
            StudyCell(configs[k], tuple(members[k]), len(seeds[k]), self._settings(configs[k]))
            for k in ordered
        )

    def _settings(self, config: Config) -> dict[str, Any]:
        """Return what a claim may name of a cell: full names, last words, and effective α."""
        full = flat(config)
        words = {key.rpartition(".")[2]: value for key, value in full.items()}
        sampler = registry.get("sampler", config.sampler.name)
        alpha = words.get("alpha", sampler.alpha if config.is_trained else None)
        known = {} if alpha is None else {"alpha": alpha, "sampler.alpha": alpha}
        names = {"sampler": config.method, "encoder": self.encoders[config.encoder.name]}
        return {**full, **words, **known, **names}

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """The settings, besides sampler and encoder, in which cells of one encoder differ."""
        return _varied([cell.config for cell in self.cells])

    def keep(self, among: Among) -> Callable[[str, str | None], bool]:
        """Return which pairs of languages are of a group."""
        return lambda q, p: all(
            languages.group(by, q, p, self.seen) == label for by, label in among.items()
        )

    def figures(self, setting: str, metric: str, among: Among) -> np.ndarray:
        """Return every result's value of a metric, NaN where there is none: (results,)."""
        keep = self.keep(among) if among else None
        return np.array([figure(r.metrics, setting, metric, keep) for r in self.results])

    def mean(self, cell: StudyCell, figures: np.ndarray) -> float:
        """Average a cell's seeds; NaN where one that is expected is missing."""
        complete = cell.members and len(cell.members) == cell.expected
        return float(figures[list(cell.members)].mean()) if complete else math.nan

    def parts(self, setting: str, metric: str, among: Among) -> np.ndarray:
        """Return what each concept adds to every result's value: (concepts, results)."""
        rows, design = self.design(setting, among)
        return self._kept(
            ("parts", setting, metric, str(among)),
            lambda: design.contributions(self._column(metric)[rows]),
        )

    def draws(self, setting: str, metric: str, among: Among) -> np.ndarray:
        """Return bootstrap draws of every result's value: (resamples, results)."""
        rows, design = self.design(setting, among)
        return self._kept(
            ("draws", setting, metric, str(among)),
            lambda: statistics.bootstrap(design, self._column(metric)[rows], *self.chance),
        )

    def drawn(self, cell: StudyCell, draws: np.ndarray) -> np.ndarray:
        """Return draws of a cell's mean, over seeds and concepts: (resamples,)."""
        return statistics.over_seeds(draws[:, list(cell.members)], self.chance.seed + 1)

    def unit(self, setting: str, among: Among) -> np.ndarray:
        """Return what each concept adds to a value that is one everywhere: (concepts,)."""
        rows, design = self.design(setting, among)
        return self._kept(
            ("unit", setting, str(among)),
            lambda: design.contributions(np.ones((len(rows), 1)))[:, 0],
        )

    def design(self, setting: str, among: Among) -> tuple[np.ndarray, statistics.Design]:
        """Return the rows of a setting, and which of them belong together."""
        return self._kept(("design", setting, str(among)), lambda: self._design(setting, among))

    def _design(self, setting: str, among: Among) -> tuple[np.ndarray, statistics.Design]:
        table = self._rows
        rows = np.flatnonzero(np.asarray(table["setting"]) == setting)
        names, asked = _coded(table["query_language"], rows)
        others, answered = _coded(table["passage_language"], rows)
        stratum = asked * len(others) + answered
        if among:
            keep = self.keep(among)
            wanted = np.array([[keep(q, p) for p in others] for q in names]).ravel()
            rows, stratum = rows[wanted[stratum]], stratum[wanted[stratum]]
        if not len(rows):
            raise UserError(f"{self.dataset}: no pair of languages in {setting} is of {among}")
        return rows, statistics.Design.of(np.asarray(table["concept"])[rows], stratum)

    @cached_property
    def _rows(self) -> pa.Table:
        """What the values by query are of: the same in all results."""
        first, *others = [_read_columns(result, KEYS) for result in self.results]
        for result, table in zip(self.results[1:], others, strict=True):
            if not table.equals(first):
                raise UserError(
                    f"{result.folder} holds other queries than {self.results[0].folder}; renew "
                    "both with `hbr evaluate --force`"
                )
        return first

    def _column(self, metric: str) -> np.ndarray:
        """Return a metric of all rows and results: (rows, results)."""

        def read() -> np.ndarray:
            return np.stack([self._metric(result, metric) for result in self.results], axis=1)

        return self._kept(("column", metric), read)

    def _metric(self, result: Result, metric: str) -> np.ndarray:
        if not has_values(result, metric):
            return np.full(len(self._rows), np.nan)
        return _read_columns(result, (metric,))[metric].to_numpy()

    @cached_property
    def _cache(self) -> dict[Any, Any]:
        return {}

    def _kept(self, key: Any, make: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]


def datasets_of(run: Store) -> list[str]:
    """Name the data sets that a run was evaluated on, by exact search."""
    stages = {s: e for s, e in run.entries().items() if s.startswith("evaluate/") and "@" not in s}
    return [entry.get("dataset", stage.partition("/")[2]) for stage, entry in stages.items()]


def gather(
    results: Iterable[Result], expected: Iterable[Config] = (), chance: Chance = USUAL
) -> list[Evidence]:
    """Sort results by data set and protocol: different ones never share a table.

    Raises UserError where results on a data set come from different versions of it.
    """
    once: dict[Any, Result] = {}
    for result in results:
        key = (cell_key(result.config), result.config.seed, result.metrics["dataset"])
        twin = once.setdefault((*key, result.protocol), result)
        if twin.metrics != result.metrics:
            raise UserError(
                f"{twin.folder} and {result.folder} are results of one and the same configuration, "
                "but differ; leave one out"
            )
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(once.values(), key=lambda r: order(r.config)):
        groups.setdefault((result.metrics["dataset"], result.protocol), []).append(result)
    for (dataset, _), group in groups.items():
        if len({r.metrics.get("task") for r in group}) > 1:
            raise UserError(
                f"the runs were evaluated on different versions of {dataset}; evaluate all of "
                "them with the same --source"
            )
    wanted = tuple(expected)
    return [Evidence(tuple(group), wanted, chance) for group in groups.values()]


def figure(
    metrics: Mapping[str, Any],
    setting: str,
    metric: str,
    keep: Callable[[str, str | None], bool] | None = None,
) -> float:
    """Return a value of `metrics.json`: of all languages, or of the pairs that are kept."""
    if keep is None:
        values = [metrics["settings"].get(setting, {}).get(metric)]
    else:
        values = [own.get(metric) for q, p, own in _by_languages(metrics, setting) if keep(q, p)]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else math.nan


def _by_languages(
    metrics: Mapping[str, Any], setting: str
) -> Iterator[tuple[str, str | None, Mapping[str, float]]]:
    """Yield query language, passage language (None in the pool) and metrics."""
    if setting == "multi" or not metrics.get("by_pair"):  # printed figures have no pairs
        for language, own in metrics["by_query_language"].get(setting, {}).items():
            yield language, language if setting == "mono" else None, own
        return
    for pair, own in metrics["by_pair"].items():
        asked, _, answered = pair.partition("->")
        if (asked == answered) == (setting == "mono"):
            yield asked, answered, own


def cell_key(config: Config) -> str:
    """Return what tells a study cell from others: all but the seed."""
    identity = config.identity()
    identity.pop("seed", None)
    return json.dumps(identity, sort_keys=True)


def flat(config: Config) -> dict[str, Any]:
    """Return what a trained encoder depends on, by full name; without α where there is none."""
    sections = {k: v for k, v in config.identity().items() if isinstance(v, dict)}
    sections.setdefault("sampler", {})["name"] = config.method
    return {
        f"{section}.{key}": value
        for section, values in sections.items()
        for key, value in values.items()
    }


def order(config: Config) -> tuple[Any, ...]:
    """Return the place of a run in a table."""
    sampler = config.sampler
    place = registry.get("sampler", sampler.name).order if config.is_trained else 0
    return config.encoder.name, place, sampler.name, str(sampler.alpha), config.seed


def _varied(configs: Sequence[Config]) -> tuple[str, ...]:
    by_encoder: dict[str, list[dict[str, Any]]] = {}
    for config in configs:
        if config.is_trained:
            by_encoder.setdefault(config.encoder.name, []).append(flat(config))
    varied = {
        key
        for cells in by_encoder.values()
        for key in {key for cell in cells for key in cell} - {"sampler.name", "encoder.name"}
        if len({str(cell[key]) for cell in cells if key in cell}) > 1
    }
    return tuple(sorted(varied))


def has_values(result: Result, metric: str) -> bool:
    """Return whether a result has a metric by query; a spread over languages has none."""
    return result.folder is not None and metric in _parquet(result, pq.read_schema).names


def _read_columns(result: Result, columns: Sequence[str]) -> pa.Table:
    return _parquet(result, lambda path: pq.read_table(path, columns=list(columns)))


def _parquet(result: Result, read: Callable[[Path], T]) -> T:
    assert result.folder is not None
    path = result.folder / "per_query.parquet"
    try:
        return read(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path} is missing or damaged; renew it: `hbr evaluate --dataset "
            f"{result.metrics['dataset']} --run {result.folder.parents[1]} --force`"
        ) from error


def _coded(column: pa.ChunkedArray, rows: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Return the distinct values of some rows, and which of them each row has."""
    coded = column.combine_chunks().take(rows).dictionary_encode(null_encoding="encode")
    return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
