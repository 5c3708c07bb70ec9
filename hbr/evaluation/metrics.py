"""Retrieval metrics from the ranks of the relevant passages alone.

Every metric is a function of `ranks` (queries, most), ascending and infinite behind the last one
retrieved, `relevant` (queries,), how many there are, and a cut-off or None, to (queries,). The
meaning is ir-measures' (AP, nDCG, R, RR). A graded metric takes `gains` too, (queries, most): how
much each of these passages is worth. To the others relevance is binary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A metric and its facts.

    `compute` takes what `reads` says: `ranks` as above, `pool` an `hbr.evaluation.bias.Pool` and a
    cut-off; a `derived` one follows from others and is no setting, nor is one that `mteb` computes.
    """

    name: str
    label: str  # as papers write it
    compute: Callable[..., np.ndarray] | None = None
    reads: Literal["ranks", "pool", "derived", "mteb"] = "ranks"
    higher_is_better: bool = True
    decimals: int = 3
    needs_cutoff: bool = False
    by_query: bool = True  # it has values by query, or follows from such values
    columns: tuple[tuple[str, int | None], ...] = ()  # setting, cut-off: shown in every table
    graded: bool = False  # `compute` takes the gains of the relevant passages


def average_precision(
    ranks: np.ndarray, relevant: np.ndarray, cutoff: int | None = None
) -> np.ndarray:
    """Mean over the relevant passages of the precision at their ranks; 0 for those cut off."""
    retrieved = np.arange(1, ranks.shape[1] + 1)
    return (retrieved / ranks * _within(ranks, cutoff)).sum(1) / relevant


def ndcg(
    ranks: np.ndarray,
    relevant: np.ndarray,
    cutoff: int | None = None,
    gains: np.ndarray | None = None,
) -> np.ndarray:
    """Discounted gain, gain / log2(rank + 1), over that of the best order (Järvelin, Kekäläinen).

    `gains` (queries, most) are those of the passages at `ranks`, as trec_eval takes them: linear;
    without them all are 1.
    """
    if gains is None:
        gains = np.isfinite(ranks) | (np.arange(ranks.shape[1]) < relevant[:, None])
    gain = (gains * _within(ranks, cutoff) / np.log2(ranks + 1)).sum(1)
    discount = 1 / np.log2(np.arange(2, ranks.shape[1] + 2))
    best = -np.sort(-gains.astype(float), axis=1) * discount
    return gain / best[:, :cutoff].sum(1)


def recall(ranks: np.ndarray, relevant: np.ndarray, cutoff: int | None = None) -> np.ndarray:
    """Share of the relevant passages that were retrieved."""
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


# the columns shown in every table are those of arXiv 2408.10536
MAP = Metric(
    "map", "mAP", average_precision, columns=(("mono", None), ("cross", None), ("multi", None))
)
NDCG = Metric("ndcg", "nDCG", ndcg, graded=True)
RECALL = Metric("recall", "R", recall, columns=(("mono", 1), ("cross", 1), ("multi", 10)))
MRR = Metric("mrr", "MRR", reciprocal_rank)
MAP_SPREAD = Metric("map_spread", "±mAP", reads="derived", higher_is_better=False)
F1 = Metric("f1", "F1", reads="derived", by_query=False)
PRECISION = Metric("precision", "P", reads="derived", by_query=False)


def _of_mteb(name: str, label: str, **facts: Any) -> Metric:
    """Return a metric that MTEB computes, on its own tasks alone; its name is never one of ours."""
    return Metric(f"mteb.{name}", f"MTEB {label}", reads="mteb", **facts)


MTEB_MAIN = _of_mteb("main_score", "main", columns=(("mono", None), ("cross", None)))
MTEB_NDCG, MTEB_MAP = _of_mteb("ndcg", "nDCG"), _of_mteb("map", "mAP")
MTEB_RECALL, MTEB_MRR = _of_mteb("recall", "R"), _of_mteb("mrr", "MRR")
MTEB_F1, MTEB_PRECISION = _of_mteb("f1", "F1"), _of_mteb("precision", "P")
MTEB_ACCURACY = _of_mteb("accuracy", "accuracy")
