"""The best passages of a query: equal scores stand in the order of the corpus."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hbr.retrieval.vectors import ShardedVectors, float32_tensor, repeated_vectors


def top_k(
    queries: np.ndarray,
    passages: np.ndarray | ShardedVectors,
    k: int,
    *,
    block_mb: float = 64,
    memory_mb: float = 4096,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores and positions of the k best passages, both (some queries, k), best first.

    Equal scores stand in the order of the corpus, as in `exact_ranks`. Shards that need more than
    `memory_mb` in float32 are read in chunks.
    """
    if isinstance(passages, ShardedVectors) and 4 * passages.size > memory_mb * 2**20:
        yield _streamed(queries, passages, k, block_mb)
        return
    passages = np.asarray(passages)
    corpus = float32_tensor(passages)
    repeated, first = repeated_vectors(passages)
    size = max(1, int(block_mb * 2**20 / (4 * len(passages))))
    for start in range(0, len(queries), size):
        scores = float32_tensor(queries[start : start + size]) @ corpus.T
        scores[:, repeated] = scores[:, first]
        yield stable_topk(scores, k)


def merge_topk(
    best: tuple[np.ndarray, np.ndarray], more: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best of two sets of scores and positions, of equal scores the first positions.

    Each is (rows, n); the result has as many columns as `best`.
    """
    values, positions = (np.concatenate(pair, axis=1) for pair in zip(best, more, strict=True))
    order = np.lexsort((positions, -values), axis=1)[:, : best[0].shape[1]]
    return np.take_along_axis(values, order, 1), np.take_along_axis(positions, order, 1)


def _streamed(
    queries: np.ndarray, passages: ShardedVectors, k: int, block_mb: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best passages of all queries, from chunks of the corpus and some queries each."""
    vectors, k = float32_tensor(queries), min(k, len(passages))
    best = np.full((len(vectors), k), -np.inf, np.float32), np.full((len(vectors), k), -1)
    size = max(1, int(block_mb * 2**20 / (4 * passages.shape[1])))
    for start in range(0, len(passages), size):
        chunk = passages[start : start + size]
        corpus, (repeated, first) = float32_tensor(chunk), repeated_vectors(chunk)
        rows = max(1, int(block_mb * 2**20 / (4 * len(chunk))))
        for at in range(0, len(vectors), rows):
            scores = vectors[at : at + rows] @ corpus.T
            scores[:, repeated] = scores[:, first]
            values, positions = stable_topk(scores, k)
            some = slice(at, at + rows)
            merged = merge_topk((best[0][some], best[1][some]), (values, positions + start))
            best[0][some], best[1][some] = merged
    return best


def stable_topk(scores: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k highest scores of each row and their positions, the first of equal ones first.

    Both (rows, k), or as many as a row has. `torch.topk` leaves the order of equal scores open.
    """
    k = min(k, scores.shape[1])
    if k == 0:
        return np.empty((len(scores), 0), np.float32), np.empty((len(scores), 0), np.int64)
    best = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    values, positions = best.values[:, :k].cpu().numpy(), best.indices[:, :k].cpu().numpy()
    order = np.lexsort((positions, -values), axis=1)
    values = np.take_along_axis(values, order, 1)
    positions = np.take_along_axis(positions, order, 1)
    if k < scores.shape[1]:  # equal scores on both sides of the cut: sort the whole row
        for row in torch.nonzero(best.values[:, k - 1] == best.values[:, k]).flatten().tolist():
            ordered = scores[row].sort(descending=True, stable=True)
            values[row] = ordered.values[:k].cpu().numpy()
            positions[row] = ordered.indices[:k].cpu().numpy()
    return values, positions
