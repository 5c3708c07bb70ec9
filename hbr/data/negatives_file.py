"""Negatives and scores by the ids of rows, as JSON lines: made elsewhere, or written for elsewhere.

`{"id": "q1", "negatives": ["q7", "q9"], "scores": [9.1, 3.0, 2.5]}`: the passages of rows q7 and q9
are negatives of row q1; scores of the row's own passage and of each negative may stand beside them.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import FiniteFloat, model_validator

from hbr.core.errors import UserError
from hbr.data.records import Id, Record, records
from hbr.data.rows import Rows

logger = logging.getLogger(__name__)


class Line(Record):
    remedy = 'a line is {"id": row, "negatives": [rows], "scores": [number, …]}'
    id: Id
    negatives: tuple[Id, ...] = ()
    scores: list[FiniteFloat] | None = None

    @model_validator(mode="after")
    def _has_a_score_for_each(self) -> "Line":
        if self.scores is not None and len(self.scores) != 1 + len(self.negatives):
            count = len(self.scores)
            raise ValueError(
                f"has {count} scores for a passage and {len(self.negatives)} negatives"
            )
        return self


def read(
    path: Path, rows: Rows, *, partial: bool = False
) -> Iterator[tuple[str, int, np.ndarray, list[float] | None]]:
    """Yield `FILE:LINE`, the row, the items of its negatives, and scores, of every line.

    Raises UserError for ids that several rows have, for rows that stand there twice, and for ids
    that no row has; where `rows` are a part of the file's, these are left out, and counted.
    """
    ids = rows.ids.to_pylist()
    number_of = {id: number for number, id in enumerate(ids)}
    if len(number_of) < len(ids):
        raise UserError(f"{path}: several rows of {rows.name} have one id: it cannot name them")
    seen: set[int] = set()
    others = [0, 0]  # rows and negatives that `rows` do not have
    for where, line in records(path, Line):
        unknown = [id for id in (line.id, *line.negatives) if id not in number_of]
        if unknown and not partial:
            raise UserError(f"{where}: {rows.name} has no row {unknown[0]!r}; {Line.remedy}")
        if line.id not in number_of:
            others[0] += 1
            continue
        row = number_of[line.id]
        if row in seen:
            raise UserError(f"{where}: row {line.id!r} stands there twice; keep one of the lines")
        seen.add(row)
        others[1] += len(unknown)
        kept = [place for place, id in enumerate(line.negatives) if id in number_of]
        negatives = np.array([number_of[line.negatives[n]] for n in kept], dtype=np.int64)
        scores = line.scores and [line.scores[0], *(line.scores[1 + n] for n in kept)]
        yield where, row, rows.passage_of[negatives], scores
    if any(others):
        logger.warning(
            f"{path}: left out, since {rows.name} has them not: {others[0]:,} rows, and "
            f"{others[1]:,} negatives of others"
        )


def write(path: Path, rows: Rows) -> None:
    """Write the negatives of rows, with their scores where they have some.

    An item is named by the first row whose passage it is. Raises UserError for one that is none's.
    """
    ids = rows.ids.to_pylist()
    row_of = np.full(len(rows.passages.has), -1, np.int64)
    row_of[rows.passage_of[::-1]] = np.arange(len(rows))[::-1]
    named = row_of[rows.negative]
    if (named < 0).any():
        raise UserError(f"{rows.name}: a negative is no row's passage, so that no id names it")
    with path.open("w", encoding="utf-8") as file:
        for row, id in enumerate(ids):
            some = slice(int(rows.negatives_of[row]), int(rows.negatives_of[row + 1]))
            line = {"id": id, "negatives": [ids[n] for n in named[some]]}
            if rows.positive_score is not None and rows.negative_score is not None:
                scores = [rows.positive_score[row], *rows.negative_score[some]]
                line["scores"] = [round(float(score), 6) for score in scores]
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
