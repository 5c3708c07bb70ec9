"""The cost of a study."""

from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Group
from rich.text import Text

from hbr.report.terminal import new_table


class Line(NamedTuple):
    """What the runs of one encoder cost together; None where it was not measured."""

    encoder: str
    runs: int
    step: float | None = None  # seconds
    memory: float | None = None  # GB, in training, without activations
    training: float | None = None  # hours
    encoding: float | None = None  # hours
    disk: float | None = None  # GB


class Cost(NamedTuple):
    """The cost of a study's runs, what must be downloaded, and what is not in the figures."""

    lines: tuple[Line, ...]
    device: str
    downloads: tuple[str, ...]
    notes: tuple[str, ...]


def cost_table(cost: Cost) -> Group:
    """Return a table of encoders with a sum, the downloads, and the notes."""
    table = new_table(f"estimate, one run after the other, on {cost.device}")
    table.add_column("encoder")
    for head in ("runs", "a step", "memory", "training", "encoding", "disk"):
        table.add_column(head, justify="right")
    for line in cost.lines:
        table.add_row(*_cells(line))
    if len(cost.lines) > 1:
        table.add_section()
        _, runs, _, _, *sums = zip(*cost.lines, strict=True)
        encoder, number, _, _, *cells = _cells(Line("sum", sum(runs), None, None, *map(_sum, sums)))
        table.add_row(encoder, number, "", "", *cells)
    memory = "memory: weights, gradients and the optimizer's state, without activations"
    downloads = f"downloads: {', '.join(cost.downloads) or 'nothing'}"
    return Group(table, *map(Text, (memory, downloads, *cost.notes)))


def _cells(line: Line) -> tuple[str, ...]:
    step = "–" if line.step is None else f"{line.step:.3g} s"
    memory, disk = ("–" if n is None else f"{n:,.2f} GB" for n in (line.memory, line.disk))
    times = _time(line.training), _time(line.encoding)
    return line.encoder, str(line.runs), step, memory, *times, disk


def _sum(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers else None


def _time(hours: float | None) -> str:
    if hours is None:
        return "–"
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
