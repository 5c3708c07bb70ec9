"""A comparison to carry away: one file with everything that its numbers rest on."""

import json
import math
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from hbr import __version__
from hbr.compare.claims import Claim
from hbr.compare.evidence import Resampling
from hbr.compare.model import Report
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, read_result
from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.store import SUMS, file_digest, write_tar
from hbr.core.target import EvaluationTarget, folder_name
from hbr.evaluation.bias import spread
from hbr.experiments.run_spec import base_model, open_run
from hbr.report import mteb
from hbr.report.formats.values import report_values

CLOSE = 1e-9  # relative: what another processor may round otherwise
ASKED, REPORT, STUDY = "asked.json", "report.json", "study.yaml"
KEPT = ("config.yaml", "manifest.json", "train/log.jsonl")  # of every run
RESULTS = ("metrics.json", "per_query.parquet")  # of every data set


class Checked(NamedTuple):
    """What a check looked at, and every difference it found."""

    files: int
    numbers: int
    differences: list[str]


def pack(
    path: Path, material: StudyResults, options: Options, report: Report, study: Path | None
) -> None:
    """Write study, configs, manifests, logs, results by query and the report, with checksums.

    The same comparison gives the same bytes.
    """
    asked = {
        "hbr": __version__,
        "title": material.title,
        "expected": [config.model_dump(mode="json") for config in material.expected],
        "claims": [claim.model_dump(mode="json", exclude_unset=True) for claim in material.claims],
        "varied": sorted(material.varied),
        "datasets": list(material.datasets),
        "results": [[r.name, r.metrics["dataset"]] for r in material.results],
        "options": options._asdict(),
    }
    held: dict[str, bytes | Path] = {ASKED: _json(asked), REPORT: _json(report_values(report))}
    if study:
        held[STUDY] = study
    for result in material.results:
        held |= _files_of(result)
    write_tar(path, sorted(held.items()))


def check(path: Path) -> Checked:
    """Compute every number of a bundle again, from its results by query, and compare.

    What it cannot know is taken as it stands: what was trained on, and how runs were made. Raises
    UserError where it is no bundle.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        try:
            with tarfile.open(path) as tar:
                tar.extractall(root, filter="data")
            asked = json.loads((root / ASKED).read_text())
            before = json.loads((root / REPORT).read_text())
            sums = dict(
                line.split("  ", 1)[::-1] for line in (root / SUMS).read_text().splitlines()
            )
            told = _wrong_files(root, sums, asked["results"])
            return Checked(len(sums), 0, told) if told else _check_numbers(root, asked, before)
        except (OSError, LookupError, TypeError, ValueError, tarfile.TarError) as error:
            raise UserError(f"{path} is no bundle of `hbr compare --bundle`: {error}") from error
        except UserError as error:
            told = [str(error).replace(f"{root}/", "")]
            return Checked(len(sums), 0, told)


def _check_numbers(root: Path, asked: Mapping[str, Any], before: Mapping[str, Any]) -> Checked:
    told, numbers = [], 0
    for run, dataset in asked["results"]:
        result = _result(root, run, dataset)
        again = recomputed(result)
        numbers += _count(again)
        own = _follows(result.metrics, again)
        told += [f"{run}, {dataset}: {line}" for line in _apart(own, again, "")]
    now = json.loads(_json(report_values(_compared_again(root, asked))))
    told += list(_apart(before, now, "report"))
    files = sum(path.is_file() for path in root.rglob("*")) - 1
    return Checked(files, numbers + _count(now), told)


def _follows(metrics: Mapping[str, Any], again: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of `metrics.json` that follows from values by query."""
    own = {key: metrics[key] for key in again}
    return own | {"bias": {key: metrics["bias"].get(key) for key in again["bias"]}}


def write_mteb(material: StudyResults, folder: Path) -> list[Path]:
    """Write the results of every run in MTEB's shape; give the paths."""
    by_run: dict[str, list[Result]] = {}
    for result in material.results:
        by_run.setdefault(result.name, []).append(result)
    paths = []
    for name, results in by_run.items():
        train, config = results[0].stages["train"], results[0].config
        model = {
            "name": name,
            "revision": train["id"],
            "max_tokens": config.encoder.passage_max_seq_length,
            "adapted_from": base_model(config, train),
        }
        paths += mteb.write(folder, model, [result.metrics for result in results])
    return paths


