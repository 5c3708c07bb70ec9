"""Exact ranks over a corpus that does not fit memory, or of which each query needs a part.

The corpus goes by once, chunk by chunk, against all queries. A passage's rank is one more than the
passages that score higher, or the same and stand before it, as in `hbr.retrieval.exact`; scores of
different chunks come from different matrix products, so two that are nearer than float32 rounds may
change places. Equal vectors always tie.
"""

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hbr.retrieval.exact import Ranks, first_of, slots_of

CHUNK_MB = 128  # of float32 vectors, and of scores, held at a time


class Stack:
    """Vectors in several memory-mapped shards, read as one array: (vectors, width)."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = parts
        self.ends = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self.ends[-1]), parts[0].shape[1])
        self.dtype = parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: slice) -> np.ndarray:
        start, stop, _ = chosen.indices(len(self))
        found = [self.parts[0][:0]]
        for part, at in zip(self.parts, self.ends[:-1], strict=True):
            if len(piece := part[max(start - at, 0) : max(stop - at, 0)]):
                found.append(piece.copy())
                _release(part)
        return np.concatenate(found)

    def part(self, chosen: slice) -> "Stack":
        """Return some of the vectors as a stack of their own; nothing is read."""
        start, stop, _ = chosen.indices(len(self))
        sides = zip(self.parts, self.ends[:-1], strict=True)
        found = [part[max(start - at, 0) : max(stop - at, 0)] for part, at in sides]
        return Stack([part for part in found if len(part)] or found[:1])

    def take(self, places: np.ndarray) -> np.ndarray:
        """Return the vectors at some places, in any order."""
        shard = np.searchsorted(self.ends, places, side="right") - 1
        found = np.empty((len(places), self.shape[1]), self.dtype)
        for number in np.unique(shard):
            here = shard == number
            found[here] = self.parts[number][places[here] - self.ends[number]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=bool(copy))


def _release(part: np.ndarray) -> None:
    """Let go of a mapped file's pages: they would count as memory until others need it."""
    mapped = getattr(part, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


class _Chunk(NamedTuple):
    """A part of one block of passages."""

    start: int
    block: int
    vectors: Tensor  # (passages, width)
    prints: np.ndarray  # (passages,)


def streamed_ranks(
    queries: np.ndarray,
    passages: Stack,
    pairs: tuple[np.ndarray, np.ndarray],
    blocks: Sequence[slice],
    *,
    pool: bool = True,
    top: int = 0,
    chunk_mb: float = CHUNK_MB,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Ranks]]:
    """Yield how many passages went by, and the ranks so far; the last are the exact ranks.

    Memory is that of the queries in float32 and of a few `chunk_mb`. Without `pool` a query meets
    the blocks alone in which it has a relevant passage, and ranks in the pool are NaN.
    """
    query, passage = pairs
    asked = torch.from_numpy(np.array(queries, dtype=np.float32)).to(device)
    relevant, which = np.unique(passage, return_inverse=True)
    vectors = passages.take(relevant)
    prints = _prints(vectors)[which]
    own = _own_scores(asked, torch.from_numpy(vectors.astype(np.float32)).to(device), query, which)
    block_of = np.searchsorted([block.stop for block in blocks], passage, side="right")
    found = Ranks(
        query,
        passage,
        np.ones(len(query)),
        np.full(len(query), 1.0 if pool else np.nan),
        np.zeros((len(queries), 0), np.int64),
    )
    best = np.zeros((len(queries), 0), np.float32)
    for chunk in _chunks(passages, blocks, chunk_mb, device):
        mine = np.arange(len(query)) if pool else np.flatnonzero(block_of == chunk.block)
        for some in _batches(query[mine], len(queries), len(chunk.vectors), chunk_mb, pool):
            held = mine[np.isin(query[mine], some)] if len(some) < len(queries) else mine
            scores = asked[torch.from_numpy(some).to(asked.device)] @ chunk.vectors.T
            lines = np.searchsorted(some, query[held])
            if pool and top:
                found, best = _merged(found, best, some, scores, chunk.start, top)
            before = _count(scores, lines, passage[held], own[held], prints[held], chunk)
            same = block_of[held] == chunk.block
            found.own[held[same]] += before[same]
            found.pool[held] += before
        yield chunk.start + len(chunk.vectors), found


