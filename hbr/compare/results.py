"""Results of runs: one run's metrics on one data set, read from its folder."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.settings.train import LATER
from hbr.core.store import Store, entry_of
from hbr.core.target import EvaluationTarget
from hbr.evaluation.diagnostics_file import FILE

CENTER = "evaluate.center_languages"
Keep = Callable[[str, str | None], bool]  # whether a pair of languages is of a group
T = TypeVar("T")
Values = dict[str, float | None]  # by metric


class _Metrics(BaseModel):
    """What `metrics.json` holds at least; see docs/run-directory.md."""

    dataset: str
    protocol: str
    settings: dict[str, Values]
    by_query_language: dict[str, dict[str, Values]]
    by_pair: dict[str, Values] = {}
    bias: dict[str, Any] = {}
    training: dict[str, Any] = {}
    languages: list[str] = []


class Result(NamedTuple):
    """The metrics of one run on one data set.

    `folder` holds the values by query and is None for printed figures. `stages` are the manifest's
    entries of training, encoding and evaluation. `diagnostics` is the file of them, where the
    vectors were diagnosed.
    """

    config: Config
    metrics: Mapping[str, Any]
    folder: Path | None = None
    stages: Mapping[str, Any] = {}
    diagnostics: Path | None = None

    @property
    def name(self) -> str:
        """The name of the run, or the words for printed figures."""
        return self.folder.parents[1].resolve().name if self.folder else "printed figures"

    @property
    def target(self) -> EvaluationTarget:
        """What was evaluated."""
        return EvaluationTarget.parse(self.metrics["dataset"])

    @property
    def protocol(self) -> str:
        """How the values were measured: protocol and search."""
        search = self.metrics.get("search", "exact")
        return self.metrics["protocol"] + ("" if search == "exact" else f"; search: {search}")

    def value(self, setting: str, metric: str, keep: Keep | None = None) -> float:
        """Return a value of all languages, or the mean over the pairs that are kept; or NaN."""
        if keep is None:
            values = [self.metrics["settings"].get(setting, {}).get(metric)]
        else:
            values = [v.get(metric) for q, p, v in self._by_languages(setting) if keep(q, p)]
        defined = [value for value in values if value is not None]
        return fmean(defined) if defined and len(defined) == len(values) else math.nan

    def _by_languages(self, setting: str) -> Iterator[tuple[str, str | None, Mapping[str, float]]]:
        """Yield query language, passage language (None in the pool) and metrics."""
        if setting == "multi" or not self.metrics.get("by_pair"):  # printed figures have no pairs
            for language, values in self.metrics["by_query_language"].get(setting, {}).items():
                yield language, language if setting == "mono" else None, values
            return
        for pair, values in self.metrics["by_pair"].items():
            query, _, passage = pair.partition("->")
            if (query == passage) == (setting == "mono"):
                yield query, passage, values

    def has_values(self, metric: str) -> bool:
        """Return whether the metric is there by query; a spread over languages is not."""
        return self.folder is not None and metric in self._parquet(pq.read_schema).names

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Read some columns of the values by query."""

        def read(path: Path) -> pa.Table:
            with pq.ParquetFile(path) as file:  # `read_table` loads pandas
                return file.read(list(names)).select(list(names))

        return self._parquet(read)

    def _parquet(self, read: Callable[[Path], T]) -> T:
        assert self.folder is not None
        path = self.folder / "per_query.parquet"
        try:
            result = read(path)
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise UserError(
                f"{path} is missing or damaged; renew it: `hbr evaluate --dataset "
                f"{self.metrics['dataset']} --run {self.folder.parents[1]} --force`"
            ) from error
        self._check_unchanged()
        return result

    def _check_unchanged(self) -> None:
        """Raise UserError where the folder was replaced since the metrics were read."""
        assert self.folder is not None
        entry = entry_of(self.folder)
        if entry and entry["id"] != self.stages["evaluate"]["id"]:
            raise UserError(f"{self.folder} was evaluated anew meanwhile; run this again")


