"""What figures read of the cells of a study: values, groups, and the look of their samplers."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from matplotlib.colors import to_hex, to_rgb

from hbr.compare.model import Series
from hbr.core import registry
from hbr.core.errors import UserError
from hbr.core.settings import UNTRAINED
from hbr.training.samplers import Sampler

FREE_COLOURS = ("#D55E00", "#000000", "#F0E442")  # for samplers whose entries name none
FREE_MARKERS = ("P", "*", "p", "h", "d")
# An untrained encoder has no sampler, but its place, colour and marker beside those that have.
UNTRAINED_LOOK = Sampler(UNTRAINED, lambda _: {}, order=0, colour="#999999", marker="X")


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
    return _filled({entry.name: entry.marker for entry in _entries(cells)}, FREE_MARKERS)


def colours(cells: Sequence[Series]) -> dict[str, str]:
    """Return the colour of every cell by its name, in the order of samplers.

    It is the sampler's, from light to dark by α where a sampler has several cells.
    """
    bases = _filled({entry.name: entry.colour for entry in _entries(cells)}, FREE_COLOURS)
    shades = {}
    for sampler, base in bases.items():
        alphas = {cell.name: cell.alpha or 0.0 for cell in cells if cell.sampler == sampler}
        for number, name in enumerate(sorted(alphas, key=lambda name: alphas[name])):
            shades[name] = _shade(base, (2 * number + 1) / len(alphas) - 1)
    return shades


def _entries(cells: Iterable[Series]) -> list[Sampler]:
    """Return the samplers of cells in order; one that is not installed here has a name alone."""
    entries = []
    for sampler in {cell.sampler for cell in cells}:
        try:
            entry = UNTRAINED_LOOK if sampler == UNTRAINED else registry.get("sampler", sampler)
        except UserError:
            entry = Sampler(sampler, lambda _: {})
        entries.append(replace(entry, name=sampler))
    return sorted(entries, key=lambda entry: (entry.order, entry.name))


def _filled(looks: Mapping[str, str], free: Sequence[str]) -> dict[str, str]:
    """Fill what is empty with the next free colour or marker."""
    unused = itertools.cycle([look for look in free if look not in looks.values()] or free)
    return {name: look or next(unused) for name, look in looks.items()}


def _shade(colour: str, amount: float) -> str:
    """Mix a colour with white (amount below 0) or black (above)."""
    other, share = (0.0 if amount > 0 else 1.0), 0.6 * abs(amount)
    red, green, blue = (part + (other - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))
