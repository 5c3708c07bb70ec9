"""Diagnose: what the vectors of a task say about languages, beside how well they retrieve."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hbr.data.tasks import Task
from hbr.evaluation.diagnostics import diagnose as diagnosed

FILE = "diagnostics.json"


def diagnose(folder: Path, task: Task, vectors: tuple[Any, Any]) -> None:
    """Fill a folder with the diagnostics of a task's vectors, as `diagnostics.json`."""
    found = diagnosed(
        *vectors,
        query_language=task.query_language,
        passage_language=task.passage_language,
        concept=task.concept,
        indptr=task.indptr,
        relevant=task.relevant,
        languages=task.languages,
        pool="multi" in task.settings,
    )
    (folder / FILE).write_text(json.dumps(found, indent=1, allow_nan=False))


def summary(found: Mapping[str, Any]) -> dict[tuple[str, str], float | None]:
    """Return the figures that a table has room for: of passages, where both sides have one."""
    told = found["passages"]
    hubs = found["hubness"]["pool"] or {}
    return {
        ("mono", "alignment"): found["alignment"]["mono"],
        ("cross", "alignment"): found["alignment"]["cross"],
        ("passages", "uniformity"): told["uniformity"]["all"],
        ("passages", "isoscore"): told["isotropy"]["isoscore"],
        ("pool", "hubness"): hubs.get("skewness"),
        ("pool", "never found"): hubs.get("never"),
        ("passages", "cka"): (told["translations"] or {"mean": {}})["mean"].get("cka"),
        ("passages", "cosine gap"): (told["translations"] or {"mean": {}})["mean"].get("gap"),
        ("passages", "language share"): told["language_share"],
        ("queries", "probe"): (found["queries"]["language_probe"] or {}).get("normalised"),
        ("passages", "probe"): (told["language_probe"] or {}).get("normalised"),
    }
