"""Language bias: does a retriever favour passages in some languages over their equals in others?

Every measure is a function of the pool of all languages and a cut-off or None, to one value a
query: (queries,).
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from hbr.evaluation.metrics import Metric, ndcg

NOWHERE = -1  # the language of no passage


class Pool(NamedTuple):
    """How some queries rank the pool of all languages.

    `ranks` (queries, most) are those of the relevant passages, ascending and infinite behind the
    last; `languages` (queries, most) are theirs, `NOWHERE` behind the last; `relevant` (queries,)
    is their number. `top` (queries, k) are the languages of the first k passages of the order,
    relevant or not, and `query_language` (queries,) those of the queries; `share` (languages,) is
    what part of the pool is in each language.
    """

    ranks: np.ndarray
    languages: np.ndarray
    relevant: np.ndarray
    top: np.ndarray
    query_language: np.ndarray
    share: np.ndarray


def rank_distance(pool: Pool, cutoff: int | None = None) -> np.ndarray:  # noqa: ARG001
    """Highest minus lowest rank among a query's relevant passages; lower is less biased.

    NaN where a relevant passage was not retrieved. Source: arXiv 2408.10536, section 4.3.
    """
    last = pool.ranks[np.arange(len(pool.ranks)), pool.relevant - 1]
    retrieved = np.isfinite(last)
    return np.where(retrieved, last - np.where(retrieved, pool.ranks[:, 0], 0), np.nan)


def same_language(pool: Pool, cutoff: int | None = None) -> np.ndarray:
    """Share of the first `cutoff` passages that are in the language of the query.

    Without bias it is the share of that language in the pool.
    """
    return (pool.top[:, :cutoff] == pool.query_language[:, None]).mean(1)


def pool_share(passage_language: np.ndarray, languages: int) -> np.ndarray:
    """Share of the pool that is in each language, (languages,): what chance puts into the top."""
    return np.bincount(passage_language, minlength=languages) / len(passage_language)


def preference(pool: Pool, cutoff: int | None = None) -> np.ndarray:  # noqa: ARG001
    """Language Preference Rate: 1 where the first relevant passage is in the query's language.

    Else 0, and NaN for a query that has no choice, its relevant passages being all in its language
    or none of them, and where none was retrieved. After MLAIRE (arXiv 2605.07249), whose abstract
    names the rate; its equation was not seen.
    """
    same = pool.languages == pool.query_language[:, None]
    choice = same.any(1) & (same.sum(1) < pool.relevant) & np.isfinite(pool.ranks[:, 0])
    return np.where(choice, same[:, 0], np.nan)


def lang_ndcg(pool: Pool, cutoff: int | None = None) -> np.ndarray:
    """nDCG whose gains are 2 for a relevant passage in the query's language, 1 in another.

    The best order has those in the query's language first. After Lang-nDCG of MLAIRE (arXiv
    2605.07249), whose abstract names it; its equation was not seen, and the gains are ours.
    """
    same = pool.languages == pool.query_language[:, None]
    gains = np.where(pool.languages == NOWHERE, 0, 1 + same)
    return ndcg(pool.ranks, pool.relevant, cutoff, gains)


def first_passage(
    pool: Pool,
    cutoff: int | None = None,  # noqa: ARG001
    *,
    right: bool,
    same: bool,
) -> np.ndarray:
    """1 where the first passage is relevant or not, and in the query's language or not; else 0.

    The four add up to 1; NaN where nothing was retrieved. After the four-way decomposition of
    MLAIRE (arXiv 2605.07249), whose abstract names it; its equations were not seen.
    """
    is_right = pool.ranks[:, 0] == 1
    is_same = pool.top[:, 0] == pool.query_language
    return np.where(pool.top[:, 0] == NOWHERE, np.nan, (is_right == right) & (is_same == same))


def exposure(top: np.ndarray, languages: int) -> np.ndarray:
    """Share of each ranking's exposure that falls to each language: (queries, languages).

    The exposure of rank r is 1 / log2(r + 1): Singh and Joachims, Fairness of Exposure in Rankings
    (KDD 2018). `top` (queries, k) are languages; NaN where all are `NOWHERE`.
    """
    weights = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    falls = np.stack([(top == code) @ weights for code in range(languages)], axis=1)
    with np.errstate(invalid="ignore"):
        return falls / falls.sum(1, keepdims=True)


def exposure_distance(pool: Pool, cutoff: int | None = None) -> np.ndarray:
    """Half the L1 distance between the languages' shares of exposure and of the pool.

    That is the part of the first `cutoff` passages' exposure that would have to go to other
    languages for each to have its share of the pool; 0 is fair, and seldom within reach of a
    single ranking. The L1 distance is the unfairness of Biega et al., Equity of Attention (SIGIR
    2018), with the pool's composition for the relevance there.
    """
    return np.abs(exposure(pool.top[:, :cutoff], len(pool.share)) - pool.share).sum(1) / 2


def peer(pool: Pool, cutoff: int | None = None) -> np.ndarray:
    """Probability that passages of equal relevance have equal expected rank in all languages.

    The p of a Kruskal–Wallis test over ranks grouped by language; higher is fairer. Without a
    cut-off, over the relevant passages of the full order; with one, the mean of that for the
    relevant and for the other passages among the first `cutoff`, where relevant passages behind
    it share the ranks that follow it. Where a query has a single relevant passage in each
    language, its relevant part is the same number whatever the order: only the other passages
    tell orders apart; and a top all in one language is fair. Source: Yang et al., Language
    Fairness in Multilingual Information Retrieval, arXiv 2405.00978, section 3. Equal to the
    authors' `peer_measure` 0.0.1, but that this puts passages that were not retrieved behind the
    relevant ones instead of behind the cut-off.
    """
    if cutoff is None:
        return _equal_ranks(pool.ranks, np.where(np.isfinite(pool.ranks), pool.languages, NOWHERE))
    relevant = np.arange(pool.ranks.shape[1]) < pool.relevant[:, None]
    behind = relevant & (pool.ranks > cutoff)
    shared = cutoff + (behind.sum(1, keepdims=True) + 1) / 2
    fairness = _equal_ranks(np.where(behind, shared, pool.ranks), pool.languages)
    top = pool.top[:, :cutoff].copy()
    line, place = np.nonzero(pool.ranks <= min(cutoff, top.shape[1]))
    top[line, pool.ranks[line, place].astype(int) - 1] = NOWHERE
    ranks = np.broadcast_to(np.arange(1.0, top.shape[1] + 1), top.shape)
    return (fairness + _equal_ranks(ranks, top)) / 2


def _equal_ranks(ranks: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the Kruskal–Wallis p of each line: ranks and groups (n, m), `NOWHERE` left out.

    One where a line has fewer than two groups, or nothing but ties.
    """
    from scipy.special import chdtrc

    used = groups != NOWHERE
    values = np.where(used, ranks, 0.0)
    total = used.sum(1)
    mean = values.sum(1) / np.maximum(total, 1)
    spread = np.where(used, (values - mean[:, None]) ** 2, 0).sum(1)
    between, number = np.zeros(len(ranks)), np.zeros(len(ranks), dtype=int)
    for group in np.unique(groups[used]):
        of = groups == group
        size = of.sum(1)
        group_mean = (values * of).sum(1) / np.maximum(size, 1)
        between += size * (group_mean - mean) ** 2
        number += size > 0
    tested = (number > 1) & (spread > 0)
    h = (total - 1) * between / np.where(tested, spread, 1)
    return np.where(tested, chdtrc(np.maximum(number - 1, 1), h), 1.0)


