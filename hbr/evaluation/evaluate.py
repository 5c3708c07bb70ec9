"""Evaluate: vectors to ranks to metrics, for every setting at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hbr.core.settings import Config
from hbr.core.target import Compression, EvaluationTarget, Measure
from hbr.data.tasks import Task
from hbr.evaluation.centering import center_languages
from hbr.evaluation.compression import bytes_per_vector, compress
from hbr.evaluation.drops import PerturbedQueries
from hbr.evaluation.ranking import Vectors, rank_by_index, rank_exactly
from hbr.evaluation.results import write_results
from hbr.evaluation.trec import write_trec


def evaluate(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    training: Mapping[str, Any],
    *,
    device: torch.device,
    trec: bool = False,
    perturbed: PerturbedQueries | None = None,
    compression: Compression | None = None,
) -> None:
    """Fill a folder with metrics from exact ranks, and with a TREC run and qrels on request.

    `training` says what the run was trained on that matters here: its languages, and how many
    queries and passages of the task were among it. Of `perturbed` queries, what every metric
    drops against the clean ones is written too. With several ranks all of them call this, and
    rank 0 writes.
    """
    measures = [Measure.parse(name) for name in config.evaluate.metrics]
    facts: dict[str, Any] = {"search": "exact", "task": task.id, "training": training}
    if config.evaluate.center_languages:
        vectors = center_languages(task, vectors, config)
        facts["dataset"] = str(EvaluationTarget(task.name).centered())
    if compression:
        facts["dataset"] = str(EvaluationTarget(task.name).compressed(compression))
        stored = vectors[1].shape[1], config.encode.dtype
        facts["bytes_per_vector"] = bytes_per_vector(compression, *stored)
        vectors = compress(task, vectors, compression, config)
    ranks = rank_exactly(task, vectors, config.evaluate, device, _top(measures), folder)
    if ranks is None:
        return
    write_results(folder, task, ranks, measures, facts, perturbed)
    if trec:
        write_trec(folder, task, vectors, ranks, measures)


def evaluate_index(
    folder: Path,
    config: Config,
    task: Task,
    vectors: Vectors,
    training: Mapping[str, Any],
    indexes: Mapping[str, Any],
) -> None:
    """Fill a folder with metrics from a search by faiss; `indexes` are by language, and `POOL`.

    A passage that is not among the `top_k` nearest has an infinite rank: it adds nothing to a
    metric, and leaves the rank distance undefined. A measure of bias is undefined where its
    cut-off is higher than `top_k`.
    """
    measures = [Measure.parse(name) for name in config.evaluate.metrics]
    depth = config.index.top_k
    ranks = rank_by_index(task, vectors[0], indexes, depth, _top(measures))
    search = {"search": f"faiss {config.index.kind}", "depth": depth}
    facts = {**search, "task": task.id, "training": training}
    write_results(folder, task, ranks, measures, facts)


def _top(measures: Sequence[Measure]) -> int:
    """Return how many of the first passages the measures of language bias look at."""
    return max((m.cutoff or 1 for m in measures if m.metric.reads == "pool"), default=0)
