"""The files of an evaluation: `metrics.json` and `per_query.parquet`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hbr.core.target import Measure
from hbr.data.tasks import Task
from hbr.evaluation import bias
from hbr.evaluation.drops import PerturbedQueries, with_drops
from hbr.evaluation.scoring import Scores, average, score_languages, score_settings
from hbr.retrieval.exact import Ranks


def write_results(
    folder: Path,
    task: Task,
    ranks: Ranks,
    measures: Sequence[Measure],
    facts: Mapping[str, Any],
    perturbed: PerturbedQueries | None = None,
) -> None:
    """Write both files from the ranks of the relevant passages.

    `facts` about the search and the training stand in `metrics.json` as they are.
    """
    by_language = score_languages(task, ranks, measures)
    settings = score_settings(task, ranks, measures, by_language)
    if perturbed:
        settings, drops = with_drops(task, settings, list(by_language.values), perturbed)
        facts = {**facts, **drops}
    averages = average(task, settings)
    described = _bias(task, by_language, averages)
    if "multi" in averages["settings"]:
        described |= _exposure(task, ranks, measures)
    for setting, spread in described["spread"].items():
        averages["settings"][setting]["map_spread"] = spread["map"]["sd"]
    metrics = {
        "dataset": task.name,
        "protocol": task.protocol,
        **facts,
        **averages,
        "bias": described,
        "languages": list(task.languages),
        "queries": len(task.query_language),
        "passages": len(task.passage_language),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), "utf-8")
    tables = [_per_query(task, setting, scores) for setting, scores in settings.items()]
    table = pa.concat_tables(tables, promote_options="default")
    pq.write_table(table, folder / "per_query.parquet")


def _bias(task: Task, scores: Scores, averages: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the bias that no single number shows, for all languages and pairs."""
    languages = task.languages
    described: dict[str, Any] = {"spread": {}}
    if "multi" in averages["settings"]:
        query_language = task.query_language[scores.query]
        assert scores.pool_rank is not None
        matrix = bias.mean_ranks(
            scores.pool_rank, query_language, scores.passage_language, len(languages)
        )
        described["mean_rank"] = {
            a: {b: float(v) for b, v in zip(languages, line, strict=True) if np.isfinite(v)}
            for a, line in zip(languages, matrix, strict=True)
        }
        shares = bias.pool_share(task.passage_language, len(languages)).tolist()
        described["expected_same_language"] = dict(zip(languages, shares, strict=True))
    for setting, by_language in averages["by_query_language"].items():
        maps = [values.get("map") for values in by_language.values()]
        if None not in maps:
            described["spread"][setting] = {"map": bias.spread(np.array(maps))}
    return described


def _exposure(task: Task, ranks: Ranks, measures: Sequence[Measure]) -> dict[str, Any]:
    """Return each language's exposure in the pool, beside its share there, for each such measure.

    Exposure is averaged over queries, then over query languages; `distance` is half the L1 distance
    of these averages, which the queries of different languages may even out.
    """
    query, number = np.unique(ranks.query), len(task.languages)
    of_query, share = task.query_language[query], bias.pool_share(task.passage_language, number)
    top = np.where(ranks.top < 0, bias.NOWHERE, task.passage_language[ranks.top])[query]
    tables = {}
    for measure in (one for one in measures if one.metric is bias.EXPOSURE):
        falls = bias.exposure(top[:, : measure.cutoff], number)
        if np.isfinite(falls).all():
            mean = np.mean(
                [falls[of_query == code].mean(0) for code in np.unique(of_query)], axis=0
            )
            by_language = {
                language: {"exposure": float(e), "pool": float(p)}
                for language, e, p in zip(task.languages, mean, share, strict=True)
            }
            distance = float(np.abs(mean - share).sum() / 2)
            tables[str(measure)] = {"distance": distance, "by_language": by_language}
    return tables


def _per_query(task: Task, setting: str, scores: Scores) -> pa.Table:
    """Return a line for each query (and language of passages) with all its values."""
    languages, number = pa.array([*task.languages]), len(scores.query)
    passage_language = pa.array(scores.passage_language, mask=scores.passage_language < 0)
    columns = {
        "setting": pa.array([setting]).dictionary_encode().take(np.zeros(number, int)),
        "concept": pa.array(task.said[scores.query]),
        "query": task.queries["id"].combine_chunks().take(scores.query),
        "query_language": languages.take(task.query_language[scores.query]),
        "passage_language": languages.take(passage_language),
    }
    if scores.pool_rank is not None:
        columns["pool_rank"] = pa.array(scores.pool_rank)
    return pa.table(columns | {str(m): pa.array(v) for m, v in scores.values.items()})
