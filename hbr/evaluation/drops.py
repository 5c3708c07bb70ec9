"""What metrics lose when queries are perturbed, against the clean queries of the same task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hbr.core import statistics
from hbr.core.target import EvaluationTarget, Measure
from hbr.data.perturb import PerturbationSpec
from hbr.data.tasks import Task
from hbr.evaluation.scoring import Scores

RESAMPLES = 2000  # of the interval of a drop


class PerturbedQueries(NamedTuple):
    """How queries were perturbed, and the folder with the results of the clean ones.

    `facts` has `name`, `strength`, `seed`, and what share of the queries was changed.
    """

    facts: Mapping[str, Any]
    clean: Path


def with_drops(
    task: Task,
    settings: Mapping[str, Scores],
    measures: Sequence[Measure],
    perturbed: PerturbedQueries,
) -> tuple[dict[str, Scores], dict[str, Any]]:
    """Return the scores with the drop of each measure, and what the results say of them."""
    spec = PerturbationSpec(perturbed.facts["name"], perturbed.facts["strength"])
    rows = pq.read_table(perturbed.clean / "per_query.parquet")
    setting_of = np.asarray(rows["setting"].to_pylist())
    scores, drops = {}, {}
    for setting, perturbed_scores in settings.items():
        clean = rows.filter(pa.array(setting_of == setting))
        scores[setting], drops[setting] = _dropped(perturbed_scores, clean, measures)
    return scores, {
        "dataset": str(EvaluationTarget(task.name, str(spec))),
        "protocol": f"{task.protocol}; queries perturbed by {spec}",
        "perturbation": dict(perturbed.facts),
        "drops": drops,
    }


def _dropped(
    scores: Scores, rows: pa.Table, measures: Sequence[Measure]
) -> tuple[Scores, dict[str, Any]]:
    """Return scores with their drops, and the clean mean, mean drop and 95 % interval of each.

    Intervals are over concepts, paired: the same queries, clean and perturbed. They are unknown
    where a language has one concept alone.
    """
    clean = np.stack([rows[str(measure)].to_numpy() for measure in measures], axis=1)
    perturbed = np.stack([scores.values[measure] for measure in measures], axis=1)
    lost = (clean - perturbed) * [-1 if measure.lower_is_better else 1 for measure in measures]
    columns = zip(measures, lost.T, strict=True)
    values = scores.values | {replace(measure, drop=True): column for measure, column in columns}
    design = _design(rows)
    means = design.contributions(np.concatenate([clean, lost], axis=1)).sum(0)
    draws = statistics.bootstrap(design, lost, RESAMPLES, 0)
    if not design.degrees_of_freedom:
        draws[:] = np.nan
    return scores._replace(values=values), {
        str(measure): {
            "clean": _known(means[i]),
            "drop": _known(means[len(measures) + i]),
            "interval": [_known(bound) for bound in statistics.interval(draws[:, i])],
        }
        for i, measure in enumerate(measures)
    }


def _known(value: float) -> float | None:
    """Return a value as JSON has it: null where it is undefined for any query."""
    return float(value) if np.isfinite(value) else None


def _design(rows: pa.Table) -> statistics.Design:
    """Return which rows of one setting belong together, as the metrics are averaged."""
    columns = (rows[name].combine_chunks() for name in ("query_language", "passage_language"))
    query, passage = (
        np.asarray(column.dictionary_encode(null_encoding="encode").indices) for column in columns
    )
    stratum = query * (passage.max() + 1) + passage
    return statistics.Design.of(rows["concept"].to_numpy(), stratum)
