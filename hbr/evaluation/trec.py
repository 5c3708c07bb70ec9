"""TREC runs and their judgements, for other evaluation tools."""

import gzip
import re
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError
from hbr.core.target import Measure
from hbr.data.tasks import Task
from hbr.evaluation.ranking import Vectors
from hbr.retrieval.exact import Ranks, relevant_pairs
from hbr.retrieval.top_k import top_k
from hbr.retrieval.vectors import as_shards

DEPTH = 1000  # passages a list has at least, where the corpus has as many
PLACES = 20_000_000  # passages of lists that are sorted together
LINES = 100_000_000  # that the files have at most
BLANK = re.compile(r"[\s%\0]")  # what would end an id, and the sign that stands for it


class _Lists(NamedTuple):
    """The lists of some queries over one block of passages; arrays (pairs,) but for two."""

    block: slice
    query: np.ndarray
    passage: np.ndarray  # relevant
    rank: np.ndarray
    gain: np.ndarray
    starts: np.ndarray  # (lists,) of each list's pairs
    depth: np.ndarray  # (lists,)
    target: str  # "->fr" in the cross setting, else ""


def write_trec(
    folder: Path, task: Task, vectors: Vectors, ranks: Ranks, measures: Sequence[Measure]
) -> None:
    """Write `run.trec.gz` and `qrels.trec` of the pool, or of each setting of a task without one.

    What trec_eval finds in them is what `ranks` give: relevant passages stand at their ranks,
    scores fall strictly, and a list ends behind its last relevant passage (at the highest cut-off,
    where all `measures` have one), never before the 1,000th. Ids carry their language, `de:56be…`
    or `de->fr:56be…` for passages in another; blanks in them are percent-encoded. Raises UserError
    for gains that qrels cannot hold, and for more than 100 million lines.
    """
    if (task.gain % 1).any() or any(absent.gain % 1 for absent in task.absent):
        raise UserError(f"--trec: {task.name} has gains that are no whole numbers; qrels need such")
    settings = ["multi"] if "multi" in task.settings else task.settings
    cutoffs = [m.cutoff or 0 for m in measures if m.metric.reads == "ranks"]
    depth = None if 0 in cutoffs else max([DEPTH, *cutoffs])
    written = {setting: list(_lists(task, ranks, setting, depth)) for setting in settings}
    lines = sum(int(lists.depth.sum()) for several in written.values() for lists in several)
    if lines > LINES and depth is None:
        raise UserError(
            f"--trec: down to the last relevant passage of every query of {task.name} there are "
            f"{lines:,} lines; name metrics with cut-offs: --set metrics=[map@1000,ndcg@10]"
        )
    passages = _ids(task, task.passage_language, task.passages)
    for setting, several in written.items():
        part = f"{setting}." if len(settings) > 1 else ""
        with (
            (folder / f"run.{part}trec.gz").open("wb") as raw,
            gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed,
            TextIOWrapper(packed, encoding="utf-8") as run,
            (folder / f"qrels.{part}trec").open("w", encoding="utf-8") as qrels,
        ):
            for lists in several:
                queries = _ids(task, task.query_language, task.queries, lists.target)
                judged = zip(lists.query, lists.passage, lists.gain, strict=True)
                qrels.writelines(f"{queries[q]} 0 {passages[p]} {g:.0f}\n" for q, p, g in judged)
                for query, order, scores in _orders(task, vectors, lists):
                    run.writelines(
                        f"{queries[query]} Q0 {passages[place]} {rank} {score:.9g} hbr\n"
                        for rank, (place, score) in enumerate(zip(order, scores, strict=True), 1)
                    )
            qrels.writelines(_absent(task, setting))


