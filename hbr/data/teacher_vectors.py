"""A teacher's vectors of the items of rows: one for all languages of each."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hbr.data.arrays import load_array
from hbr.data.rows import ROLES, Rows

PAIRS = 65_536  # scored at a time


class TeacherVectors(NamedTuple):
    """Vectors of queries and of passages, both (items, width)."""

    query: np.ndarray
    passage: np.ndarray

    def scores(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of rows' passages (rows,) and negatives (negatives,)."""
        counts = np.diff(rows.negatives_of)
        positive = self._pairs(np.asarray(rows.query_of), np.asarray(rows.passage_of))
        asked = np.repeat(np.asarray(rows.query_of), counts)
        return positive, self._pairs(asked, np.asarray(rows.negative))

    def _pairs(self, query: np.ndarray, passage: np.ndarray) -> np.ndarray:
        scores = np.empty(len(query), np.float32)
        for at in range(0, len(query), PAIRS):
            some = slice(at, at + PAIRS)
            left, right = self.query[query[some]], self.passage[passage[some]]
            scores[some] = np.einsum("ij,ij->i", left, right)
        return scores


def open_teacher_vectors(folder: Path) -> TeacherVectors:
    """Memory-map a teacher's vectors."""
    return TeacherVectors(*(load_array(folder / f"{role}.npy") for role in ROLES))
