"""Evaluate: vectors to ranks to metrics, for every setting at once."""

import gzip
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hbr.core import statistics
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.core.target import Measure
from hbr.data.tasks import Task
from hbr.evaluation import bias
from hbr.retrieval.exact import Ranks, exact_ranks, relevant_pairs
from hbr.retrieval.streamed import streamed_ranks
from hbr.retrieval.top_k import top_k
from hbr.retrieval.vectors import ShardedVectors

RUN_DEPTH = 1000  # passages a query in a TREC run
RESAMPLES = 2000  # of the interval of a drop
Vectors = tuple[Any, Any]  # queries, passages: arrays, or stacks of shards


class Scores(NamedTuple):
    """Metrics of queries in one kind of ranking; passage_language is -1 for the pool.

    `pool_rank` is the mean rank in the pool of the relevant passages in that language.
    """

    query: np.ndarray
    passage_language: np.ndarray
    values: dict[str, np.ndarray]
    pool_rank: np.ndarray | None = None


class Perturbed(NamedTuple):
    """How queries were perturbed, and the folder with the results of the clean ones.

    `about` has `name`, `strength`, `seed`, and what share of the queries was changed.
    """

    about: Mapping[str, Any]
    clean: Path


def evaluate(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    training: Mapping[str, Any],
    *,
    device: torch.device,
    trec: bool = False,
    perturbed: Perturbed | None = None,
) -> None:
    """Fill a folder with metrics from exact ranks, and with a TREC run and qrels on request.

    `training` says what the run was trained on that matters here: its languages, and how many
    queries and passages of the task were among it. Of `perturbed` queries, what every metric
    drops against the clean ones is written too.
    """
    ranks = _exact(task, vectors, config, device)
    about = {"search": "exact", "task": task.id, "training": training}
    write_results(folder, task, ranks, config.evaluate.metrics, about, perturbed)
    if trec:
        write_trec(folder, task, vectors)


def evaluate_index(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    training: Mapping[str, Any],
    indexes: Mapping[str, Any],
) -> None:
    """Fill a folder with metrics from what faiss finds; `indexes` are by language, and `pool`.

    A passage that is not among the `depth` nearest has an infinite rank: it adds nothing to a
    metric, and leaves the rank distance undefined, as a depth below their cut-off leaves the
    measures of bias.
    """
    depth, deepest = config.index.top_k, _deepest(config.evaluate.metrics)
    ranks = _retrieved(task, vectors[0], indexes, depth, deepest)
    search = {"search": f"faiss {config.index.kind}", "depth": depth}
    about = {**search, "task": task.id, "training": training}
    write_results(folder, task, ranks, config.evaluate.metrics, about)


def _deepest(names: tuple[str, ...]) -> int:
    """Return how many of the first passages the measures of language bias look at."""
    measures = [Measure.parse(name) for name in names if _is_bias(name)]
    return max((measure.cutoff or 0 for measure in measures), default=0)


def _is_bias(name: str) -> bool:
    return Measure.parse(name).metric.reads == "pool"


def _exact(task: Task, vectors: Vectors, config: Config, device: torch.device) -> Ranks:
    queries, passages = vectors
    pooled, top = "multi" in task.settings, _deepest(config.evaluate.metrics)
    if not pooled or 8 * passages.shape[0] * passages.shape[1] > config.evaluate.memory_mb * 2**20:
        return _streamed(task, vectors, top if pooled else 0, device)
    pairs = _asked_for(task)
    parts = []
    with Progress(f"ranking {task.name}", len(queries), "queries") as progress:
        for part in exact_ranks(
            np.asarray(queries),
            np.asarray(passages),
            pairs,
            task.blocks,
            top=top,
            block_mb=config.evaluate.block_mb,
            device=device,
        ):
            parts.append(part)
            progress.advance(len(np.unique(part.query)))
    return _found(task, Ranks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True))))


