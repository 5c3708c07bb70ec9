"""Series: what plots need of every cell, averaged over its seeds."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from statistics import stdev
from typing import Any

import numpy as np

from hbr.compare.evidence import Evidence, StudyCell
from hbr.compare.model import Series
from hbr.compare.results import Result


def series(evidence: Evidence) -> list[Series]:
    """Return what plots need of every cell that has results."""
    return [_series(evidence, cell) for cell in evidence.cells if cell.members]


def _series(evidence: Evidence, cell: StudyCell) -> Series:
    results = evidence.members(cell)
    metrics = [result.metrics for result in results]
    settings, by_language = (
        [one[key] for one in metrics] for key in ("settings", "by_query_language")
    )
    several = len(metrics) > 1
    logs = [_log(result) for result in results]
    losses, validation = (
        [[(entry["step"], entry[loss]) for entry in log if loss in entry] for log in logs]
        for loss in ("loss", "validation_loss")
    )
    alpha = cell.settings.get("alpha")
    return Series(
        evidence.dataset,
        str(cell.settings["encoder"]),
        cell.config.method,
        " ".join(filter(None, evidence.label(cell.config)[1:])),
        alpha if isinstance(alpha, float | int) else None,
        _averaged(settings),
        _maps(_averaged(by_language)),
        _averaged([one.get("bias", {}).get("mean_rank", {}) for one in metrics]),
        str(evidence.target.compression or ""),
        cell.config.evaluate.center_languages,
        _bytes(results[0]),
        [curve for curve in losses if curve],
        [curve for curve in validation if curve],
        _averaged(settings, stdev) if several else {},
        _maps(_averaged(by_language, stdev)) if several else {},
    )


def _maps(by_language: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return mAP alone of the values by setting and language."""
    return {
        setting: {code: value["map"] for code, value in values.items() if "map" in value}
        for setting, values in by_language.items()
    }


def _bytes(result: Result) -> int:
    """Return the bytes of a vector, 0 where they are not known."""
    encoded = result.stages.get("encode", {})
    dtype = np.dtype(encoded.get("settings", {}).get("dtype", "float32"))
    plain = encoded.get("width", 0) * dtype.itemsize
    return int(result.metrics.get("bytes_per_vector", plain))


def _averaged(
    trees: Sequence[Mapping[str, Any]], over: Callable[[Sequence[float]], Any] = np.mean
) -> dict[str, Any]:
    """Average the numbers of equal trees, leaf by leaf; what one lacks is left out."""
    means: dict[str, Any] = {}
    for key, value in trees[0].items():
        values = [tree.get(key) for tree in trees]
        if isinstance(value, Mapping):
            means[key] = _averaged([v or {} for v in values], over)
        elif None not in values:
            means[key] = float(over([float(v or 0) for v in values]))
    return means


def _log(result: Result) -> list[dict[str, Any]]:
    """Read the entries of a run's training log."""
    path = result.folder.parents[1] / "train" / "log.jsonl" if result.folder else None
    entries = []
    for line in path.read_text("utf-8").splitlines() if path and path.exists() else ():
        with suppress(ValueError):  # a line cut short: a curve can do without it
            entries.append(json.loads(line))
    return entries