def mean_ranks(
    ranks: np.ndarray, query_language: np.ndarray, passage_language: np.ndarray, languages: int
) -> np.ndarray:
    """Mean rank in the pool by query language and language of the relevant passages.

    Arrays (n,), a value for each query and language with a relevant passage, to (languages,
    languages); NaN where there is none. The retriever favours a language whose column is lower
    than the others; where the diagonal is low, it favours the language of the query.
    """
    cell = query_language.astype(np.int64) * languages + passage_language
    counts = np.bincount(cell, minlength=languages**2)
    with np.errstate(invalid="ignore"):
        return (np.bincount(cell, ranks, languages**2) / counts).reshape(languages, languages)


def spread(values: np.ndarray) -> dict[str, float]:
    """Lowest, highest, and standard deviation of a metric over languages, (languages,)."""
    low, high = float(values.min()), float(values.max())
    return {"lowest": low, "highest": high, "sd": float(values.std())}


RANK_DISTANCE = Metric(
    "rank_distance",
    "distance",
    rank_distance,
    "pool",
    higher_is_better=False,
    decimals=0,
    columns=(("multi", None),),
)
PEER = Metric("peer", "PEER", peer, "pool")
SAME_LANGUAGE = Metric(
    "same_language", "same", same_language, "pool", higher_is_better=False, needs_cutoff=True
)
LPR = Metric("lpr", "LPR", preference, "pool")
LANG_NDCG = Metric("lang_ndcg", "Lang-nDCG", lang_ndcg, "pool")
EXPOSURE = Metric(
    "exposure", "exposure", exposure_distance, "pool", higher_is_better=False, needs_cutoff=True
)
RIGHT_SAME, RIGHT_OTHER, WRONG_SAME, WRONG_OTHER = (
    Metric(
        f"{'right' if right else 'wrong'}_{'same' if same else 'other'}",
        f"{'right' if right else 'wrong'}, {'same' if same else 'other'}",
        partial(first_passage, right=right, same=same),
        "pool",
        higher_is_better=right and same,
    )
    for right in (True, False)
    for same in (True, False)
)
