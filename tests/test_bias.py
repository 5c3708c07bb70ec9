"""Rank distance, by hand."""

import numpy as np

from hbr.bias import rank_distance


def test_rank_distance_is_the_last_rank_minus_the_first():
    ranks = np.array([[1, 4, 9], [2, 3, np.inf]])
    assert rank_distance(ranks, np.array([3, 2])).tolist() == [8, 1]


def test_one_relevant_passage_has_no_distance():
    assert rank_distance(np.array([[7, np.inf]]), np.array([1])).tolist() == [0]


def test_the_distance_is_undefined_where_a_relevant_passage_was_not_found():
    found = rank_distance(np.array([[2, np.inf], [2, 5]]), np.array([2, 2]))
    assert np.isnan(found[0])
    assert found[1] == 3


def test_the_distance_is_undefined_where_no_relevant_passage_was_found():
    found = rank_distance(np.full((2, 3), np.inf), np.array([1, 3]))
    assert np.isnan(found).all()


def test_equal_treatment_of_n_languages_gives_n_minus_1():
    assert rank_distance(np.arange(1.0, 12)[None], np.array([11])).tolist() == [10]