def _chunks(
    passages: Stack, blocks: Sequence[slice], chunk_mb: float, device: torch.device | str
) -> Iterator[_Chunk]:
    size = max(1, int(chunk_mb * 2**20 / (4 * passages.shape[1])))
    for number, block in enumerate(blocks):
        for start in range(block.start, block.stop, size):
            stored = passages[start : min(start + size, block.stop)]
            vectors = torch.from_numpy(stored.astype(np.float32)).to(device)
            yield _Chunk(start, number, vectors, _prints(stored))


def _batches(
    wanted: np.ndarray, queries: int, passages: int, chunk_mb: float, every: bool
) -> Iterator[np.ndarray]:
    """Yield the queries that a chunk meets, so many that their scores fit."""
    meeting = np.arange(queries) if every else np.unique(wanted)
    size = max(1, int(chunk_mb * 2**20 / (4 * passages)))
    for at in range(0, len(meeting), size):
        yield meeting[at : at + size]


def _own_scores(asked: Tensor, vectors: Tensor, query: np.ndarray, which: np.ndarray) -> Tensor:
    """Return the score of every pair: (pairs,)."""
    parts = [torch.zeros(0, device=asked.device)]
    for at in range(0, len(query), 65_536):
        some = slice(at, at + 65_536)
        left, right = (torch.from_numpy(i[some]).to(asked.device) for i in (query, which))
        parts.append((asked[left] * vectors[right]).sum(1))
    return torch.cat(parts)


def _count(
    scores: Tensor,
    lines: np.ndarray,
    passage: np.ndarray,
    own: Tensor,
    prints: np.ndarray,
    chunk: _Chunk,
) -> np.ndarray:
    """Count the passages of a chunk that rank before each pair's: (pairs,)."""
    counts = np.zeros(len(lines), dtype=np.int64)
    place = torch.arange(chunk.start, chunk.start + scores.shape[1], device=scores.device)
    equal_to = torch.from_numpy(chunk.prints.view(np.int64)).to(scores.device)
    known = np.isin(prints, chunk.prints)
    for slot in slots_of(lines):
        part = scores[torch.from_numpy(lines[slot]).to(scores.device)]
        mine = own[torch.from_numpy(slot).to(own.device)][:, None]
        if len(twins := np.flatnonzero(known[slot])):  # the passage itself, or one equal to it
            on = torch.from_numpy(twins).to(scores.device)
            of = torch.from_numpy(prints[slot[twins]].view(np.int64)).to(scores.device)
            part[on] = torch.where(equal_to == of[:, None], mine[on], part[on])
        at = torch.from_numpy(passage[slot]).to(scores.device)[:, None]
        ahead = (part > mine).sum(1)
        tied = (part == mine).any(1).nonzero().flatten()
        if len(tied):
            ahead[tied] += ((part[tied] == mine[tied]) & (place < at[tied])).sum(1)
        counts[slot] = ahead.cpu().numpy()
    return counts


def _merged(
    found: Ranks, best: np.ndarray, some: np.ndarray, scores: Tensor, start: int, top: int
) -> tuple[Ranks, np.ndarray]:
    """Take a chunk's best passages among the first so far of some queries."""
    values, places = first_of(scores, top)
    if found.top.shape[1] == 0:
        found = found._replace(top=np.full((len(found.top), top), -1, np.int64))
        best = np.full((len(found.top), top), -np.inf, np.float32)
    values = np.concatenate([best[some], values], axis=1)
    places = np.concatenate([found.top[some], places + start], axis=1)  # in corpus order
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    best[some] = np.take_along_axis(values, order, 1)
    found.top[some] = np.take_along_axis(places, order, 1)
    return found, best


def _prints(vectors: np.ndarray) -> np.ndarray:
    """Return a 64-bit fingerprint of the bytes of each vector: (vectors,)."""
    lines = np.ascontiguousarray(vectors)
    words = lines.view(np.uint16)
    width = words.shape[1] // 4 * 4
    wide = words[:, :width].reshape(len(words), -1).view(np.uint64)
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, wide.shape[1], dtype=np.uint64) | np.uint64(1)
    rest = words[:, width:].astype(np.uint64)
    ends = rng.integers(1, 2**63, rest.shape[1], dtype=np.uint64) | np.uint64(1)
    return (wide * factors).sum(1, dtype=np.uint64) + (rest * ends).sum(1, dtype=np.uint64)
