"""The figures of a report: each file draws one kind and says what stands below it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hbr.compare.model import Report
from hbr.core.target import folder_name
from hbr.report.figures import (
    claims,
    compression,
    languages,
    losses,
    mean_ranks,
    robustness,
    tradeoff,
)
from hbr.report.figures.drawing import Drawing, save

KINDS = (
    tradeoff,
    languages,
    mean_ranks,
    compression,
    robustness,
    losses,
    claims,
)  # in the order of a page


def draw(report: Report) -> Iterator[Drawing]:
    """Yield the figures for which a report has values."""
    for kind in KINDS:
        yield from kind.drawings(report)


def save_all(drawings: Iterable[Drawing], folder: Path) -> list[Path]:
    """Write figures as PNG and PDF into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        path for each in drawings for path in save(each.figure, folder / folder_name(each.name))
    ]
