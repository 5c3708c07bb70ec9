"""The best passages of a query: equal scores stand in the order of the corpus."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hbr.retrieval.vectors import float32_tensor, repeated_vectors


def top_k(
    queries: np.ndarray, passages: np.ndarray, k: int, *, block_mb: int = 64
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores and positions of the k best passages, both (some queries, k), best first.

    Equal scores stand in the order of the corpus, as in `exact_ranks`.
    """
    corpus = float32_tensor(passages)
    repeated, first = repeated_vectors(passages)
    size = max(1, block_mb * 2**20 // (4 * len(passages)))
    for start in range(0, len(queries), size):
        scores = float32_tensor(queries[start : start + size]) @ corpus.T
        scores[:, repeated] = scores[:, first]
        yield stable_topk(scores, k)


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
