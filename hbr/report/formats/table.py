"""A report on the terminal: tables cut to its width, and below them the claims."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from hbr.compare.model import Report, Verdict
from hbr.compare.table import Table
from hbr.core.errors import printable
from hbr.report.findings import HEADS, comparison, numbers
from hbr.report.formats import Format
from hbr.report.terminal import new_table

PLACE_STYLE = {0: "bold", 1: "underline", None: ""}


class TerminalReport:
    """A report that rich prints at the width of its console."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for table in self.report.tables:
            yield from map(to_rich, fitting(table, options.max_width))
            yield ""
        if self.report.verdicts:
            yield claims(self.report.verdicts, options.max_width)
            yield ""
            yield Text(self.report.statistics, style="dim")


def fitting(table: Table, width: int) -> list[Table]:
    """Cut a table into ones that fit a terminal, column by column, so that no number is cut."""
    lines = table.lines()
    widths = [
        2 + max(len(part) for part in (*head.split(" ", 1), *cells))
        for head, *cells in zip(*lines, strict=True)
    ]
    labels = len(widths) - len(table.columns)
    parts: list[list[int]] = [[]]
    for i, needed in enumerate(widths[labels:]):
        taken = sum(widths[:labels]) + sum(widths[labels + j] for j in parts[-1])
        if parts[-1] and taken + needed + 1 > width:
            parts.append([])
        parts[-1].append(i)
    return [
        replace(
            table.with_columns(part),
            title=table.title if number == 0 else "",
            protocol=table.protocol if number == len(parts) - 1 else "",
            notes=table.notes if number == len(parts) - 1 else (),
        )
        for number, part in enumerate(parts)
    ]


def to_rich(table: Table) -> Group:
    """Return a table for the terminal: best bold, second underlined, notes below."""
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    out = new_table(Text(printable(table.title), style="table.title") if table.title else None)
    for number, head in enumerate(lines[0]):
        text = head if number < labels else head.replace(" ", "\n", 1)  # the setting, its metric
        out.add_column(
            Text(printable(text)), justify="left" if number < labels - 1 else "right", no_wrap=True
        )
    for number, (row, texts) in enumerate(zip(table.rows, lines[1:], strict=True)):
        repeated = len(row.label) if row.group else 0  # a group stands below its cell's own row
        cells = [
            Text("" if i < repeated else printable(text)) for i, text in enumerate(texts[:labels])
        ]
        for cell, text in zip(row.cells, texts[labels:], strict=True):
            cells.append(Text(text, style=PLACE_STYLE[cell.place]))
        following = table.rows[number + 1].label[0] if number + 1 < len(table.rows) else None
        out.add_row(*cells, end_section=following != row.label[0])
    notes = [Text(printable(note), style="dim") for note in (table.protocol, *table.notes) if note]
    return Group(out, *notes)


def claims(verdicts: Sequence[Verdict], width: int = 120) -> Group:
    """Return every claim, and below it the comparisons that it rests on.

    Where they do not fit, the last columns are left out.
    """
    heads = ("", *HEADS[2:])
    rows = [(comparison(f, v), *numbers(f, v.metric)) for v in verdicts for f in v.findings]
    sizes = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    while len(sizes) > 2 and sum(sizes) + 2 * len(sizes) + 2 > width:
        sizes.pop()
    lines = [Text(f"    {_aligned(heads, sizes)}", style="dim")]
    for verdict in verdicts:
        status = f"{verdict.status.sign} {verdict.status:<9}  "
        note = (f" – {verdict.note}", "dim") if verdict.note else ""
        style = verdict.status.style
        lines.append(Text.assemble((status, style), (verdict.sentence, "bold"), note))
        for finding in verdict.findings:
            sign = (f"  {finding.status.sign}", finding.status.style)
            row = (comparison(finding, verdict), *numbers(finding, verdict.metric))
            lines.append(Text.assemble(sign, f" {_aligned(row, sizes)}"))
    return Group(*lines)


def _aligned(cells: Sequence[str], sizes: Sequence[int]) -> str:
    """Write a label on the left, and numbers on the right of their columns."""
    label, *others = zip(cells, sizes, strict=False)
    return "  ".join([f"{label[0]:<{label[1]}}", *(f"{cell:>{size}}" for cell, size in others)])


TABLE = Format("table", "", lambda report, _: TerminalReport(report))
