"""Evaluate: vectors to ranks to metrics, for every setting at once."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hbr.config import Config
from hbr.data.tasks import Task
from hbr.metrics import parse
from hbr.search import Ranks, exact_ranks, pairs_of, top_k
from hbr.talk import Progress

RUN_DEPTH = 1000  # passages a query in a TREC run
Vectors = tuple[np.ndarray, np.ndarray]  # queries, passages


class Scores(NamedTuple):
    """Metrics of queries in one kind of ranking; passage_language is -1 for the pool."""

    query: np.ndarray
    passage_language: np.ndarray
    values: dict[str, np.ndarray]


def evaluate(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    *,
    task_id: str | None = None,
    device: torch.device,
    trec: bool = False,
) -> None:
    """Fill a folder with metrics from exact ranks, and with a TREC run and qrels on request."""
    ranks = _exact(task, vectors, config, device)
    write_results(
        folder, task, ranks, config.evaluate.metrics, {"search": "exact", "task": task_id}
    )
    if trec:
        write_trec(folder, task, vectors)


def evaluate_index(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    indexes: Mapping[str, Any],
    *,
    task_id: str | None = None,
) -> None:
    """Fill a folder with metrics from what faiss finds; `indexes` are by language, and `pool`.

    A passage that is not among the `depth` nearest has an infinite rank: it adds nothing to a
    metric, and leaves the rank distance undefined.
    """
    ranks = _retrieved(task, vectors[0], indexes, config.index.depth)
    search = {"search": f"faiss {config.index.kind}", "depth": config.index.depth}
    how = {**search, "task": task_id}
    write_results(folder, task, ranks, config.evaluate.metrics, how)


def _exact(task: Task, vectors: Vectors, config: Config, device: torch.device) -> Ranks:
    queries, passages = vectors
    pairs = pairs_of(task.concept, task.indptr, task.relevant)
    parts = []
    with Progress(f"ranking {task.name}", len(queries), "queries") as progress:
        for part in exact_ranks(
            queries,
            passages,
            pairs,
            task.blocks,
            block_mb=config.evaluate.block_mb,
            device=device,
        ):
            parts.append(part)
            progress.advance(len(np.unique(part.query)))
    return Ranks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _retrieved(task: Task, queries: np.ndarray, indexes: Mapping[str, Any], depth: int) -> Ranks:
    query, passage = pairs_of(task.concept, task.indptr, task.relevant)
    own, pool = np.full(len(query), np.inf), np.full(len(query), np.inf)
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    _look_up(pool, indexes["pool"], asked, query, passage, depth)
    for code, language in enumerate(task.languages):
        here = np.flatnonzero(task.passage_language[passage] == code)
        ranks = np.full(len(here), np.inf)
        within = passage[here] - task.blocks[code].start
        _look_up(ranks, indexes[language], asked, query[here], within, depth)
        own[here] = ranks
    return Ranks(query, passage, own, pool)


def _look_up(
    ranks: np.ndarray,
    index: Any,
    asked: np.ndarray,
    query: np.ndarray,
    passage: np.ndarray,
    depth: int,
) -> None:
    """Fill in the rank of each pair's passage where the index finds it, some queries at a time."""
    if not len(query):
        return
    depth = min(depth, index.ntotal)
    for at in range(0, len(asked), 1024):
        _, found = index.search(asked[at : at + 1024], depth)
        first, end = np.searchsorted(query, [at, at + 1024])
        hit = found[query[first:end] - at] == passage[first:end, None]
        here = hit.any(1)
        ranks[first:end][here] = hit.argmax(1)[here] + 1


def write_results(
    folder: Path, task: Task, ranks: Ranks, names: tuple[str, ...], how: Mapping[str, Any]
) -> None:
    """Write `metrics.json` and `per_query.parquet` from the ranks of the relevant passages."""
    single = [name for name in names if name != "rank_distance"]
    language = task.passage_language[ranks.passage]
    by_language = _score(ranks.query, language, ranks.own, single)
    pooled = _score(ranks.query, np.full_like(language, -1), ranks.pool, list(names))
    query_language = task.query_language[by_language.query]
    same = query_language == by_language.passage_language
    settings = {
        "mono": _select(by_language, same),
        "cross": _select(by_language, ~same),
        "multi": pooled,
    }
    settings = {s: v for s, v in settings.items() if s in task.settings and len(v.query)}
    about = {
        "dataset": task.name,
        "protocol": task.protocol,
        **how,
        **summarise(task, settings),
        "languages": list(task.languages),
        "queries": len(task.query_language),
        "passages": len(task.passage_language),
    }
    (folder / "metrics.json").write_text(json.dumps(about, indent=1))
    _write_per_query(folder / "per_query.parquet", task, settings)


