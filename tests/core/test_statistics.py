"""Tests and intervals over concepts: scipy's where it has the same, simulation where it has not."""

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.core.statistics import (
    Design,
    bootstrap,
    holm,
    interval,
)

FAST = settings(max_examples=50, deadline=None, derandomize=True)
RNG = st.integers(0, 10**6).map(np.random.default_rng)


def complete(concepts: int, strata: int) -> Design:
    """Every concept once in every stratum."""
    concept, stratum = np.divmod(np.arange(concepts * strata), strata)
    return Design(concept, stratum)


def ragged(rng: np.random.Generator, concepts: int, strata: int) -> Design:
    """Concepts that lack some strata and come several times in others; no gaps in the numbers."""
    more = rng.integers(0, 3, (concepts, strata))
    more[np.arange(concepts), rng.integers(strata, size=concepts)] += 1  # each somewhere
    more[rng.integers(concepts, size=strata), np.arange(strata)] += 1  # and somewhere each
    order = rng.permutation(int(more.sum()))
    concept, stratum = np.nonzero(np.ones_like(more))
    counts = more.ravel()
    return Design(np.repeat(concept, counts)[order], np.repeat(stratum, counts)[order])


def figure(design: Design, values: np.ndarray, times: np.ndarray) -> float:
    """The mean of the means of strata, by loops, where concept c was drawn `times[c]` times."""
    drawn = defaultdict(list)
    for concept, stratum, value in zip(design.concept, design.stratum, values, strict=True):
        drawn[stratum] += [value] * int(times[concept])
    return float(np.mean([np.mean(own) for own in drawn.values() if own]))


def drawn_counts(concepts: int, resamples: int, seed: int) -> np.ndarray:
    """How often each concept is drawn, read from the means of its own indicator."""
    shares = bootstrap(complete(concepts, 1), np.eye(concepts), resamples, seed)
    return np.rint(shares * concepts)


# The randomisation test


# Figures of concepts


@FAST
@given(rng=RNG, concepts=st.integers(1, 12), strata=st.integers(1, 5))
def test_contributions_sum_to_the_mean_of_the_means_of_strata(rng, concepts, strata):
    design = ragged(rng, concepts, strata)
    values = rng.standard_normal((len(design.concept), 2))
    parts = design.contributions(values)
    assert parts.shape == (concepts, 2)
    for column, total in zip(values.T, parts.sum(0), strict=True):
        assert total == pytest.approx(figure(design, column, np.ones(concepts)))
        assert total == pytest.approx(design.means(column).mean())
    assert design.weights.sum() == pytest.approx(1)
    assert design.counts.sum() == len(design.concept)


def test_contributions_by_hand():
    design = Design(np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0]))  # concept 0 in two languages
    parts = design.contributions(np.array([[3.0], [8.0], [6.0], [0.0]]))
    assert parts[:, 0] == pytest.approx([3 / 6 + 8 / 2, 6 / 6, 0])
    assert design.means(np.array([3.0, 8.0, 6.0, 0.0])).tolist() == [3, 8]


def test_a_design_is_complete_where_every_concept_is_asked_alike():
    assert complete(5, 3).is_complete
    assert Design(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 0])).is_complete  # 2 and 1
    assert not Design(np.array([0, 0, 1]), np.array([0, 1, 0])).is_complete
    assert not Design(np.array([0, 1]), np.array([0, 1])).is_complete


# The bootstrap


@pytest.mark.parametrize("strata", [1, 4])
def test_the_interval_is_scipys_percentile_interval(strata):
    values = np.random.default_rng(4).exponential(size=(80, strata))
    draws = bootstrap(complete(80, strata), values.reshape(-1, 1), 20_000, 0)[:, 0]
    exact = scipy.stats.bootstrap(
        (values.mean(1),), np.mean, n_resamples=20_000, method="percentile", rng=9
    )
    assert interval(draws) == pytest.approx(tuple(exact.confidence_interval), abs=0.01)
    assert draws.std(ddof=1) == pytest.approx(exact.standard_error, rel=0.03)


def test_95_percent_of_the_intervals_hold_the_truth():
    rng, experiments = np.random.default_rng(2), 1000
    shared = np.repeat(rng.standard_normal((100, experiments)), 3, axis=0)  # of three languages
    values = 0.5 + shared + rng.standard_normal((300, experiments))
    draws = bootstrap(complete(100, 3), values, 1000, 0)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    assert interval(draws[:, 0]) == pytest.approx((low[0], high[0]))
    assert 0.925 <= ((low < 0.5) & (high > 0.5)).mean() <= 0.965


def test_intervals_of_ragged_data_hold_the_truth_as_often():
    rng, experiments = np.random.default_rng(3), 600
    design = ragged(rng, 100, 3)
    of_concept = rng.standard_normal((100, experiments))[design.concept]
    truth = np.array([0.0, 1.0, 5.0])  # strata differ, so that a share of them must not move
    values = truth[design.stratum][:, None] + of_concept + rng.standard_normal(of_concept.shape)
    draws = bootstrap(design, values, 600, 0)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    assert 0.92 <= ((low < 2) & (high > 2)).mean() <= 0.97


