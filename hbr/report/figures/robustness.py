"""mAP when queries are perturbed, by the strength of the perturbation."""

import math
from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hbr.compare.model import Report, Series
from hbr.compare.table import plain
from hbr.core.target import EvaluationTarget, folder_name
from hbr.report.figures import style
from hbr.report.figures.cells import by_encoder, colours, value
from hbr.report.figures.drawing import Drawing, tell

Curve = list[tuple[float, float]]  # strength, mAP

CAPTION = (
    "{} on {}: mAP when queries are perturbed, by the strength of the perturbation, means over "
    "seeds; at 0 stand the clean queries."
)


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield a figure for each encoder on each data set that was perturbed."""
    for (dataset, encoder), clean in by_encoder(report.series).items():
        perturbed = [
            cell
            for cell in report.perturbed
            if (EvaluationTarget.parse(cell.dataset).dataset, cell.encoder) == (dataset, encoder)
        ]
        if perturbed:
            name = f"robustness-{folder_name(dataset)}-{encoder}"
            caption = CAPTION.format(encoder, dataset)
            yield Drawing(name, "Robustness", caption, draw(clean, perturbed), dataset, encoder)


@style.paper_style()
def draw(clean: Sequence[Series], perturbed: Sequence[Series]) -> Figure:
    """Draw mAP over the strength of each perturbation: a panel each, a line a sampler.

    All are of one data set and encoder; mAP is that in the pool, or else within languages.
    """
    pooled = any(not math.isnan(value(cell, "multi", "map")) for cell in clean)
    setting = "multi" if pooled else "mono"
    curves, colour = _curves(clean, perturbed, setting), colours(clean)
    columns = min(4, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(style.DOUBLE, 0.3 + 1.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (perturbation, lines) in zip(panels.flat, curves.items(), strict=False):
        for name, curve in lines.items():
            if curve:
                (line,) = axes.plot(
                    *zip(*curve, strict=True), color=colour[name], marker=".", ms=4, lw=1
                )
                values = ", ".join(f"{plain(y, 3)} at {x:g}" for x, y in curve)
                tell(line, f"{name}, {perturbation}: {values}")
        axes.set_title(perturbation)
        axes.set_ylim(bottom=0)
        style.set_ticks(axes.xaxis, 4)
        style.set_ticks(axes.yaxis)
    style.hide_empty(panels)
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{setting} mAP")
    for axes in panels[-1]:
        axes.set_xlabel("strength")
    drawn = {name for lines in curves.values() for name in lines}
    names = [cell.name for cell in clean if cell.name in drawn]
    handles = [Line2D([], [], color=colour[name], marker=".", label=name) for name in names]
    style.add_legend(figure, handles)
    return figure


def _curves(
    clean: Sequence[Series], perturbed: Sequence[Series], setting: str
) -> dict[str, dict[str, Curve]]:
    """Return perturbation -> name of a cell -> its curve, from the clean queries on."""
    start = {cell.name: value(cell, setting, "map") for cell in clean}
    curves: dict[str, dict[str, Curve]] = {}
    for cell in perturbed:
        name, _, strength = EvaluationTarget.parse(cell.dataset).perturbation.rpartition(":")
        curve = curves.setdefault(name, {}).setdefault(
            cell.name, [(0.0, start.get(cell.name, math.nan))]
        )
        curve.append((float(strength), value(cell, setting, "map")))
    return {
        name: {
            cell: [point for point in sorted(curve) if not math.isnan(point[1])]
            for cell, curve in lines.items()
        }
        for name, lines in curves.items()
    }
