"""A table of results, on the terminal, as Markdown, or as CSV."""

import csv
import io
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.table

SHORT = {"map": "mAP", "ndcg": "nDCG", "recall": "R", "mrr": "MRR", "rank_distance": "distance"}
STYLE = {0: "bold", 1: "underline", None: ""}
MARKDOWN = {0: "**{}**", 1: "<u>{}</u>", None: "{}"}


@dataclass(frozen=True)
class Cell:
    """A mean, its standard deviation over seeds, and its place (0 best, 1 second)."""

    mean: float
    sd: float | None = None
    place: int | None = None

    def text(self, metric: str) -> str:
        """Write it the way papers do: `.812 ± .004`, distances without decimals."""
        if math.isnan(self.mean):
            return "–"
        digits = 0 if metric == "rank_distance" else 3
        spread = "" if self.sd is None else f" ± {_plain(self.sd, digits)}"
        return _plain(self.mean, digits) + spread


@dataclass(frozen=True)
class Row:
    """One cell of a study, or one query language of it."""

    label: tuple[str, ...]
    language: str | None
    seeds: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows by (setting, metric) columns; `protocols` say how the values were measured."""

    title: str
    heads: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    protocols: tuple[str, ...]

    def marked(self, lower_is_better: Collection[str]) -> "Table":
        """Give the table with best and second marked among the rows of one encoder."""
        rows = [list(row.cells) for row in self.rows]
        groups: dict[tuple[str, str | None], list[int]] = {}
        for i, row in enumerate(self.rows):
            groups.setdefault((row.label[0], row.language), []).append(i)
        for column, (_, metric) in enumerate(self.columns):
            sign = 1 if metric in lower_is_better else -1
            for members in groups.values():
                means = {sign * rows[i][column].mean for i in members}
                best = sorted(mean for mean in means if not math.isnan(mean))[:2]
                for i in members if len(members) > 1 else ():
                    mean = sign * rows[i][column].mean
                    if mean in best:
                        rows[i][column] = replace(rows[i][column], place=best.index(mean))
        marked = [replace(r, cells=tuple(c)) for r, c in zip(self.rows, rows, strict=True)]
        return replace(self, rows=tuple(marked))

    @property
    def has_languages(self) -> bool:
        """Whether some rows stand for one query language."""
        return any(row.language for row in self.rows)

    def lines(self) -> list[list[str]]:
        """Give heads and body as text, unmarked."""
        heads = [*self.heads, *(["language"] if self.has_languages else []), "seeds"]
        body = [[*heads, *(f"{setting} {name(metric)}" for setting, metric in self.columns)]]
        for row in self.rows:
            language = [row.language or "all"] if self.has_languages else []
            texts = [c.text(m) for c, (_, m) in zip(row.cells, self.columns, strict=True)]
            body.append([*row.label, *language, str(row.seeds or "–"), *texts])
        return body


def name(metric: str) -> str:
    """Write a metric's name the way papers do: `recall@10` is R@10."""
    base, at, cutoff = metric.partition("@")
    return SHORT.get(base, base) + at + cutoff


def fitting(table: Table, width: int) -> list[Table]:
    """Cut a table into ones that fit a terminal, column by column, so that no number is cut."""
    lines = table.lines()
    widths = [
        max(len(part) for text in column for part in _head(text)) + 3
        for column in zip(*lines, strict=True)
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
            protocols=table.protocols if number == len(parts) - 1 else (),
            columns=tuple(table.columns[i] for i in part),
            rows=tuple(replace(r, cells=tuple(r.cells[i] for i in part)) for r in table.rows),
        )
        for number, part in enumerate(parts)
    ]


def to_rich(table: Table) -> "rich.table.Table":
    """Give a table for the terminal: best bold, second underlined."""
    from rich.table import Table as RichTable
    from rich.text import Text

    lines = table.lines()
    out = RichTable(title=table.title or None, title_justify="left", header_style="bold")
    out.caption, out.caption_justify = "; ".join(table.protocols), "left"
    labels = len(lines[0]) - len(table.columns)
    for number, head in enumerate(lines[0]):
        setting, _, metric = head.partition(" ")
        shown = f"{setting}\n{metric}" if number >= labels else head
        out.add_column(shown, justify="left" if number < labels - 1 else "right", no_wrap=True)
    for number, (row, texts) in enumerate(zip(table.rows, lines[1:], strict=True)):
        styled = [Text(text) for text in texts[:labels]]
        for cell, text in zip(row.cells, texts[labels:], strict=True):
            styled.append(Text(text, style=STYLE[cell.place]))
        following = table.rows[number + 1].label[0] if number + 1 < len(table.rows) else None
        out.add_row(*styled, end_section=following != row.label[0])
    return out


def to_markdown(table: Table) -> str:
    """Give a GitHub table: best bold, second underlined."""
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    rule = ["---"] * (labels - 1) + ["---:"] * (len(table.columns) + 1)
    body = [lines[0], rule]
    for row, texts in zip(table.rows, lines[1:], strict=True):
        cells = zip(row.cells, texts[labels:], strict=True)
        body.append([*texts[:labels], *(MARKDOWN[c.place].format(text) for c, text in cells)])
    title = f"### {table.title}\n\n" if table.title else ""
    note = "".join(f"\nProtocol: {protocol}\n" for protocol in table.protocols)
    return title + "".join(f"| {' | '.join(line)} |\n" for line in body) + note


def to_csv(table: Table) -> str:
    """Give every value in full, one column for the mean and one for the standard deviation."""
    out = io.StringIO()
    writer = csv.writer(out)
    heads = [f"{s} {m}{end}" for s, m in table.columns for end in ("", " sd")]
    writer.writerow([*table.heads, "query_language", "seeds", *heads])
    for row in table.rows:
        values = [value for cell in row.cells for value in (cell.mean, cell.sd)]
        shown = ["" if v is None or math.isnan(v) else repr(v) for v in values]
        writer.writerow([*row.label, row.language or "", row.seeds, *shown])
    return out.getvalue()


def _head(text: str) -> list[str]:
    """Give the lines of a cell: a head such as `mono mAP` stands on two."""
    return [text] if "±" in text else text.split(" ")


def _plain(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
