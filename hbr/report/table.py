"""A table of results, on the terminal and as Markdown, LaTeX, CSV and JSON."""

import csv
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hbr.compare.table import Cell, Table, digits, name, plain

if TYPE_CHECKING:
    import rich.console

STYLE = {0: "bold", 1: "underline", None: ""}
MARKDOWN = {0: "**{}**", 1: "<u>{}</u>", None: "{}"}
LATEX = {0: r"\textbf{{{}}}", 1: r"\underline{{{}}}", None: "{}"}
TEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "α": r"$\alpha$", "–": "--"},
    **{"→": r"$\to$", "·": r"$\cdot$", "≥": r"$\ge$", "≤": r"$\le$", "<": r"$<$", ">": r"$>$"},
    **{"|": r"\textbar{}", "≈": r"$\approx$", "√": r"$\surd$", "Δ": r"$\Delta$"},
    **{"×": r"$\times$", "…": r"\dots{}", "−": r"$-$"},
}


def fitting(table: Table, width: int) -> list[Table]:
    """Cut a table into ones that fit a terminal, column by column, so that no number is cut."""
    lines = table.lines()
    widths = [
        2 + max(len(part) for part in (*head.split(" ", 1), *cells))
        for head, *cells in zip(*lines, strict=True)
    ]
    labels = len(widths) - len(table.columns)
    parts: list[list[int]] = [[]]
    for i, own in enumerate(widths[labels:]):
        taken = sum(widths[:labels]) + sum(widths[labels + j] for j in parts[-1])
        if parts[-1] and taken + own + 1 > width:
            parts.append([])
        parts[-1].append(i)
    return [
        replace(
            table,
            title=table.title if number == 0 else "",
            protocol=table.protocol if number == len(parts) - 1 else "",
            notes=table.notes if number == len(parts) - 1 else (),
            columns=tuple(table.columns[i] for i in part),
            rows=tuple(replace(r, cells=tuple(r.cells[i] for i in part)) for r in table.rows),
        )
        for number, part in enumerate(parts)
    ]