def _score(query: np.ndarray, language: np.ndarray, ranks: np.ndarray, names: list[str]) -> Scores:
    """Score each (query, passage language): pairs must lie query by query, language by language."""
    key = query * (int(language.max(initial=0)) + 2) + language + 1
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    counts = np.diff(starts, append=len(key))
    table = np.full((len(starts), int(counts.max(initial=1))), np.inf)
    line = np.repeat(np.arange(len(starts)), counts)
    table[line, np.arange(len(key)) - starts[line]] = ranks
    table.sort(axis=1)
    with np.errstate(invalid="ignore"):
        values = {name: _apply(name, table, counts) for name in names}
    return Scores(query[starts], language[starts], values)


def _apply(name: str, table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    metric, cutoff = parse(name)
    return metric(table, counts, cutoff)


def _select(scores: Scores, wanted: np.ndarray) -> Scores:
    values = {name: value[wanted] for name, value in scores.values.items()}
    return Scores(scores.query[wanted], scores.passage_language[wanted], values)


def summarise(task: Task, settings: Mapping[str, Scores]) -> dict[str, Any]:
    """Average per-query scores: mono and cross over language pairs, multi over query languages."""
    summary: dict[str, Any] = {"settings": {}, "by_query_language": {}, "by_pair": {}}
    for setting, scores in settings.items():
        groups = task.query_language[scores.query].astype(np.int64) * len(task.languages)
        groups += 0 if setting == "multi" else scores.passage_language
        codes, which = np.unique(groups, return_inverse=True)
        sizes = np.bincount(which)
        means = {n: np.bincount(which, v) / sizes for n, v in scores.values.items()}
        from_to = [
            (int(code) // len(task.languages), int(code) % len(task.languages)) for code in codes
        ]
        if setting != "multi":
            for i, (asked, answered) in enumerate(from_to):
                pair = f"{task.languages[asked]}->{task.languages[answered]}"
                summary["by_pair"][pair] = _values(means, np.array([i]))
        asked_in = np.array([asked for asked, _ in from_to])
        summary["by_query_language"][setting] = {
            task.languages[code]: _values(means, np.flatnonzero(asked_in == code))
            for code in np.unique(asked_in)
        }
        summary["settings"][setting] = _values(means, np.arange(len(codes)))
    return summary


def _values(means: Mapping[str, np.ndarray], chosen: np.ndarray) -> dict[str, float | None]:
    """Average some groups; None where a metric is not defined for one of them."""
    found = {name: float(values[chosen].mean()) for name, values in means.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def _write_per_query(path: Path, task: Task, settings: Mapping[str, Scores]) -> None:
    ids = task.queries["id"].combine_chunks()
    languages = pa.array([*task.languages])
    tables = []
    for setting, scores in settings.items():
        answered = pa.array(scores.passage_language, mask=scores.passage_language < 0)
        columns = {
            "setting": pa.array([setting])
            .dictionary_encode()
            .take(np.zeros(len(scores.query), int)),
            "query": ids.take(scores.query),
            "query_language": languages.take(task.query_language[scores.query]),
            "passage_language": languages.take(answered),
        }
        tables.append(pa.table(columns | {n: pa.array(v) for n, v in scores.values.items()}))
    pq.write_table(pa.concat_tables(tables, promote_options="default"), path)


def write_trec(folder: Path, task: Task, vectors: Vectors) -> None:
    """Write the multi setting as `run.trec.gz` (best 1,000 a query) and `qrels.trec`.

    Ids carry their language, `de:56be…`, since parallel data sets share ids across languages.
    """
    query_ids = _names(task, task.query_language, task.queries)
    passage_ids = _names(task, task.passage_language, task.passages)
    with gzip.open(folder / "run.trec.gz", "wt", encoding="utf-8", compresslevel=3) as file:
        number = 0
        for scores, places in top_k(*vectors, RUN_DEPTH):
            for line, place in zip(scores, places, strict=True):
                file.writelines(
                    f"{query_ids[number]} Q0 {passage_ids[p]} {rank} {score:.9g} hbr\n"
                    for rank, (p, score) in enumerate(zip(place, line, strict=True), start=1)
                )
                number += 1
    pairs = zip(*pairs_of(task.concept, task.indptr, task.relevant), strict=True)
    lines = (f"{query_ids[q]} 0 {passage_ids[p]} 1\n" for q, p in pairs)
    (folder / "qrels.trec").write_text("".join(lines), encoding="utf-8")


def _names(task: Task, codes: np.ndarray, table: pa.Table) -> list[str]:
    ids = table["id"].to_pylist()
    return [f"{task.languages[code]}:{name}" for code, name in zip(codes, ids, strict=True)]
