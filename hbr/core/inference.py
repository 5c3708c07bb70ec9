"""Would the difference be there if the methods were trained again and asked other questions?

Two things are random: the seeds of training and the concepts that are asked. A figure is the mean
over runs of the sum over concepts of what each contributes, so the variance of a weighted sum of
cells has a part from seeds, a part from concepts, and a part that both contain:

    V = V_seeds + V_concepts − V_both,    V ≥ V_concepts

with t on the degrees of freedom of Welch and Satterthwaite. This is Clark's quasi-F (The
language-as-fixed-effect fallacy, 1973) for paired concepts and unpaired seeds; the two-way
clustered variance of Cameron, Gelbach and Miller (2011) is the same sum. Seeds of two methods are
not paired: an equal seed gives equal batches of rows, but no correlation that can be relied on.

A p has no more degrees of freedom than the seeds have. Two seeds are often nearly equal by chance;
the variance then seems to come from concepts alone, and far tails, where Holm's correction looks,
would be too light. Chosen by simulation: `benchmarks/null_study.py`, and the page on statistics.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

Side = Literal["both", "greater", "less"]
Over = Literal["seeds and concepts", "concepts"]
FEWEST_CONCEPTS = 20  # that must differ, or all: with fewer, t says nothing of 0/1 metrics


class Term(NamedTuple):
    """A study cell in a weighted sum: its weight, and its runs (columns of the arrays).

    `fixed` where there is nothing random in training: the encoder is as it came.
    """

    weight: float
    runs: Sequence[int]
    fixed: bool = False


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of cells, with its standard error and degrees of freedom.

    With a NaN standard error the evidence says nothing, and `why` says why. `seeds` and `concepts`
    are the variances of the two parts, `seed_df` the degrees of freedom of the first, infinite
    where nothing was trained.
    """

    value: float
    standard_error: float
    df: float
    seed_df: float = math.inf
    seeds: float = math.nan
    concepts: float = math.nan
    number: int = 0  # of concepts
    why: str = ""

    @property
    def effect_size(self) -> float:
        """Cohen's d over concepts: the value over their standard deviation."""
        deviation = math.sqrt(self.concepts * self.number) if self.concepts > 0 else math.nan
        return self.value / deviation

    def beyond(self, bound: float) -> "Estimate":
        """Return the estimate of how far the value lies above a bound."""
        return replace(self, value=self.value - bound)

    @property
    def is_known(self) -> bool:
        """Whether there is a standard error."""
        return not math.isnan(self.standard_error)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the t interval of the value."""
        half = _quantile((1 + level) / 2, self.df) * self.standard_error
        return self.value - half, self.value + half

    def p(self, bound: float = 0.0, side: Side = "both") -> float:
        """Return the p of the value lying at the bound, against its lying beyond it.

        `greater` asks whether it lies above, `less` whether below. NaN where nothing is known.
        """
        if not self.is_known:
            return math.nan
        away = self.value - bound
        if self.standard_error == 0:
            beyond = away > 0 if side == "greater" else away < 0 if side == "less" else away != 0
            return 0.0 if beyond else 1.0
        t = away / self.standard_error
        df = min(self.df, self.seed_df)
        if side == "both":
            return min(1.0, 2 * _upper(abs(t), df))
        return _upper(t if side == "greater" else -t, df)


def estimate(
    figures: np.ndarray,
    influence: np.ndarray,
    terms: Sequence[Term],
    df: float,
    *,
    over: Over = "seeds and concepts",
) -> Estimate:
    """Return the estimate of Σ weight · mean over runs.

    `figures` (runs,) are the runs' values, `influence` (concepts, runs) what each concept adds to
    them beyond its share of the mean, and `df` the degrees of freedom of the squares: see `Design`.
    Over `concepts` alone it speaks of these encoders, and seeds count as fixed.
    """
    runs = [list(term.runs) for term in terms]
    value = float(sum(t.weight * figures[r].mean() for t, r in zip(terms, runs, strict=True)))
    paired = sum(t.weight * influence[:, r].mean(1) for t, r in zip(terms, runs, strict=True))
    paired = np.asarray(paired)
    number = len(paired)
    if not math.isfinite(value) or not np.isfinite(paired).all():
        return _unknown(value, "a value is not known for every query")
    if number < 2:
        return _unknown(value, "one concept")
    if not df:
        return _unknown(value, "a language, or a pair of them, has one concept alone")
    if (differing := _differing(paired)) < min(FEWEST_CONCEPTS, number - 1):
        return _unknown(
            value,
            f"the difference varies on {differing} of {number:,} concepts, too few for a test",
        )
    concepts = float((paired**2).sum())
    known = Estimate(value, math.nan, df, concepts=concepts, number=number)
    if over == "concepts":
        return replace(known, standard_error=math.sqrt(concepts), seeds=0.0)
    trained = [(t.weight, r) for t, r in zip(terms, runs, strict=True) if t.weight and not t.fixed]
    if any(len(members) < 2 for _, members in trained):
        return replace(known, why="one run: says nothing of the method")
    return _over_seeds(known, figures, influence, trained)


def _over_seeds(
    known: Estimate,
    figures: np.ndarray,
    influence: np.ndarray,
    trained: Sequence[tuple[float, list[int]]],
) -> Estimate:
    """Return an estimate over concepts with the variance of seeds; `trained` (weight, runs)."""
    parts, both = [(known.concepts, known.df)], 0.0
    for weight, members in trained:
        degrees = len(members) - 1
        share = weight**2 / (len(members) * degrees)
        spread = ((figures[members] - figures[members].mean()) ** 2).sum()
        rest = influence[:, members] - influence[:, members].mean(1, keepdims=True)
        parts.append((share * float(spread), degrees))
        both += share * float((rest**2).sum())
    total = sum(variance for variance, _ in parts)
    variance = max(total - both, known.concepts)
    squares = sum(part**2 / degrees for part, degrees in parts)
    return replace(
        known,
        standard_error=math.sqrt(variance),
        df=variance**2 / squares if squares else math.inf,
        seed_df=sum(len(members) - 1 for _, members in trained) or math.inf,
        seeds=total - known.concepts,
    )


def _unknown(value: float, why: str) -> Estimate:
    return Estimate(value, math.nan, math.nan, why=why)


def _differing(paired: np.ndarray) -> int:
    """Return how many concepts differ from what most of them have: of 0/1 metrics, few may."""
    scale = np.abs(paired).max(initial=0.0) or 1.0
    return len(paired) - int(np.unique(np.round(paired / scale, 9), return_counts=True)[1].max())


def power(
    effect: float,
    seeds: int,
    variance: float,
    concepts: float = 0.0,
    level: float = 0.05,
    trained: int = 2,
) -> float:
    """Return how likely a two-sided test finds an effect with so many seeds a cell.

    `variance` is that of one run of each method, summed over them; `concepts` the variance that
    more seeds do not lessen; `trained` the number of methods that have seeds.
    """
    from scipy import stats

    if seeds < 2:
        return 0.0
    df = trained * (seeds - 1)
    error = math.sqrt(variance / seeds + concepts)
    return float(stats.nct.sf(_quantile(1 - level / 2, df), df, abs(effect) / error))


def seeds_needed(
    effect: float,
    variance: float,
    concepts: float = 0.0,
    level: float = 0.05,
    wanted: float = 0.8,
    trained: int = 2,
) -> int | None:
    """Return how many seeds a cell find an effect with `wanted` power; None for more than 100."""
    about = (variance, concepts, level, trained)
    return next((n for n in range(2, 101) if power(effect, n, *about) >= wanted), None)


def least_effect(seeds: int, level: float = 0.05, wanted: float = 0.8) -> float:
    """Return the smallest effect that is found, in standard deviations of one method's seeds."""
    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (low, middle) if power(middle, seeds, 2.0, 0.0, level) >= wanted else (middle, high)
        )
    return high


def _quantile(share: float, df: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(share) if math.isinf(df) else stdtrit(df, share))


def _upper(t: float, df: float) -> float:
    from scipy.special import ndtr, stdtr

    return float(ndtr(-t) if math.isinf(df) else stdtr(df, -t))
