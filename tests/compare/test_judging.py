"""Judging: what estimates make of a comparison, and findings of a claim."""

import math

import pytest

from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding
from hbr.compare.verdicts import judge, judge_means, overall

NAN = math.nan


@pytest.mark.parametrize(
    ("low", "high", "p", "holds"),
    [
        (0.1, 0.3, 0.049, True),
        (0.1, 0.3, 0.05, None),  # not below
        (0.0, 0.3, 0.001, None),  # the interval touches the bound
        (-0.1, 0.3, 0.001, None),
        (-0.3, -0.1, 0.049, False),
        (-0.3, -0.1, 0.05, None),
        (-0.3, 0.0, 0.001, None),
        (NAN, NAN, 0.001, None),
        (0.1, 0.3, NAN, None),
    ],
)
def test_a_difference_is_judged_by_its_interval_and_its_adjusted_p(low, high, p, holds):
    assert judge([(low, high)], p) is holds


def equivalence(low: float, high: float, p: float, margin: float = 1.0) -> bool | None:
    """Judge the equivalence of an effect with this interval."""
    return judge([(low + margin, high + margin), (margin - low, margin - high)], p)


def test_equivalence_is_two_one_sided_tests():
    assert equivalence(-0.5, 0.9, 0.01) is True
    assert equivalence(-0.5, 0.9, 0.2) is None
    assert equivalence(-0.5, 1.1, 0.01) is None
    assert equivalence(-1.1, 0.5, 0.01) is None
    assert equivalence(-2.0, 2.0, 0.9) is None
    assert equivalence(1.1, 1.5, 0.01) is False
    assert equivalence(-1.5, -1.1, 0.01) is False
    assert equivalence(1.1, 1.5, 0.2) is None
    assert equivalence(0.9, 1.5, 0.99) is None


def test_a_violated_veto_fails_what_else_would_hold():
    assert judge([(0.1, 0.3)], 0.01, is_vetoed=False) is True
    assert judge([(0.1, 0.3)], 0.01, is_vetoed=True) is False
    assert judge([(0.1, 0.3)], 0.06, is_vetoed=True) is None


def test_where_only_means_are_known_they_agree_or_not():
    assert judge_means([0.1]) is True
    assert judge_means([-0.1]) is False
    assert judge_means([0.0]) is None
    assert judge_means([0.1, -0.1]) is False
    assert judge_means([0.1, 0.0]) is None
    assert judge_means([NAN]) is None


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
