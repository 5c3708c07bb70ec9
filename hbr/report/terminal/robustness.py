"""The results on perturbed queries."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from hbr.compare.table import Cell, name
from hbr.core.target import EvaluationTarget
from hbr.report.terminal import new_table, number


def robustness_table(results: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Return a table of perturbations, with what a metric drops in each setting; 80 columns do.

    `results` are contents of the perturbed data set's `metrics.json`.
    """
    dataset, drops = EvaluationTarget.parse(results[0]["dataset"]).dataset, results[0]["drops"]
    clean = ", ".join(
        f"{s} {number(values[metric]['clean'], metric)}" for s, values in drops.items()
    )
    table = new_table(
        f"{dataset}: {name(metric)} of clean queries: {clean}",
        "drop of the metric, its 95 % interval over concepts, and its share",
    )
    table.add_column("perturbation", no_wrap=True)
    table.add_column("changed", justify="right")
    table.add_column("setting")
    for head in (name(metric), "drop [95 %]"):
        table.add_column(head, justify="right", no_wrap=True)
    for result in results:
        about = result["perturbation"]
        label = (f"{about['name']}:{about['strength']:g}", f"{about['changed']:.0%}")
        for setting in drops:
            values = result["drops"][setting][metric]
            perturbed = number(values["clean"] - values["drop"], metric)
            table.add_row(*label, setting, perturbed, _drop(values, metric))
            label = ("", "")
    return table


def _drop(values: Mapping[str, Any], metric: str) -> str:
    low, high = (number(bound, metric) for bound in values["interval"])
    share = values["drop"] / values["clean"] if values["clean"] else math.nan
    return f"{number(values['drop'], metric)} [{low}, {high}]{Cell(0.0, share=share).part}"
