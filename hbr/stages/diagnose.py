"""Diagnose: what the vectors of a task say about languages, beside how well they retrieve."""

import json
from pathlib import Path
from typing import Any

from hbr.data.tasks import Task
from hbr.diagnosis import diagnose as diagnosed
from hbr.report.diagnostics import FILE


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
