"""Exact ranks, counted without sorting.

The rank of a passage is its position in the order (score descending, then position in the corpus),
counted from 1: one more than the passages that score higher, or the same and stand before it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hbr.data.arrays import ranges
from hbr.retrieval.top_k import stable_topk
from hbr.retrieval.vectors import float32_tensor, repeated_vectors

CACHED_SCORES = 2**21  # that a processor's cache holds


class Ranks(NamedTuple):
    """The rank of every relevant passage of every query: arrays (pairs,), query by query.

    `block` is the rank among the passages of the passage's own block (language), `pool` among all.
    Infinite where an index did not find the passage. `top` (queries, k) are the first k passages
    of the pool, whether relevant or not.
    """

    query: np.ndarray
    passage: np.ndarray
    block: np.ndarray
    pool: np.ndarray
    top: np.ndarray


def relevant_pairs(
    concept: np.ndarray, indptr: np.ndarray, relevant: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return every (query, relevant passage) pair, query by query: two arrays (pairs,).

    The passages of concept c are `relevant[indptr[c]:indptr[c + 1]]`; `concept` (queries,).
    """
    first, counts = indptr[concept], np.diff(indptr)[concept]
    return np.repeat(np.arange(len(concept)), counts), relevant[ranges(first, counts)]


def exact_ranks(
    queries: np.ndarray,
    passages: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    blocks: Sequence[slice],
    *,
    top: int = 0,
    block_mb: int = 64,
    device: torch.device | str = "cpu",
) -> Iterator[Ranks]:
    """Yield the exact ranks of the relevant passages and the `top` first, some queries at a time.

    One product of queries (q, d) and passages (p, d) in float32, in pieces of at most `block_mb`
    MiB of scores; equal passages get equal scores, so that ties are ties. Equal to a stable
    argsort of each row of scores.
    """
    query, passage = pairs
    corpus = float32_tensor(passages).to(device)
    repeated, first = repeated_vectors(passages)
    size = max(1, block_mb * 2**20 // (4 * len(passages)))
    buffer = torch.empty((min(size, len(queries)), len(passages)), device=device)
    flags = _flags(buffer)
    for start in range(0, len(queries), size):
        batch = float32_tensor(queries[start : start + size]).to(device)
        scores = torch.mm(batch, corpus.T, out=buffer[: len(batch)])
        scores[:, repeated] = scores[:, first]
        begin, end = np.searchsorted(query, [start, start + len(batch)])
        rows, positions = query[begin:end] - start, passage[begin:end]
        pool = _count_before(scores, rows, positions, flags)
        in_block = np.zeros_like(pool)
        for block in blocks:
            inside = np.flatnonzero((positions >= block.start) & (positions < block.stop))
            within = rows[inside], positions[inside] - block.start
            in_block[inside] = _count_before(scores[:, block], *within, flags)
        best = stable_topk(scores, top)[1]
        yield Ranks(rows + start, positions, in_block + 1, pool + 1, best)


def single_pair_sets(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield sets of pairs, as indices, in which no row occurs twice; `rows` (pairs,) is sorted."""
    nth = np.arange(len(rows)) - np.searchsorted(rows, rows)  # of the pairs of its row
    for n in range(int(nth.max(initial=-1)) + 1):
        yield np.flatnonzero(nth == n)


def _flags(scores: Tensor) -> Tensor:
    """Return memory for the flags of as many comparisons as a processor's cache holds.

    Flags are floats, whose comparisons and sums are vectorised; float32 counts up to 2**24.
    """
    count = scores.numel() if scores.is_cuda else max(CACHED_SCORES, scores.shape[1])
    dtype = torch.float32 if scores.shape[1] <= 2**24 else torch.float64
    return torch.empty(count, dtype=dtype, device=scores.device)


def _count_before(
    scores: Tensor, rows: np.ndarray, positions: np.ndarray, flags: Tensor
) -> np.ndarray:
    """Count the passages that rank before each pair's: (pairs,)."""
    counts = np.empty(len(rows), dtype=np.int64)
    size = len(flags) // max(1, scores.shape[1])
    for start in range(0, len(scores), size):
        begin, end = np.searchsorted(rows, [start, start + size])
        some = scores[start : start + size]
        for pairs in single_pair_sets(rows[begin:end]):
            pair = begin + pairs
            row = torch.from_numpy(rows[pair] - start).to(scores.device)
            at = torch.from_numpy(positions[pair]).to(scores.device)
            part = some if len(row) == len(some) else some[row]
            counts[pair] = _before(part, at, flags[: part.numel()].view(part.shape)).cpu().numpy()
    return counts


def _before(scores: Tensor, at: Tensor, flags: Tensor) -> Tensor:
    """Count, in each row, the scores that rank before the one `at` a position: (rows,).

    Scores before all of the positions count if they are as high, scores behind them if they are
    higher; in between, equal ones are looked at. `flags` (rows, passages) is memory to work in.
    """
    score = scores.gather(1, at[:, None])
    low, high = int(at.min()), int(at.max()) + 1
    torch.ge(scores[:, :low], score, out=flags[:, :low])
    torch.gt(scores[:, low:], score, out=flags[:, low:])
    count = flags.sum(1).long()
    between = scores[:, low:high]
    equal = torch.eq(between, score, out=flags[:, low:high]).sum(1)
    if (tied := torch.nonzero(equal > 1).flatten()).numel():
        before = torch.arange(low, high, device=at.device) < at[tied, None]
        count[tied] += ((between[tied] == score[tied]) & before).sum(1)
    return count
