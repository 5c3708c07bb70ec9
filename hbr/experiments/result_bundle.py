"""A comparison to carry away: one file with everything that its numbers rest on."""

import json
import math
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from hbr import __version__
from hbr.compare.claims import Claim
from hbr.compare.model import Report
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, read_result
from hbr.core import registry
from hbr.core.config import resolve_config
from hbr.core.errors import UserError, first_line
from hbr.core.target import EvaluationTarget
from hbr.evaluation.bias import spread
from hbr.evaluation.metrics import MTEB_MAIN
from hbr.experiments.bundles import open_bundle, write_bundle
from hbr.experiments.run_spec import open_run
from hbr.report.formats.values import to_json

TOLERANCE = 1e-9  # relative: what another processor may round otherwise
UNREADABLE = (  # what a bundle can be that somebody else has written
    *(OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError),
    *(RecursionError, tarfile.TarError, pa.ArrowException),
)
REQUEST, REPORT, STUDY = "request.json", "report.json", "study.yaml"
NAMES = re.compile(rf"{REQUEST}|{REPORT}|{STUDY}|runs/.+")
RUN_FILES = ("config.yaml", "manifest.json")
RUN_LOG = "train/log.jsonl"
RESULT_FILES = ("metrics.json", "per_query.parquet")  # of every evaluation target


class Check(NamedTuple):
    """How many files and numbers were checked, and every difference."""

    files: int
    numbers: int
    differences: list[str]


