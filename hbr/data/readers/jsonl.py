"""Parallel rows as JSON lines: `{"id", "group", "query": {language: text}, "passage": {…}}`.

`group` (optional) is equal for rows that share a passage. `negatives` (optional) is a list of texts
by language, or holds such lists by language, of which those of one place belong together. `scores`
(optional) are a teacher's: of the passage, then of each negative.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import FiniteFloat, model_validator

from hbr.data.dataset import TrainingData
from hbr.data.records import FullText, Id, Record, Texts, records
from hbr.data.rows import negative_items


class Row(Record):
    remedy = 'a row is {"id", "query": {language: text}, "passage": {language: text}}'
    id: Id | None = None
    group: Id | None = None
    query: Texts
    passage: Texts
    negatives: list[Texts] | dict[str, list[FullText] | None] | None = None
    scores: list[FiniteFloat] | None = None

    @model_validator(mode="after")
    def _has_the_same_languages(self) -> "Row":
        if not self.query and not self.passage:
            raise ValueError("has no text")
        for one, other, name in (
            (self.query, self.passage, "passage"),
            (self.passage, self.query, "query"),
        ):
            if lacking := sorted(one.keys() - other.keys()):
                raise ValueError(
                    f"lacks {', '.join(lacking)} in its {name}; give every row the same languages "
                    "in query and passage"
                )
        negatives = negative_items(self.negatives)
        with_texts = {language for texts in negatives for language in texts}
        if lacking := sorted(with_texts - self.query.keys()):
            raise ValueError(f"has negatives but no query in {', '.join(lacking)}")
        if self.scores is not None and len(self.scores) != 1 + len(negatives):
            raise ValueError(
                f"has {len(self.scores)} scores for a passage and {len(negatives)} negatives"
            )
        return self

    def as_dict(self, number: int | str) -> dict[str, Any]:
        """Return the row as readers yield it; without an id it has its number."""
        negatives = self.negatives or {}
        if isinstance(negatives, dict):
            negatives = {language: texts for language, texts in negatives.items() if texts}
        id = str(number) if self.id is None else self.id
        texts = {"query": self.query, "passage": self.passage, "negatives": negatives}
        scores = {"scores": self.scores} if self.scores else {}
        return {"id": id, "group": self.group, **texts, **scores}


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file; a bad line is a UserError that names file and line."""
    for _, row in placed(source):
        yield row


def placed(source: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `FILE:LINE` and the row of every line; see `read`."""
    assert source is not None
    for where, row in records(source, Row):
        yield where, row.as_dict(where.rpartition(":")[2])


JSONL = TrainingData("parallel rows", read, needs_source=False, version=2)
