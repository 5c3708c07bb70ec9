"""Judging: what estimates make of a comparison, and findings of a claim."""

import math

import pytest

from hbr.compare.comparisons import Condition
from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding
from hbr.compare.verdicts import Estimate, judge, overall

NAN = math.nan


UP, DOWN = Condition({0: 1.0}, 0.0, 1), Condition({0: 1.0}, 0.0, -1)


@pytest.mark.parametrize(
    ("low", "high", "p", "status"),
    [
        (0.1, 0.3, 0.049, SUPPORTED),
        (0.1, 0.3, 0.05, OPEN),  # not below
        (0.0, 0.3, 0.001, OPEN),  # the interval touches the bound
        (-0.1, 0.3, 0.001, OPEN),
        (-0.3, -0.1, 0.049, REFUTED),
        (-0.3, -0.1, 0.05, OPEN),
        (-0.3, 0.0, 0.001, OPEN),
        (NAN, NAN, 0.001, OPEN),
    ],
)
def test_a_difference_is_judged_by_its_interval_and_its_adjusted_p(low, high, p, status):
    value = (low + high) / 2 if not math.isnan(low) else 0.2
    assert judge([UP], [Estimate(value, low, high, p)], p) == status
    assert judge([DOWN], [Estimate(-value, -high, -low, p)], p) == status


def test_the_adjusted_p_decides_and_not_the_own_one():
    assert judge([UP], [Estimate(0.2, 0.1, 0.3, 0.01)], 0.06) == OPEN


def two_sided(low: float, high: float, p: float, margin: float = 1.0) -> str:
    """Judge the equivalence of an effect with this interval."""
    tests = Condition({0: 1.0}, -margin, 1), Condition({0: 1.0}, margin, -1)
    middle = (low + high) / 2
    found = [Estimate(middle - t.bound, low - t.bound, high - t.bound, p) for t in tests]
    return judge(tests, found, p)


def test_equivalence_is_two_one_sided_tests():
    assert two_sided(-0.5, 0.9, 0.01) == SUPPORTED
    assert two_sided(-0.5, 0.9, 0.2) == OPEN
    assert two_sided(-0.5, 1.1, 0.01) == OPEN
    assert two_sided(-1.1, 0.5, 0.01) == OPEN
    assert two_sided(-2.0, 2.0, 0.9) == OPEN
    assert two_sided(1.1, 1.5, 0.01) == REFUTED
    assert two_sided(-1.5, -1.1, 0.01) == REFUTED
    assert two_sided(1.1, 1.5, 0.2) == OPEN
    assert two_sided(0.9, 1.5, 0.99) == OPEN


def test_where_only_means_are_known_they_decide():
    assert judge([UP], [Estimate(0.1)], NAN) == SUPPORTED
    assert judge([UP], [Estimate(-0.1)], NAN) == REFUTED
    assert judge([UP], [Estimate(0.0)], NAN) == OPEN
    assert judge([DOWN], [Estimate(-0.1)], NAN) == SUPPORTED
    assert judge([UP, DOWN], [Estimate(0.1), Estimate(0.1)], NAN) == REFUTED
    assert judge([UP, UP], [Estimate(0.1), Estimate(0.0)], NAN) == OPEN


def test_what_has_no_value_is_open():
    assert judge([UP], [Estimate(NAN)], NAN) == OPEN
    assert judge([UP, UP], [Estimate(0.1), Estimate(NAN)], NAN) == OPEN
    assert judge([UP, UP], [Estimate(0.1, 0.1, 0.1, 0.0), Estimate(NAN)], 0.0) == OPEN


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, OPEN], OPEN),
        ([SUPPORTED, OPEN, REFUTED], REFUTED),
        ([OPEN], OPEN),
        ([], OPEN),
    ],
)
def test_a_claim_holds_if_all_that_it_stands_for_does(statuses, status):
    assert overall([Finding("small", "a vs b", found) for found in statuses]) == status


def test_a_claim_is_open_while_something_of_it_was_not_run():
    refuted = Finding("d", "a vs b", REFUTED)
    missing = Finding("d", "a vs c", OPEN, missing=True)
    assert overall([refuted]) == REFUTED
    assert overall([refuted, missing]) == OPEN
