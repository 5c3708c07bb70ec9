"""Mine: translations from vectors to F1, pair by pair."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.data.tasks import Task
from hbr.retrieval import bitext
from hbr.retrieval.exact import relevant_pairs
from hbr.retrieval.vectors import ShardedVectors

Vectors = tuple[ShardedVectors, ShardedVectors]  # queries, passages


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
    them counts. A threshold is tuned on a part of its own. By query there is recall alone: whether
    a true pair was mined.
    """
    by_pair: dict[str, dict[str, float]] = {}
    thresholds: dict[str, float] = {}
    tables = []
    for pair in task.mining:
        tuned = _mined(task, vectors, (pair.tuning_source, pair.tuning_target), config, device)
        threshold = bitext.best_threshold(tuned.pairs.score, tuned.correct, len(tuned.gold[0]))
        mined = _mined(task, vectors, (pair.source, pair.target), config, device)
        chosen = mined.pairs.score > threshold
        name = f"{pair.source}->en"
        by_pair[name] = bitext.quality(chosen, mined.correct, len(mined.gold[0]))._asdict()
        thresholds[name] = threshold
        tables.append(_recalled(task, pair.source, mined, chosen))
    how = f"{config.evaluate.margin} margin"
    if config.evaluate.margin != "absolute":
        how += f" over {config.evaluate.n_neighbors} neighbours"
    languages = sorted({"en", *(pair.source for pair in task.mining)})
    about = {
        "dataset": task.name,
        "protocol": f"{task.protocol}, {how}",
        "search": "exact",
        "task": task.id,
        "training": training,
        "settings": {"cross": _averaged(by_pair.values())},
        "by_query_language": {"cross": {pair.partition("->")[0]: v for pair, v in by_pair.items()}},
        "by_pair": by_pair,
        "thresholds": thresholds,
        "bias": {"spread": {}},
        "languages": languages,
        "queries": len(task.query_language),
        "passages": len(task.passage_language),
    }
    (folder / "metrics.json").write_text(json.dumps(about, indent=1))
    pq.write_table(pa.concat_tables(tables), folder / "per_query.parquet")


class _Part(NamedTuple):
    """What was mined of a part of a corpus, what of it is right, and what was to be found."""

    pairs: bitext.MinedPairs
    correct: np.ndarray
    gold: tuple[np.ndarray, np.ndarray]  # queries and passages, by their places in the task


def _mined(
    task: Task, vectors: Vectors, sides: tuple[str, str], config: Config, device: torch.device
) -> _Part:
    asked, told = (task.languages.index(side) for side in sides)
    queries, passages = task.query_blocks[asked], task.blocks[told]
    margin = config.evaluate.margin
    asked_for = bitext.UniqueTexts(
        vectors[0].view(queries), task.queries["text"][queries].to_pylist()
    )
    told_of = bitext.UniqueTexts(
        vectors[1].view(passages), task.passages["text"][passages].to_pylist()
    )
    with Progress(f"mining {sides[0]}", len(asked_for), "sentences") as progress:
        found = bitext.nearest_neighbors(
            asked_for,
            told_of,
            1 if margin == "absolute" else config.evaluate.n_neighbors,
            device=device,
            advance=progress.advance,
        )
    local = bitext.mine_pairs(*found, margin)
    sure = ~(asked_for.repeated[local.source] | told_of.repeated[local.target])
    pairs = bitext.MinedPairs(
        asked_for.positions[local.source[sure]] + queries.start,
        told_of.positions[local.target[sure]] + passages.start,
        local.score[sure],
    )
    query, passage = relevant_pairs(task.concept[queries], task.indptr, task.relevant)
    gold = query + queries.start, passage
    correct = np.isin(task.pair(pairs.source, pairs.target), task.pair(*gold))
    return _Part(pairs, correct, gold)


def _recalled(task: Task, language: str, part: _Part, chosen: np.ndarray) -> pa.Table:
    """Say of every true pair whether it was mined."""
    query, passage = part.gold
    found = task.pair(part.pairs.source[chosen], part.pairs.target[chosen])
    return pa.table(
        {
            "setting": pa.array(["cross"] * len(query)).dictionary_encode(),
            "concept": pa.array(task.concept[query]),
            "query": task.queries["id"].combine_chunks().take(query),
            "query_language": pa.array([language] * len(query)),
            "passage_language": pa.array(["en"] * len(query)),
            "recall": pa.array(np.isin(task.pair(query, passage), found).astype(float)),
        }
    )


def _averaged(values: Iterable[Mapping[str, float]]) -> dict[str, float]:
    every = list(values)
    return {name: float(np.mean([one[name] for one in every])) for name in every[0]}
