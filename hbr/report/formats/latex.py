"""A report as LaTeX tables that fit the text of `article`, in one column or two."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hbr.compare.model import Report, Verdict
from hbr.compare.table import Cell, Table, digits, name, plain
from hbr.report.findings import HEADS, comparison, numbers, sentence
from hbr.report.formats import Format

PLACE = {0: r"\textbf{{{}}}", 1: r"\underline{{{}}}", None: "{}"}
LINES_PER_PAGE = 54
PREAMBLE = r"% Needs \usepackage{booktabs}. In a text of two columns, a table* spans both."
TEXT_WIDTH = 345  # points: of `article` in one column, the narrower one
CHARACTER, SMALL, BETWEEN = 4.3, 3.6, 6  # points: in \footnotesize, in \tiny, between columns
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
    tables = [to_latex(table, f"tab:{n}") for n, table in enumerate(report.tables, 1)]
    parts = [*tables, claims(report.verdicts, report.statistics)]
    kept = [part for part in parts if part]
    return "\n".join([PREAMBLE, *kept]) if kept else ""


def to_latex(table: Table, label: str = "tab:results") -> str:
    """Return a table: best bold, second underlined, daggers; the columns of a setting together.

    Columns that do not fit beside the others stand below them, with the names of the rows again.
    """
    settings = list(dict.fromkeys(setting for setting, _ in table.columns))
    places = range(len(table.columns))
    table = table.with_columns(sorted(places, key=lambda i: settings.index(table.columns[i][0])))
    notes = " ".join(_sentence(n) for n in (table.title, table.protocol, *table.notes) if n)
    tabulars = [_part(table.with_columns(part)) for part in _parts(table)]
    return _float(tabulars, notes, label, r"\footnotesize\setlength{\tabcolsep}{3pt}")


def _parts(table: Table) -> list[list[int]]:
    """Return the places of the columns that fit side by side, about equally many in each part."""
    lines = table.lines()
    labels = len(lines[0]) - len(table.columns)
    longest = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    left = TEXT_WIDTH - sum(CHARACTER * n + BETWEEN for n in longest[:labels])
    widths = [
        max(_width(row.cells[i], metric) for row in table.rows) if table.rows else 0.0
        for i, (_, metric) in enumerate(table.columns)
    ]
    most = max(1, int(left / max([1.0, *widths])))
    parts = math.ceil(len(widths) / most) or 1
    size = math.ceil(len(widths) / parts) or 1
    places = list(range(len(widths)))
    return [places[at : at + size] for at in places[::size]] or [[]]


def _width(cell: Cell, metric: str) -> float:
    """Return about how wide a cell is, in points."""
    mean = CHARACTER * len(replace(cell, sd=None).text(metric))
    spread = 0 if cell.sd is None else SMALL * (len(plain(cell.sd, digits(metric))) + 2)
    return max(mean + spread, CHARACTER * len(name(metric))) + BETWEEN


def _part(table: Table) -> str:
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
    columns = f"{'l' * (labels - 1)}r{'r' * len(metrics)}"
    head = [*_setting_heads(table, labels), _row(heads)]
    return _tabular(columns, head, body)


def claims(verdicts: Sequence[Verdict], statistics: str = "") -> str:
    """Return tables of claims and their comparisons, and nothing where there is no claim.

    `statistics` says how the claims were tested. No table is longer than a page.
    """
    pages: list[list[str]] = []
    height = 0
    for verdict in verdicts:
        height += _height(verdict)
        if not pages or height > LINES_PER_PAGE:
            pages.append([])
            height = _height(verdict)
        pages[-1] += _claim(verdict)
    head = [_row(map(escape, ("claim", *HEADS[2:], "verdict")))]
    tables = []
    for number, page in enumerate(pages, 1):
        part = f" ({number} of {len(pages)})" if len(pages) > 1 else ""
        caption = f"Claims and verdicts{part}. {statistics}"
        columns = f"p{{.31\\linewidth}}{'r' * (len(HEADS) - 2)}p{{.13\\linewidth}}"
        tabular = _tabular(columns, head, page[:-1])
        label = f"tab:claims{number if len(pages) > 1 else ''}"
        layout = r"\scriptsize\setlength{\tabcolsep}{2pt}"
        tables.append(_float([tabular], caption, label, layout))
    return "\n".join(tables)


def _height(verdict: Verdict) -> int:
    """Return about how many lines of a page a claim and its comparisons take, space included."""
    labels = [comparison(finding, verdict) for finding in verdict.findings]
    wrapped = [len(sentence(verdict)) / 80, *(len(label) / 24 for label in labels)]
    return sum(map(math.ceil, wrapped)) + 1


def _claim(verdict: Verdict) -> list[str]:
    """Return the lines of a claim; the last one is the space behind it."""
    text = (
        rf"\multicolumn{{{len(HEADS) - 1}}}{{p{{0.78\linewidth}}}}{{{escape(sentence(verdict))}}}"
    )
    lines = [_row([text, rf"\textbf{{{verdict.status}}}"])]
    for finding in verdict.findings:
        cells = [comparison(finding, verdict), *numbers(finding, verdict.metric), finding.status]
        lines.append(r"\raggedright\quad " + _row(map(escape, cells)))
    return [*lines, r"\addlinespace"]


def _float(tabulars: Sequence[str], caption: str, label: str, layout: str) -> str:
    lines = [
        r"\begin{table*}[t]",
        rf"\centering{layout}",
        "\n\\par\\medskip\n".join(tabulars),
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{{label}}}",
        r"\end{table*}",
        "",
    ]
    return "\n".join(lines)


def _tabular(columns: str, head: Sequence[str], body: Sequence[str]) -> str:
    lines = (r"\toprule", *head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}")
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *lines])


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


LATEX = Format("latex", ".tex", write)
