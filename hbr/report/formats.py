"""A report in every form that it is asked for."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbr.compare.model import Report
from hbr.report import verdicts
from hbr.report.table import fitting, to_csv, to_latex, to_markdown, to_plain, to_rich

if TYPE_CHECKING:
    from rich.console import Console

    from hbr.report.figures import Drawn

FORMATS = ("table", "markdown", "latex", "csv", "json", "html")
SUFFIX = {"markdown": "md", "latex": "tex", "csv": "csv", "html": "html", "json": "json"}


def show(report: Report, console: "Console") -> None:
    """Print a report on a terminal."""
    for table in report.tables:
        for part in fitting(table, console.width):
            console.print(to_rich(part))
        console.print()
    if report.verdicts:
        console.print(verdicts.to_rich(report.verdicts, console.width))
        console.print()
        console.print(report.statistics, style="dim", markup=False, highlight=False)


def write(report: Report, form: str, drawn: "Iterable[Drawn] | None" = None) -> str:
    """Write a report as text in one of the formats, all but `table`.

    Its figures are drawn unless they are given.
    """
    if form == "markdown":
        told = f"{report.statistics}\n" if report.verdicts and report.statistics else ""
        parts = [*map(to_markdown, report.tables), verdicts.to_markdown(report.verdicts), told]
        return "\n".join(part for part in parts if part)
    if form == "latex":
        parts = [
            *map(to_latex, report.tables),
            verdicts.to_latex(report.verdicts, report.statistics),
        ]
        return "\n".join(part for part in parts if part)
    if form == "csv":
        return to_csv(report.tables)
    if form == "json":
        return json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    from hbr.report.html import page

    return page(report, drawn)


def plain(report: Report) -> dict[str, Any]:
    """Return every number of a report as JSON-like values."""
    return {
        "title": report.title,
        "tables": [to_plain(table) for table in report.tables],
        "claims": verdicts.to_plain(report.verdicts),
        "warnings": list(report.warnings),
        "statistics": report.statistics,
        "runs": [dict(line) for line in report.provenance],
    }


def draw(report: Report, folder: Path, drawn: "Iterable[Drawn] | None" = None) -> list[Path]:
    """Write a report's figures as PNG and PDF in a folder; give their paths.

    They are drawn unless they are given.
    """
    from hbr.report import plots
    from hbr.report.figures import figures

    folder.mkdir(parents=True, exist_ok=True)
    shown = figures(report) if drawn is None else drawn
    return [path for f in shown for path in plots.save(f.figure, folder / f.name)]
