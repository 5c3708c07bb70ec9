"""The figures of a report: plain values in, matplotlib figures out, at the widths of papers.

Nothing here touches pyplot or leaves a setting of matplotlib changed.
"""

import hashlib
import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from matplotlib.transforms import blended_transform_factory

from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding, Series, Verdict
from hbr.compare.table import plain
from hbr.core.settings import UNTRAINED
from hbr.core.target import EvaluationTarget
from hbr.report.verdicts import effect, interval, sentence

Line = Sequence[tuple[int, float]]
Style = dict[str, Any]

SINGLE, DOUBLE = 3.3, 6.9  # inches: one column of a paper, and two
SAMPLER_COLOURS = {  # Okabe and Ito's, which most colour-blind readers can tell apart
    **{"untrained": "#999999", "monolingual": "#0072B2", "cross-lingual": "#E69F00"},
    **{"hybrid": "#009E73", "mixed": "#CC79A7", "english": "#56B4E9"},
}
OTHER_COLOURS = ("#D55E00", "#000000", "#F0E442")
MARKERS = {
    **{"untrained": "X", "monolingual": "s", "cross-lingual": "^", "hybrid": "o"},
    **{"mixed": "D", "english": "v"},
}
STATUS = {SUPPORTED: ("#009E73", "o"), REFUTED: ("#D55E00", "X"), OPEN: ("#767676", "D")}
COLOURS = matplotlib.colormaps["cividis"]
STYLE: Any = {
    **{"font.family": "DejaVu Sans", "font.size": 7, "axes.titlesize": 7.5, "axes.labelsize": 7},
    **{"xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "legend.fontsize": 7},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6},
    **{"xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5},
    **{"ytick.major.size": 2.5, "xtick.minor.size": 0, "ytick.minor.size": 0},
    **{"legend.frameon": False, "legend.handletextpad": 0.5, "legend.columnspacing": 1.4},
    **{"svg.fonttype": "path", "svg.hashsalt": "hbr", "pdf.fonttype": 42, "savefig.dpi": 200},
}
FAMILIES = {
    False: "difference in the metric (1 is its whole scale)",
    True: "difference in ranks (below 0: less biased)",
}


@contextmanager
def _style() -> Iterator[None]:
    """Draw with our settings whatever the user's are, and leave those as they were."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


@_style()
def tradeoff(series: Sequence[Series]) -> Figure:
    """Draw mono mAP against cross and multi mAP: a point a cell, coloured by rank distance.

    The line joins cells in order of α, their number.
    """
    units = grouped(cell for cell in series if drawable(cell))
    encoders = len({encoder for _, encoder in units})
    per_row = {0: 1, 1: 1, 2: 2, 4: 2}.get(encoders, 3)
    bands = []  # of a data set's encoders, as many as fit side by side
    for dataset in dict.fromkeys(dataset for dataset, _ in units):
        keys = [key for key in units if key[0] == dataset]
        bands += [keys[i : i + per_row] for i in range(0, len(keys), per_row)]
    bands = bands or [[]]
    size = (SINGLE if per_row == 1 else DOUBLE, 0.2 + 3.5 * len(bands))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2 * len(bands), per_row, squeeze=False)
    for band, rows in zip(bands, panels.reshape(len(bands), 2, per_row), strict=True):
        cells = [cell for key in band for cell in units[key]]
        norm = _norm(_value(cell, "multi", "rank_distance") for cell in cells)
        for key, column in zip(band, rows.T, strict=False):
            column[0].set_title(_title(key[1], key[0], units))
            for axes, setting in zip(column, ("cross", "multi"), strict=True):
                _points(axes, units[key], setting, norm)
                axes.set_ylabel(f"{setting} mAP" if key == band[0] else "")
            column[1].set_xlabel("mono mAP")
        if norm:
            _bar(figure, rows, norm, "rank distance (lower is less biased)")
    for axes in panels.flat:
        axes.set_visible(axes.has_data())
    samplers = _samplers(cell for cells in units.values() for cell in cells)
    handles = [_handle(MARKERS.get(sampler, "P"), "#555555", sampler) for sampler in samplers]
    line = Line2D([], [], color="#bbbbbb", lw=0.8, label="numbers: α")
    _legend(figure, [*handles, *([line] if any(map(_by_alpha, units.values())) else [])])
    return figure


def _points(axes: Axes, cells: Sequence[Series], setting: str, norm: Normalize | None) -> None:
    """Draw an encoder's cells; an untrained one far off stands on the frame, with its values."""
    found = [(cell, _value(cell, "mono", "map"), _value(cell, setting, "map")) for cell in cells]
    found = [(cell, x, y) for cell, x, y in found if not math.isnan(x + y)]
    if not found:
        return
    trained = [one for one in found if one[0].sampler != UNTRAINED]
    trained = trained if len(trained) > 2 else found
    xs = _frame([x for _, x, _ in trained], [x for _, x, _ in found])
    ys = _frame([y for _, _, y in trained], [y for _, _, y in found])
    axes.set(xlim=xs, ylim=ys)
    _ticks(axes.xaxis, 4)
    _ticks(axes.yaxis)
    line = _by_alpha([cell for cell, _, _ in found])
    places = {cell.name: (x, y) for cell, x, y in found}
    if line:
        axes.plot(*zip(*[places[c.name] for c in line], strict=True), c="#bbbbbb", lw=0.8, zorder=1)
    for cell, x, y in found:
        distance = _value(cell, "multi", "rank_distance")
        fill = COLOURS(norm(distance)) if norm and not math.isnan(distance) else "white"
        at = (min(max(x, xs[0]), xs[1]), min(max(y, ys[0]), ys[1]))
        style: Style = {"mec": "#333333", "mew": 0.5, "ms": 5.5, "mfc": fill, "clip_on": False}
        axes.plot(*at, MARKERS.get(cell.sampler, "P"), zorder=3, **style)
        alike = [one.name for one in cells if one.sampler == cell.sampler]
        label = cell.name.removeprefix(cell.sampler).strip(" ,·") if len(alike) > 1 else ""
        label = _short(cell.alpha or 0.0) if cell in line else label
        label = label if at == (x, y) else f"{cell.name}: {plain(x, 2)}, {plain(y, 2)}"
        below = cell not in line and alike.index(cell.name) % 2
        left = len(label) > 4 and at[0] > sum(xs) / 2
        axes.annotate(
            label,
            at,
            (-4.5 if left else 4.5, -8 if below else 3.5),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=6,
        )


def _by_alpha(cells: Iterable[Series]) -> list[Series]:
    """Return the cells that have an α in its order, none where α alone does not tell them apart."""
    line = sorted((c for c in cells if c.alpha is not None), key=lambda cell: cell.alpha or 0.0)
    return line if len({cell.alpha for cell in line}) == len(line) > 2 else []


def _frame(trained: Sequence[float], everything: Sequence[float]) -> tuple[float, float]:
    """Return the limits of an axis: those of all points unless that would squash the trained."""
    low, high = min(trained), max(trained)
    if max(everything) - min(everything) <= 1.8 * (high - low):
        low, high = min(everything), max(everything)
    pad = 0.16 * (high - low) or 0.05
    return max(0.0, low - pad), high + pad


@_style()
def languages(series: Sequence[Series]) -> Figure:
    """Draw bars of mAP by query language: a panel a setting, a colour a sampler."""
    panels = [
        (key, setting, [cell for cell in cells if cell.by_language.get(setting)])
        for key, cells in grouped(series).items()
        for setting in ("mono", "cross", "multi")
    ]
    panels = [panel for panel in panels if panel[2]]
    colours = _colours([cell for _, _, cells in panels for cell in cells])
    figure = Figure(figsize=(DOUBLE, 0.25 + 1.25 * max(1, len(panels))), layout="constrained")
    rows = figure.subplots(max(1, len(panels)), squeeze=False)[:, 0]
    for axes, (key, setting, cells) in zip(rows, panels, strict=False):
        order = list(dict.fromkeys(lang for c in cells for lang in c.by_language[setting]))
        width = 0.84 / len(cells)
        for number, cell in enumerate(cells):
            at = np.arange(len(order)) + (number - (len(cells) - 1) / 2) * width
            values = [cell.by_language[setting].get(lang, math.nan) for lang in order]
            axes.bar(at, values, width * 0.92, color=colours[cell.name])
        axes.set_xticks(range(len(order)), order)
        axes.tick_params(axis="x", length=0)
        axes.set(xlim=(-0.6, len(order) - 0.4), ylabel=f"{setting} mAP")
        _ticks(axes.yaxis)
        if len({key for key, _, _ in panels}) > 1:
            axes.set_title(f"{key[1]} · {key[0]}", loc="left")
    rows[-1].set_xlabel("query language")
    _legend(figure, [Patch(color=colour, label=label) for label, colour in colours.items()])
    return figure


@_style()
def robustness(clean: Sequence[Series], perturbed: Sequence[Series]) -> Figure:
    """Draw mAP over the strength of each perturbation: a panel each, a line a sampler.

    All are of one data set and encoder; mAP is that in the pool, or else within languages.
    """
    pooled = any(not math.isnan(_value(cell, "multi", "map")) for cell in clean)
    setting = "multi" if pooled else "mono"
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    start = {cell.name: (0.0, _value(cell, setting, "map")) for cell in clean}
    for cell in perturbed:
        change, _, strength = EvaluationTarget.parse(cell.dataset).perturbation.rpartition(":")
        points = curves.setdefault(change, {}).setdefault(cell.name, [])
        points.append((float(strength), _value(cell, setting, "map")))
    colours = _colours(clean)
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(DOUBLE, 0.3 + 1.6 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, (change, cells) in zip(panels.flat, curves.items(), strict=False):
        for label, points in cells.items():
            every = [start.get(label, (0.0, math.nan)), *points]
            whole = [point for point in sorted(every) if not math.isnan(point[1])]
            if not whole:
                continue
            axes.plot(*zip(*whole, strict=True), color=colours[label], marker=".", ms=4, lw=1)
        axes.set_title(change)
        axes.set_ylim(bottom=0)
        _ticks(axes.xaxis, 4)
        _ticks(axes.yaxis)
    for axes in panels.flat:
        axes.set_visible(axes.has_data())
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{setting} mAP")
    for axes in panels[-1]:
        axes.set_xlabel("strength")
    lines_of = [Line2D([], [], color=colours[c.name], marker=".", label=c.name) for c in clean]
    _legend(figure, lines_of)
    return figure


def mean_ranks(one: Series) -> Figure:
    """Draw the mean rank of a passage in the pool of all languages, by both languages."""
    return mean_ranks_grid([one])


@_style()
def mean_ranks_grid(several: Sequence[Series]) -> Figure:
    """Draw the mean ranks of several cells side by side, in one scale of colours."""
    cells = [cell for cell in several if np.isfinite(_ranks(cell)).any()]
    most = max([max(_ranks(cell).shape) for cell in cells], default=1)
    columns = {0: 1, 1: 1, 2: 2, 4: 2}.get(len(cells), 3)
    width = SINGLE if columns == 1 and most <= 12 else DOUBLE
    side, down = (width - 0.9) / columns - 0.25, math.ceil(len(cells) / columns) or 1
    figure = Figure(figsize=(width, down * (side + 0.43) + 0.25), layout="constrained")
    panels = figure.subplots(down, columns, squeeze=False)
    norm = _norm((rank for cell in cells for rank in _ranks(cell).flat), LogNorm)
    for number, (axes, cell) in enumerate(zip(panels.flat, cells, strict=False)):
        _heat(axes, cell, norm, side / most)
        axes.set_title(_title(f"{cell.encoder} · {cell.name}", cell.dataset, grouped(cells)))
        axes.set_ylabel("query language" if number % columns == 0 else "")
        axes.set_xlabel("passage language" if number + columns >= len(cells) else "")
    for axes in panels.flat[len(cells) :]:
        axes.set_visible(False)
    if norm:
        _bar(figure, panels, norm, "mean rank (log scale, 1 is first)")
    return figure


def _heat(axes: Axes, cell: Series, norm: Any, inches: float) -> None:
    """Draw one heat map; numbers stand in squares of at least .2 inches."""
    queries, passages, ranks = list(cell.mean_rank), _passages(cell), _ranks(cell)
    axes.pcolormesh(np.ma.masked_invalid(ranks), norm=norm, cmap=COLOURS, ec="white", lw=0.3)
    axes.set(aspect="equal", facecolor="#e6e6e6")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    size = max(4.5, min(6.5, inches * 45))
    axes.set_xticks(np.arange(len(passages)) + 0.5, passages, fontsize=size)
    axes.set_yticks(np.arange(len(queries)) + 0.5, queries, fontsize=size)
    axes.tick_params(length=0, pad=2)
    crowded = inches < 0.15 or any(len(language) > 3 for language in passages)
    axes.tick_params(axis="x", rotation=90 if crowded else 0)
    for (row, column), rank in np.ndenumerate(ranks if inches >= 0.2 else np.empty((0, 0))):
        if not math.isnan(rank):
            style: Style = {"ha": "center", "va": "center", "fontsize": inches * 21}
            style["color"] = "white" if norm(rank) < 0.55 else "black"
            axes.text(column + 0.5, row + 0.5, _compact(rank), **style)


@_style()
def curves(series: Sequence[Series]) -> Figure:
    """Draw training and validation loss by step, means over seeds; a column an encoder.

    A point of training loss is the mean over a tenth of the steps around it.
    """
    cells = [cell for cell in series if any((*cell.losses, *cell.validation))]
    kinds = {
        "training loss\n(running mean)": [(c, _smooth(_mean_line(c.losses))) for c in cells],
        "validation loss": [(c, _mean_line(c.validation)) for c in cells],
    }
    kinds = {kind: lines for kind, lines in kinds.items() if any(line for _, line in lines)}
    encoders, colours = list(dict.fromkeys(c.encoder for c in cells)), _colours(cells)
    size = (SINGLE if len(encoders) < 2 else DOUBLE, 0.25 + 1.6 * max(1, len(kinds)))
    figure = Figure(figsize=size, layout="constrained")
    grid: Style = {"squeeze": False, "sharex": "col", "sharey": "row"}
    panels = figure.subplots(len(kinds) or 1, len(encoders) or 1, **grid)
    for row, (kind, lines) in zip(panels, kinds.items(), strict=False):
        once = {(cell.encoder, cell.name): line for cell, line in lines}  # for all data sets
        for (encoder, label), line in once.items():
            style: Style = {"color": colours[label], "lw": 1, "ms": 2.5}
            style["marker"] = "o" if kind == "validation loss" else ""
            row[encoders.index(encoder)].plot([x for x, _ in line], [y for _, y in line], **style)
        losses = [y for line in once.values() for _, y in line]
        row[0].set_yscale("log" if 0 < 10 * min(losses) < max(losses) else "linear")
        _ticks(row[0].yaxis)
        row[0].set_ylabel(kind)
    for axes, last, encoder in zip(panels[0], panels[-1], encoders, strict=False):
        axes.set_title(encoder)
        last.set_xlabel("step")
        _ticks(last.xaxis)
    _legend(figure, [Patch(color=colour, label=label) for label, colour in colours.items()])
    return figure


@_style()
def claims(verdicts: Sequence[Verdict]) -> Figure:
    """Draw a forest plot: every finding's effect with its 95 % interval, by claim."""
    lines: dict[bool, list[tuple[str, Verdict | Finding]]] = {}  # by whether they are of ranks
    for verdict in sorted(verdicts, key=lambda verdict: verdict.metric == "rank_distance"):
        lines.setdefault(verdict.metric == "rank_distance", []).extend(_lines(verdict))
    above, below, step = 0.3, 0.48, 0.15  # inches
    heights = {ranks: sum(_height(text) for text, _ in own) * step for ranks, own in lines.items()}
    total = above + sum(heights.values()) + below * max(1, len(heights))
    figure, top = Figure(figsize=(DOUBLE, total)), total - above
    for ranks, height in heights.items():
        box = (2.75 / DOUBLE, (top - height) / total, 2.65 / DOUBLE, height / total)
        axes = figure.add_axes(box)
        axes.set(ylim=(-height / step, 0), yticks=[], xlabel=FAMILIES[ranks])
        axes.spines["left"].set_visible(False)
        _ticks(axes.xaxis, 6)
        _forest(figure, axes, lines[ranks], "rank_distance" if ranks else "map")
        if axes.has_data():
            axes.axvline(0, color="#333333", lw=0.7, zorder=1)
        else:  # none of it was run
            axes.set_axis_off()
        top -= height + below
    handles = [_handle(marker, colour, status) for status, (colour, marker) in STATUS.items()]
    figure.legend(handles=handles, loc="upper left", ncols=3, borderaxespad=0.3)
    return figure


def _lines(verdict: Verdict) -> Iterator[tuple[str, Verdict | Finding]]:
    """Return the lines of a claim, their text wrapped: its sentence, then its findings."""
    yield "\n" + "\n".join(textwrap.wrap(sentence(verdict), 105)), verdict
    several = len({found.dataset for found in verdict.findings}) > 1
    for found in verdict.findings:
        text = f"{found.label} · {found.dataset}" if several else found.label
        yield "\n".join(textwrap.wrap(text, 50, break_on_hyphens=False)), found


def _height(text: str) -> float:
    """Return the height of a text in lines; an empty one before it counts half."""
    return text.count("\n") + (0.5 if text.startswith("\n") else 1)


def _forest(
    figure: Figure, axes: Axes, lines: Sequence[tuple[str, Verdict | Finding]], metric: str
) -> None:
    place = blended_transform_factory(figure.dpi_scale_trans, axes.transData)
    style: Style = {"transform": place, "va": "center", "fontsize": 6.2}
    bold: Style = style | {"fontweight": "bold", "zorder": 4}
    right, y = DOUBLE - 0.08, 0.0
    for text, one in lines:
        middle = y - (_height(text) + (0.5 if text.startswith("\n") else 0)) / 2
        y -= _height(text)
        colour, marker = STATUS[one.status]
        if isinstance(one, Verdict):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(0.08, middle, text.strip(), bbox=box, **bold)
            axes.text(right, middle, one.status, ha="right", color=colour, **bold)
            continue
        known = not math.isnan(one.effect)
        axes.text(0.2, middle, text, color="#333333", **style)
        told = f"{effect(one, metric)} {interval(one, metric)}".rstrip()
        written = (told, "black") if known else ("not run", "#767676")
        axes.text(right, middle, written[0], ha="right", color=written[1], **style)
        if known:
            axes.plot([one.low, one.high], [middle, middle], color=colour, lw=1.2, zorder=2)
            axes.plot(one.effect, middle, marker, color=colour, ms=4, mec="white", mew=0.4)


def svg(figure: Figure) -> str:
    """Return a figure to stand inside a page: texts as shapes, ids that no other figure has."""
    out = io.StringIO()
    with _style():
        _lay_out(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text).replace("xlink:href=", "href=")
    own = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(\bid="|\bhref="#|url\(#)', rf"\g<1>{own}-", text)
    return text.replace("<svg ", '<svg style="stroke-linejoin:round" ', 1)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `path` with .png and .pdf added; the same figure gives the same bytes."""
    paths = [path.with_name(path.name + suffix) for suffix in (".png", ".pdf")]
    with _style():
        _lay_out(figure)
        figure.savefig(paths[0], metadata={"Software": None})
        figure.savefig(paths[1], metadata={"CreationDate": None})
    return paths


def _lay_out(figure: Figure) -> None:
    """Lay a figure out for all the forms it is written in, each of which would do it again."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine(None)


class _Numbers(ScalarFormatter):
    """Numbers at the ticks, written as in the tables."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if abs(x) >= 1000 or abs(x) < 1e-9:
            return f"{x:,.0f}".replace("-", "−")
        return re.sub(r"^(−?)0\.", r"\1.", super().__call__(x, pos))


def _ticks(axis: Any, most: int = 5) -> None:
    """Set a few ticks at round numbers."""
    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(_Numbers(useOffset=False))


def grouped(series: Iterable[Series]) -> dict[tuple[str, str], list[Series]]:
    """Return the cells by data set and encoder."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for cell in series:
        groups.setdefault((cell.dataset, cell.encoder), []).append(cell)
    return groups


def _title(text: str, dataset: str, shown: Iterable[tuple[str, str]]) -> str:
    return f"{text} · {dataset}" if len({other for other, _ in shown}) > 1 else text


def _value(cell: Series, setting: str, metric: str) -> float:
    return cell.settings.get(setting, {}).get(metric, math.nan)


def drawable(cell: Series) -> bool:
    points = (_value(cell, "mono", "map") + _value(cell, s, "map") for s in ("cross", "multi"))
    return not all(map(math.isnan, points))


def _samplers(series: Iterable[Series]) -> list[str]:
    """Return the samplers, the usual ones first."""
    found = {cell.sampler for cell in series}
    return [s for s in SAMPLER_COLOURS if s in found] + sorted(found - set(SAMPLER_COLOURS))


def _colours(series: Sequence[Series]) -> dict[str, str]:
    """Return each name of a cell the colour of its sampler, from light to dark where several."""
    colours, others = {}, itertools.cycle(OTHER_COLOURS)
    for sampler in _samplers(series):
        base = SAMPLER_COLOURS.get(sampler) or next(others)
        cells = {cell.name: cell.alpha or 0.0 for cell in series if cell.sampler == sampler}
        for number, label in enumerate(sorted(cells, key=lambda label: cells[label])):
            colours[label] = _shade(base, (2 * number + 1) / len(cells) - 1)
    return colours


def _shade(colour: str, amount: float) -> str:
    """Mix a colour with white (amount below 0) or black (above)."""
    other, share = (0.0 if amount > 0 else 1.0), 0.6 * abs(amount)
    red, green, blue = (part + (other - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))


def _norm(values: Iterable[float], kind: type[Normalize] = Normalize) -> Normalize | None:
    """Return the scale from the lowest to the highest, None where no value is known."""
    known = [value for value in values if not math.isnan(value)]
    return kind(min(known), max(*known, min(known) * 1.01)) if known else None


def _bar(figure: Figure, panels: Any, norm: Normalize, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=panels, aspect=40, pad=0.01)
    _ticks(bar.ax.yaxis)
    bar.ax.spines[:].set_visible(False)
    bar.set_label(label)


def _passages(cell: Series) -> list[str]:
    """Return the passage languages, in the order of the query languages as far as they are those."""
    found = dict.fromkeys(lang for ranks in cell.mean_rank.values() for lang in ranks)
    return [lang for lang in cell.mean_rank if lang in found] + [
        lang for lang in found if lang not in cell.mean_rank
    ]


def _ranks(cell: Series) -> Any:
    """Return the mean ranks as an array: # (query languages, passage languages)."""
    passages = _passages(cell)
    rows = [[ranks.get(p, math.nan) for p in passages] for ranks in cell.mean_rank.values()]
    return np.array(rows, dtype=float).reshape(len(rows), len(passages))


def _mean_line(lines: Sequence[Line]) -> Line:
    """Return the mean over seeds at every step that all of them have reached."""
    found = [dict(line) for line in lines if line]
    steps = sorted(set.intersection(*map(set, found))) if found else []
    means = [(step, sum(line[step] for line in found) / len(found)) for step in steps]
    return [(step, mean) for step, mean in means if math.isfinite(mean)]


def _smooth(line: Line, points: int = 200) -> Line:
    """Return the running mean over a tenth of the line, thinned to so many points."""
    reach, values = len(line) // 20, [y for _, y in line]
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(len(line))]
    means = [(step, sum(w) / len(w)) for (step, _), w in zip(line, windows, strict=True)]
    return means[:: math.ceil(len(means) / points) or 1]


def _legend(figure: Figure, handles: Sequence[Any]) -> None:
    """Put a legend above the panels, and make room for it."""
    longest = max([len(handle.get_label()) for handle in handles], default=0)
    columns = int(figure.get_figwidth() / (0.38 + 0.054 * longest)) or 1  # inches at 7 pt
    figure.set_figheight(figure.get_figheight() + 0.15 * math.ceil(len(handles) / columns))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _handle(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], marker=marker, color=colour, ls="none", ms=5, label=label)


def _short(value: float) -> str:
    return f"{value:,.6g}".removeprefix("0") or "0"


def _compact(rank: float) -> str:
    """Write a rank in at most four characters."""
    return f"{rank:.1f}" if rank < 9.95 else f"{rank:.0f}" if rank < 999.5 else f"{rank / 1e3:.1f}k"
