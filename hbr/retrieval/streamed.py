"""Exact ranks over a corpus that does not fit in memory, or of which each query needs a part.

The corpus is read once, chunk by chunk, and each chunk meets all queries. A passage's rank is one
more than the passages that score higher, or the same and stand before it, as in
`hbr.retrieval.exact`. Scores of different chunks come from different matrix products, so two that
are nearer than float32 rounds may change places. Equal vectors always tie.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hbr.retrieval.exact import Ranks, single_pair_sets
from hbr.retrieval.top_k import stable_topk
from hbr.retrieval.vectors import ShardedVectors, float32_tensor

CHUNK_MB = 128  # of float32 vectors, and of scores, held at a time
PAIRS = 65_536  # scored at a time


class _Chunk(NamedTuple):
    """A part of one block of passages."""

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


def streamed_ranks(
    queries: np.ndarray,
    passages: ShardedVectors,
    pairs: tuple[np.ndarray, np.ndarray],
    blocks: Sequence[slice],
    *,
    pool: bool = True,
    top: int = 0,
    chunk_mb: float = CHUNK_MB,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Ranks]]:
    """Yield how many passages were read, and the ranks so far; the last are the exact ranks.

    Memory is that of the queries in float32 and of a few `chunk_mb`. Without `pool` a query meets
    only the blocks in which it has a relevant passage, and ranks in the pool are NaN.
    """
    query, passage = pairs
    vectors = float32_tensor(queries).to(device)
    relevant, index = np.unique(passage, return_inverse=True)
    stored = passages.take(relevant)
    hashes = _hashes(stored)[index]
    targets = float32_tensor(stored).to(device)
    score = _pair_scores(vectors, targets, query, index)
    block_of = np.searchsorted([block.stop for block in blocks], passage, side="right")
    ranks = _first_ranks(query, passage, len(queries), pool=pool)
    best = np.zeros((len(queries), 0), np.float32)
    for chunk in _chunks(passages, blocks, chunk_mb, device):
        concerned = np.arange(len(query)) if pool else np.flatnonzero(block_of == chunk.block)
        meeting = np.arange(len(queries)) if pool else np.unique(query[concerned])
        for batch in _batches(meeting, len(chunk.vectors), chunk_mb):
            held = concerned[np.isin(query[concerned], batch)]
            scores = vectors[torch.from_numpy(batch).to(vectors.device)] @ chunk.vectors.T
            if pool and top:
                ranks, best = _merge_top(ranks, best, batch, scores, chunk.start, top)
            row = np.searchsorted(batch, query[held])
            some = _Pairs(row, passage[held], score[held], hashes[held])
            before = _count_before(scores, some, chunk)
            same = block_of[held] == chunk.block
            ranks.block[held[same]] += before[same]
            ranks.pool[held] += before
        yield chunk.start + len(chunk.vectors), ranks


def _first_ranks(query: np.ndarray, passage: np.ndarray, queries: int, *, pool: bool) -> Ranks:
    """Return ranks of which no passage has been counted yet."""
    pool_ranks = np.full(len(query), 1.0 if pool else np.nan)
    return Ranks(query, passage, np.ones(len(query)), pool_ranks, np.zeros((queries, 0), np.int64))


def _chunks(
    passages: ShardedVectors, blocks: Sequence[slice], chunk_mb: float, device: torch.device | str
) -> Iterator[_Chunk]:
    size = max(1, int(chunk_mb * 2**20 / (4 * passages.shape[1])))
    for number, block in enumerate(blocks):
        for start in range(block.start, block.stop, size):
            stored = passages[start : min(start + size, block.stop)]
            vectors = float32_tensor(stored).to(device)
            yield _Chunk(start, number, vectors, _hashes(stored))


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
    chunk_hashes = tensor(chunk.hashes.view(np.int64))
    in_chunk = np.isin(pairs.hash, chunk.hashes)
    for some in single_pair_sets(pairs.row):
        part, score = scores[tensor(pairs.row[some])], pairs.score[tensor(some)][:, None]
        if len(equal := np.flatnonzero(in_chunk[some])):  # the passage, or vectors equal to its own
            rows = tensor(equal)
            hashes = tensor(pairs.hash[some[equal]].view(np.int64))[:, None]
            part[rows] = torch.where(chunk_hashes == hashes, score[rows], part[rows])
        before = (part > score).sum(1)
        tied = (part == score).any(1).nonzero().flatten()
        if len(tied):
            at = tensor(pairs.passage[some])[tied, None]
            before[tied] += ((part[tied] == score[tied]) & (position < at)).sum(1)
        counts[some] = before.cpu().numpy()
    return counts


def _merge_top(
    ranks: Ranks, best: np.ndarray, batch: np.ndarray, scores: Tensor, start: int, top: int
) -> tuple[Ranks, np.ndarray]:
    """Merge a chunk's best passages into the best so far of some queries."""
    values, positions = stable_topk(scores, top)
    if ranks.top.shape[1] == 0:
        ranks = ranks._replace(top=np.full((len(ranks.top), top), -1, np.int64))
        best = np.full((len(ranks.top), top), -np.inf, np.float32)
    values = np.concatenate([best[batch], values], axis=1)
    positions = np.concatenate([ranks.top[batch], positions + start], axis=1)  # in corpus order
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    best[batch] = np.take_along_axis(values, order, 1)
    ranks.top[batch] = np.take_along_axis(positions, order, 1)
    return ranks, best


def _hashes(vectors: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of the bytes of each vector: (vectors,)."""
    words = np.ascontiguousarray(vectors).view(np.uint16)
    rest = words.shape[1] % 4
    wide = words[:, : words.shape[1] - rest].view(np.uint64)
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, wide.shape[1], dtype=np.uint64) | np.uint64(1)
    ends = rng.integers(1, 2**63, rest, dtype=np.uint64) | np.uint64(1)
    last = words[:, words.shape[1] - rest :].astype(np.uint64)
    return (wide * factors).sum(1, dtype=np.uint64) + (last * ends).sum(1, dtype=np.uint64)
