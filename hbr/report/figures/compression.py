"""Quality and bias against the bytes of a vector."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hbr.compare.compression import share_kept
from hbr.compare.model import Report, Series
from hbr.core.target import EvaluationTarget, folder_name
from hbr.report.figures import style
from hbr.report.figures.cells import by_encoder, colours, value
from hbr.report.figures.drawing import Drawing, tell

CAPTION = (
    "{} on {}: what is left when vectors are cut (circles) or quantized too (squares int8, "
    "triangles binary), by their bytes; means over seeds. The panel on the right compares what "
    "queries in languages of high and of low resources keep of the mAP of whole vectors."
)
SHAPES = {"int8": "s", "binary": "^"}
LINES = {"high": "-", "low": "--"}


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield a figure for each encoder on each data set with compressed vectors."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for (shown, encoder), cells in by_encoder(report.compressed).items():
        dataset = str(replace(EvaluationTarget.parse(shown), compression=None))
        groups.setdefault((dataset, encoder), []).extend(cells)
    for (dataset, encoder), cells in groups.items():
        name = f"compression-{folder_name(dataset)}-{encoder}"
        caption = CAPTION.format(encoder, dataset)
        yield Drawing(name, "Compression", caption, draw(cells), dataset, encoder)


@style.paper_style()
def draw(cells: Sequence[Series]) -> Figure:
    """Draw mAP, rank distance, and what is kept by resources, over bytes: a line a sampler.

    All are of one data set and encoder, whole vectors among them.
    """
    pooled = any(not math.isnan(value(cell, "multi", "map")) for cell in cells)
    setting, colour = "multi" if pooled else "mono", colours(cells)
    figure = Figure(figsize=(style.DOUBLE, 2.2), layout="constrained")
    panels = figure.subplots(1, 3)
    named: dict[str, list[Series]] = {}
    for cell in sorted(cells, key=lambda cell: cell.bytes_per_vector):
        named.setdefault(cell.name, []).append(cell)
    for name, points in named.items():
        quality = [(c, value(c, setting, "map")) for c in points]
        distance = [(c, value(c, "multi", "rank_distance")) for c in points]
        _line(panels[0], quality, colour[name])
        _line(panels[1], distance, colour[name])
        maps = [c.by_language.get(setting, {}) for c in points]  # those of whole vectors are last
        for tier, look in LINES.items():
            kept = [share_kept(maps[-1], of_cell, tier) for of_cell in maps]
            _line(panels[2], list(zip(points, kept, strict=True)), colour[name], look)
    heads = f"{setting} mAP", "rank distance", "share of mAP kept"
    for axes, head in zip(panels, heads, strict=True):
        axes.set_title(head)
        axes.set_xscale("log", base=2)
        axes.set_xlabel("bytes a vector")
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        style.set_ticks(axes.yaxis)
    handles = [Line2D([], [], color=colour[name], marker=".", label=name) for name in named]
    handles += [
        Line2D([], [], color="black", ls=look, label=f"{t} resource") for t, look in LINES.items()
    ]
    handles += [
        Line2D([], [], color="black", ls="", marker=shape, label=kind)
        for kind, shape in SHAPES.items()
    ]
    style.add_legend(figure, handles)
    return figure


def _line(axes: Axes, points: list[tuple[Series, float]], colour: str, look: str = "-") -> None:
    """Draw points by their bytes; those that are only cut are joined."""
    known = [(c, v) for c, v in points if not math.isnan(v)]
    cut = [(c.bytes_per_vector, v) for c, v in known if not _quantized(c)]
    if cut:
        (line,) = axes.plot(*zip(*cut, strict=True), look, color=colour, marker=".", ms=4, lw=1)
        values = ", ".join(f"{v:,.3g} in {size:,} bytes" for size, v in cut)
        tell(line, f"{known[0][0].name}: {values}")
    for c, v in known:
        if kind := _quantized(c):
            fill = colour if look == "-" else "none"
            shape: style.Style = {
                "marker": SHAPES[kind],
                "ms": 3.5,
                "ls": "",
                "mfc": fill,
                "color": colour,
            }
            (point,) = axes.plot(c.bytes_per_vector, v, **shape)
            tell(point, f"{c.name}, {kind}: {v:,.3g} in {c.bytes_per_vector:,} bytes")


def _quantized(cell: Series) -> str:
    return next((kind for kind in SHAPES if cell.compression.endswith(kind)), "")
