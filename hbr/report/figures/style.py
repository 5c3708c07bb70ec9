"""How every figure looks: widths of a paper's columns, type sizes, scales, ticks and legends.

Nothing here touches pyplot or leaves a setting of matplotlib changed.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

Style = dict[str, Any]

SINGLE, DOUBLE = 3.3, 6.9  # inches: one column of a paper, and two
COLOUR_MAP = matplotlib.colormaps["cividis"]
SHEET = Path(__file__).with_name("hbr.mplstyle")


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw with our style sheet whatever the user's settings are, and leave those as they were."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(SHEET, False, False))
        yield


def set_ticks(axis: Any, most: int = 5) -> None:
    """Set a few ticks at round numbers."""
    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(_TableNumbers(useOffset=False))


class _TableNumbers(ScalarFormatter):
    """Numbers at the ticks, written as in the tables."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if abs(x) >= 1000 or abs(x) < 1e-9:
            return f"{x:,.0f}".replace("-", "−")
        return re.sub(r"^(−?)0\.", r"\1.", super().__call__(x, pos))


def short(value: float) -> str:
    """Write a number without the zero before its point: 0.5 is `.5`."""
    return f"{value:,.6g}".removeprefix("0") or "0"


def colour_scale(values: Iterable[float], kind: type[Normalize] = Normalize) -> Normalize | None:
    """Return the scale from the lowest to the highest value, None where all are missing."""
    numbers = [value for value in values if not math.isnan(value)]
    return kind(min(numbers), max(*numbers, min(numbers) * 1.01)) if numbers else None


def add_colour_bar(figure: Figure, panels: Any, scale: Normalize, label: str) -> None:
    """Put the bar of a colour scale beside its panels."""
    bar = figure.colorbar(ScalarMappable(scale, COLOUR_MAP), ax=panels, aspect=40, pad=0.01)
    set_ticks(bar.ax.yaxis)
    bar.ax.spines[:].set_visible(False)
    bar.set_label(label)


def add_legend(figure: Figure, handles: Sequence[Any]) -> None:
    """Put a legend above the panels, and make room for it."""
    longest = max([len(handle.get_label()) for handle in handles], default=0)
    columns = int(figure.get_figwidth() / (0.38 + 0.054 * longest)) or 1  # inches at 7 pt
    figure.set_figheight(figure.get_figheight() + 0.15 * math.ceil(len(handles) / columns))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def legend_marker(marker: str, colour: str, label: str) -> Line2D:
    """Return the entry of a marker in a legend."""
    return Line2D([], [], marker=marker, color=colour, ls="none", ms=5, label=label)


def columns(panels: int) -> int:
    """Return how many panels of a figure stand side by side."""
    return {0: 1, 1: 1, 2: 2, 4: 2}.get(panels, 3)


def hide_empty(panels: Any) -> None:
    """Hide the panels in which nothing was drawn."""
    for axes in panels.flat:
        axes.set_visible(axes.has_data())


def title(text: str, dataset: str, datasets: Iterable[str]) -> str:
    """Return a panel's title, with its data set where a figure has several."""
    return f"{text} · {dataset}" if len(set(datasets)) > 1 else text
