"""Samplers: how the languages of a training batch are chosen.

A *mode* says which rows can serve a batch and draws their languages; a *sampler* mixes modes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Draw = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Weight = float | tuple[float, float]  # constant, or from first to last step


class Choice(NamedTuple):
    """One way to make a batch of one data set.

    `eligible` (rows,) are the rows that can serve it; `draw(has (n, languages), u (n, 2))` gives
    query and passage languages, both (n,), from uniform random numbers.
    """

    label: str
    eligible: np.ndarray
    draw: Draw


@dataclass(frozen=True)
class Mode:
    """One kind of batch: `choices(has (rows, languages), languages, pivot)` lists the ways to it.

    In a `cross_lingual` one, the query and the passage of a row always differ in language: only
    such a mode can serve bitext, where a text answers its translation.
    """

    name: str
    choices: Callable[[np.ndarray, tuple[str, ...], str | None], list[Choice]]
    cross_lingual: bool = False


@dataclass(frozen=True)
class Sampler:
    """A batch sampler and all that is known of it.

    `mix(alpha)` gives the weight of each mode, constant or from first to last step.
    """

    name: str
    mix: Callable[[Weight], Mapping[Mode, Weight]]
    uses_alpha: bool = False
    alpha: float | None = None  # the α of a hybrid sampler that makes the same batches
    pivot_only: bool = False  # trains on the pivot language alone
    order: int = 100  # its place in tables and figures
    colour: str = ""  # in figures, as #rrggbb; "" for the next free one
    marker: str = ""  # in figures, as matplotlib names it; "" for the next free one


def _monolingual(has: np.ndarray, languages: tuple[str, ...], _: str | None) -> list[Choice]:
    """X-X-mono: the whole batch in one language, drawn uniformly among the data set's."""
    return [
        Choice(language, has[:, i], _constant(i))
        for i, language in enumerate(languages)
        if has[:, i].any()
    ]


def _cross_lingual(has: np.ndarray, _languages: tuple[str, ...], _: str | None) -> list[Choice]:
    """X-Y: for every row an ordered pair of different languages, uniformly among the row's."""
    several = np.greater(has.sum(1), 1)
    return [Choice("pairs", several, _ordered_pair)] if several.any() else []


def _mixed(has: np.ndarray, _languages: tuple[str, ...], _: str | None) -> list[Choice]:
    """X-X: query and passage in one language, drawn uniformly for every row."""
    return [Choice("any", np.greater(has.sum(1), 0), _same_language)]


def _english(has: np.ndarray, languages: tuple[str, ...], pivot: str | None) -> list[Choice]:
    """En-En: everything in the pivot language of the data set."""
    if pivot not in languages:
        return []
    i = languages.index(pivot)
    return [Choice(pivot, has[:, i], _constant(i))]


def _constant(language: int) -> Draw:
    def draw(has: np.ndarray, _u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = np.full(len(has), language)
        return both, both

    return draw


def _kth_language(has: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Position of the k-th True of every line."""
    return (np.cumsum(has, axis=1) == k[:, None] + 1).argmax(axis=1)


def _same_language(has: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    language = _kth_language(has, (u[:, 0] * has.sum(1)).astype(int))
    return language, language


def _ordered_pair(has: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    query, _ = _same_language(has, u)
    return query, other_language(has, query, u[:, 1])


def other_language(has: np.ndarray, language: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return each row another of its languages, uniformly by u (n,), or its own if it has no other.

    `has` is (n, languages), `language` (n,).
    """
    others = has.copy()
    others[np.arange(len(has)), language] = False
    count = others.sum(1)
    other = _kth_language(others, (u * count).astype(int))
    return np.where(count > 0, other, language)


X_X_MONO = Mode("monolingual", _monolingual)
X_Y = Mode("cross-lingual", _cross_lingual, cross_lingual=True)
X_X = Mode("mixed", _mixed)
EN_EN = Mode("english", _english)


def _hybrid_mix(alpha: Weight) -> dict[Mode, Weight]:
    start, end = alpha if isinstance(alpha, tuple) else (alpha, alpha)
    return {X_X_MONO: (start, end), X_Y: (1 - start, 1 - end)}


# colours: Okabe and Ito's, which people with colour blindness tell apart
ENGLISH = Sampler("english", lambda _: {EN_EN: 1.0}, pivot_only=True, order=1)
MIXED = Sampler("mixed", lambda _: {X_X: 1.0}, order=2)
MONOLINGUAL = Sampler("monolingual", lambda _: {X_X_MONO: 1.0}, alpha=1.0, order=3)
CROSS_LINGUAL = Sampler("cross-lingual", lambda _: {X_Y: 1.0}, alpha=0.0, order=4)
HYBRID = Sampler("hybrid", _hybrid_mix, uses_alpha=True, order=5)  # arXiv 2408.10536
