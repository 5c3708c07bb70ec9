"""Exact ranks over a corpus that does not fit in memory, or of which each query needs a part.

The corpus is read once, chunk by chunk, and each chunk meets all queries. A passage's rank is one
more than the passages that score higher, or the same and stand before it, as in
`hbr.retrieval.exact`. Scores of different chunks come from different matrix products, so two that
are nearer than float32 rounds may change places. Equal vectors always tie.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hbr.retrieval.exact import Ranks, single_pair_sets
from hbr.retrieval.top_k import merge_topk, stable_topk
from hbr.retrieval.vectors import ShardedVectors, float32_tensor, vector_hashes

CHUNK_MB = 128  # of float32 vectors, and of scores, held at a time
PAIRS = 65_536  # scored at a time


class Counts(NamedTuple):
    """What some chunks of the corpus, named by `done` (chunks,), say of the ranks.

    `block` and `pool` (pairs,) count the passages before each pair's, `top` and `best`
    (queries, k) are the first passages and their scores.
    """

    done: np.ndarray
    block: np.ndarray
    pool: np.ndarray
    top: np.ndarray
    best: np.ndarray


class _Place(NamedTuple):
    """Where a chunk lies: a part of one block of passages."""

    start: int
    stop: int
    block: int


class _Chunk(NamedTuple):
    """The vectors of a chunk."""

    start: int
    block: int
    vectors: Tensor  # (passages, dimension)
    hashes: np.ndarray  # (passages,)


class _Pairs(NamedTuple):
    """Some pairs of a query and a relevant passage: arrays (pairs,)."""

    row: np.ndarray  # of the query among the scores
    passage: np.ndarray
    score: Tensor
    hash: np.ndarray  # of the passage's vector


class StreamedRanking:
    """The ranking of relevant passages in a corpus of which a chunk at a time is read.

    Chunks may be counted in any order, by several processes: the sum of their counts is exact.
    Memory is that of the queries in float32 and of a few `chunk_mb`. Without `pool` a query meets
    only the blocks in which it has a relevant passage, and ranks in the pool are NaN.
    """

    def __init__(
        self,
        queries: np.ndarray,
        passages: ShardedVectors,
        pairs: tuple[np.ndarray, np.ndarray],
        blocks: Sequence[slice],
        *,
        pool: bool = True,
        top: int = 0,
        chunk_mb: float = CHUNK_MB,
        device: torch.device | str = "cpu",
    ) -> None:
        self.query, self.passage = pairs
        self.passages, self.pool, self.device = passages, pool, device
        self.top, self.chunk_mb = top if pool else 0, chunk_mb
        self.vectors = float32_tensor(queries).to(device)
        relevant, index = np.unique(self.passage, return_inverse=True)
        stored = passages.take(relevant)
        self.hashes = vector_hashes(stored)[index]
        self.score = _pair_scores(
            self.vectors, float32_tensor(stored).to(device), self.query, index
        )
        ends = [block.stop for block in blocks]
        self.block_of = np.searchsorted(ends, self.passage, side="right")
        size = max(1, int(chunk_mb * 2**20 / (4 * passages.shape[1])))
        self.chunks = [
            _Place(start, min(start + size, block.stop), number)
            for number, block in enumerate(blocks)
            for start in range(block.start, block.stop, size)
        ]

    def nothing(self) -> Counts:
        """Return the counts of no chunk."""
        zeros, shape = np.zeros(len(self.query), np.int64), (len(self.vectors), self.top)
        top, best = np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32)
        return Counts(np.zeros(len(self.chunks), bool), zeros, zeros.copy(), top, best)

    def count(self, number: int, counts: Counts) -> None:
        """Add a chunk to counts that lack it."""
        place = self.chunks[number]
        stored = self.passages[place.start : place.stop]
        vectors = float32_tensor(stored).to(self.device)
        chunk = _Chunk(place.start, place.block, vectors, vector_hashes(stored))
        concerned = np.arange(len(self.query))
        if not self.pool:
            concerned = np.flatnonzero(self.block_of == place.block)
        meeting = np.arange(len(self.vectors)) if self.pool else np.unique(self.query[concerned])
        for batch in _batches(meeting, len(vectors), self.chunk_mb):
            held = concerned[np.isin(self.query[concerned], batch)]
            rows = torch.from_numpy(batch).to(self.vectors.device)
            scores = self.vectors[rows] @ vectors.T
            if self.top:
                values, positions = stable_topk(scores, self.top)
                _merge_top(counts, batch, values, positions + place.start)
            row = np.searchsorted(batch, self.query[held])
            some = _Pairs(row, self.passage[held], self.score[held], self.hashes[held])
            before = _count_before(scores, some, chunk)
            same = self.block_of[held] == place.block
            counts.block[held[same]] += before[same]
            counts.pool[held] += before
        counts.done[number] = True

    def ranks(self, counts: Counts) -> Ranks:
        """Return the ranks that counts give; exact once every chunk is among them."""
        pool = counts.pool + 1.0 if self.pool else np.full(len(self.query), np.nan)
        most = min(self.top, sum(place.stop - place.start for place in self.chunks))
        return Ranks(self.query, self.passage, counts.block + 1.0, pool, counts.top[:, :most])


def add(counts: Counts, others: Counts) -> None:
    """Add the counts of other chunks."""
    assert not (counts.done & others.done).any()
    counts.done[:] |= others.done
    counts.block[:] += others.block
    counts.pool[:] += others.pool
    _merge_top(counts, np.arange(len(counts.top)), others.best, others.top)


def streamed_ranks(
    queries: np.ndarray,
    passages: ShardedVectors,
    pairs: tuple[np.ndarray, np.ndarray],
    blocks: Sequence[slice],
    **how: Any,
) -> Iterator[tuple[int, Ranks]]:
    """Yield how many passages were read, and the ranks so far; the last are the exact ranks.

    `how` are options of `StreamedRanking`.
    """
    ranking = StreamedRanking(queries, passages, pairs, blocks, **how)
    counts = ranking.nothing()
    for number, place in enumerate(ranking.chunks):
        ranking.count(number, counts)
        yield place.stop, ranking.ranks(counts)


def _batches(meeting: np.ndarray, passages: int, chunk_mb: float) -> Iterator[np.ndarray]:
    """Yield the queries that meet a chunk, as many at a time as their scores fit `chunk_mb`."""
    size = max(1, int(chunk_mb * 2**20 / (4 * passages)))
    for start in range(0, len(meeting), size):
        yield meeting[start : start + size]


def _pair_scores(queries: Tensor, targets: Tensor, query: np.ndarray, target: np.ndarray) -> Tensor:
    """Return the score of every pair of indices: (pairs,)."""
    parts = [torch.zeros(0, device=queries.device)]
    for start in range(0, len(query), PAIRS):
        some = slice(start, start + PAIRS)
        left, right = (torch.from_numpy(i[some]).to(queries.device) for i in (query, target))
        parts.append((queries[left] * targets[right]).sum(1))
    return torch.cat(parts)


def _count_before(scores: Tensor, pairs: _Pairs, chunk: _Chunk) -> np.ndarray:
    """Count the passages of a chunk that rank before each pair's: (pairs,)."""

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(scores.device)

    counts = np.zeros(len(pairs.row), dtype=np.int64)
    position = torch.arange(chunk.start, chunk.start + scores.shape[1], device=scores.device)
    chunk_hashes = tensor(chunk.hashes)
    in_chunk = np.isin(pairs.hash, chunk.hashes)
    for some in single_pair_sets(pairs.row):
        part, score = scores[tensor(pairs.row[some])], pairs.score[tensor(some)][:, None]
        if len(equal := np.flatnonzero(in_chunk[some])):  # the passage, or vectors equal to its own
            rows = tensor(equal)
            hashes = tensor(pairs.hash[some[equal]])[:, None]
            part[rows] = torch.where(chunk_hashes == hashes, score[rows], part[rows])
        before = (part > score).sum(1)
        tied = (part == score).any(1).nonzero().flatten()
        if len(tied):
            at = tensor(pairs.passage[some])[tied, None]
            before[tied] += ((part[tied] == score[tied]) & (position < at)).sum(1)
        counts[some] = before.cpu().numpy()
    return counts


def _merge_top(
    counts: Counts, batch: np.ndarray, values: np.ndarray, positions: np.ndarray
) -> None:
    """Merge passages, (queries of a batch, n), into the best so far; of equal ones the first."""
    best = counts.best[batch], counts.top[batch]
    counts.best[batch], counts.top[batch] = merge_topk(best, (values, positions))