@FAST
@given(rng=RNG, concepts=st.integers(1, 9), strata=st.integers(1, 4), seed=st.integers(0, 9))
def test_draws_equal_a_naive_loop_also_where_concepts_are_missing(rng, concepts, strata, seed):
    design = ragged(rng, concepts, strata)
    values = rng.standard_normal((len(design.concept), 2))
    found = bootstrap(design, values, 20, seed)
    for times, line in zip(drawn_counts(concepts, 20, seed), found, strict=True):
        assert times.sum() == concepts
        assert line == pytest.approx([figure(design, column, times) for column in values.T])


def test_draws_of_complete_data_equal_a_naive_loop():
    design, rng = complete(13, 3), np.random.default_rng(0)
    values = rng.standard_normal(39)
    found = bootstrap(design, values[:, None], 600, 5)[:, 0]  # more than one block
    for times, value in zip(drawn_counts(13, 600, 5), found, strict=True):
        assert value == pytest.approx(figure(design, values, times))


def test_a_stratum_that_a_draw_misses_is_left_out_of_its_mean():
    design = Design(np.array([0, 1, 1]), np.array([0, 0, 1]))  # stratum 1: concept 1 alone
    found = bootstrap(design, np.array([[2.0], [4.0], [10.0]]), 200, 0)[:, 0]
    by_times = {(2, 0): 2.0, (1, 1): (3 + 10) / 2, (0, 2): (4 + 10) / 2}
    times = drawn_counts(2, 200, 0).astype(int)
    assert {tuple(t) for t in times.tolist()} == set(by_times)
    assert found.tolist() == [by_times[tuple(t)] for t in times.tolist()]


@pytest.mark.parametrize("kind", ["complete", "ragged"])
def test_columns_are_drawn_in_pairs(kind):
    rng = np.random.default_rng(1)
    design = complete(20, 3) if kind == "complete" else ragged(rng, 20, 3)
    one = rng.standard_normal(len(design.concept))
    found = bootstrap(design, np.stack([one, one + 0.25], axis=1), 700, 0)
    assert found[:, 1] - found[:, 0] == pytest.approx(np.full(700, 0.25))
    assert found[:, 0].std() > 0.05


def test_the_same_seed_draws_the_same_and_another_does_not():
    values = np.random.default_rng(0).standard_normal((30, 1))
    one, again, other = (bootstrap(complete(30, 1), values, 40, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.isclose(one, other).any()


def test_an_interval_by_hand():
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert interval(np.arange(101.0)[::-1], 0.90) == pytest.approx((5, 95))


def test_an_interval_of_nan_is_nan():
    assert np.isnan(interval(np.array([0.0, np.nan, 1.0]))).all()


# Seeds


# Families and effects


def test_holm_by_hand():
    # ordered .005 .01 .03 .04, times 4 3 2 1, and none below the one before it
    found = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one():
    assert holm(np.array([0.7, 0.9, 0.4])) == pytest.approx([1, 1, 1])


def test_nan_is_no_test_of_the_family():
    found = holm(np.array([np.nan, 0.02, np.nan, 0.03]))
    assert np.isnan(found[[0, 2]]).all()
    assert found[[1, 3]] == pytest.approx([0.04, 0.04])
    assert np.isnan(holm(np.full(2, np.nan))).all()
    assert holm(np.array([])).tolist() == []


def test_one_test_is_its_own_family():
    assert holm(np.array([0.03])).tolist() == [0.03]


@FAST
@given(st.lists(st.fractions(0, 1, max_denominator=50), min_size=1, max_size=8))
def test_holm_rejects_what_the_stepwise_procedure_rejects(chances):
    adjusted = holm(np.array([float(p) for p in chances]))
    assert (adjusted >= [float(p) for p in chances]).all()
    assert adjusted[np.argsort([float(p) for p in chances], kind="stable")].tolist() == sorted(
        adjusted
    )
    level, rejected = Fraction(1, 20) + Fraction(1, 10**6), 0  # no p is on the edge
    for rank, p in enumerate(sorted(chances)):
        if p * (len(chances) - rank) > level:
            break
        rejected += 1
    assert (adjusted <= float(level)).sum() == rejected


@FAST
@given(rng=RNG, concepts=st.integers(2, 9), strata=st.integers(1, 4))
def test_influence_is_what_concepts_add_beyond_the_means_of_strata(rng, concepts, strata):
    design = complete(concepts, strata)
    values = rng.normal(size=(concepts * strata, 3))
    influence = design.influence(values)
    assert np.allclose(influence.sum(0), 0)
    parts = design.contributions(values)
    assert np.allclose((influence**2).sum(0), concepts * parts.var(0, ddof=1))
    assert design.degrees_of_freedom == pytest.approx(concepts - 1)


@FAST
@given(rng=RNG, sizes=st.lists(st.integers(2, 30), min_size=1, max_size=5))
def test_strata_of_other_concepts_have_variances_and_degrees_of_freedom_of_their_own(rng, sizes):
    strata = np.repeat(np.arange(len(sizes)), sizes)
    design = Design(np.arange(len(strata)), strata)
    values = rng.normal(size=len(strata))
    of_means = [values[strata == h].var(ddof=1) / n / len(sizes) ** 2 for h, n in enumerate(sizes)]
    assert np.isclose((design.influence(values[:, None]) ** 2).sum(), sum(of_means))
    satterthwaite = sum(1 / n for n in sizes) ** 2 / sum(1 / n**2 / (n - 1) for n in sizes)
    assert design.degrees_of_freedom == pytest.approx(satterthwaite)
