"""A report as LaTeX tables, which need the package booktabs alone."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hbr.compare.model import Report, Verdict
from hbr.compare.table import Cell, Table, digits, name, plain
from hbr.report.findings import HEADS, comparison, numbers, sentence
from hbr.report.formats import Format

PLACE = {0: r"\textbf{{{}}}", 1: r"\underline{{{}}}", None: "{}"}
LINES_PER_PAGE = 52
SYMBOLS = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        "±": r"$\pm$",
        "†": r"$^\dagger$",
        "§": r"$^\S$",
        "‡": r"$^\ddagger$",
        "α": r"$\alpha$",
        "–": "--",
    },
    **{"→": r"$\to$", "·": r"$\cdot$", "≥": r"$\ge$", "≤": r"$\le$", "<": r"$<$", ">": r"$>$"},
    **{"|": r"\textbar{}", "≈": r"$\approx$", "√": r"$\surd$", "Δ": r"$\Delta$"},
    **{"×": r"$\times$", "…": r"\dots{}", "−": r"$-$"},
}


def write(report: Report, _: object = ()) -> str:
    """Return all tables and the claims."""
    parts = [*map(to_latex, report.tables), claims(report.verdicts, report.statistics)]
    return "\n".join(part for part in parts if part)


def to_latex(table: Table) -> str:
    """Return a table: best bold, second underlined, daggers; the columns of a setting together."""
    settings = list(dict.fromkeys(setting for setting, _ in table.columns))
    places = range(len(table.columns))
    table = table.with_columns(sorted(places, key=lambda i: settings.index(table.columns[i][0])))
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    metrics = [metric for _, metric in table.columns]
    body = []
    for number, (row, texts) in enumerate(zip(table.rows, lines[1:], strict=True)):
        if number and row.label[0] != table.rows[number - 1].label[0]:
            body.append(r"\midrule")
        cells = map(_cell, row.cells, metrics)
        body.append(_row([*map(escape, texts[:labels]), *cells]))
    heads = [*map(escape, lines[0][:labels]), *(escape(name(metric)) for metric in metrics)]
    notes = " ".join(_sentence(n) for n in (table.title, table.protocol, *table.notes) if n)
    columns = f"{'l' * (labels - 1)}r{'r' * len(metrics)}"
    head = [*_setting_heads(table, labels), _row(heads)]
    return _tabular(columns, head, body, notes, r"\setlength{\tabcolsep}{3pt}")


def claims(verdicts: Sequence[Verdict], statistics: str = "") -> str:
    """Return tables of claims and their comparisons, and nothing where there is no claim.

    `statistics` says how the claims were tested. No table is longer than a page.
    """
    pages: list[list[str]] = []
    for verdict in verdicts:
        lines = _claim(verdict)
        if not pages or len(pages[-1]) + len(lines) > LINES_PER_PAGE:
            pages.append([])
        pages[-1] += lines
    head = [_row(map(escape, ("claim", *HEADS[2:], "verdict")))]
    tables = []
    for number, page in enumerate(pages, 1):
        part = f" ({number} of {len(pages)})" if len(pages) > 1 else ""
        caption = f"Claims and verdicts{part}. {statistics}"
        tables.append(_tabular(f"l{'r' * (len(HEADS) - 2)}l", head, page[:-1], caption))
    return "\n".join(tables)


def _claim(verdict: Verdict) -> list[str]:
    """Return the lines of a claim; the last one is the space behind it."""
    text = (
        rf"\multicolumn{{{len(HEADS) - 1}}}{{p{{0.78\linewidth}}}}{{{escape(sentence(verdict))}}}"
    )
    lines = [_row([text, rf"\textbf{{{verdict.status}}}"])]
    for finding in verdict.findings:
        cells = [comparison(finding, verdict), *numbers(finding, verdict.metric), finding.status]
        lines.append(r"\quad " + _row(map(escape, cells)))
    return [*lines, r"\addlinespace"]


def _tabular(
    columns: str, head: Sequence[str], body: Sequence[str], caption: str, layout: str = ""
) -> str:
    return "\n".join(
        [
            r"\begin{table}[t]",
            rf"\centering\footnotesize{layout}",
            rf"\begin{{tabular}}{{{columns}}}",
            *(r"\toprule", *head, r"\midrule", *body, r"\bottomrule"),
            r"\end{tabular}",
            rf"\caption{{{escape(caption)}}}",
            r"\end{table}",
            "",
        ]
    )


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _setting_heads(table: Table, labels: int) -> list[str]:
    """Return the line of settings above the metrics, and the rules below it."""
    spans, rules, at = [], [], labels + 1
    for setting, group in itertools.groupby(setting for setting, _ in table.columns):
        size = len(list(group))
        spans.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(setting)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + size - 1}}}")
        at += size
    return [_row([""] * labels + spans), " ".join(rules)]


def _cell(cell: Cell, metric: str) -> str:
    """Write a value, its place, its deviation in small print, and its dagger."""
    mean = replace(cell, sd=None, dagger="").text(metric)
    text = PLACE[cell.place].format(escape(mean))
    if cell.sd is not None and not math.isnan(cell.mean):
        text += rf"{{\tiny\,$\pm$\,{plain(cell.sd, digits(metric))}}}"
    return text + escape(cell.dagger)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def escape(text: str) -> str:
    """Write text so that LaTeX shows it as it is; pdfTeX shows letters that it lacks as `?`."""
    text, bracket = (text[1:], "{[}") if text.startswith("[") else (text, "")  # no option of \\
    runs = itertools.groupby(text, lambda c: c in SYMBOLS or c <= "\u017f")  # ours, or Latin
    return bracket + "".join(_escape_run("".join(run), safe) for safe, run in runs)


def _escape_run(text: str, in_every_engine: bool) -> str:
    if in_every_engine:
        return "".join(SYMBOLS.get(character, character) for character in text)
    return rf"\ifdefined\Umathcode {text}\else {'?' * len(text)}\fi{{}}"


LATEX = Format("latex", ".tex", write, "tables with booktabs")
