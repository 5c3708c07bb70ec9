"""Ranks of the relevant passages of a task: exact, from memory or disk, or by an index."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hbr.core import distributed
from hbr.core.progress import Progress
from hbr.core.settings import Evaluate
from hbr.data.tasks import Task
from hbr.evaluation.counts import count_and_keep, kept_counts, remove_counts
from hbr.evaluation.index import POOL
from hbr.retrieval.exact import Ranks, exact_ranks, relevant_pairs
from hbr.retrieval.streamed import StreamedRanking
from hbr.retrieval.vectors import ShardedVectors

BATCH = 1024  # queries that an index is searched for at a time
Vectors = tuple[Any, Any]  # queries, passages: arrays, or stacks of shards


def rank_exactly(
    task: Task,
    vectors: Vectors,
    settings: Evaluate,
    device: torch.device,
    top: int,
    folder: Path,
) -> Ranks | None:
    """Return the ranks of the relevant passages among all, and the `top` first of the pool.

    A corpus whose vectors need more than `memory_mb`, and a task without a pool, is streamed, on
    all ranks; what is done is kept in `folder`. Returns None on other ranks than 0.
    """
    queries, passages = vectors
    bytes_needed = 8 * passages.shape[0] * passages.shape[1]
    if "multi" not in task.settings or bytes_needed > settings.memory_mb * 2**20:
        streamed = _streamed_ranks(task, vectors, device, top + _excludes(task), folder)
        return None if streamed is None else _without_excluded(task, streamed, top)
    if distributed.rank():
        return None
    parts = []
    with Progress(f"ranking {task.name}", len(queries), "queries") as progress:
        for part in exact_ranks(
            np.asarray(queries),
            np.asarray(passages),
            _pairs(task),
            task.blocks,
            top=top + _excludes(task),
            block_mb=settings.block_mb,
            device=device,
        ):
            parts.append(part)
            progress.advance(len(np.unique(part.query)))
    ranks = Ranks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return _without_excluded(task, ranks, top)


def rank_by_index(
    task: Task, queries: Any, indexes: Mapping[str, Any], depth: int, top: int
) -> Ranks:
    """Return the ranks that faiss gives the relevant passages, infinite behind the first `depth`.

    `indexes` are by language, and one of the `POOL`, whose `top` first passages are returned too.
    """
    query, passage = _pairs(task)
    vectors = np.ascontiguousarray(queries, dtype=np.float32)
    more = top + _excludes(task)
    pool, first = _search(indexes[POOL], vectors, (query, passage), depth, more)
    within = np.full(len(query), np.inf)
    for code, language in enumerate(task.languages):
        some = np.flatnonzero(task.passage_language[passage] == code)
        pairs = query[some], passage[some] - task.blocks[code].start
        within[some], _ = _search(indexes[language], vectors, pairs, depth)
    return _without_excluded(task, Ranks(query, passage, within, pool, first), top)


def _streamed_ranks(
    task: Task, vectors: Vectors, device: torch.device, top: int, folder: Path
) -> Ranks | None:
    """Rank without holding the corpus; in a task without a pool, each query in its languages.

    Chunks of the corpus are dealt out over the ranks. Counts are kept in the folder now and then,
    so that a killed attempt goes on. Returns None on other ranks than 0.
    """
    queries, passages = vectors
    stack = passages if isinstance(passages, ShardedVectors) else ShardedVectors([passages])
    pooled = "multi" in task.settings
    ranking = StreamedRanking(
        np.asarray(queries), stack, _pairs(task), task.blocks, pool=pooled, top=top, device=device
    )
    done = distributed.broadcast(kept_counts(folder, ranking).done)
    todo = np.flatnonzero(~done)[distributed.rank() :: distributed.world_size()]
    left = sum(ranking.chunks[n].stop - ranking.chunks[n].start for n in todo)
    with Progress(f"ranking {task.name}", left, "passages") as progress:
        for number in count_and_keep(folder, ranking, todo):
            progress.advance(ranking.chunks[number].stop - ranking.chunks[number].start)
    distributed.barrier()
    if distributed.rank():
        return None
    counts = kept_counts(folder, ranking)
    assert counts.done.all()
    remove_counts(folder)
    return ranking.ranks(counts)


def _search(
    index: Any,
    queries: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    depth: int,
    top: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of each pair's passage, (pairs,), and the `top` first, (queries, top)."""
    query, passage = pairs
    ranks, first = np.full(len(query), np.inf), [np.empty((0, top), np.int64)]
    depth = min(depth, index.ntotal)
    if not depth or not (len(query) or top):
        return ranks, np.empty((len(queries), 0), np.int64)
    for at in range(0, len(queries), BATCH):
        _, places = index.search(queries[at : at + BATCH], depth)
        some = slice(*np.searchsorted(query, [at, at + BATCH]))
        hit = places[query[some] - at] == passage[some, None]
        ranks[some] = np.where(hit.any(1), hit.argmax(1) + 1, np.inf)
        first.append(places[:, :top])
    return ranks, np.concatenate(first[1:])


def _pairs(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return every query with the passages to rank: the relevant and the excluded ones."""
    query, passage = relevant_pairs(task.concept, task.indptr, task.relevant)
    excluded = task.excluded[task.concept]
    relevant = np.isin(task.pair(np.arange(len(excluded)), excluded), task.pair(query, passage))
    more = np.flatnonzero((excluded >= 0) & ~relevant)
    query, passage = np.concatenate([query, more]), np.concatenate([passage, excluded[more]])
    order = np.argsort(query, kind="stable")
    return query[order], passage[order]


def _excludes(task: Task) -> bool:
    """Return whether a query has a passage that it must not find: one more is then first."""
    return bool((task.excluded >= 0).any())


def _without_excluded(task: Task, ranks: Ranks, top: int) -> Ranks:
    """Return the ranks of the relevant passages as if the excluded ones were not there.

    Likewise the first `top`, with -1 behind the last where a corpus has no more.
    """
    if not _excludes(task):
        return ranks
    excluded = task.excluded[task.concept]
    is_first = ranks.top == excluded[:, None]
    order = np.argsort(is_first, axis=1, kind="stable")
    first = np.where(is_first, -1, ranks.top)
    first = np.take_along_axis(first, order, axis=1)[:, :top]
    language, out = task.passage_language, excluded[ranks.query]
    is_out = ranks.passage == out
    relevant = task.pair(*relevant_pairs(task.concept, task.indptr, task.relevant))
    kept = np.isin(task.pair(ranks.query, ranks.passage), relevant)

    def moved(places: np.ndarray, compete: np.ndarray) -> np.ndarray:
        first_out = np.full(len(excluded), np.inf)
        first_out[ranks.query[is_out]] = places[is_out]
        behind = compete & (places > first_out[ranks.query])
        return np.where(is_out, np.inf, places - behind)[kept]

    within = moved(ranks.block, language[ranks.passage] == language[out])
    pool = moved(ranks.pool, np.ones(len(out), bool))
    return Ranks(ranks.query[kept], ranks.passage[kept], within, pool, first)
