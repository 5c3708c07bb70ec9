"""How results on perturbed queries look."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hbr.compare.table import Cell, name


def to_rich(results: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Return a table of perturbations, with what a metric drops in each setting; 80 columns do."""
    first = results[0]
    settings = list(first["drops"])
    clean = ", ".join(
        f"{setting} {Cell(first['drops'][setting][metric]['clean']).text(metric)}"
        for setting in settings
    )
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    table.title = f"{first['dataset'].partition('~')[0]}: {name(metric)} of clean queries: {clean}"
    table.title_justify = table.caption_justify = "left"
    table.caption = "drop of the metric, its 95 % interval over concepts, and its share"
    table.add_column("perturbation", no_wrap=True)
    table.add_column("changed", justify="right")
    table.add_column("setting")
    for head in (name(metric), "drop [95 %]"):
        table.add_column(head, justify="right", no_wrap=True)
    for result in results:
        about = result["perturbation"]
        first_cells = f"{about['name']}:{about['strength']:g}", f"{about['changed']:.0%}"
        for number, setting in enumerate(settings):
            own = result["drops"][setting][metric]
            left = Cell(own["clean"] - own["drop"]).text(metric)
            label = ("", "") if number else first_cells
            table.add_row(*label, setting, left, _drop(own, metric))
    return table


def _drop(own: Mapping[str, Any], metric: str) -> str:
    low, high = (Cell(bound).text(metric) for bound in own["interval"])
    share = own["drop"] / own["clean"] if own["clean"] else math.nan
    return f"{Cell(own['drop']).text(metric)} [{low}, {high}]{Cell(0.0, share=share).part}"
