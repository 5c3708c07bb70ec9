"""Seeds and concepts as random: against scipy where only one of them varies, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from hbr.core.inference import Estimate, Term, estimate, seeds_needed
from hbr.core.statistics import Design


def measured(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return figures (runs,) and influence (concepts, runs) of values (concepts, runs)."""
    count = len(values)
    return values.mean(0), (values - values.mean(0)) / math.sqrt(count * (count - 1))


def estimated(values: np.ndarray, terms: list[Term], **over: str) -> Estimate:
    return estimate(*measured(values), terms, len(values) - 1, **over)


def difference(first: int, second: int) -> list[Term]:
    return [Term(1.0, range(first)), Term(-1.0, range(first, first + second))]


def test_over_concepts_alone_it_is_the_paired_t_test():
    values = np.random.default_rng(0).normal([0.2, 0.0], 1, (60, 2))
    found = estimated(values, difference(1, 1), over="concepts")
    expected = stats.ttest_rel(values[:, 0], values[:, 1])
    assert found.p() == pytest.approx(expected.pvalue)
    assert found.p(side="greater") == pytest.approx(expected.pvalue / 2)
    interval = expected.confidence_interval()
    assert found.interval() == pytest.approx((interval.low, interval.high))


def test_where_concepts_hardly_differ_it_is_welchs_t_test_over_seeds():
    rng = np.random.default_rng(1)
    seeds = np.concatenate([rng.normal(0.4, 0.1, 4), rng.normal(0.3, 0.3, 6)])
    values = seeds + rng.normal(0, 1e-9, (50, 1)) * np.repeat([1.0, -1.0], [4, 6])
    found = estimated(values, difference(4, 6))
    expected = stats.ttest_ind(seeds[:4], seeds[4:], equal_var=False)
    assert found.p() == pytest.approx(expected.pvalue, rel=1e-5)
    assert found.df == pytest.approx(expected.df, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
def test_one_run_says_nothing_of_training_again(shape):
    values = np.random.default_rng(2).normal(0, 1, (40, sum(shape)))
    found = estimated(values, difference(*shape))
    assert not found.is_known
    assert math.isnan(found.p())
    assert all(math.isnan(bound) for bound in found.interval())


def test_an_encoder_as_it_came_has_no_seeds():
    values = np.random.default_rng(3).normal(0, 1, (40, 4))
    terms = [Term(1.0, range(3)), Term(-1.0, [3], fixed=True)]
    assert estimated(values, terms).is_known


@pytest.mark.parametrize(("differ", "known"), [(0, False), (19, False), (20, True)])
def test_too_few_concepts_that_differ_say_nothing(differ, known):
    values = np.zeros((300, 4))
    values[:differ, :2] = 1
    assert estimated(values, difference(2, 2)).is_known is known


def test_nan_stays_open():
    unknown = np.array([np.nan, 1.0]), np.zeros((30, 2))
    assert not estimate(*unknown, difference(1, 1), 29).is_known


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 10.0])
def test_intervals_cover_what_they_say(seeds, ratio):
    """Of seeds whose variance is `ratio` times that of the concepts."""
    rng, concepts, repeats = np.random.default_rng(seeds), 100, 2000
    spread = math.sqrt(ratio / concepts / 2)
    covered = 0
    for _ in range(repeats):
        of_method = rng.normal(0, 0.5, (concepts, 2)) * [1, -1]
        runs = rng.normal(0, spread, 2 * seeds) + rng.normal(0, 0.3, (concepts, 2 * seeds))
        values = runs + np.repeat(of_method, seeds, axis=1) * math.sqrt(2)
        low, high = estimated(values, difference(seeds, seeds)).interval()
        covered += low <= 0 <= high
    assert 0.925 <= covered / repeats <= 0.985


@pytest.mark.parametrize("over", ["concepts", "seeds and concepts"])
@pytest.mark.parametrize("few", [2, 3, 10])
def test_intervals_cover_what_they_say_where_a_language_has_few_questions(few, over):
    """Ten languages of a hundred questions, and one of a few that weighs as much."""
    rng, repeats, covered = np.random.default_rng(few), 1000, 0
    strata = np.repeat(np.arange(11), [*[100] * 10, few])
    design = Design(np.arange(len(strata)), strata)
    for _ in range(repeats):
        values = rng.normal(0, 1, (len(strata), 1)) * [1, 1, -1, -1]
        values = values + rng.normal(0, 0.3, (len(strata), 4))
        figures, influence = design.contributions(values).sum(0), design.influence(values)
        found = estimate(figures, influence, difference(2, 2), design.degrees_of_freedom, over=over)
        low, high = found.interval()
        covered += low <= 0 <= high
    assert covered / repeats >= 0.93


def test_a_language_with_one_question_says_nothing():
    design = Design(np.arange(101), np.repeat([0, 1], [100, 1]))
    values = np.random.default_rng(0).normal(0, 1, (101, 2))
    figures, influence = design.contributions(values).sum(0), design.influence(values)
    found = estimate(
        figures, influence, difference(1, 1), design.degrees_of_freedom, over="concepts"
    )
    assert math.isnan(found.p())
    assert found.why == "a language, or a pair of them, has one concept alone"


def test_more_seeds_find_smaller_effects():
    few, many = (seeds_needed(effect, 2 * 0.01**2, 0.003**2) for effect in (0.03, 0.015))
    assert few is not None
    assert many is not None
    assert 2 <= few < many
    assert seeds_needed(0.001, 2 * 0.01**2, 0.003**2) is None  # the concepts do not suffice


def test_a_p_has_no_more_degrees_of_freedom_than_the_seeds():
    found = Estimate(1.0, 0.3, df=200.0, seed_df=2)
    assert found.p() == pytest.approx(2 * stats.t.sf(1 / 0.3, 2))
    assert found.interval()[0] == pytest.approx(1 - 0.3 * stats.t.ppf(0.975, 200))


def test_what_never_varies_is_decided_by_its_sign():
    sure = Estimate(0.5, 0.0, math.inf)
    assert sure.p() == 0
    assert sure.p(0.5) == 1
    assert sure.interval() == (0.5, 0.5)


def test_against_what_has_no_seeds_more_seeds_are_needed() -> None:
    """Of one method alone the test has n - 1 degrees of freedom: at n = 4 its power is .76."""
    assert seeds_needed(2.0, 1.0) == 4
    assert seeds_needed(2.0, 1.0, trained=1) == 5
