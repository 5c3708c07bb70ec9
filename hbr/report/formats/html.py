"""A report as one HTML page that needs nothing from outside: claims, tables, figures."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hbr.compare.model import Report, Verdict
from hbr.compare.table import Cell, Row, Table, signed
from hbr.core.target import Measure
from hbr.report.figures.drawing import Drawing, to_svg
from hbr.report.findings import SIGN, effect, interval, p_text
from hbr.report.formats import Format

View = dict[str, Any]


def page(report: Report, drawings: Iterable[Drawing]) -> str:
    """Return a report as one HTML page; equal reports give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"sign": SIGN, "effect": effect, "interval": interval, "p_text": p_text}
    environment.filters |= {"signed": signed, "label": lambda metric: Measure.parse(metric).label}
    environment.tests["missing"] = math.isnan
    statuses = [verdict.status for verdict in report.verdicts]
    return environment.get_template("page.html.j2").render(
        report=report,
        synthetic=any("synthetic" in table.protocol for table in report.tables),
        tally=[(status, statuses.count(status)) for status in SIGN if status in statuses],
        claims=[(verdict, _summary(verdict)) for verdict in report.verdicts],
        tables=[_table(table) for table in report.tables],
        figures=[_figure(drawing) for drawing in drawings],
        facts=list(dict.fromkeys(key for run in report.provenance for key in run)),
    )


def _summary(verdict: Verdict) -> str:
    """Return how many comparisons of a claim came out how: `2 comparisons: 1 supported, 1 open`."""
    statuses = [finding.status for finding in verdict.findings]
    counts = [f"{statuses.count(status)} {status}" for status in SIGN if status in statuses]
    noun = "comparison" if len(statuses) == 1 else "comparisons"
    return f"{len(statuses)} {noun}: {', '.join(counts)}"


def _table(table: Table) -> View:
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    measures = [(setting, Measure.parse(metric)) for setting, metric in table.columns]
    rows = [
        {
            "marked": row.marked,
            "first": number > 0 and row.label[0] != table.rows[number - 1].label[0],
            "labels": texts[: labels - 1],
            "seeds": texts[labels - 1],
            "cells": [_cell(c, m, row) for c, (_, m) in zip(row.cells, table.columns, strict=True)],
        }
        for number, (row, texts) in enumerate(zip(table.rows, lines[1:], strict=True))
    ]
    return {"table": table, "labels": lines[0][: labels - 1], "measures": measures, "rows": rows}


def _cell(cell: Cell, metric: str, row: Row) -> View:
    """Return a cell with its text and tooltip; a row without any value was not run."""
    if math.isnan(cell.mean):
        empty = all(math.isnan(other.mean) for other in row.cells)
        return {"text": "not run" if empty else "–", "value": "", "kind": "missing", "tip": ""}
    tip = [f"mean {cell.mean!r}"]
    tip += [f"standard deviation over seeds {cell.sd!r}"] if cell.sd is not None else []
    if not math.isnan(cell.low + cell.high):
        tip.append(f"95 % interval {cell.low:.6g} to {cell.high:.6g}")
    kind = {0: "best", 1: "second"}.get(-1 if cell.place is None else cell.place, "")
    return {"text": cell.text(metric), "value": cell.mean, "kind": kind, "tip": "\n".join(tip)}


def _figure(drawing: Drawing) -> View:
    svg = Markup(to_svg(drawing.figure))  # ours: its texts are shapes
    return {**drawing._asdict(), "svg": svg, "inches": drawing.figure.get_figwidth()}


HTML = Format("html", ".html", page, "one page with all tables and figures")