def pack(
    path: Path, results: StudyResults, options: Options, report: Report, study: Path | None
) -> None:
    """Write study, configs, manifests, logs, results by query and the report into a bundle.

    The same comparison gives the same bytes.
    """
    request = {
        "hbr": __version__,
        "title": results.title,
        "expected": [config.model_dump(mode="json") for config in results.expected],
        "claims": [claim.model_dump(mode="json", exclude_unset=True) for claim in results.claims],
        "varied": sorted(results.varied),
        "datasets": list(results.datasets),
        "results": [[r.name, r.metrics["dataset"]] for r in results.results],
        "options": options._asdict(),
    }
    text = json.dumps(request, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files: dict[str, bytes | Path] = {REQUEST: text.encode(), REPORT: to_json(report).encode()}
    if study:
        files[STUDY] = study
    for result in results.results:
        files |= _files_of(result)
    write_bundle(path, sorted(files.items()))


def check(path: Path) -> Check:
    """Compute every number of a bundle again from its results by query, and compare.

    What the training saw and how the runs were made is taken as it stands. Raises UserError where
    the file is no such bundle.
    """
    with tempfile.TemporaryDirectory() as folder, registry.untrusting():
        root = Path(folder)
        files = 0
        try:
            with open_bundle(path, NAMES) as bundle:
                request, report = (json.loads(bundle.read(name)) for name in (REQUEST, REPORT))
                files, needed = len(bundle.sums), _needed(request["results"])
                changed = "changed since the bundle was packed"
                if wrong := list(bundle.differences(changed, needed)):
                    return Check(files, 0, [f"{name}: {how}" for name, how in wrong])
                for name in bundle.members:
                    bundle.extract(name, root, name)
            return Check(files, *_check_numbers(root, request, report))
        except UNREADABLE as error:
            raise UserError(
                f"{path} is no bundle of `hbr compare --bundle`: {first_line(error)}"
            ) from error
        except UserError as error:
            return Check(files, 0, [str(error).replace(f"{root}/", "")])


def _check_numbers(
    root: Path, request: Mapping[str, Any], report: Mapping[str, Any]
) -> tuple[int, list[str]]:
    """Return how many numbers were computed again, and every difference."""
    numbers, differences = 0, []
    for run, target in request["results"]:
        result = _read(root, run, target)
        again = recomputed(result)
        packed = {key: result.metrics[key] for key in again}
        packed["bias"] = {key: packed["bias"].get(key) for key in again["bias"]}
        numbers += _count(again)
        differences += [f"{run}, {target}: {line}" for line in _differences(packed, again, "")]
    now = json.loads(to_json(_report_again(root, request)))
    return numbers + _count(now), differences + list(_differences(report, now, "report"))


def recomputed(result: Result) -> dict[str, Any]:
    """Return the part of `metrics.json` that follows from the values by query."""
    assert result.folder is not None
    table = pq.read_table(result.folder / "per_query.parquet").to_pandas()
    metrics: dict[str, Any] = {"settings": {}, "by_query_language": {}, "by_pair": {}}
    metrics["bias"] = {"spread": {}}
    for setting, values in result.metrics["settings"].items():
        rows = table[table["setting"] == setting]
        keys = ["query_language", *(["passage_language"] if setting != "multi" else [])]
        names = [name for name in values if name in table]
        means = rows.groupby(keys)[names].agg(lambda column: column.mean(skipna=False))
        metrics["settings"][setting] = _values(means.mean(skipna=False))
        by_language = means.groupby("query_language").agg(lambda c: c.mean(skipna=False))
        metrics["by_query_language"][setting] = {
            language: _values(line) for language, line in by_language.iterrows()
        }
        if setting != "multi":
            for (query, passage), line in means.iterrows():
                metrics["by_pair"][f"{query}->{passage}"] = _values(line)
        for name in {"map", MTEB_MAIN.name} & {*by_language}:
            languages = spread(by_language[name].to_numpy())
            metrics["bias"]["spread"][setting] = {name: languages}
            if "map_spread" in values:
                metrics["settings"][setting]["map_spread"] = languages["sd"]
    if "mean_rank" in result.metrics["bias"] and {"mono", "cross"} <= set(metrics["settings"]):
        ranks = table.dropna(subset=["pool_rank", "passage_language"])
        matrix = ranks.groupby(["query_language", "passage_language"])["pool_rank"].mean()
        metrics["bias"]["mean_rank"] = {
            query: _values(line.droplevel(0)) for query, line in matrix.groupby(level=0)
        }
    return metrics


def _values(values: Any) -> dict[str, float | None]:
    return {k: float(v) if np.isfinite(v) else None for k, v in values.items()}


def _report_again(root: Path, request: Mapping[str, Any]) -> Report:
    options = TypeAdapter(Options).validate_python(request["options"])
    results = StudyResults(
        request["title"],
        [_read(root, run, target) for run, target in request["results"]],
        [resolve_config(config) for config in request["expected"]],
        [Claim.model_validate(claim) for claim in request["claims"]],
        set(request["varied"]),
        request["datasets"],
    )
    metrics = tuple(options.metrics) if options.metrics else None
    return assemble(results, options._replace(metrics=metrics))


def _read(root: Path, run: str, target: str) -> Result:
    return read_result(*open_run(root / "runs" / run), EvaluationTarget.parse(target))


def _files_of(result: Result) -> dict[str, Path]:
    """Return what a bundle holds of a result: the files by their place in it."""
    assert result.folder is not None
    run = result.folder.parents[1]
    evaluated = [f"evaluate/{result.folder.name}/{file}" for file in RESULT_FILES]
    names = [*RUN_FILES, RUN_LOG, *evaluated]
    if result.diagnostics:
        names.append(result.diagnostics.relative_to(run).as_posix())
    return {f"runs/{result.name}/{n}": run / n for n in names if (run / n).exists()}


def _needed(results: list[list[str]]) -> Iterator[str]:
    """Yield the files without which no number of some results can be computed again."""
    for run, target in results:
        folder = EvaluationTarget.parse(target).folder
        for name in (*RUN_FILES, *(f"evaluate/{folder}/{file}" for file in RESULT_FILES)):
            yield f"runs/{run}/{name}"


def _differences(packed: Any, now: Any, place: str) -> Iterator[str]:
    """Yield where two JSON-like values differ."""
    if isinstance(now, dict) and isinstance(packed, dict):
        for key in dict.fromkeys((*now, *packed)):
            below = f"{place}/{key}" if place else key
            yield from _differences(packed.get(key), now.get(key), below)
    elif isinstance(now, list) and isinstance(packed, list) and len(now) == len(packed):
        for number, (a, b) in enumerate(zip(packed, now, strict=True)):
            yield from _differences(a, b, f"{place}[{number}]")
    elif isinstance(now, float) and isinstance(packed, float | int):
        if not math.isclose(packed, now, rel_tol=TOLERANCE, abs_tol=1e-12):
            yield f"{place}: says {packed!r}, is {now!r}"
    elif packed != now:
        yield f"{place}: says {packed!r}, is {now!r}"


def _count(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(map(_count, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)
