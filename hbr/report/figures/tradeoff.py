"""Monolingual against cross-lingual and multilingual retrieval, coloured by language bias."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hbr.compare.model import Report, Series
from hbr.compare.table import plain
from hbr.core.settings import UNTRAINED
from hbr.report.figures import style
from hbr.report.figures.cells import by_encoder, markers, value
from hbr.report.figures.drawing import Drawing, tell

SETTINGS = ("cross", "multi")  # of the upper and the lower panels
GREY = "#bbbbbb"
CAPTION = (
    "Monolingual against cross-lingual and multilingual retrieval, means over seeds{}. The line "
    "joins the samplers in order of α, the share of monolingual batches. Where an untrained "
    "encoder is far off the others, these are drawn larger in a frame. Of centred vectors only "
    "those of untrained encoders are shown."
)
SEEDS = ", with their standard deviations"
INSET = (0.44, 0.1, 0.54, 0.46)  # x, y, width, height: below the line from untrained to trained


class Point(NamedTuple):
    """A cell of a study in one panel."""

    cell: Series
    setting: str  # of y
    x: float
    y: float

    @property
    def deviations(self) -> tuple[float, float]:
        """Those of x and y over seeds, 0 of one."""
        of = self.cell.deviations
        return of.get("mono", {}).get("map", 0.0), of.get(self.setting, {}).get("map", 0.0)

    def xs(self) -> tuple[float, float]:
        """Return the ends of the deviation of x."""
        return self.x - self.deviations[0], self.x + self.deviations[0]

    def ys(self) -> tuple[float, float]:
        """Return the ends of the deviation of y."""
        return self.y - self.deviations[1], self.y + self.deviations[1]


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield one figure of all encoders and data sets."""
    cells = [c for c in report.series if c.sampler == UNTRAINED or not c.is_centred]
    if any(_points(cells, setting) for setting in SETTINGS):
        caption = CAPTION.format(SEEDS if any(cell.deviations for cell in cells) else "")
        yield Drawing("tradeoff", "Trade-off", caption, draw(cells))


@style.paper_style()
def draw(cells: Sequence[Series]) -> Figure:
    """Draw mono mAP against cross and multi mAP: a point a cell, coloured by rank distance.

    The line joins cells in order of α, their number.
    """
    units = by_encoder(c for c in cells if any(_points([c], setting) for setting in SETTINGS))
    bands, columns = _bands(list(units))
    size = (style.SINGLE if columns == 1 else style.DOUBLE, 0.2 + 3.5 * len(bands))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2 * len(bands), columns, squeeze=False)
    look = markers(cell for unit in units.values() for cell in unit)
    for band, rows in zip(bands, panels.reshape(len(bands), 2, columns), strict=True):
        distances = (value(c, "multi", "rank_distance") for key in band for c in units[key])
        scale = style.colour_scale(distances)
        for key, column in zip(band, rows.T, strict=False):
            column[0].set_title(style.title(key[1], key[0], (dataset for dataset, _ in units)))
            for axes, setting in zip(column, SETTINGS, strict=True):
                _draw_panel(axes, _points(units[key], setting), scale, look)
                axes.set_ylabel(f"{setting} mAP" if key == band[0] else "")
            column[1].set_xlabel("mono mAP")
        if scale:
            style.add_colour_bar(figure, rows, scale, "rank distance (lower is less biased)")
    style.hide_empty(panels)
    handles = [style.legend_marker(mark, "#555555", name) for name, mark in look.items()]
    line = Line2D([], [], color=GREY, lw=0.8, label="numbers: α")
    style.add_legend(figure, [*handles, *([line] if any(map(_by_alpha, units.values())) else [])])
    return figure


def _bands(keys: Sequence[tuple[str, str]]) -> tuple[list[list[tuple[str, str]]], int]:
    """Return the encoders of each data set, as many in a band as fit side by side; and how many."""
    columns = style.columns(len({encoder for _, encoder in keys}))
    bands = []
    for dataset in dict.fromkeys(dataset for dataset, _ in keys):
        alike = [key for key in keys if key[0] == dataset]
        bands += [alike[i : i + columns] for i in range(0, len(alike), columns)]
    return bands or [[]], columns


def _points(cells: Iterable[Series], setting: str) -> list[Point]:
    places = ((c, value(c, "mono", "map"), value(c, setting, "map")) for c in cells)
    points = [Point(cell, setting, x, y) for cell, x, y in places]
    return [point for point in points if not math.isnan(point.x + point.y)]


