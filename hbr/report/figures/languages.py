"""mAP by the language of the query."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hbr.compare.model import Report, Series
from hbr.compare.table import plain
from hbr.core.target import folder_name
from hbr.report.figures import style
from hbr.report.figures.cells import by_encoder, colours, has_values
from hbr.report.figures.drawing import Drawing, tell


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield a figure for each encoder on each data set."""
    cells = [cell for cell in report.series if has_values(cell.by_language)]
    for (dataset, encoder), unit in by_encoder(cells).items():
        caption = f"{encoder} on {dataset}: mAP by the language of the query, means over seeds"
        several = any(cell.by_language_deviations for cell in unit)
        caption += ", and their standard deviations." if several else "."
        name = f"languages-{folder_name(dataset)}-{encoder}"
        yield Drawing(name, "Languages", caption, draw(unit), dataset, encoder)


@style.paper_style()
def draw(series: Sequence[Series]) -> Figure:
    """Draw bars of mAP by query language: a panel a setting, a colour a sampler.

    All are of one data set and encoder.
    """
    panels = [
        (setting, cells)
        for setting in ("mono", "cross", "multi")
        if (cells := [cell for cell in series if cell.by_language.get(setting)])
    ]
    colour = colours([cell for _, cells in panels for cell in cells])
    size = (style.DOUBLE, 0.25 + 1.25 * max(1, len(panels)))
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(max(1, len(panels)), squeeze=False)[:, 0]
    for axes, (setting, cells) in zip(rows, panels, strict=False):
        order = list(dict.fromkeys(lang for c in cells for lang in c.by_language[setting]))
        width = 0.84 / len(cells)
        for number, cell in enumerate(cells):
            at = np.arange(len(order)) + (number - (len(cells) - 1) / 2) * width
            values = [cell.by_language[setting].get(lang, math.nan) for lang in order]
            bars = axes.bar(at, values, width * 0.92, color=colour[cell.name])
            spread = cell.by_language_deviations.get(setting, {})
            for bar, lang, value in zip(bars, order, values, strict=True):
                sd = f" ± {plain(spread[lang], 3)}" if lang in spread else ""
                tell(bar, f"{cell.name}, {setting} {lang}: {plain(value, 3)}{sd}")
            if spread:
                errors = [spread.get(lang, 0.0) for lang in order]
                axes.errorbar(at, values, errors, ls="", ecolor="#333333", elinewidth=0.6)
        axes.set_xticks(range(len(order)), order)
        axes.tick_params(axis="x", length=0)
        axes.set(xlim=(-0.6, len(order) - 0.4), ylabel=f"{setting} mAP")
        style.set_ticks(axes.yaxis)
    rows[-1].set_xlabel("query language")
    style.add_legend(figure, [Patch(color=shade, label=name) for name, shade in colour.items()])
    return figure
