"""A forest plot of the claims: the difference of every comparison with its 95 % interval."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from hbr.compare.model import STATUSES, Finding, Report, Verdict
from hbr.compare.table import digits
from hbr.core.target import Measure
from hbr.report.figures import style
from hbr.report.figures.drawing import Drawing, tell
from hbr.report.findings import FAR, effect, interval, sentence

CAPTION = (
    "What the claims rest on: each comparison's difference with its 95 % interval, and as a short "
    "upright line the bound that it must lie beyond, where that is not 0. A claim holds only if "
    "all of its comparisons do."
)
AXIS = {  # by whether the metric is in ranks, not a fraction
    False: "difference in the metric (1 is its whole scale)",
    True: "difference in ranks (below 0: less biased)",
}
ABOVE, BELOW, LINE = 0.3, 0.48, 0.15  # inches: above and below a panel, and a line of text


class Line(NamedTuple):
    """A claim or one of its comparisons, with its text wrapped and its metric."""

    text: str
    entry: Verdict | Finding
    metric: str

    @property
    def height(self) -> float:
        """Height in lines of text; an empty line before it counts half."""
        return self.text.count("\n") + (0.5 if self.text.startswith("\n") else 1)


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield one figure of all claims, if any comparison was made."""
    if any(not math.isnan(f.effect) for verdict in report.verdicts for f in verdict.findings):
        yield Drawing("effects", "Effects", CAPTION, draw(report.verdicts))


@style.paper_style()
def draw(verdicts: Sequence[Verdict]) -> Figure:
    """Draw every comparison's effect with its 95 % interval, by claim.

    Metrics that are fractions and those in ranks have a panel each.
    """
    panels: dict[bool, list[Line]] = {False: [], True: []}
    for verdict in verdicts:
        panels[Measure.parse(verdict.metric).decimals == 0].extend(_lines(verdict))
    panels = {in_ranks: lines for in_ranks, lines in panels.items() if lines}
    heights = {key: sum(line.height for line in lines) * LINE for key, lines in panels.items()}
    total = ABOVE + sum(heights.values()) + BELOW * max(1, len(heights))
    figure, top = Figure(figsize=(style.DOUBLE, total)), total - ABOVE
    for in_ranks, height in heights.items():
        box = (2.75 / style.DOUBLE, (top - height) / total, 2.65 / style.DOUBLE, height / total)
        axes = figure.add_axes(box)
        axes.set(ylim=(-height / LINE, 0), yticks=[], xlabel=AXIS[in_ranks])
        axes.spines["left"].set_visible(False)
        style.set_ticks(axes.xaxis, 6)
        _draw_lines(figure, axes, panels[in_ranks])
        if axes.has_data():
            axes.axvline(0, color="#333333", lw=0.7, zorder=1)
        else:  # none of it was run
            axes.set_axis_off()
        top -= height + BELOW
    shown = {finding.status for verdict in verdicts for finding in verdict.findings}
    handles = [
        style.legend_marker(status.marker, status.colour, status)
        for status in STATUSES
        if status in shown
    ]
    figure.legend(handles=handles, loc="upper left", ncols=3, borderaxespad=0.3)
    return figure


def _lines(verdict: Verdict) -> Iterator[Line]:
    """Yield the lines of a claim: its sentence, then its comparisons."""
    text = "\n" + "\n".join(textwrap.wrap(sentence(verdict).replace("$", r"\$"), 105))
    yield Line(text, verdict, verdict.metric)
    several = len({finding.dataset for finding in verdict.findings}) > 1
    for finding in verdict.findings:
        text = f"{finding.label} · {finding.dataset}" if several else finding.label
        wrapped = "\n".join(textwrap.wrap(text, 50, break_on_hyphens=False))
        yield Line(wrapped, finding, verdict.metric)


def _draw_lines(figure: Figure, axes: Axes, lines: Sequence[Line]) -> None:
    place = blended_transform_factory(figure.dpi_scale_trans, axes.transData)
    text: style.Style = {"transform": place, "va": "center", "fontsize": 6.2}
    findings = [line.entry for line in lines if isinstance(line.entry, Finding)]
    ends = (abs(end) for f in findings for end in (f.effect, f.low, f.high))
    far = max((end for end in ends if end <= FAR[digits(lines[0].metric) > 0]), default=1.0)
    y = 0.0
    for line in lines:
        middle = y - (line.height + (0.5 if line.text.startswith("\n") else 0)) / 2
        y -= line.height
        if isinstance(line.entry, Verdict):
            _draw_claim(axes, line.text.strip(), line.entry, middle, text)
        else:
            _draw_comparison(axes, line, line.entry, middle, text, far)


def _draw_claim(axes: Axes, text: str, verdict: Verdict, y: float, look: style.Style) -> None:
    bold: style.Style = look | {"fontweight": "bold", "zorder": 4}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(0.08, y, text, bbox=box, **bold)
    status = verdict.status
    axes.text(style.DOUBLE - 0.08, y, status, ha="right", color=status.colour, **bold)


def _draw_comparison(
    axes: Axes, line: Line, finding: Finding, y: float, look: style.Style, far: float
) -> None:
    """Draw an effect and its interval, which ends where no effect is so large."""
    axes.text(0.2, y, line.text, color="#333333", **look)
    numbers = f"{effect(finding, line.metric)} {interval(finding, line.metric)}".rstrip()
    known = not math.isnan(finding.effect)
    none = "not run" if finding.missing else "no value"
    text, ink = (numbers, "black") if known else (none, "#767676")
    axes.text(style.DOUBLE - 0.08, y, text, ha="right", color=ink, **look)
    if known:
        colour, marker = finding.status.colour, finding.status.marker
        if any(finding.bounds):
            for bound in finding.bounds:
                axes.plot([bound] * 2, [y - 0.45, y + 0.45], color="#333333", lw=0.8, zorder=3)
        ends = [max(finding.low, -far), min(finding.high, far)]
        axes.plot(ends, [y, y], color=colour, lw=1.2, zorder=2)
        (point,) = axes.plot(finding.effect, y, marker, color=colour, ms=4, mec="white", mew=0.4)
        tell(point, f"{finding.label}, {finding.dataset}: {numbers}, {finding.status}")
