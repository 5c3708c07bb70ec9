"""Bitext mining: translations from vectors to F1, pair by pair of languages."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hbr.core.progress import Progress
from hbr.core.settings import Config, Evaluate
from hbr.data.tasks import Task
from hbr.retrieval import bitext
from hbr.retrieval.exact import relevant_pairs
from hbr.retrieval.vectors import ShardedVectors

Vectors = tuple[ShardedVectors, ShardedVectors]  # queries, passages


class _Part(NamedTuple):
    """The pairs mined from a part of a corpus, which of them are right, and the true pairs."""

    pairs: bitext.MinedPairs
    correct: np.ndarray
    gold: tuple[np.ndarray, np.ndarray]  # queries and passages, by their places in the task


def mine_bitext(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    training: Mapping[str, Any],
    *,
    device: torch.device,
) -> None:
    """Fill a folder with F1, precision and recall of mined translations, pair by pair.

    Equal sentences are mined as one, and as in XTREME's and LASER's evaluation no pair with one of
    them counts. The threshold is tuned on a part that is not evaluated. The only value by query
    is recall: whether a true pair was mined.
    """
    settings = config.evaluate
    quality: dict[str, dict[str, float]] = {}
    thresholds: dict[str, float] = {}
    tables = []
    for pair in task.mining:
        tuned = _mine(task, vectors, pair.tuning_source, pair.tuning_target, settings, device)
        threshold = bitext.best_threshold(tuned.pairs.score, tuned.correct, len(tuned.gold[0]))
        mined = _mine(task, vectors, pair.source, pair.target, settings, device)
        chosen = mined.pairs.score > threshold
        scores = bitext.quality(chosen, mined.correct, len(mined.gold[0]))
        quality[pair.source], thresholds[pair.source] = scores._asdict(), threshold
        tables.append(_recall_by_query(task, pair.source, mined, chosen))
    margin = f"{settings.margin} margin"
    if settings.margin != "absolute":
        margin += f" over {settings.n_neighbors} neighbours"
    names = next(iter(quality.values()))
    metrics = {
        "dataset": task.name,
        "protocol": f"{task.protocol}, {margin}",
        "search": "exact",
        "task": task.id,
        "training": training,
        "settings": {"cross": {n: float(np.mean([q[n] for q in quality.values()])) for n in names}},
        "by_query_language": {"cross": quality},
        "by_pair": {f"{source}->en": values for source, values in quality.items()},
        "thresholds": {f"{source}->en": value for source, value in thresholds.items()},
        "bias": {"spread": {}},
        "languages": sorted({"en", *quality}),
        "queries": len(task.query_language),
        "passages": len(task.passage_language),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), "utf-8")
    pq.write_table(pa.concat_tables(tables), folder / "per_query.parquet")


def _mine(
    task: Task, vectors: Vectors, source: str, target: str, settings: Evaluate, device: torch.device
) -> _Part:
    queries = task.query_blocks[task.languages.index(source)]
    passages = task.blocks[task.languages.index(target)]
    sources = _unique_texts(vectors[0], task.queries, queries)
    targets = _unique_texts(vectors[1], task.passages, passages)
    k = 1 if settings.margin == "absolute" else settings.n_neighbors
    with Progress(f"mining {source}", len(sources), "sentences") as progress:
        advance = progress.advance
        nearest = bitext.nearest_neighbors(sources, targets, k, device=device, advance=advance)
    mined = bitext.mine_pairs(*nearest, settings.margin)
    once = ~(sources.repeated[mined.source] | targets.repeated[mined.target])
    pairs = bitext.MinedPairs(
        sources.positions[mined.source[once]] + queries.start,
        targets.positions[mined.target[once]] + passages.start,
        mined.score[once],
    )
    query, passage = relevant_pairs(task.concept[queries], task.indptr, task.relevant)
    gold = query + queries.start, passage
    correct = np.isin(task.pair(pairs.source, pairs.target), task.pair(*gold))
    return _Part(pairs, correct, gold)


def _unique_texts(vectors: ShardedVectors, texts: pa.Table, block: slice) -> bitext.UniqueTexts:
    return bitext.UniqueTexts(vectors.view(block), texts["text"][block].to_pylist())


def _recall_by_query(task: Task, language: str, part: _Part, chosen: np.ndarray) -> pa.Table:
    """Return a line for each true pair: 1 where it was mined, 0 where not."""
    query, passage = part.gold
    mined = task.pair(part.pairs.source[chosen], part.pairs.target[chosen])
    return pa.table(
        {
            "setting": pa.array(["cross"] * len(query)).dictionary_encode(),
            "concept": pa.array(task.said[query]),
            "query": task.queries["id"].combine_chunks().take(query),
            "query_language": pa.array([language] * len(query)),
            "passage_language": pa.array(["en"] * len(query)),
            "recall": pa.array(np.isin(task.pair(query, passage), mined).astype(float)),
        }
    )
