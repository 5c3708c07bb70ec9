"""A report as one HTML file that needs nothing from outside: tables, verdicts, figures."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hbr.compare.model import Finding, Report, Verdict
from hbr.compare.table import Cell, Row, Table, lower_is_better, name, signed
from hbr.report import plots
from hbr.report.figures import Drawn, figures
from hbr.report.verdicts import SIGN, effect, interval, p_text

View = dict[str, Any]


def page(report: Report, drawn: Iterable[Drawn] | None = None) -> str:
    """Write a report as one HTML page; equal reports give equal bytes.

    Its figures are drawn unless they are given.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    statuses = [verdict.status for verdict in report.verdicts]
    return environment.get_template("page.html.j2").render(
        report=report,
        synthetic=any("synthetic" in table.protocol for table in report.tables),
        tally=[(SIGN[status], status, statuses.count(status)) for status in SIGN],
        verdicts=[_verdict(verdict) for verdict in report.verdicts],
        tables=[_table(table) for table in report.tables],
        figures=[_figure(one) for one in (figures(report) if drawn is None else drawn)],
        facts=list(dict.fromkeys(key for run in report.provenance for key in run)),
    )


def _verdict(verdict: Verdict) -> View:
    statuses = [found.status for found in verdict.findings]
    counts = [f"{statuses.count(s)} {s}" for s in SIGN if s in statuses]
    return {
        "verdict": verdict,
        "sign": SIGN[verdict.status],
        "what": f"{verdict.setting} {name(verdict.metric)}",
        "summary": f"{_count(len(statuses), 'comparison')}: {', '.join(counts)}",
        "findings": [_finding(found, verdict.metric) for found in verdict.findings],
    }


def _finding(found: Finding, metric: str) -> View:
    known = not math.isnan(found.effect)
    relative = f"{signed(100 * found.relative, 1)} %"
    return {
        "found": found,
        "sign": SIGN[found.status],
        "known": known,
        "effect": effect(found, metric),
        "interval": interval(found, metric),
        "relative": "" if math.isnan(found.relative) else relative,
        "p": p_text(found.adjusted),
        "d": "" if math.isnan(found.d) else signed(found.d, 2),
        "seeds": found.seeds or "",
        "concepts": f"{found.concepts:,}" if found.concepts else "",
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _table(table: Table) -> View:
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    heads = [
        {"setting": setting, "metric": name(metric), "low": lower_is_better(metric)}
        for setting, metric in table.columns
    ]
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
    return {"table": table, "labels": lines[0][: labels - 1], "heads": heads, "rows": rows}


def _cell(cell: Cell, metric: str, row: Row) -> View:
    """Return a cell as shown; a row without any value was not run."""
    if math.isnan(cell.mean):
        nothing = all(math.isnan(other.mean) for other in row.cells)
        return {"text": "not run" if nothing else "–", "value": "", "kind": "missing", "tip": ""}
    tip = [f"mean {cell.mean!r}"]
    tip += [f"standard deviation over seeds {cell.sd!r}"] if cell.sd is not None else []
    if not math.isnan(cell.low + cell.high):
        tip.append(f"95 % interval {cell.low:.6g} to {cell.high:.6g}")
    kind = {0: "best", 1: "second"}.get(-1 if cell.place is None else cell.place, "")
    return {"text": cell.text(metric), "value": cell.mean, "kind": kind, "tip": "\n".join(tip)}


def _base(metric: str) -> str:
    return metric.partition("@")[0]


def _figure(drawn: Drawn) -> View:
    svg = Markup(plots.svg(drawn.figure))  # ours: its texts are shapes
    return {**drawn._asdict(), "svg": svg, "inches": drawn.figure.get_figwidth()}
