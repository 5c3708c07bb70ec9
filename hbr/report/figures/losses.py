"""Training and validation loss by step."""

import math
from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hbr.compare.model import Report, Series
from hbr.report.figures import style
from hbr.report.figures.cells import colours
from hbr.report.figures.drawing import Drawing, tell

Line = Sequence[tuple[int, float]]  # step, loss

TRAINING, VALIDATION = "training loss\n(running mean)", "validation loss"
CAPTION = (
    "Loss by step, means over seeds. A point of training loss is the mean over a tenth of the "
    "steps around it."
)


def drawings(report: Report) -> Iterator[Drawing]:
    """Yield one figure of all encoders."""
    if _with_losses(report.series):
        yield Drawing("training", "Training", CAPTION, draw(report.series))


@style.paper_style()
def draw(series: Sequence[Series]) -> Figure:
    """Draw training and validation loss by step, means over seeds; a column an encoder.

    A point of training loss is the mean over a tenth of the steps around it.
    """
    cells = _with_losses(series)
    unique = {(c.encoder, c.name): c for c in cells}  # trained once for all data sets
    kinds = {
        TRAINING: {key: _smooth(_mean_line(c.losses)) for key, c in unique.items()},
        VALIDATION: {key: _mean_line(c.validation) for key, c in unique.items()},
    }
    kinds = {kind: lines for kind, lines in kinds.items() if any(lines.values())}
    encoders, colour = list(dict.fromkeys(c.encoder for c in cells)), colours(cells)
    width = style.SINGLE if len(encoders) < 2 else style.DOUBLE
    figure = Figure(figsize=(width, 0.25 + 1.6 * max(1, len(kinds))), layout="constrained")
    grid: style.Style = {"squeeze": False, "sharex": "col", "sharey": "row"}
    panels = figure.subplots(len(kinds) or 1, len(encoders) or 1, **grid)
    for row, (kind, lines) in zip(panels, kinds.items(), strict=False):
        look: style.Style = {"lw": 1, "ms": 2.5, "marker": "o" if kind == VALIDATION else ""}
        for (encoder, name), line in lines.items():
            axes = row[encoders.index(encoder)]
            xs, ys = [x for x, _ in line], [y for _, y in line]
            (curve,) = axes.plot(xs, ys, color=colour[name], **look)
            if line:
                loss = f"{kind.partition(chr(10))[0]} {ys[-1]:.3f} at step {xs[-1]:,}"
                tell(curve, f"{encoder}, {name}: {loss}")
        losses = [y for line in lines.values() for _, y in line]
        row[0].set_yscale("log" if 0 < 10 * min(losses) < max(losses) else "linear")
        style.set_ticks(row[0].yaxis)
        row[0].set_ylabel(kind)
    for first, last, encoder in zip(panels[0], panels[-1], encoders, strict=False):
        first.set_title(encoder)
        last.set_xlabel("step")
        style.set_ticks(last.xaxis)
    style.add_legend(figure, [Patch(color=shade, label=name) for name, shade in colour.items()])
    return figure


def _with_losses(series: Sequence[Series]) -> list[Series]:
    return [cell for cell in series if any((*cell.losses, *cell.validation))]


def _mean_line(lines: Sequence[Line]) -> Line:
    """Return the mean over seeds at every step that all of them have reached."""
    seeds = [dict(line) for line in lines if line]
    steps = sorted(set.intersection(*map(set, seeds))) if seeds else []
    means = [(step, sum(line[step] for line in seeds) / len(seeds)) for step in steps]
    return [(step, mean) for step, mean in means if math.isfinite(mean)]


def _smooth(line: Line, points: int = 200) -> Line:
    """Return the running mean over a tenth of the line, thinned to so many points."""
    reach, losses = len(line) // 20, [loss for _, loss in line]
    windows = [losses[max(0, i - reach) : i + reach + 1] for i in range(len(line))]
    means = [(step, sum(w) / len(w)) for (step, _), w in zip(line, windows, strict=True)]
    return means[:: math.ceil(len(means) / points) or 1]
