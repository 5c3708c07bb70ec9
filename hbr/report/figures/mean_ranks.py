"""Language bias: the mean rank of relevant passages by the languages of query and passage."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hbr.compare.model import Report, Series
from hbr.core.target import folder_name
from hbr.report.figures import style
from hbr.report.figures.cells import by_encoder, has_values
from hbr.report.figures.drawing import Drawing, tell

LIGHT, DARK = "#fefefe", "#010101"  # on squares: neither the paper nor the ink of a page
CAPTION = (
    "{} on {}: mean rank of the relevant passage in the pool of all languages, by the languages of "
    "query and passage. An encoder without language bias has even rows."
)


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield a figure for each encoder on each data set."""
    cells = [cell for cell in report.series if has_values(cell.mean_rank)]
    for (dataset, encoder), unit in by_encoder(cells).items():
        name = f"ranks-{folder_name(dataset)}-{encoder}"
        caption = CAPTION.format(encoder, dataset)
        yield Drawing(name, "Language bias", caption, draw(unit), dataset, encoder)


@style.paper_style()
def draw(series: Sequence[Series]) -> Figure:
    """Draw the mean ranks of cells on one data set side by side, in one scale of colours."""
    cells = [cell for cell in series if has_values(cell.mean_rank)]
    most = max([max(_ranks(cell).shape) for cell in cells], default=1)
    columns = style.columns(len(cells))
    width = style.SINGLE if columns == 1 and most <= 12 else style.DOUBLE
    side, rows = (width - 0.9) / columns - 0.25, math.ceil(len(cells) / columns) or 1
    figure = Figure(figsize=(width, rows * (side + 0.43) + 0.25), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    scale = style.colour_scale((rank for cell in cells for rank in _ranks(cell).flat), LogNorm)
    for number, (axes, cell) in enumerate(zip(panels.flat, cells, strict=False)):
        _draw_heat_map(axes, cell, scale, side / most)
        axes.set_title(f"{cell.encoder} · {cell.name}")
        axes.set_ylabel("query language" if number % columns == 0 else "")
        axes.set_xlabel("passage language" if number + columns >= len(cells) else "")
    style.hide_empty(panels)
    if scale:
        style.add_colour_bar(figure, panels, scale, "mean rank (log scale, 1 is first)")
    return figure


def _draw_heat_map(axes: Axes, cell: Series, scale: Any, inches: float) -> None:
    """Draw one heat map; numbers stand in squares of at least .2 inches."""
    queries, passages, ranks = list(cell.mean_rank), _passage_languages(cell), _ranks(cell)
    colours = {"norm": scale, "cmap": style.COLOUR_MAP}
    axes.pcolormesh(np.ma.masked_invalid(ranks), ec="white", lw=0.3, **colours)
    axes.set(aspect="equal", facecolor="#e6e6e6")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    size = max(4.5, min(6.5, inches * 45))
    axes.set_xticks(np.arange(len(passages)) + 0.5, passages, fontsize=size)
    axes.set_yticks(np.arange(len(queries)) + 0.5, queries, fontsize=size)
    axes.tick_params(length=0, pad=2)
    crowded = inches < 0.15 or any(len(language) > 3 for language in passages)
    axes.tick_params(axis="x", rotation=90 if crowded else 0)
    for (row, column), rank in np.ndenumerate(ranks):
        if math.isnan(rank):
            continue
        square = axes.add_patch(Rectangle((column, row), 1, 1, fc="none", ec="none"))
        pair = f"{queries[row]} → {passages[column]}"
        tell(square, f"{cell.name}, {pair}: mean rank {_compact(rank)}")
        if inches >= 0.2:
            text: style.Style = {"ha": "center", "va": "center", "fontsize": inches * 21}
            text["color"] = LIGHT if scale(rank) < 0.55 else DARK
            axes.text(column + 0.5, row + 0.5, _compact(rank), **text)


def _passage_languages(cell: Series) -> list[str]:
    """Return the passage languages: those of the queries first, in their order."""
    languages = dict.fromkeys(lang for ranks in cell.mean_rank.values() for lang in ranks)
    both = [language for language in cell.mean_rank if language in languages]
    return list(dict.fromkeys([*both, *languages]))


def _ranks(cell: Series) -> Any:
    """Return the mean ranks as an array: # (query languages, passage languages)."""
    passages = _passage_languages(cell)
    rows = [[ranks.get(p, math.nan) for p in passages] for ranks in cell.mean_rank.values()]
    return np.array(rows, dtype=float).reshape(len(rows), len(passages))


def _compact(rank: float) -> str:
    """Write a rank in at most four characters."""
    return f"{rank:.1f}" if rank < 9.95 else f"{rank:.0f}" if rank < 999.5 else f"{rank / 1e3:.1f}k"
