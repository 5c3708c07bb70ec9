"""What figures read of the cells of a study: values, groups, and the look of their samplers."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.colors import to_hex, to_rgb

from hbr.compare.model import Series
from hbr.core import registry
from hbr.core.errors import UserError
from hbr.core.settings import UNTRAINED

FREE_COLOURS = ("#D55E00", "#000000", "#F0E442")  # for samplers whose entries name none
FREE_MARKERS = ("P", "*", "p", "h", "d")


class Look(NamedTuple):
    """Place, colour and marker in figures, as `hbr.training.samplers.Sampler` has them."""

    order: int = 100
    colour: str = ""
    marker: str = ""


UNTRAINED_LOOK = Look(0, "#999999", "X")


def value(cell: Series, setting: str, metric: str) -> float:
    """Return a cell's value, NaN where it is missing."""
    return cell.settings.get(setting, {}).get(metric, math.nan)


def by_encoder(cells: Iterable[Series]) -> dict[tuple[str, str], list[Series]]:
    """Return the cells by data set and encoder."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for cell in cells:
        groups.setdefault((cell.dataset, cell.encoder), []).append(cell)
    return groups


def has_values(values: Mapping[str, Mapping[str, float]]) -> bool:
    """Return whether any value of a table of values is a number."""
    return any(not math.isnan(number) for row in values.values() for number in row.values())


def markers(cells: Iterable[Series]) -> dict[str, str]:
    """Return the marker of every sampler, in the order of samplers."""
    looks = _looks(cells)
    return _filled({name: look.marker for name, look in looks.items()}, FREE_MARKERS)


def colours(cells: Sequence[Series]) -> dict[str, str]:
    """Return the colour of every cell by its name, in the order of samplers.

    It is the sampler's, from light to dark by α where a sampler has several cells.
    """
    looks = _looks(cells)
    bases = _filled({name: look.colour for name, look in looks.items()}, FREE_COLOURS)
    shades = {}
    for sampler, base in bases.items():
        alphas = {cell.name: cell.alpha or 0.0 for cell in cells if cell.sampler == sampler}
        for number, name in enumerate(sorted(alphas, key=lambda name: alphas[name])):
            shades[name] = _shade(base, (2 * number + 1) / len(alphas) - 1)
    return shades


def _looks(cells: Iterable[Series]) -> dict[str, Look]:
    looks = {name: _look(name) for name in {cell.sampler for cell in cells}}
    return dict(sorted(looks.items(), key=lambda item: (item[1].order, item[0])))


def _look(sampler: str) -> Look:
    """Return the look that a sampler's entry says; one that is not installed here has none."""
    if sampler == UNTRAINED:
        return UNTRAINED_LOOK
    try:
        entry = registry.get("sampler", sampler)
    except UserError:
        return Look()
    return Look(entry.order, entry.colour, entry.marker)


def _filled(looks: Mapping[str, str], free: Sequence[str]) -> dict[str, str]:
    """Fill what is empty with the next free colour or marker."""
    unused = itertools.cycle([look for look in free if look not in looks.values()] or free)
    return {name: look or next(unused) for name, look in looks.items()}


def _shade(colour: str, amount: float) -> str:
    """Mix a colour with white (amount below 0) or black (above)."""
    other, share = (0.0 if amount > 0 else 1.0), 0.6 * abs(amount)
    red, green, blue = (part + (other - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))
