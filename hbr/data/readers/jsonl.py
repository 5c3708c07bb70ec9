"""Parallel rows as JSON lines: `{"id", "group", "query": {language: text}, "passage": {…}}`.

`group` (optional) is equal for rows that share a passage; `negatives` (optional) holds a list of
texts by language.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.streams import json_lines


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file; a bad line is a UserError that names file and line."""
    assert source is not None
    for where, row in json_lines(source):
        yield checked(row, where, where.rpartition(":")[2])


def checked(row: Any, where: str, number: int | str) -> dict[str, Any]:
    """Return a row as it is, with an id, or raise a UserError that says where and what is wrong."""
    if not isinstance(row, dict) or not {"query", "passage"} <= row.keys():
        raise UserError(f"{where}: a row needs `query` and `passage`, each as {{language: text}}")
    query, passage, negatives = row["query"], row["passage"], row.get("negatives") or {}
    for field, texts in (("query", query), ("passage", passage)):
        if not isinstance(texts, dict) or not texts:
            raise UserError(f"{where}: `{field}` must be {{language: text}}")
        for language, text in texts.items():
            if not isinstance(text, str) or not text.strip():
                raise UserError(f"{where}: `{field}` in {language!r} is empty or no text")
    for one, other, name in ((query, passage, "passage"), (passage, query, "query")):
        if lacking := sorted(set(one) - set(other)):
            raise UserError(
                f"{where}: its {name} lacks {', '.join(lacking)}; give every row the same "
                "languages in query and passage"
            )
    if not isinstance(negatives, dict) or not all(
        isinstance(texts, list) and all(isinstance(text, str) and text.strip() for text in texts)
        for texts in negatives.values()
    ):
        raise UserError(f"{where}: `negatives` must be {{language: [text, …]}}")
    if lacking := sorted(set(negatives) - set(query)):
        raise UserError(f"{where}: has negatives but no query in {', '.join(lacking)}")
    id = row.get("id")
    return {**row, "id": str(number if id is None else id)}


JSONL = TrainingData("parallel rows", read, needs_source=False)