def _draw_panel(
    axes: Axes, points: Sequence[Point], scale: Normalize | None, look: Mapping[str, str]
) -> None:
    """Draw an encoder's cells; an untrained one far off gets the others a frame of their own."""
    if not points:
        return
    trained = [point for point in points if point.cell.sampler != UNTRAINED]
    if len(trained) > 2 and _is_squashed(trained, points):
        _draw_points(axes, points, points, scale, look, labelled=False)
        inset = axes.inset_axes(INSET)
        inset.spines[:].set(visible=True, color=GREY)
        inset.tick_params(labelsize=5, length=1.5, pad=1)
        _draw_points(inset, trained, points, scale, look)
        axes.indicate_inset_zoom(inset, edgecolor=GREY, lw=0.6)
    else:
        _draw_points(axes, points, points, scale, look)


def _draw_points(
    axes: Axes,
    points: Sequence[Point],
    alike: Sequence[Point],
    scale: Normalize | None,
    look: Mapping[str, str],
    *,
    labelled: bool = True,
) -> None:
    """Draw points with their deviations over seeds, and the line by α; `alike` are all."""
    xs, ys = ([end for p in points for end in ends(p)] for ends in (Point.xs, Point.ys))
    axes.set(xlim=_limits(xs), ylim=_limits(ys))
    style.set_ticks(axes.xaxis, 4)
    style.set_ticks(axes.yaxis)
    line = _by_alpha([point.cell for point in points])
    if line:
        place = {point.cell.name: (point.x, point.y) for point in points}
        axes.plot(*zip(*[place[c.name] for c in line], strict=True), c=GREY, lw=0.8, zorder=1)
    for point in points:
        distance = value(point.cell, "multi", "rank_distance")
        fill = style.COLOUR_MAP(scale(distance)) if scale and not math.isnan(distance) else "white"
        mark: style.Style = {"mec": "#333333", "mew": 0.5, "ms": 5.5, "mfc": fill}
        (drawn,) = axes.plot(
            point.x, point.y, look[point.cell.sampler], zorder=3, clip_on=False, **mark
        )
        tell(drawn, _told(point, distance))
        if any(point.deviations):
            errors: style.Style = {"ecolor": "#333333", "elinewidth": 0.5, "zorder": 2}
            dx, dy = point.deviations
            axes.errorbar(point.x, point.y, dy, dx, ls="", **errors)
        if labelled or point.cell.sampler == UNTRAINED:
            _label(axes, point, alike, line)


def _told(point: Point, distance: float) -> str:
    rank = "" if math.isnan(distance) else f", rank distance {plain(distance, 0)}"
    cell = point.cell
    return (
        f"{cell.encoder}, {cell.name}, {cell.dataset}: mono {plain(point.x, 3)}, "
        f"{point.setting} {plain(point.y, 3)}{rank}"
    )


def _label(axes: Axes, point: Point, points: Sequence[Point], line: Sequence[Series]) -> None:
    """Write α, or what tells a cell from others of its sampler."""
    cell = point.cell
    alike = [other.cell.name for other in points if other.cell.sampler == cell.sampler]
    label = cell.name.removeprefix(cell.sampler).strip(" ,·") if len(alike) > 1 else ""
    if cell in line:
        label = style.short(cell.alpha or 0.0)
    elif cell.sampler == UNTRAINED:
        label = "centred" if cell.is_centred else cell.name
    below = cell not in line and alike.index(cell.name) % 2
    left = len(label) > 4 and point.x > sum(axes.get_xlim()) / 2
    axes.annotate(
        label,
        (point.x, point.y),
        (-4.5 if left else 4.5, -8 if below else 3.5),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=6,
    )


def _by_alpha(cells: Iterable[Series]) -> list[Series]:
    """Return the cells that have an α in its order, none where α alone does not tell them apart."""
    line = sorted((c for c in cells if c.alpha is not None), key=lambda cell: cell.alpha or 0.0)
    return line if len({cell.alpha for cell in line}) == len(line) > 2 else []


def _is_squashed(trained: Sequence[Point], points: Sequence[Point]) -> bool:
    """Return whether the trained points would have little room among all."""

    def is_squashed(ends: Callable[[Point], tuple[float, float]]) -> bool:
        some, every = ([end for p in part for end in ends(p)] for part in (trained, points))
        return bool(np.ptp(every) > 2.5 * np.ptp(some))

    return is_squashed(Point.xs) or is_squashed(Point.ys)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits of an axis with room around its values."""
    low, high = min(values), max(values)
    pad = 0.16 * (high - low) or 0.05
    return max(0.0, low - pad), high + pad
