"""Tests and intervals over concepts: scipy's where it has the same, simulation where it has not."""

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.core.statistics import (
    Design,
    bootstrap,
    effect_size,
    holm,
    interval,
    over_seeds,
    randomisation_test,
)

FAST = settings(max_examples=50, deadline=None, derandomize=True)
SCIPY_SIDE = {"both": "two-sided", "greater": "greater", "less": "less"}
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


@pytest.mark.parametrize("side", ["both", "greater", "less"])
@pytest.mark.parametrize("shift", [0.0, 0.4, -0.8])
def test_p_equals_that_of_scipys_exact_test(side, shift):
    differences = np.random.default_rng(3).standard_normal((11, 4)) + shift
    found = randomisation_test(differences, 20_000, 0, side)
    for column, p in zip(differences.T, found, strict=True):
        exact = scipy.stats.permutation_test(  # all 2 ** 11 signs
            (column,),
            np.sum,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative=SCIPY_SIDE[side],
        ).pvalue
        assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_p_equals_that_of_scipys_test_of_two_paired_samples():
    rng = np.random.default_rng(8)
    ours, theirs = rng.random(10), rng.random(10)
    exact = scipy.stats.permutation_test(
        (ours, theirs), lambda a, b: a.mean() - b.mean(), permutation_type="samples"
    ).pvalue
    assert randomisation_test((ours - theirs)[:, None], 20_000, 1)[0] == pytest.approx(
        exact, abs=0.015
    )


def test_the_observed_signs_count_among_the_draws():
    differences = np.ones((40, 1))  # 40 equal signs are never drawn
    assert randomisation_test(differences, 999, 0, "greater").tolist() == [1 / 1000]
    assert randomisation_test(differences, 999, 0, "less").tolist() == [1]
    assert randomisation_test(-differences, 999, 0, "less").tolist() == [1 / 1000]
    assert randomisation_test(-differences, 999, 0, "both").tolist() == [1 / 1000]


def test_one_concept_tells_nothing():
    alone = np.array([[5.0]])
    assert randomisation_test(alone, 999, 0).tolist() == [1]
    assert randomisation_test(alone, 999, 0, "greater")[0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("side", ["both", "greater", "less"])
def test_no_difference_at_all_has_p_1(side):
    assert randomisation_test(np.zeros((7, 2)), 99, 0, side).tolist() == [1, 1]


def test_nan_stays_nan_and_leaves_other_columns_alone():
    differences = np.random.default_rng(0).standard_normal((20, 3))
    alone = randomisation_test(differences, 500, 0)
    differences[4, 1] = np.nan
    found = randomisation_test(differences, 500, 0)
    assert np.isnan(found[1])
    assert found[[0, 2]].tolist() == alone[[0, 2]].tolist()


def test_sums_that_are_equal_but_for_rounding_are_ties():
    whole = np.random.default_rng(1).integers(-3, 4, (14, 30)).astype(float)  # sums are exact
    for side in ("both", "greater", "less"):
        exact = randomisation_test(whole, 2000, 0, side)
        for unit in (0.1, 1 / 3, 1e-7):
            assert randomisation_test(whole * unit, 2000, 0, side).tolist() == exact.tolist()


def test_p_does_not_depend_on_what_else_is_tested():
    differences = np.random.default_rng(2).integers(-2, 3, (30, 12)) * 0.1
    together = randomisation_test(differences, 1100, 4)
    alone = [randomisation_test(column[:, None], 1100, 4)[0] for column in differences.T]
    assert together.tolist() == alone


@pytest.mark.parametrize("side", ["both", "greater", "less"])
def test_the_same_seed_gives_the_same_p_on_one_and_on_two_threads(side):
    differences = np.random.default_rng(5).integers(-2, 3, (400, 40)) * 0.1  # many ties
    found = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads, user_api="blas"):
            used = {d["num_threads"] for d in threadpoolctl.threadpool_info()}
            assert threads in used
            found.append(randomisation_test(differences, 1500, 7, side).tolist())
    assert found[0] == found[1]


def test_another_seed_gives_another_p_that_is_close():
    differences = np.random.default_rng(6).standard_normal((50, 20)) + 0.1
    one, other = (randomisation_test(differences, 4000, seed) for seed in (0, 1))
    assert (one != other).any()
    assert one == pytest.approx(other, abs=5 * np.sqrt(0.5 / 4000))


def test_under_the_null_5_percent_of_p_are_below_5_percent():
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal((120, 2000)), rng.standard_t(3, (120, 2000))):
        for side in ("both", "greater", "less"):
            p = randomisation_test(values, 999, 1, side)
            assert 0.04 <= (p < 0.05).mean() <= 0.06


def test_of_correlated_translations_concepts_are_drawn_and_rows_must_not_be():
    rng = np.random.default_rng(1)
    concepts, languages, experiments = 60, 11, 2000
    own = rng.standard_normal((concepts * languages, experiments))
    shared = np.repeat(rng.standard_normal((concepts, experiments)), languages, axis=0)
    differences = own + 2 * shared  # none on average; two rows of one concept correlate by .8
    by_concept = complete(concepts, languages).contributions(differences)
    assert 0.04 <= (randomisation_test(by_concept, 999, 0) < 0.05).mean() <= 0.06
    assert (randomisation_test(differences, 999, 0) < 0.05).mean() > 0.2


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


def test_one_seed_adds_no_chance():
    figures = np.random.default_rng(0).random((50, 1))
    assert over_seeds(figures, 3).tolist() == figures[:, 0].tolist()


def test_two_seeds_are_drawn_with_replacement_and_widened():
    drawn = over_seeds(np.tile([0.0, 1.0], (8000, 1)), 0)
    apart = 0.5 * 2**0.5  # two seeds drawn out of two have half the variance of seeds
    assert np.unique(drawn) == pytest.approx([0.5 - apart, 0.5, 0.5 + apart])
    shares = [(np.abs(drawn - value) < 1e-9).mean() for value in np.unique(drawn)]
    assert shares == pytest.approx([1 / 4, 1 / 2, 1 / 4], abs=0.02)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3, 2.0])
def test_the_variance_of_seeds_is_added_to_that_of_queries(seeds, spread):
    rng = np.random.default_rng(0)
    offset = spread * np.linspace(-1, 1, seeds)
    queries = 0.1 * rng.standard_normal(20_000)  # the same questions for every seed
    drawn = over_seeds(queries[:, None] + offset, 1)
    assert drawn.var() == pytest.approx(0.1**2 + offset.var(ddof=1) / seeds, rel=0.05)


def test_what_training_seeds_share_is_not_in_the_difference_of_two_cells():
    rng = np.random.default_rng(0)
    of_seed, queries = rng.standard_normal(4), 0.01 * rng.standard_normal((5000, 1))
    ours, theirs = queries + of_seed + 0.5, queries + of_seed
    assert over_seeds(ours, 2).std() > 0.1  # ten times that of the queries
    assert over_seeds(ours, 2) - over_seeds(theirs, 2) == pytest.approx(np.full(5000, 0.5))


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


def test_effect_size_by_hand():
    differences = np.array([[1.0, -1.0], [2.0, 1.0], [3.0, 0.0]])
    assert effect_size(differences).tolist() == [2, 0]


@pytest.mark.filterwarnings("error")
def test_an_effect_size_without_spread_is_no_number_and_no_warning():
    assert np.isnan(effect_size(np.full((3, 1), 0.5))).all()
    assert np.isnan(effect_size(np.zeros((3, 1)))).all()
    assert np.isnan(effect_size(np.array([[0.5]]))).all()  # one concept