def _streamed(task: Task, vectors: Vectors, top: int, device: torch.device) -> Ranks:
    """Rank without holding the corpus; a task without a pool, each query in its own blocks."""
    queries, passages = vectors
    stack = passages if isinstance(passages, ShardedVectors) else ShardedVectors([passages])
    pairs = _asked_for(task)
    done = 0
    with Progress(f"ranking {task.name}", len(stack), "passages") as progress:
        for end, found in streamed_ranks(
            np.asarray(queries),
            stack,
            pairs,
            task.blocks,
            pool="multi" in task.settings,
            top=top,
            device=device,
        ):
            progress.advance(end - done)
            done, ranks = end, found
    return _found(task, ranks)


def _asked_for(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return every query with the passages to rank: the relevant and the excluded ones."""
    query, passage = relevant_pairs(task.concept, task.indptr, task.relevant)
    excluded = task.excluded[task.concept]
    relevant = np.isin(task.pair(np.arange(len(excluded)), excluded), task.pair(query, passage))
    more = np.flatnonzero((excluded >= 0) & ~relevant)
    query, passage = np.concatenate([query, more]), np.concatenate([passage, excluded[more]])
    order = np.argsort(query, kind="stable")
    return query[order], passage[order]


def _found(task: Task, ranks: Ranks) -> Ranks:
    """Return the ranks of the relevant passages as if the excluded ones were not there."""
    excluded = task.excluded[task.concept]
    if (excluded < 0).all():
        return ranks
    language = task.passage_language
    of = excluded[ranks.query]
    itself = ranks.passage == of
    moved = []
    for places, beside in (
        (ranks.block, language[ranks.passage] == language[of]),
        (ranks.pool, np.ones(len(of), bool)),
    ):
        ahead = np.full(len(excluded), np.inf)
        ahead[ranks.query[itself]] = places[itself]
        behind = beside & (places > ahead[ranks.query])
        moved.append(np.where(itself, np.inf, places - behind))
    wanted = task.pair(*relevant_pairs(task.concept, task.indptr, task.relevant))
    kept = np.isin(task.pair(ranks.query, ranks.passage), wanted)
    return Ranks(ranks.query[kept], ranks.passage[kept], moved[0][kept], moved[1][kept], ranks.top)


def _retrieved(
    task: Task, queries: np.ndarray, indexes: Mapping[str, Any], depth: int, top: int
) -> Ranks:
    query, passage = _asked_for(task)
    own, pool = np.full(len(query), np.inf), np.full(len(query), np.inf)
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    first = _look_up(pool, indexes["pool"], asked, query, passage, depth, top)
    for code, language in enumerate(task.languages):
        here = np.flatnonzero(task.passage_language[passage] == code)
        ranks = np.full(len(here), np.inf)
        within = passage[here] - task.blocks[code].start
        _look_up(ranks, indexes[language], asked, query[here], within, depth)
        own[here] = ranks
    return _found(task, Ranks(query, passage, own, pool, first))


def _look_up(
    ranks: np.ndarray,
    index: Any,
    asked: np.ndarray,
    query: np.ndarray,
    passage: np.ndarray,
    depth: int,
    top: int = 0,
) -> np.ndarray:
    """Fill in the rank of each pair's passage where the index finds it; give the `top` found."""
    depth, every = min(depth, index.ntotal), []
    if not depth or not (len(query) or top):
        return np.empty((len(asked), 0), np.int64)
    for at in range(0, len(asked), 1024):
        _, found = index.search(asked[at : at + 1024], depth)
        start, end = np.searchsorted(query, [at, at + 1024])
        hit = found[query[start:end] - at] == passage[start:end, None]
        here = hit.any(1)
        ranks[start:end][here] = hit.argmax(1)[here] + 1
        every.append(found[:, :top])
    return np.concatenate(every)


def write_results(
    folder: Path,
    task: Task,
    ranks: Ranks,
    names: tuple[str, ...],
    how: Mapping[str, Any],
    perturbed: Perturbed | None = None,
) -> None:
    """Write `metrics.json` and `per_query.parquet` from the ranks of the relevant passages."""
    single = [name for name in names if not _is_bias(name)]
    language = task.passage_language[ranks.passage]
    gains = relevant_pairs(task.concept, task.indptr, task.gain)[1]  # in the order of the ranks
    by_language = _by_language(ranks, language, gains, single)
    query_language = task.query_language[by_language.query]
    same = query_language == by_language.passage_language
    settings = {"mono": _select(by_language, same), "cross": _select(by_language, ~same)}
    if "multi" in task.settings:
        settings["multi"] = _pooled(task, ranks, language, gains, names)
    settings = {s: v for s, v in settings.items() if s in task.settings and len(v.query)}
    if perturbed:
        drops = _with_drops(settings, perturbed.clean, single)
        how = {**how, **_perturbation(task, perturbed), "drops": drops}
    summary = summarise(task, settings)
    found = _bias(task, by_language, summary)
    for setting, apart in found["spread"].items():
        summary["settings"][setting]["map_spread"] = apart["map"]["sd"]
    about = {
        "dataset": task.name,
        "protocol": task.protocol,
        **how,
        **summary,
        "bias": found,
        "languages": list(task.languages),
        "queries": len(task.query_language),
        "passages": len(task.passage_language),
    }
    (folder / "metrics.json").write_text(json.dumps(about, indent=1))
    _write_per_query(folder / "per_query.parquet", task, settings)


def _perturbation(task: Task, perturbed: Perturbed) -> dict[str, Any]:
    about = perturbed.about
    spec = f"{about['name']}:{about['strength']:g}"
    return {
        "dataset": f"{task.name}~{spec}",
        "protocol": f"{task.protocol}; queries perturbed by {spec}",
        "perturbation": dict(about),
    }


def _with_drops(
    settings: Mapping[str, Scores], clean: Path, names: Sequence[str]
) -> dict[str, Any]:
    """Add to perturbed scores what they lost, as `drop_map`; give its mean and 95 % interval.

    Intervals are over concepts, paired: the same queries, clean and perturbed.
    """
    table = pq.read_table(clean / "per_query.parquet")
    of = np.asarray(table["setting"].to_pylist())
    found: dict[str, Any] = {}
    for setting, scores in settings.items():
        own = table.filter(pa.array(of == setting))
        before = np.stack([own[name].to_numpy() for name in names], axis=1)
        lost = before - np.stack([scores.values[name] for name in names], axis=1)
        scores.values.update({f"drop_{n}": column for n, column in zip(names, lost.T, strict=True)})
        design = _design(own)
        figures = design.contributions(np.concatenate([before, lost], axis=1)).sum(0)
        draws = statistics.bootstrap(design, lost, RESAMPLES, 0)
        found[setting] = {
            name: {
                "clean": float(figures[i]),
                "drop": float(figures[len(names) + i]),
                "interval": statistics.interval(draws[:, i]),
            }
            for i, name in enumerate(names)
        }
    return found


def _design(rows: pa.Table) -> statistics.Design:
    """Return which rows of one setting belong together, as the figures are averaged."""
    columns = (rows[name].combine_chunks() for name in ("query_language", "passage_language"))
    asked, answered = (
        np.asarray(column.dictionary_encode(null_encoding="encode").indices) for column in columns
    )
    stratum = asked * (answered.max() + 1) + answered
    return statistics.Design.of(rows["concept"].to_numpy(), stratum)


def _by_language(ranks: Ranks, language: np.ndarray, gains: np.ndarray, names: list[str]) -> Scores:
    """Score the ranks within each language of each query."""
    key = ranks.query * (int(language.max(initial=0)) + 1) + language
    starts, counts, table = _padded(key, ranks.block.astype(float))
    order = np.argsort(table, axis=1, kind="stable")
    table = np.take_along_axis(table, order, 1)
    gains = np.take_along_axis(_padded(key, gains, 0)[2], order, 1)
    values = {name: _apply(name, table, counts, gains) for name in names}
    pool_rank = np.add.reduceat(ranks.pool, starts) / counts
    return Scores(ranks.query[starts], language[starts], values, pool_rank)


def _pooled(
    task: Task, ranks: Ranks, language: np.ndarray, gains: np.ndarray, names: tuple[str, ...]
) -> Scores:
    """Score the ranks in the pool of each query."""
    starts, counts, table = _padded(ranks.query, ranks.pool.astype(float))
    _, _, languages = _padded(ranks.query, language, bias.NOWHERE)
    order = np.argsort(table, axis=1, kind="stable")
    table = np.take_along_axis(table, order, 1)
    gains = np.take_along_axis(_padded(ranks.query, gains, 0)[2], order, 1)
    query = ranks.query[starts]
    pool = bias.Pool(
        table,
        np.take_along_axis(languages, order, 1),
        counts,
        np.where(ranks.top < 0, bias.NOWHERE, task.passage_language[ranks.top])[query],
        task.query_language[query],
    )
    values = {}
    for name in names:
        measure = Measure.parse(name)
        cutoff = measure.cutoff
        if not _is_bias(name):
            values[name] = _apply(name, table, counts, gains)
        elif cutoff and pool.top.shape[1] < min(cutoff, len(task.passage_language)):
            values[name] = np.full(len(query), np.nan)  # an index looked less deep
        else:
            values[name] = measure.metric.compute(pool, cutoff)
    return Scores(query, np.full(len(query), bias.NOWHERE), values)


def _padded(
    key: np.ndarray, values: np.ndarray, padding: float = np.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay values out in a line for each run of equal keys; give starts, counts and the table."""
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    counts = np.diff(starts, append=len(key))
    table = np.full((len(starts), int(counts.max(initial=1))), padding, dtype=values.dtype)
    line = np.repeat(np.arange(len(starts)), counts)
    table[line, np.arange(len(key)) - starts[line]] = values
    return starts, counts, table


def _apply(name: str, table: np.ndarray, counts: np.ndarray, gains: np.ndarray) -> np.ndarray:
    measure = Measure.parse(name)
    compute = measure.metric.compute
    graded = {"gains": gains} if "gains" in inspect.signature(compute).parameters else {}
    with np.errstate(invalid="ignore"):
        return compute(table, counts, measure.cutoff, **graded)


def _select(scores: Scores, wanted: np.ndarray) -> Scores:
    values = {name: value[wanted] for name, value in scores.values.items()}
    assert scores.pool_rank is not None
    return Scores(
        scores.query[wanted], scores.passage_language[wanted], values, scores.pool_rank[wanted]
    )


def _bias(task: Task, scores: Scores, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the bias that no single number shows, for all languages and pairs."""
    assert scores.pool_rank is not None
    asked = task.query_language[scores.query]
    matrix = bias.mean_ranks(scores.pool_rank, asked, scores.passage_language, len(task.languages))
    expected = bias.expected_share(task.passage_language, np.arange(len(task.languages)))
    found: dict[str, Any] = {"spread": {}}
    if "multi" in summary["settings"]:
        found["mean_rank"] = {
            a: {b: float(v) for b, v in zip(task.languages, line, strict=True) if np.isfinite(v)}
            for a, line in zip(task.languages, matrix, strict=True)
        }
        found["expected_same_language"] = dict(
            zip(task.languages, map(float, expected), strict=True)
        )
    for setting, by_language in summary["by_query_language"].items():
        maps = [values["map"] for values in by_language.values() if values.get("map") is not None]
        if maps:
            found["spread"][setting] = {"map": bias.spread(np.array(maps))}
    return found


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
            "concept": pa.array(task.concept[scores.query]),
            "query": ids.take(scores.query),
            "query_language": languages.take(task.query_language[scores.query]),
            "passage_language": languages.take(answered),
        }
        if scores.pool_rank is not None:
            columns["pool_rank"] = pa.array(scores.pool_rank)
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
                kept = place != task.excluded[task.concept[number]]
                line, place = line[kept], place[kept]
                file.writelines(
                    f"{query_ids[number]} Q0 {passage_ids[p]} {rank} {score:.9g} hbr\n"
                    for rank, (p, score) in enumerate(zip(place, line, strict=True), start=1)
                )
                number += 1
    pairs = zip(*relevant_pairs(task.concept, task.indptr, task.relevant), strict=True)
    gains = relevant_pairs(task.concept, task.indptr, task.gain)[1]
    judged = zip(pairs, gains, strict=True)
    lines = (f"{query_ids[q]} 0 {passage_ids[p]} {gain}\n" for (q, p), gain in judged)
    (folder / "qrels.trec").write_text("".join(lines), encoding="utf-8")


def _names(task: Task, codes: np.ndarray, table: pa.Table) -> list[str]:
    ids = table["id"].to_pylist()
    return [f"{task.languages[code]}:{name}" for code, name in zip(codes, ids, strict=True)]
