"""Language bias: does a retriever favour passages in some languages over equals in others?"""

import numpy as np


def rank_distance(
    ranks: np.ndarray,
    relevant: np.ndarray,
    cutoff: int | None = None,  # noqa: ARG001
) -> np.ndarray:
    """Highest minus lowest rank among a query's relevant passages; lower is less biased.

    `ranks` (queries, most) are those in the pool of all languages, ascending. NaN where a
    relevant passage was not found. Source: arXiv 2408.10536, section 4.3.
    """
    last = ranks[np.arange(len(ranks)), relevant - 1]
    found = np.isfinite(last)
    return np.where(found, last - np.where(found, ranks[:, 0], 0), np.nan)
