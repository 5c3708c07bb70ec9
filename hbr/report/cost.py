"""How the cost of a study looks."""

from collections.abc import Iterable
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text


class Line(NamedTuple):
    """What the runs of one encoder cost together; None where it was not measured."""

    encoder: str
    runs: int
    step: float | None = None  # seconds
    training: float | None = None  # hours
    encoding: float | None = None
    disk: float | None = None  # GB


class Cost(NamedTuple):
    """The cost of a study's runs, what must be downloaded, and what is not in the figures."""

    lines: tuple[Line, ...]
    device: str
    downloads: tuple[str, ...]
    notes: tuple[str, ...]


def to_rich(cost: Cost) -> Group:
    """Return a table of encoders with a sum, what must be got, and what is not in it."""
    title = f"about, one run after the other, on {cost.device}"
    table = Table(title=title, box=SIMPLE_HEAD, header_style="bold", title_justify="left")
    table.add_column("encoder")
    for head in ("runs", "a step", "training", "encoding", "disk"):
        table.add_column(head, justify="right")
    for line in cost.lines:
        step = "–" if line.step is None else f"{line.step:.3g} s"
        hours = _hours(line.training), _hours(line.encoding)
        table.add_row(line.encoder, str(line.runs), step, *hours, _size(line.disk))
    if len(cost.lines) > 1:
        table.add_section()
        training, encoding, disk = (
            _sum(of)
            for of in zip(*((x.training, x.encoding, x.disk) for x in cost.lines), strict=True)
        )
        runs = str(sum(line.runs for line in cost.lines))
        table.add_row("sum", runs, "", _hours(training), _hours(encoding), _size(disk))
    told = [f"to get: {', '.join(cost.downloads) or 'nothing'}", *cost.notes]
    return Group(table, *(Text(line) for line in told))


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _hours(hours: float | None) -> str:
    if hours is None:
        return "–"
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _size(gigabytes: float | None) -> str:
    return "–" if gigabytes is None else f"{gigabytes:,.2f} GB"
