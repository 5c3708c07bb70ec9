"""Retrieval metrics from the ranks of the relevant passages alone.

Every metric is a function of `ranks` (queries, most), ascending and infinite behind the last one
found, `relevant` (queries,), how many there are, and a cut-off or None; it gives (queries,). The
meaning is ir-measures' (AP, nDCG, R, RR), the relevance binary.
"""

from collections.abc import Callable

import numpy as np

from hbr.names import resolve

Metric = Callable[[np.ndarray, np.ndarray, int | None], np.ndarray]


def parse(name: str) -> tuple[Metric, int | None]:
    """Give the function and the cut-off that a name such as `recall@10` means."""
    base, _, cutoff = name.partition("@")
    return resolve("metric", base), int(cutoff) if cutoff else None


def average_precision(
    ranks: np.ndarray, relevant: np.ndarray, cutoff: int | None = None
) -> np.ndarray:
    """Mean over the relevant passages of the precision at their ranks; 0 for those cut off."""
    found = np.arange(1, ranks.shape[1] + 1)
    return (found / ranks * _within(ranks, cutoff)).sum(1) / relevant


def ndcg(ranks: np.ndarray, relevant: np.ndarray, cutoff: int | None = None) -> np.ndarray:
    """Discounted gain, 1 / log2(rank + 1), over that of the best order (Järvelin, Kekäläinen)."""
    gain = (_within(ranks, cutoff) / np.log2(ranks + 1)).sum(1)
    best = np.cumsum(1 / np.log2(np.arange(2, ranks.shape[1] + 2)))
    most = np.minimum(relevant, cutoff) if cutoff else relevant
    return gain / best[most - 1]


def recall(ranks: np.ndarray, relevant: np.ndarray, cutoff: int | None = None) -> np.ndarray:
    """Share of the relevant passages that were found."""
    return _within(ranks, cutoff).sum(1) / relevant


def reciprocal_rank(
    ranks: np.ndarray,
    _relevant: np.ndarray,
    cutoff: int | None = None,
) -> np.ndarray:
    """One over the rank of the first relevant passage."""
    return _within(ranks[:, :1], cutoff)[:, 0] / ranks[:, 0]


def _within(ranks: np.ndarray, cutoff: int | None) -> np.ndarray:
    return ranks <= cutoff if cutoff else np.isfinite(ranks)