def _lists(task: Task, ranks: Ranks, setting: str, depth: int | None) -> Iterator[_Lists]:
    """Yield the lists of a setting: over the pool, or over the passages of each language."""
    gain = relevant_pairs(task.concept, task.indptr, task.gain)[1]
    language = task.passage_language[ranks.passage]
    same = task.query_language[ranks.query] == language
    everything = slice(0, len(task.passage_language))
    pooled = setting == "multi"
    for code, block in enumerate([everything] if pooled else task.blocks):
        chosen = pooled | ((language == code) & (same == (setting == "mono")))
        some = np.flatnonzero(np.broadcast_to(chosen, language.shape))
        if not len(some):
            continue
        query, rank = ranks.query[some], (ranks.pool if pooled else ranks.block)[some]
        starts = np.flatnonzero(np.diff(query, prepend=-1))
        last = np.maximum.reduceat(np.where(np.isfinite(rank), rank, 0), starts)
        needed = last if depth is None else np.full(len(starts), depth)
        excluded = task.excluded[task.concept[query[starts]]]
        there = block.stop - block.start - ((excluded >= block.start) & (excluded < block.stop))
        yield _Lists(
            block,
            query,
            ranks.passage[some],
            rank,
            gain[some],
            starts,
            np.minimum(np.maximum(needed, DEPTH), there).astype(int),
            f"->{task.languages[code]}" if setting == "cross" else "",
        )


def _orders(
    task: Task, vectors: Vectors, lists: _Lists
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each query with the passages of its list, and their scores, falling."""
    queries = np.asarray(vectors[0])[lists.query[lists.starts]]
    deep = lists.depth + np.diff(lists.starts, append=len(lists.query)) + 1
    block = as_shards(vectors[1]).view(lists.block)
    best = (
        (scores, places)
        for some in _alike(deep)
        for part in top_k(queries[some], block, int(deep[some].max()))
        for scores, places in zip(*part, strict=True)
    )
    ends = [*lists.starts[1:], len(lists.query)]
    for query, start, end, depth, (scores, places) in zip(
        lists.query[lists.starts], lists.starts, ends, lists.depth, best, strict=True
    ):
        relevant, rank = lists.passage[start:end], lists.rank[start:end]
        others = places + lists.block.start
        others = others[~np.isin(others, [*relevant, task.excluded[task.concept[query]]])]
        listed = rank <= depth
        order = np.full(depth, -1)
        order[rank[listed].astype(int) - 1] = relevant[listed]
        order[order < 0] = others[: (order < 0).sum()]
        yield query, order, _strictly_falling(scores[:depth])


def _alike(deep: np.ndarray) -> Iterator[slice]:
    """Yield runs of lists that fit into memory together, each as long as its longest."""
    start = longest = 0
    for end, places in enumerate(deep.tolist()):
        longest = max(longest, places)
        if end > start and (end + 1 - start) * longest > PLACES:
            yield slice(start, end)
            start, longest = end, places
    yield slice(start, len(deep))


def _strictly_falling(scores: np.ndarray) -> np.ndarray:
    """Return falling float32 scores, each of equal ones by the least step lower than the last."""
    bits = scores.astype(np.float32).view(np.int32).astype(np.int64)
    place = np.arange(len(bits))
    steps = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)  # neighbours are one apart
    steps = np.minimum.accumulate(steps + place) - place
    bits = np.where(steps < 0, -steps - 2**31, steps)
    return bits.astype(np.int32).view(np.float32)


def _absent(task: Task, setting: str) -> Iterator[str]:
    """Yield the lines of qrels for passages that are judged relevant and not there."""
    ids = task.queries["id"]
    for concept, language, id, gain in task.absent:
        for query in np.flatnonzero(task.concept == concept):
            own = task.languages[task.query_language[query]]
            if setting == "multi" or (own == language) == (setting == "mono"):
                target = f"->{language}" if setting == "cross" else ""
                name = _id(f"{own}{target}:{ids[int(query)].as_py()}")
                yield f"{name} 0 {_id(f'{language}:{id}')} {gain:.0f}\n"


def _ids(task: Task, codes: np.ndarray, texts: pa.Table, target: str = "") -> list[str]:
    ids = zip(codes, texts["id"].to_pylist(), strict=True)
    return [_id(f"{task.languages[code]}{target}:{id}") for code, id in ids]


def _id(name: str) -> str:
    return BLANK.sub(lambda blank: quote(blank[0]), name)
