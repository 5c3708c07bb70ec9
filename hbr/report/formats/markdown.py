"""A report as GitHub's Markdown."""

import re
from collections.abc import Iterable, Sequence

from hbr.compare.model import Report, Verdict
from hbr.compare.table import Table
from hbr.core.errors import printable
from hbr.report.findings import HEADS, comparison, numbers, sentence
from hbr.report.formats import Format

PLACE = {0: "**{}**", 1: "<u>{}</u>", None: "{}"}


def write(report: Report, _: object = ()) -> str:
    """Return all tables, the claims, and how these were tested."""
    statistics = f"{report.statistics}\n" if report.verdicts and report.statistics else ""
    parts = [*map(to_markdown, report.tables), claims(report.verdicts), statistics]
    return "\n".join(part for part in parts if part)


def to_markdown(table: Table) -> str:
    """Return a table: best bold, second underlined."""
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    rule = ["---"] * (labels - 1) + ["---:"] * (len(table.columns) + 1)
    body = [lines[0], rule]
    for row, texts in zip(table.rows, lines[1:], strict=True):
        cells = zip(row.cells, texts[labels:], strict=True)
        body.append([*texts[:labels], *(PLACE[cell.place].format(text) for cell, text in cells)])
    title = f"### {escape(table.title)}\n\n" if table.title else ""
    protocol = [f"Protocol: {table.protocol}"] if table.protocol else []
    return (
        title + _rows(body) + "".join(f"\n{escape(note)}\n" for note in (*protocol, *table.notes))
    )


def claims(verdicts: Sequence[Verdict]) -> str:
    """Return a table of claims and their comparisons, and nothing where there is no claim."""
    if not verdicts:
        return ""
    lines: list[tuple[str, ...]] = [HEADS, ("---", "---", *["---:"] * (len(HEADS) - 2))]
    for verdict in verdicts:
        lines.append(
            (f"**{sentence(verdict)}**", f"**{verdict.status}**", *[""] * (len(HEADS) - 2))
        )
        for finding in verdict.findings:
            label = f"· {comparison(finding, verdict)}"
            lines.append((label, finding.status, *numbers(finding, verdict.metric)))
    return "### Claims\n\n" + _rows(lines)


def _rows(lines: Iterable[Sequence[str]]) -> str:
    """Write the lines of a table; a bar in a text ends no cell."""
    escaped = ([escape(text) for text in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def escape(text: str) -> str:
    """Return a text that starts no HTML but an underline, and ends no cell of a table."""
    text = re.sub(r"<(?!/?u>)(?=[A-Za-z/!?])", "&lt;", printable(text))
    return text.replace("|", r"\|").replace("\n", " ")


MARKDOWN = Format("markdown", ".md", write)
