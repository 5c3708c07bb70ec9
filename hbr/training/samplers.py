"""Batch samplers: which languages the queries and passages of a training batch have.

A *mode* says which rows can serve a batch and draws their languages; a *sampler* mixes modes. The
modes are those of arXiv 2408.10536 (Elmahdy, Lin & Ahmad) and arXiv 2004.05484 (LAReQA): X-X-mono,
X-Y, X-X and En-En, where the first letter is the language of the query and the second that of the
passage. An outside sampler is named `package.module:ATTRIBUTE`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Draw = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Weight = float | tuple[float, float]  # constant, or linear from the first to the last step


class Choice(NamedTuple):
    """One way to make a batch of one data set.

    `eligible` (rows,) is true for the rows that can serve it. `draw(has (n, languages), u (n, 2))`
    returns query and passage languages, both (n,), from random numbers that are uniform in [0, 1).
    """

    label: str
    eligible: np.ndarray
    draw: Draw


@dataclass(frozen=True)
class Mode:
    """One kind of batch: `choices(has (rows, languages), languages, pivot)` lists the ways to it.

    `cross_lingual` promises that the query and the passage of a row always differ in language.
    Bitext, where the passage is the query's translation, can serve such modes alone.
    """

    name: str
    choices: Callable[[np.ndarray, tuple[str, ...], str | None], list[Choice]]
    cross_lingual: bool = False


@dataclass(frozen=True)
class Sampler:
    """A batch sampler with its facts.

    `mix(alpha)` returns the weight of each mode: the probability of a batch in this mode, up to a
    common factor.
    """

    name: str
    mix: Callable[[Weight], Mapping[Mode, Weight]]
    uses_alpha: bool = False
    alpha: float | None = None  # the α with which the hybrid sampler makes the same batches
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
        languages = np.full(len(has), language)
        return languages, languages

    return draw


def _kth_language(has: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return the position of the k-th True of every row, counted from 0."""
    return (np.cumsum(has, axis=1) == k[:, None] + 1).argmax(axis=1)


def _same_language(has: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    language = _kth_language(has, (u[:, 0] * has.sum(1)).astype(int))
    return language, language


def _ordered_pair(has: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    query, _ = _same_language(has, u)
    return query, other_language(has, query, u[:, 1])


def other_language(has: np.ndarray, language: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return another language of each row, drawn uniformly; the same where the row has no other.

    `has` is (n, languages), `language` and `u`, uniform in [0, 1), are (n,).
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


# Colours are Okabe and Ito's, which most people with colour blindness can tell apart.
ENGLISH = Sampler(
    "english",
    lambda _: {EN_EN: 1.0},
    pivot_only=True,
    order=1,
    colour="#56B4E9",
    marker="v",
)  # LAReQA's En-En, arXiv 2004.05484, section 4
MIXED = Sampler(
    "mixed",
    lambda _: {X_X: 1.0},
    order=2,
    colour="#CC79A7",
    marker="D",
)  # LAReQA's X-X, arXiv 2004.05484, section 4
MONOLINGUAL = Sampler(
    "monolingual",
    lambda _: {X_X_MONO: 1.0},
    alpha=1.0,
    order=3,
    colour="#0072B2",
    marker="s",
)  # LAReQA's X-X-mono, arXiv 2004.05484, section 4
CROSS_LINGUAL = Sampler(
    "cross-lingual",
    lambda _: {X_Y: 1.0},
    alpha=0.0,
    order=4,
    colour="#E69F00",
    marker="^",
)  # LAReQA's X-Y, arXiv 2004.05484, section 4
HYBRID = Sampler(
    "hybrid",
    _hybrid_mix,
    uses_alpha=True,
    order=5,
    colour="#009E73",
    marker="o",
)  # arXiv 2408.10536, section 3
