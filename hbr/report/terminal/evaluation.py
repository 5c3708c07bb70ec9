"""The results of one evaluation."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from hbr.compare.fairness import contamination
from hbr.compare.table import name
from hbr.report.terminal import new_table, number


def evaluation_table(metrics: Mapping[str, Any], by_language: bool) -> Table:
    """Return a table of settings by metrics, with a line for every query language on request.

    `metrics` is the content of `metrics.json`.
    """
    settings = metrics["settings"]
    names = list(dict.fromkeys(key for values in settings.values() for key in values))
    table = new_table(
        f"{metrics['dataset']}: {metrics['queries']:,} queries, {metrics['passages']:,} passages, "
        f"{len(metrics['languages'])} languages",
        f"{metrics['protocol']}; search: {metrics['search']}{_contamination(metrics)}",
    )
    table.add_column("setting")
    for metric in names:
        table.add_column(name(metric), justify="right")
    for setting, values in settings.items():
        table.add_row(setting, *_numbers(values, names), style="bold")
        languages = metrics["by_query_language"][setting] if by_language else {}
        for language, values_of in languages.items():
            table.add_row(f"  {language}", *_numbers(values_of, names))
    return table


def _contamination(metrics: Mapping[str, Any]) -> str:
    """Return, on a line of its own, how much of the data set was trained on, if any was."""
    sentence = contamination(metrics)
    return f"\n‡ contaminated: {sentence}" if sentence else ""


def _numbers(values: Mapping[str, float | None], names: list[str]) -> list[str]:
    return [number(values[metric], metric) if metric in values else "" for metric in names]
