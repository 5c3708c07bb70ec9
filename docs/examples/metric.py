"""A metric that is better when lower: the rank of the last relevant passage."""

import numpy as np

from hbr.evaluation.metrics import Metric


def worst_rank(ranks, relevant, cutoff=None):
    """ranks (queries, most), relevant (queries,) -> (queries,)."""
    return ranks[np.arange(len(ranks)), relevant - 1]


WORST_RANK = Metric(
    "worst_rank",
    "worst rank",
    worst_rank,
    higher_is_better=False,
    decimals=0,
    columns=(("mono", None), ("multi", None)),  # of comparisons that name no metrics
)