def recomputed(result: Result) -> dict[str, Any]:
    """Return what `metrics.json` says, as far as it follows from the values by query."""
    assert result.folder is not None
    table = pq.read_table(result.folder / "per_query.parquet").to_pandas()
    found: dict[str, Any] = {"settings": {}, "by_query_language": {}, "by_pair": {}}
    found["bias"] = {"spread": {}}
    for setting, values in result.metrics["settings"].items():
        rows = table[table["setting"] == setting]
        keys = ["query_language", *(["passage_language"] if setting != "multi" else [])]
        names = [name for name in values if name in table]
        means = rows.groupby(keys)[names].agg(lambda column: column.mean(skipna=False))
        found["settings"][setting] = _plain(means.mean(skipna=False))
        by_language = means.groupby("query_language").agg(lambda c: c.mean(skipna=False))
        found["by_query_language"][setting] = {
            language: _plain(own) for language, own in by_language.iterrows()
        }
        if setting != "multi":
            for (asked, answered), own in means.iterrows():
                found["by_pair"][f"{asked}->{answered}"] = _plain(own)
        if "map" in by_language:
            apart = spread(by_language["map"].to_numpy())
            found["bias"]["spread"][setting] = {"map": apart}
            if "map_spread" in values:
                found["settings"][setting]["map_spread"] = apart["sd"]
    if "mean_rank" in result.metrics["bias"] and {"mono", "cross"} <= set(found["settings"]):
        ranks = table.dropna(subset=["pool_rank", "passage_language"])
        matrix = ranks.groupby(["query_language", "passage_language"])["pool_rank"].mean()
        found["bias"]["mean_rank"] = {
            asked: _plain(line.droplevel(0)) for asked, line in matrix.groupby(level=0)
        }
    return found


def _plain(values: Any) -> dict[str, float | None]:
    return {k: float(v) if np.isfinite(v) else None for k, v in values.items()}


def _files_of(result: Result) -> dict[str, Path]:
    """Name what a bundle holds of a result: its place there, and the file."""
    assert result.folder is not None
    run, dataset = result.folder.parents[1], result.metrics["dataset"]
    names = [*KEPT, *(f"evaluate/{folder_name(dataset)}/{file}" for file in RESULTS)]
    if result.diagnostics:
        names.append(result.diagnostics.relative_to(run).as_posix())
    return {f"runs/{result.name}/{n}": run / n for n in names if (run / n).exists()}


def _result(root: Path, run: str, dataset: str) -> Result:
    return read_result(*open_run(root / "runs" / run), EvaluationTarget.parse(dataset))


def _compared_again(root: Path, asked: Mapping[str, Any]) -> Report:
    resampling = Resampling(*asked["options"]["resampling"])
    metrics = asked["options"]["metrics"]
    options = Options(**asked["options"])._replace(
        resampling=resampling, metrics=tuple(metrics) if metrics else None
    )
    material = StudyResults(
        asked["title"],
        [_result(root, run, dataset) for run, dataset in asked["results"]],
        [resolve_config(config) for config in asked["expected"]],
        [Claim.model_validate(claim) for claim in asked["claims"]],
        set(asked["varied"]),
        asked["datasets"],
    )
    return assemble(material, options)


def _wrong_files(root: Path, sums: Mapping[str, str], results: list[list[str]]) -> list[str]:
    """Name files that are changed, missing, or too many."""
    there = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()} - {SUMS}
    needed = {
        f"runs/{run}/{name}"
        for run, dataset in results
        for name in (*KEPT[:2], *(f"evaluate/{folder_name(dataset)}/{file}" for file in RESULTS))
    }
    told = [f"{name}: not in {SUMS}" for name in sorted(there - sums.keys())]
    told += [f"{name}: missing" for name in sorted((sums.keys() | needed) - there)]
    changed = (n for n in sums.keys() & there if file_digest(root / n) != sums[n])
    return told + [f"{name}: changed since the bundle was packed" for name in sorted(changed)]


def _apart(before: Any, now: Any, where: str) -> Iterator[str]:
    """Yield where two JSON-like values differ."""
    if isinstance(now, dict) and isinstance(before, dict):
        for key in dict.fromkeys((*now, *before)):
            place = f"{where}/{key}" if where else key
            yield from _apart(before.get(key), now.get(key), place)
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for number, (a, b) in enumerate(zip(before, now, strict=True)):
            yield from _apart(a, b, f"{where}[{number}]")
    elif isinstance(now, float) and isinstance(before, float | int):
        if not math.isclose(before, now, rel_tol=CLOSE, abs_tol=1e-12):
            yield f"{where}: says {before!r}, is {now!r}"
    elif before != now:
        yield f"{where}: says {before!r}, is {now!r}"


def _count(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(map(_count, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