def to_rich(table: Table) -> "rich.console.Group":
    """Return a table for the terminal: best bold, second underlined, notes below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    lines = table.lines()
    out = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    out.title_justify = "left"
    out.title = Text(table.title, style="table.title") if table.title else None
    labels = len(lines[0]) - len(table.columns)
    for number, head in enumerate(lines[0]):
        setting, _, metric = head.partition(" ")
        shown = f"{setting}\n{metric}" if number >= labels else head
        out.add_column(
            Text(shown), justify="left" if number < labels - 1 else "right", no_wrap=True
        )
    for number, (row, texts) in enumerate(zip(table.rows, lines[1:], strict=True)):
        below = len(row.label) if row.group else 0  # a group stands below its cell's own row
        styled = [Text("" if i < below else text) for i, text in enumerate(texts[:labels])]
        for cell, text in zip(row.cells, texts[labels:], strict=True):
            styled.append(Text(text, style=STYLE[cell.place]))
        following = table.rows[number + 1].label[0] if number + 1 < len(table.rows) else None
        out.add_row(*styled, end_section=following != row.label[0])
    notes = [Text(note, style="dim") for note in (table.protocol, *table.notes) if note]
    return Group(out, *notes)


def to_markdown(table: Table) -> str:
    """Return a GitHub table: best bold, second underlined."""
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    rule = ["---"] * (labels - 1) + ["---:"] * (len(table.columns) + 1)
    body = [lines[0], rule]
    for row, texts in zip(table.rows, lines[1:], strict=True):
        cells = zip(row.cells, texts[labels:], strict=True)
        body.append([*texts[:labels], *(MARKDOWN[c.place].format(text) for c, text in cells)])
    title = f"### {table.title}\n\n" if table.title else ""
    notes = [f"Protocol: {table.protocol}"] if table.protocol else []
    note = "".join(f"\n{line}\n" for line in (*notes, *table.notes))
    return title + markdown(body) + note


def markdown(lines: Iterable[Sequence[str]]) -> str:
    """Write the lines of a GitHub table; a bar in a text ends no cell."""
    escaped = ([text.replace("|", r"\|") for text in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def to_csv(tables: Sequence[Table]) -> str:
    """Return every value in full, one a line: what it is of, mean, deviation over seeds, interval."""
    heads = list(dict.fromkeys(head for table in tables for head in table.heads))
    groups = list(dict.fromkeys(table.group_head for table in tables))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    values = ["setting", "metric", "mean", "sd", "low", "high"]
    writer.writerow(["dataset", "protocol", *heads, *groups, "seeds", "contaminated", *values])
    for table in tables:
        for row in table.rows:
            label = dict(zip(table.heads, row.label, strict=True)) | {table.group_head: row.group}
            about = [table.protocol, *(label.get(h) or "" for h in heads + groups)]
            for (dataset, setting, metric), cell in zip(_keys(table), row.cells, strict=True):
                numbers = (cell.mean, cell.sd, cell.low, cell.high)
                shown = ["" if v is None or math.isnan(v) else repr(float(v)) for v in numbers]
                line = [dataset, *about, row.seeds, int(row.marked), setting, metric, *shown]
                writer.writerow(line)
    return out.getvalue()


def _keys(table: Table) -> Sequence[tuple[str, str, str]]:
    """Say of which data set, setting and metric each column is."""
    return table.of or [(table.dataset, *column) for column in table.columns]


def to_plain(table: Table) -> dict[str, Any]:
    """Return the table as JSON-like values, with every mark and note."""
    rows = []
    for row in table.rows:
        cells = {
            "/".join(key if table.of else key[1:]): {k: _known(v) for k, v in asdict(cell).items()}
            for cell, key in zip(row.cells, _keys(table), strict=True)
        }
        label = dict(zip(table.heads, row.label, strict=True))
        about = {table.group_head: row.group, "seeds": row.seeds, "expected": row.expected}
        rows.append({**label, **about, "contaminated": row.marked, "values": cells})
    return {
        "title": table.title,
        "dataset": table.dataset,
        "protocol": table.protocol,
        "notes": list(table.notes),
        "rows": rows,
    }


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def to_latex(table: Table) -> str:
    """Return a booktabs table: best bold, second underlined, daggers; it needs booktabs alone."""
    order = _by_setting(table)
    table = replace(
        table,
        columns=tuple(table.columns[i] for i in order),
        rows=tuple(replace(r, cells=tuple(r.cells[i] for i in order)) for r in table.rows),
    )
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    metrics = [escape(name(metric)) for _, metric in table.columns]
    body = []
    for number, (row, texts) in enumerate(zip(table.rows, lines[1:], strict=True)):
        if number and row.label[0] != table.rows[number - 1].label[0]:
            body.append(r"\midrule")
        cells = [
            _tex_cell(cell, metric)
            for cell, (_, metric) in zip(row.cells, table.columns, strict=True)
        ]
        body.append(" & ".join([*map(escape, texts[:labels]), *cells]) + r" \\")
    notes = " ".join(_sentence(n) for n in (table.title, table.protocol, *table.notes) if n)
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{{'l' * (labels - 1)}r{'r' * len(metrics)}}}",
            r"\toprule",
            *_tex_settings(table, labels),
            " & ".join([*map(escape, lines[0][:labels]), *metrics]) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape(notes)}}}",
            r"\end{table}",
            "",
        ]
    )


def _by_setting(table: Table) -> list[int]:
    """Return the order of columns in which those of one setting stand together."""
    settings = list(dict.fromkeys(setting for setting, _ in table.columns))
    return sorted(range(len(table.columns)), key=lambda i: settings.index(table.columns[i][0]))


def _tex_settings(table: Table, labels: int) -> list[str]:
    """Write the line of settings above the metrics, and the rules below it."""
    spans, rules, at = [], [], labels + 1
    for setting, group in itertools.groupby(setting for setting, _ in table.columns):
        size = len(list(group))
        spans.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(setting)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + size - 1}}}")
        at += size
    return [" & ".join([""] * labels + spans) + r" \\", " ".join(rules)]


def _tex_cell(cell: Cell, metric: str) -> str:
    """Write a value, its place, its deviation in small print, and its dagger."""
    mean = replace(cell, sd=None, dagger=False).text(metric)
    text = LATEX[cell.place].format(escape(mean))
    if cell.sd is not None and not math.isnan(cell.mean):
        text += rf"{{\tiny\,$\pm$\,{plain(cell.sd, digits(metric))}}}"
    return text + (escape("†") if cell.dagger else "")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def escape(text: str) -> str:
    """Write text so that LaTeX shows it as it is; pdfTeX shows letters that it lacks as `?`."""
    text, bracket = (text[1:], "{[}") if text.startswith("[") else (text, "")  # no option of \\
    runs = itertools.groupby(text, lambda c: c in TEX or c <= "\u017f")  # known, or Latin
    return bracket + "".join(_tex_run("".join(run), known) for known, run in runs)


def _tex_run(text: str, known: bool) -> str:
    if known:
        return "".join(TEX.get(character, character) for character in text)
    return rf"\ifdefined\Umathcode {text}\else {'?' * len(text)}\fi{{}}"
