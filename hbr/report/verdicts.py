"""Verdicts on claims, on the terminal and as Markdown, LaTeX and JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding, Verdict
from hbr.compare.table import digits, plain, signed
from hbr.report.table import escape, markdown

if TYPE_CHECKING:
    import rich.console

STYLE = {SUPPORTED: "green", REFUTED: "red", OPEN: "yellow"}
SIGN = {SUPPORTED: "✓", REFUTED: "✗", OPEN: "?"}
PAGE = 52  # lines of a LaTeX table that still fit a page
HEADS = ("claim", "verdict", "effect [95 %]", "adj. p", "d", "seeds")


def effect(finding: Finding, metric: str) -> str:
    """Write an effect, a dash where there is none."""
    return "–" if math.isnan(finding.effect) else signed(finding.effect, digits(metric))


def interval(finding: Finding, metric: str) -> str:
    """Write the 95 % interval of an effect, `[+.008, +.016]`, nothing where there is none."""
    bounds = (signed(value, digits(metric)) for value in (finding.low, finding.high))
    return "" if math.isnan(finding.low + finding.high) else f"[{', '.join(bounds)}]"


def p_text(p: float) -> str:
    """Write a p, small ones as a bound."""
    return "–" if math.isnan(p) else "< .001" if p < 0.001 else plain(p, 3)


def sentence(verdict: Verdict) -> str:
    """Write what a claim says, and what must be known of its verdict."""
    return f"{verdict.sentence} – {verdict.note}" if verdict.note else verdict.sentence


def to_rich(verdicts: Sequence[Verdict], width: int = 120) -> "rich.console.Group":
    """Return lines for the terminal: every claim, and below it the comparisons that it rests on.

    Where they do not fit, the last columns are left out.
    """
    from rich.console import Group
    from rich.text import Text

    rows = [
        (found.status, f"{_where(found, v)}", *_cells(found, v.metric))
        for v in verdicts
        for found in v.findings
    ]
    heads = ("", "", *HEADS[2:])
    sizes = [max(map(len, column)) for column in zip(heads, *rows, strict=True)][1:]
    while len(sizes) > 2 and sum(sizes) + 2 * len(sizes) + 2 > width:
        sizes.pop()
    lines = [Text(_line(heads[1:], sizes), style="dim")]
    for verdict in verdicts:
        style = STYLE[verdict.status]
        status = f"{SIGN[verdict.status]} {verdict.status:<9}  "
        note = (f" – {verdict.note}", "dim") if verdict.note else ""
        lines.append(Text.assemble((status, style), (verdict.sentence, "bold"), note))
        for found in verdict.findings:
            shown = (_where(found, verdict), *_cells(found, verdict.metric))
            sign = (f"  {SIGN[found.status]}", STYLE[found.status])
            lines.append(Text.assemble(sign, _line(shown, sizes)[3:]))
    return Group(*lines)


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    label, *others = (
        f"{c:{'<' if i == 0 else '>'}{n}}"
        for i, (c, n) in enumerate(zip(cells, sizes, strict=False))
    )
    return "  ".join(["   ", label, *others])[1:]


def to_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return a GitHub table, and nothing where there is no claim."""
    if not verdicts:
        return ""
    lines: list[tuple[str, ...]] = [HEADS, ("---", "---", "---:", "---:", "---:", "---:")]
    for verdict in verdicts:
        lines.append((f"**{sentence(verdict)}**", f"**{verdict.status}**", "", "", "", ""))
        for found in verdict.findings:
            where = f"· {_where(found, verdict)}"
            lines.append((where, found.status, *_cells(found, verdict.metric)))
    return "### Claims\n\n" + markdown(lines)


def to_latex(verdicts: Sequence[Verdict], statistics: str = "") -> str:
    """Return a booktabs table of the verdicts, and nothing where there is no claim.

    `statistics` says how they were reached.
    """
    if not verdicts:
        return ""
    tables: list[list[str]] = [[]]
    for verdict in verdicts:
        lines = _tex_lines(verdict)
        if tables[-1] and len(tables[-1]) + len(lines) > PAGE:
            tables.append([])
        tables[-1] += lines
    count = len(tables)
    which = [f" ({number} of {count})" if count > 1 else "" for number in range(1, count + 1)]
    captions = [f"Claims and verdicts{own}. {statistics}" for own in which]
    return "\n".join(map(_tex_table, tables, captions))


def _tex_lines(verdict: Verdict) -> list[str]:
    said = rf"\multicolumn{{5}}{{p{{0.78\linewidth}}}}{{{escape(sentence(verdict))}}}"
    lines = [rf"{said} & \textbf{{{verdict.status}}} \\"]
    for found in verdict.findings:
        cells = [_where(found, verdict), *_cells(found, verdict.metric), found.status]
        lines.append(r"\quad " + " & ".join(map(escape, cells)) + r" \\")
    return [*lines, r"\addlinespace"]


def _tex_table(lines: Sequence[str], caption: str) -> str:
    heads = ["claim", *HEADS[2:], "verdict"]
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering\footnotesize",
            r"\begin{tabular}{lrrrrl}",
            r"\toprule",
            " & ".join(map(escape, heads)) + r" \\",
            r"\midrule",
            *lines[:-1],
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape(caption)}}}",
            r"\end{table}",
            "",
        ]
    )


def to_plain(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts as JSON-like values, every number in full."""
    return [_without_nan(asdict(verdict)) for verdict in verdicts]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _where(found: Finding, verdict: Verdict) -> str:
    several = len({other.dataset for other in verdict.findings}) > 1
    shown = f"{found.dataset}, {found.label}" if several else found.label
    known = found.note in ("", found.label) or _is_common(found, verdict)
    return shown if known else f"{shown} ({found.note})"


def _is_common(found: Finding, verdict: Verdict) -> bool:
    """Return whether a note is that of all findings, and stands with the claim itself."""
    return found.note in verdict.note and all(f.note == found.note for f in verdict.findings)


def _cells(found: Finding, metric: str) -> tuple[str, ...]:
    d = "–" if math.isnan(found.d) else signed(found.d, 2)
    shown = f"{effect(found, metric)} {interval(found, metric)}".strip()
    return shown, p_text(found.adjusted), d, str(found.seeds or "–")
