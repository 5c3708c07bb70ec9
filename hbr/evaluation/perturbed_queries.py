"""The queries of a task as somebody in a hurry may type them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.core.languages import canonical
from hbr.data.perturb import Dictionary, PerturbationSpec, changed_share, perturb
from hbr.data.tasks import Task


def perturb_queries(
    task: Task, spec: PerturbationSpec, seed: int, dictionary: Dictionary | None
) -> tuple[list[str], dict[str, Any]]:
    """Return the queries of a task perturbed, and what share of them is not as it was."""
    known = {canonical(code) for code, words in (dictionary or {}).items() if words}
    if dictionary is not None and not known & set(map(canonical, task.languages)):
        raise UserError(
            f"{spec.name}: the dictionary of the training rows has no words in the languages of "
            f"{task.name}; train on parallel rows in them"
        )
    clean = task.queries["text"].to_pylist()
    languages = [task.languages[code] for code in task.query_language]
    texts = perturb(clean, languages, spec, seed, dictionary)
    blocks = zip(task.languages, task.query_blocks, strict=True)
    return texts, {
        "name": spec.name,
        "strength": spec.strength,
        "seed": seed,
        "changed": changed_share(clean, texts),
        "changed_by_language": {
            language: changed_share(clean[block], texts[block])
            for language, block in blocks
            if clean[block]
        },
    }


def write_perturbed_queries(folder: Path, task: Task, texts: Sequence[str]) -> None:
    """Write queries before and after, a line of JSON each, for people to read."""
    sides = task.queries["id"].to_pylist(), task.queries["text"].to_pylist(), texts
    lines = (
        {"language": task.languages[code], "id": id, "clean": clean, "perturbed": text}
        for code, id, clean, text in zip(task.query_language, *sides, strict=True)
    )
    with (folder / "perturbed.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
