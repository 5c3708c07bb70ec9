"""Exact ranks without sorting, and faiss for those who want an index.

The rank of a passage is its place in the order (score descending, then position in the corpus),
counted from 1: one more than the passages that score higher, or the same and stand before it.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    import faiss


CACHED = 2**21  # scores that a processor's cache holds


class Ranks(NamedTuple):
    """The rank of every relevant passage of every query: arrays (pairs,), query by query.

    `own` is the rank among the passages of the passage's own block (language), `pool` among all.
    Infinite where an index did not find the passage. `top` (queries, k) are the first k passages
    of the pool, whether relevant or not.
    """

    query: np.ndarray
    passage: np.ndarray
    own: np.ndarray
    pool: np.ndarray
    top: np.ndarray


def pairs_of(
    concept: np.ndarray, indptr: np.ndarray, relevant: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return every (query, relevant passage) pair, query by query: two arrays (pairs,).

    The passages of concept c are `relevant[indptr[c]:indptr[c + 1]]`; `concept` (queries,).
    """
    first, counts = indptr[concept], np.diff(indptr)[concept]
    query = np.repeat(np.arange(len(concept)), counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    return query, relevant[np.repeat(first, counts) + within]


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
    argsort of each line of scores.
    """
    query, passage = pairs
    corpus = _tensor(passages).to(device)
    again, first = _repeated(passages)
    size = max(1, block_mb * 2**20 // (4 * len(passages)))
    held = torch.empty((min(size, len(queries)), len(passages)), device=device)
    room = _room(held)
    for at in range(0, len(queries), size):
        some = _tensor(queries[at : at + size]).to(device)
        scores = torch.mm(some, corpus.T, out=held[: len(some)])
        scores[:, again] = scores[:, first]
        begin, end = np.searchsorted(query, [at, at + len(some)])
        lines, places = query[begin:end] - at, passage[begin:end]
        pool = _count_before(scores, lines, places, room)
        own = np.zeros_like(pool)
        for block in blocks:
            inside = np.flatnonzero((places >= block.start) & (places < block.stop))
            within = lines[inside], places[inside] - block.start
            own[inside] = _count_before(scores[:, block], *within, room)
        yield Ranks(lines + at, places, own + 1, pool + 1, first_of(scores, top)[1])


def _repeated(passages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the passages that repeat an earlier vector, and the first that each repeats.

    A matrix product may round the same sum in two columns differently, and a tie must be one.
    """
    lines = np.asarray(passages)
    prints = np.fromiter((hash(line.tobytes()) for line in lines), np.int64, len(lines))
    _, first, which = np.unique(prints, return_index=True, return_inverse=True)
    first_of = first[which]
    again = np.flatnonzero(first_of != np.arange(len(passages)))
    again = again[[np.array_equal(lines[i], lines[first_of[i]]) for i in again.tolist()]]
    return again, first_of[again]


def _room(scores: Tensor) -> Tensor:
    """Return memory for as many flags as scores are compared at a time, as a processor's cache holds.

    Flags are floats, whose comparisons and sums are vectorised; float32 counts up to 2**24.
    """
    count = scores.numel() if scores.is_cuda else max(CACHED, scores.shape[1])
    dtype = torch.float32 if scores.shape[1] <= 2**24 else torch.float64
    return torch.empty(count, dtype=dtype, device=scores.device)


def _count_before(
    scores: Tensor, lines: np.ndarray, places: np.ndarray, room: Tensor
) -> np.ndarray:
    """Count the passages that rank before each pair's: (pairs,)."""
    counts = np.empty(len(lines), dtype=np.int64)
    size = len(room) // max(1, scores.shape[1])
    for start in range(0, len(scores), size):
        begin, end = np.searchsorted(lines, [start, start + size])
        some = scores[start : start + size]
        for slot in slots_of(lines[begin:end]):  # at most one pair per line
            pair = begin + slot
            on, at = lines[pair] - start, torch.from_numpy(places[pair]).to(scores.device)
            part = some if len(on) == len(some) else some[torch.from_numpy(on).to(scores.device)]
            flags = room[: part.numel()].view(part.shape)
            counts[pair] = _before(part, at, flags).cpu().numpy()
    return counts


def _before(scores: Tensor, at: Tensor, flags: Tensor) -> Tensor:
    """Count, in each line, the scores that rank before the one `at` a place: (lines,).

    What stands before all of the places counts if it is as high, what stands behind them if it is
    higher; in between, equal ones are looked at. `flags` (lines, passages) is memory to work in.
    """
    own = scores.gather(1, at[:, None])
    low, high = int(at.min()), int(at.max()) + 1
    torch.ge(scores[:, :low], own, out=flags[:, :low])
    torch.gt(scores[:, low:], own, out=flags[:, low:])
    count = flags.sum(1).long()
    between = scores[:, low:high]
    equal = torch.eq(between, own, out=flags[:, low:high]).sum(1)
    if (tied := torch.nonzero(equal > 1).flatten()).numel():
        before = torch.arange(low, high, device=at.device) < at[tied, None]
        count[tied] += ((between[tied] == own[tied]) & before).sum(1)
    return count


def _tensor(vectors: np.ndarray) -> Tensor:
    writable = np.require(vectors, np.float32, ["C", "W"])  # maps are read-only: copied
    return torch.from_numpy(writable)


def slots_of(lines: np.ndarray) -> Iterator[np.ndarray]:
    """Split sorted line numbers into sets in which none occurs twice."""
    starts = np.searchsorted(lines, lines)  # first pair of the same line
    nth = np.arange(len(lines)) - starts
    for n in range(int(nth.max(initial=-1)) + 1):
        yield np.flatnonzero(nth == n)


def top_k(
    queries: np.ndarray, passages: np.ndarray, k: int, *, block_mb: int = 64
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores and positions of the k best passages, both (some queries, k), best first.

    Equal scores stand in the order of the corpus, as in `exact_ranks`.
    """
    corpus = _tensor(passages)
    again, first = _repeated(passages)
    size = max(1, block_mb * 2**20 // (4 * len(passages)))
    for at in range(0, len(queries), size):
        some = _tensor(queries[at : at + size])
        every = some @ corpus.T
        every[:, again] = every[:, first]
        yield first_of(every, k)


def first_of(scores: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k highest of each line and where they stand, equal ones in the order of the line."""
    k = min(k, scores.shape[1])
    if k == 0:
        return np.empty((len(scores), 0), np.float32), np.empty((len(scores), 0), np.int64)
    best = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    values, places = best.values[:, :k].cpu().numpy(), best.indices[:, :k].cpu().numpy()
    order = np.lexsort((places, -values), axis=1)
    values, places = np.take_along_axis(values, order, 1), np.take_along_axis(places, order, 1)
    if k < scores.shape[1]:  # where equal scores stand on both sides of the cut, sort it all
        for line in torch.nonzero(best.values[:, k - 1] == best.values[:, k]).flatten().tolist():
            sorted_line = scores[line].sort(descending=True, stable=True)
            values[line] = sorted_line.values[:k].cpu().numpy()
            places[line] = sorted_line.indices[:k].cpu().numpy()
    return values, places


def build_index(
    passages: np.ndarray,
    kind: str,
    *,
    nlist: int | None = None,
    nprobe: int = 8,
    m: int = 32,
    ef_search: int = 64,
) -> "faiss.Index":
    """Build a faiss index over unit vectors (p, d), ordered by inner product.

    `flat`; `ivf` with `nlist` cells, `nprobe` of them searched; `hnsw` with `m` a node and
    `ef_search` while searching; `pq` with `m` sub-quantizers. A corpus too small to train a
    quantiser of the size asked for gets a smaller one, one passage or none a flat index.
    """
    import faiss

    count, width = passages.shape
    index: faiss.Index
    inner = faiss.METRIC_INNER_PRODUCT
    if kind == "flat" or count < 2:
        index = faiss.IndexFlatIP(width)
    elif kind == "ivf":
        cells = min(nlist or max(1, round(count**0.5)), count)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, inner)
        index.cp.min_points_per_centroid = 1  # faiss warns below 39, line upon line
        index.nprobe = min(nprobe, cells)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, m, inner)
        index.hnsw.efSearch = ef_search
    else:
        bits = max(1, min(8, count.bit_length() - 1))  # 2**bits centroids need as many vectors
        parts = max(n for n in range(1, m + 1) if width % n == 0)
        index = faiss.IndexPQ(width, parts, bits, inner)
        index.pq.cp.min_points_per_centroid = 1
    vectors = np.ascontiguousarray(passages, dtype=np.float32)
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return index
