"""A report as one HTML page that needs nothing from outside: claims, tables, figures."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hbr.compare.model import STATUSES, Report, Verdict
from hbr.compare.queries import moved_key
from hbr.compare.table import Cell, digits, lower_is_better, name, signed
from hbr.core.target import Measure
from hbr.report.figures.drawing import Drawing, to_svg
from hbr.report.findings import bound, effect, interval, p_text
from hbr.report.formats import Format
from hbr.report.terminal import number

KIND = {True: "supported", False: "refuted", None: "open"}  # of a badge, by `Status.holds`
TOLD_AT_ONCE = 80  # marks of a figure whose values are read out


def page(report: Report, drawings: Iterable[Drawing]) -> str:
    """Return a report as one HTML page; equal reports give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"effect": effect, "interval": interval, "bound": bound}
    environment.globals |= {"p_text": p_text, "digits": digits, "moved_key": moved_key}
    environment.globals |= {"tip": _tip, "kind": KIND}
    environment.filters |= {
        "number": number,
        "signed": signed,
        "measure": Measure.parse,
        "name": name,
        "lower_is_better": lower_is_better,
    }
    environment.tests["missing"] = math.isnan
    statuses = [verdict.status for verdict in report.verdicts]
    return environment.get_template("page.html.j2").render(
        report=report,
        synthetic=any("synthetic" in table.protocol for table in report.tables),
        tally=[(status, statuses.count(status)) for status in STATUSES if status in statuses],
        claims=[(verdict, _summary(verdict)) for verdict in report.verdicts],
        figures=_by_heading(drawings),
        filters=_filters(report),
        moved=report.moved(),
        dates=_dates(report),
        facts=list(dict.fromkeys(key for run in report.provenance for key in run)),
    )


def _dates(report: Report) -> list[str]:
    """Return when the runs were trained and evaluated, and as of when the report speaks.

    That is its last evaluation, not the moment of writing: equal reports give equal bytes.
    """
    lines = []
    for did in ("trained", "evaluated"):
        if times := sorted(filter(None, (run.get(did) for run in report.provenance))):
            days = dict.fromkeys(time[:10] for time in (times[0], times[-1]))
            lines.append(f"{did} {' to '.join(days)}")
            latest = times[-1]
    return [*lines, f"as of {latest}"] if lines else []


def _summary(verdict: Verdict) -> str:
    """Return how many comparisons of a claim came out how: `2 comparisons: 1 supported, 1 open`."""
    statuses = [finding.status for finding in verdict.findings]
    counts = [f"{statuses.count(status)} {status}" for status in STATUSES if status in statuses]
    noun = "comparison" if len(statuses) == 1 else "comparisons"
    return f"{len(statuses)} {noun}: {', '.join(counts)}"


def _tip(cell: Cell) -> str:
    """Return the tooltip of a cell: its numbers in full."""
    lines = [f"mean {cell.mean!r}"]
    if cell.sd is not None:
        lines.append(f"standard deviation over seeds {cell.sd!r}")
    if not math.isnan(cell.low + cell.high):
        lines.append(f"95 % interval {cell.low:.6g} to {cell.high:.6g}")
    return "\n".join(lines)


def _filters(report: Report) -> dict[str, list[str]]:
    """Return what the tables and figures can be filtered by: encoders, data sets, metrics."""
    tables = report.tables
    choices = {
        "encoder": (row.label[0] for table in tables for row in table.rows),
        "dataset": (table.dataset for table in tables if table.dataset),
        "metric": (name(metric) for table in tables for _, metric in table.columns),
    }
    distinct = {what: list(dict.fromkeys(values)) for what, values in choices.items()}
    return {what: values for what, values in distinct.items() if len(values) > 1}


def _by_heading(drawings: Iterable[Drawing]) -> dict[str, list[dict[str, Any]]]:
    """Return the figures by the heading that they stand under, in their order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for drawing in drawings:
        groups.setdefault(drawing.heading, []).append(_figure(drawing))
    return groups


def _figure(drawing: Drawing) -> dict[str, Any]:
    """Return a figure as the page has it; the values of few marks stand in its alternative text."""
    svg = Markup(to_svg(drawing.figure))  # ours: names in it are escaped by matplotlib
    values = drawing.values
    told = values if len(values) <= TOLD_AT_ONCE else ["the tables above have the values"]
    alt = f"{drawing.caption} Values: {'; '.join(told)}." if values else drawing.caption
    of = " · ".join(filter(None, (drawing.encoder, drawing.dataset)))
    about = {"svg": svg, "inches": drawing.figure.get_figwidth(), "alt": alt, "of": of}
    return {**drawing._asdict(), **about}


HTML = Format("html", ".html", page)
