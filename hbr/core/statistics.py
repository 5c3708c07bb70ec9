"""Variances and intervals of means over queries, and Holm's correction; tests are in `inference`.

Values come by query and language pair. A figure is the mean over pairs of the means over queries.
Translations of one question are not independent, so the unit that is resampled is a *concept*: a
question in all its languages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BLOCK = 500  # resamples drawn at a time; part of what a seed means


@dataclass(frozen=True)
class Design:
    """How the values of queries become one figure: the mean over strata of the means within them.

    `concept` and `stratum` (rows,) count from 0 without gaps. Strata are language pairs, or query
    languages where there is one pool.
    """

    concept: np.ndarray
    stratum: np.ndarray

    @classmethod
    def of(cls, concept: np.ndarray, stratum: np.ndarray) -> "Design":
        """Return a design from labels of concepts and strata, (rows,) of any type."""
        return cls(*(np.unique(x, return_inverse=True)[1] for x in (concept, stratum)))

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of values of each concept in each stratum: (concepts, strata)."""
        return self._sums(np.ones(len(self.concept)))

    @cached_property
    def weights(self) -> np.ndarray:
        """The weight of each value, (rows,); weights sum to one."""
        sizes = self.counts.sum(0)
        return 1 / (len(sizes) * sizes[self.stratum])

    @property
    def is_complete(self) -> bool:
        """Whether all concepts have equally many values in each stratum, as in parallel data."""
        return bool((self.counts == self.counts[0]).all())

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of each stratum: values (rows,) to (strata,)."""
        return np.bincount(self.stratum, values) / self.counts.sum(0)

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """Return what each concept adds to the figure: values (rows, n) to (concepts, n).

        The sum over concepts is the figure.
        """
        weighted = values * self.weights[:, None]
        return np.stack([np.bincount(self.concept, column) for column in weighted.T], axis=1)

    @cached_property
    def degrees_of_freedom(self) -> float:
        """Those of a variance over concepts; 0 where a stratum has one concept alone.

        One less than the concepts of parallel data; of other data little more than the smallest
        stratum has, if it weighs as much as large ones: Satterthwaite's, as if values varied alike
        in all strata, each by itself.
        """
        sizes = self._concepts_in
        if sizes.min() < 2:
            return 0.0
        share = (self.counts / self.counts.sum(0)) ** 2
        squares = (share * np.sqrt(sizes / (sizes - 1))).sum(1) ** 2
        return float(share.sum() ** 2 / squares.sum())

    def influence(self, values: np.ndarray) -> np.ndarray:
        """Return what each concept adds beyond the means of its strata: (rows, n) to (concepts, n).

        Their sum over concepts is zero, and the sum of their squares the variance of the figures:
        deviations within a stratum of n concepts are stretched by √(n / (n - 1)).
        """
        sizes = self._concepts_in
        stretch = np.sqrt(sizes / np.maximum(sizes - 1, 1))[self.stratum]
        centred = [stretch * (column - self.means(column)[self.stratum]) for column in values.T]
        return self.contributions(np.stack(centred, axis=1))

    @cached_property
    def _concepts_in(self) -> np.ndarray:
        return (self.counts > 0).sum(0)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        concepts, strata = int(self.concept.max()) + 1, int(self.stratum.max()) + 1
        cell = self.concept * strata + self.stratum
        return np.bincount(cell, values, concepts * strata).reshape(concepts, strata)


def bootstrap(design: Design, values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the figures of concepts drawn with replacement: (resamples, n).

    `values` (rows, n) has one column per run. Equal seeds draw equal concepts for all columns, so
    the difference of two columns is a paired one. Efron, Tibshirani, An Introduction to the
    Bootstrap, ch. 8.
    """
    figures = np.empty((resamples, values.shape[1]))
    if design.is_complete:
        parts = design.contributions(values)
        for at, drawn in _draws(len(parts), resamples, seed):
            figures[at] = drawn @ parts
        return figures
    sums = [design._sums(column) for column in values.T]
    for at, drawn in _draws(len(design.counts), resamples, seed):
        sizes = drawn @ design.counts  # (block, strata): a stratum may be missed by a draw
        present = sizes > 0
        for column, total in enumerate(sums):
            means = np.divide(drawn @ total, sizes, out=np.zeros_like(sizes), where=present)
            figures[at, column] = means.sum(1) / present.sum(1)
    return figures


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of draws (resamples,); NaN where a draw is."""
    if np.isnan(draws).any():
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust the p of one family of tests, (n,), so that all its errors together stay below α.

    Holm, A simple sequentially rejective multiple test procedure, 1979. NaN stays NaN and counts
    as no test.
    """
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    steps = [p[i] * (len(order) - rank) for rank, i in enumerate(order)]
    adjusted[order] = np.minimum(np.maximum.accumulate([0.0, *steps])[1:], 1)
    return adjusted


def _draws(concepts: int, resamples: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of resamples, and how often each draws each concept: (block, concepts)."""
    rng = np.random.default_rng(seed)
    for at, size in _blocks(resamples):
        chosen = rng.integers(concepts, size=(size, concepts))
        chosen += np.arange(size)[:, None] * concepts
        counts = np.bincount(chosen.ravel(), minlength=size * concepts)
        yield at, counts.reshape(size, concepts).astype(float)


def _blocks(resamples: int) -> Iterator[tuple[slice, int]]:
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        yield slice(start, start + size), size
