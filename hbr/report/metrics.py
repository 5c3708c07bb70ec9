"""How one evaluation looks."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hbr.compare.table import Cell, name


def to_rich(metrics: Mapping[str, Any], by_language: bool) -> Table:
    """Return a table of settings by metrics, with a line for every query language on request."""
    settings = metrics["settings"]
    names = list(dict.fromkeys(key for values in settings.values() for key in values))
    title = (
        f"{metrics['dataset']}: {metrics['queries']:,} queries, {metrics['passages']:,} passages, "
        f"{len(metrics['languages'])} languages"
    )
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    table.title_justify = table.caption_justify = "left"
    table.caption = f"{metrics['protocol']}; search: {metrics['search']}{_contamination(metrics)}"
    table.add_column("setting")
    for metric in names:
        table.add_column(name(metric), justify="right")
    for setting, values in settings.items():
        table.add_row(setting, *(_text(values, metric) for metric in names), style="bold")
        for language, own in metrics["by_query_language"][setting].items() if by_language else ():
            table.add_row(f"  {language}", *(_text(own, metric) for metric in names))
    return table


def _contamination(metrics: Mapping[str, Any]) -> str:
    """Say, on a line of its own, how much of the data set was trained on, if any was."""
    counts = metrics.get("training", {}).get("contamination", {})
    told = [f"{count:,} of {metrics[role]:,} {role}" for role, count in counts.items() if count]
    return f"\n‡ contaminated: {' and '.join(told)} are among the training texts" if told else ""


def _text(values: Mapping[str, float | None], metric: str) -> str:
    if metric not in values:
        return ""
    value = values[metric]
    return Cell(float("nan") if value is None else value).text(metric)