def read_result(run: Store, config: Config, target: EvaluationTarget) -> Result:
    """Read a run's metrics on a target, the old or the new ones where they are being renewed.

    Raises UserError where it was not evaluated, or on vectors of another model.
    """
    encode = [] if target.is_mteb else [f"encode/{target.encoded.folder}"]
    index = [f"index/{target.folder}"] if target.index else []
    chain = ["train", *encode, *index, f"evaluate/{target.folder}"]
    return run.read(chain, lambda stages: _read_result(run, config, target, chain, stages))


def _read_result(
    run: Store,
    config: Config,
    target: EvaluationTarget,
    chain: Sequence[str],
    stages: Mapping[str, Any],
) -> Result:
    renew = f"`{_command(target, run)}`"
    made = EvaluationTarget.parse(stages.get(chain[-1], {}).get("dataset", str(target.exact)))
    # `beir/nq:train` and `beir/nq-train` have one folder
    if any(stage not in stages for stage in chain) or made != target.exact:
        raise UserError(f"{run.path} has no results on {target}; get them with {renew}")
    entries = {stage.partition("/")[0]: stages[stage] for stage in chain}
    for before, after in pairwise(entries):
        if entries[after].get("inputs", {}).get(before) != entries[before].get("id"):
            raise UserError(f"{run.path}: the results on {target} are stale; renew them: {renew}")
    _check_clean_queries(run, stages, target)
    folder, anew = run.path / chain[-1], f"{renew[:-1]} --force`"
    metrics = _read_metrics(folder / "metrics.json", anew)
    for stage in chain[:-1]:
        run.verify(stage, stages[stage], missing=False)  # weights and vectors may be gone
    run.verify(chain[-1], stages[chain[-1]], remedy=f"renew it: {anew}")
    return Result(config.at(target), metrics, folder, entries, _diagnostics(run, stages, target))


def _command(target: EvaluationTarget, run: Store) -> str:
    perturb = f" --perturb {target.perturbation}" if target.perturbation else ""
    perturb += " --center-languages" * target.center_languages
    if target.compression:
        named = {
            "dimensions": target.compression.dimensions,
            "quantize": target.compression.quantize,
        }
        perturb += "".join(f" --{name} {value}" for name, value in named.items() if value)
    perturb += f" --index {target.index}" if target.index else ""
    return f"hbr evaluate --dataset {target.dataset}{perturb} --run {run.path}"


def _read_metrics(path: Path, renew: str) -> Mapping[str, Any]:
    try:
        metrics = json.loads(path.read_text("utf-8"))
        _Metrics.model_validate(metrics)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged; renew it: {renew}") from error
    if "training" not in metrics:
        raise UserError(f"{path} is from an older hbr's evaluation; renew it: {renew}")
    return metrics


def _check_clean_queries(run: Store, stages: Mapping[str, Any], target: EvaluationTarget) -> None:
    """Raise UserError for perturbed queries whose clean ones have been evaluated anew since."""
    for stage in ("encode", "evaluate") if target.perturbation else ():
        expected = stages[f"{stage}/{target.folder}"]["inputs"].get("clean")
        current = stages.get(f"{stage}/{target.clean.folder}", {}).get("id")
        if expected not in (None, current):
            raise UserError(
                f"{run.path}: the results on {target} are of other clean queries; renew them: "
                f"`{_command(target, run)}`"
            )


def _diagnostics(run: Store, stages: Mapping[str, Any], target: EvaluationTarget) -> Path | None:
    """Return the file of diagnostics, where they are of the vectors that are there now."""
    name = target.encoded.folder
    entry = stages.get(f"diagnose/{name}", {})
    diagnosed = entry.get("inputs", {}).get("encode")
    if not diagnosed or diagnosed != stages[f"encode/{name}"].get("id"):
        return None
    run.verify(f"diagnose/{name}", entry)
    return run.path / "diagnose" / name / FILE


