"""The formats of a report: a file each, registered as kind "format" in `hbr.core.registry`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbr.compare.model import Report
from hbr.core import registry
from hbr.core.files import write_atomic

if TYPE_CHECKING:
    from hbr.report.figures.drawing import Drawing

Writer = Callable[[Report, "Iterable[Drawing]"], Any]


@dataclass(frozen=True)
class Format:
    """A format that a report can be written in.

    `writer(report, drawings)` returns the text of the file, or without a suffix what rich prints
    on a terminal. A figure is drawn when the writer comes to it: one that needs none draws none.
    """

    name: str
    suffix: str  # of its files: ".md"; "" for a format of the terminal alone
    writer: Writer


def file_formats() -> list[Format]:
    """Return the registered formats that a file can have, in the order of the registry."""
    entries = [registry.get("format", name) for name in registry.names("format")]
    return [entry for entry in entries if entry.suffix]


def write(report: Report, name: str) -> Any:
    """Return a report in the format of a name, or of `package.module:attribute`.

    Raises UserError where there is no such format.
    """
    return registry.get("format", name).writer(report, _drawings(report))


def write_all(report: Report, folder: Path) -> list[Path]:
    """Write `report` in every format of files, and return their paths.

    The figures are drawn once, and nothing is done where a folder holds the same numbers already.
    """
    from hbr.report.formats.values import JSON

    paths = {folder / f"report{entry.suffix}": entry for entry in file_formats()}
    numbers = folder / f"report{JSON.suffix}"
    current = all(path.exists() for path in paths)
    if not current or numbers.read_text("utf-8") != JSON.writer(report, ()):
        folder.mkdir(parents=True, exist_ok=True)
        drawings = list(_drawings(report))
        for path, entry in paths.items():
            write_atomic(path, entry.writer(report, drawings))
    return list(paths)


def _drawings(report: Report) -> "Iterable[Drawing]":
    """Yield the figures; matplotlib is loaded with the first."""
    from hbr.report.figures import draw

    yield from draw(report)
