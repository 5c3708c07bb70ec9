"""Ways to find the best passages of queries: exactly, by BM25, through a faiss index.

Each returns the scores and positions of the k best passages, both (queries, k), best first, and
the scores of pairs. Positions are -1 where there are no more passages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from hbr.retrieval.top_k import merge_topk, stable_topk
from hbr.retrieval.vectors import ShardedVectors, float32_tensor

CHUNK_MB = 128  # of float32 vectors, and of scores, held at a time


class Search(Protocol):
    """A search among passages for queries that are given by their numbers."""

    def top(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and positions of the k best passages: (queries, k)."""
        ...

    def scores(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the scores of pairs: (pairs,)."""
        ...


@dataclass(frozen=True)
class VectorSearch:
    """Exact search among vectors, of which a part is read at a time."""

    queries: ShardedVectors
    passages: ShardedVectors
    chunk_mb: float = CHUNK_MB

    def top(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As in `Search`; equal scores stand in the order of the passages."""
        vectors = float32_tensor(self.queries.take(queries))
        best = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1)
        size = max(1, int(self.chunk_mb * 2**20 / (4 * self.passages.shape[1])))
        for start in range(0, len(self.passages), size):
            chunk = float32_tensor(self.passages[start : start + size])
            batch = max(1, int(self.chunk_mb * 2**20 / (4 * len(chunk))))
            parts = [stable_topk(part @ chunk.T, k) for part in vectors.split(batch)]
            values, positions = (np.concatenate(side) for side in zip(*parts, strict=True))
            best = merge_topk(best, (values, positions + start))
        return best

    def scores(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """As in `Search`."""
        size = max(1, int(self.chunk_mb * 2**20 / (8 * self.passages.shape[1])))
        parts = [np.empty(0, np.float32)]
        for at in range(0, len(queries), size):
            some = slice(at, at + size)
            left, right = self.queries.take(queries[some]), self.passages.take(passages[some])
            parts.append(np.einsum("ij,ij->i", left, right, dtype=np.float32))
        return np.concatenate(parts)


@dataclass(frozen=True)
class IndexSearch(VectorSearch):
    """Search through a faiss index over the same passages; approximate, but for a flat one."""

    index: Any = None

    def top(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As in `Search`."""
        vectors = np.ascontiguousarray(self.queries.take(queries), np.float32)
        return self.index.search(vectors, k)


class BM25:
    """BM25 over lists of token ids (Robertson et al., as Lucene has it), by the library bm25s."""

    def __init__(
        self, queries: Sequence[Sequence[int]], passages: Sequence[Sequence[int]], vocabulary: int
    ) -> None:
        import bm25s

        self.queries = queries
        self.index = bm25s.BM25(method="lucene")
        tokens = {str(token): token for token in range(vocabulary)}
        self.index.index((passages, tokens), create_empty_token=False, show_progress=False)
        self.passages = len(passages)

    def top(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As in `Search`."""
        size = max(1, int(CHUNK_MB * 2**20 / (4 * self.passages)))
        parts = (self._all(queries[at : at + size]) for at in range(0, len(queries), size))
        best = [stable_topk(torch.from_numpy(part), k) for part in parts]
        values, positions = (np.concatenate(each) for each in zip(*best, strict=True))
        return _padded(values, positions, k)

    def scores(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """As in `Search`."""
        different, of = np.unique(queries, return_inverse=True)
        order = np.argsort(of, kind="stable")
        found = np.empty(len(queries), np.float32)
        pairs_of = np.split(order, np.cumsum(np.bincount(of))[:-1])
        for query, pairs in zip(different, pairs_of, strict=False):  # of no pairs one, empty
            found[pairs] = self._all(np.array([query]))[0, passages[pairs]]
        return found

    def _all(self, queries: np.ndarray) -> np.ndarray:
        """Return the score of every passage: (queries, passages)."""
        return np.stack([self.index.get_scores_from_ids(list(self.queries[q])) for q in queries])


def _padded(values: np.ndarray, positions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    width = (0, 0), (0, k - values.shape[1])
    return (
        np.pad(values, width, constant_values=-np.inf),
        np.pad(positions, width, constant_values=-1),
    )