def _identity(config: Config) -> dict[str, Any]:
    identity = config.identity()
    if config.train.round > 1:
        del identity["train"]["start_from"]  # the run of the round before, another for each seed
    return identity


def settings_of(config: Config) -> dict[str, Any]:
    """Return what a cell's results depend on, by full name; without α where there is none."""
    sections = {k: v for k, v in _identity(config).items() if isinstance(v, dict)}
    if "train" in sections:
        sections["train"] = LATER | sections["train"]
    sections.setdefault("sampler", {})["name"] = config.method
    sections.setdefault("adapter", {})["name"] = config.adapter.name
    sections["evaluate"] = {"center_languages": config.evaluate.center_languages}
    return {
        f"{section}.{key}": value
        for section, values in sections.items()
        for key, value in values.items()
    }


def written(key: str, value: Any) -> str:
    """Write the value of a setting in tables: `centred` where vectors are, else nothing."""
    if word_of(key) == word_of(CENTER):
        return "centred" if value else ""
    return "" if value is None else str(value)


def word_of(key: str) -> str:
    """Return the word for a setting that claims may use: its last one, or what it names.

    `train.max_steps` is `max_steps`, `objective.name` is `objective`.
    """
    return key.removesuffix(".name").rpartition(".")[2].replace("-", "_")


def training_languages(metrics: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the languages that the runs of some contents of `metrics.json` were trained on."""
    return frozenset(x for one in metrics for x in one.get("training", {}).get("languages", ()))


def cell_key(config: Config) -> str:
    """Return what tells a study cell from others: all but the seed."""
    identity = _identity(config)
    identity.pop("seed", None)
    identity |= {"centred": True} if config.evaluate.center_languages else {}
    return json.dumps(identity, sort_keys=True)


def provenance(results: Iterable[Result]) -> list[dict[str, str]]:
    """Return where each run comes from, in one line a run."""
    lines: dict[str, dict[str, str]] = {}
    evaluated: dict[str, dict[str, None]] = {}  # by run, in order
    last: dict[str, str] = {}  # the last evaluation of each run
    for result in results:
        if train := result.stages.get("train"):
            metrics = result.metrics
            data = EvaluationTarget.parse(metrics["dataset"]).dataset
            counts = f"{data} {metrics['queries']:,} / {metrics['passages']:,}"
            evaluated.setdefault(result.name, {})[counts] = None
            done = _minute(result.stages.get("evaluate", {}).get("finished", ""))
            last[result.name] = max(last.get(result.name, ""), done)
            lines[result.name] = {
                "run": result.name,
                "queries / passages": "; ".join(evaluated[result.name]),
                **_training_facts(result.config),
                "steps": f"{train['steps']:,}",
                "pairs": f"{train['pairs']:,}",
                "batches": (train.get("plan") or {}).get("hash", "–"),
                "device": train.get("device", "–"),
                "hbr": f"{train['versions'].get('hbr', '?')}, {train['commit'] or 'no commit'}",
                "torch": train["versions"].get("torch", "?"),
                "trained": _minute(train["finished"]),
                "evaluated": last[result.name],
                "seconds": f"{train['seconds']:,.0f}",
            }
    return list(lines.values())


def _minute(time: str) -> str:
    """Return a manifest's time to the minute, in UTC: `2031-01-01 09:30 UTC`."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time else ""


def _training_facts(config: Config) -> dict[str, str]:
    encoder, trained = config.encoder, config.is_trained
    rate = config.train.learning_rate
    return {
        "prompts": f"{encoder.query_prompt!r}, {encoder.passage_prompt!r}",
        "batch": f"{config.train.batch_size:,}" if trained else "–",
        "learning rate": f"{rate:g}" if trained and rate else "–",
        "temperature": f"{config.objective.temperature:g}" if trained else "–",
    }
