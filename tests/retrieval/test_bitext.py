"""Mining equals what its definition says, computed the long way."""

import numpy as np
import pytest

from hbr.retrieval.bitext import UniqueTexts, best_threshold, mine_pairs, nearest_neighbors, quality
from hbr.retrieval.vectors import ShardedVectors


def units(rng, count: int, width: int = 8) -> np.ndarray:
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("chunk_mb", [1e-4, 1e-3, 10])
@pytest.mark.parametrize("k", [1, 4])
def test_the_nearest_of_both_sides_come_from_one_product(k, chunk_mb):
    rng = np.random.default_rng(1)
    left, right = units(rng, 31), units(rng, 17)
    stacks = ShardedVectors([left[:5], left[5:]]), ShardedVectors([right])
    forward, backward = nearest_neighbors(*stacks, k, chunk_mb=chunk_mb)
    for found, scores in ((forward, left @ right.T), (backward, right @ left.T)):
        places = np.argsort(-scores, axis=1)[:, :k]
        np.testing.assert_array_equal(found.positions, places)
        np.testing.assert_allclose(found.scores, np.take_along_axis(scores, places, 1), rtol=1e-5)


def slowly(left, right, k, margin):
    """Pair as in arXiv 1811.01136, sentence by sentence."""
    scores = left @ right.T
    ahead = np.sort(scores, axis=1)[:, -k:].mean(1)
    back = np.sort(scores, axis=0)[-k:].mean(0)
    mean = (ahead[:, None] + back[None]) / 2
    adjusted = {"absolute": scores, "distance": scores - mean, "ratio": scores / mean}[margin]
    near_right = np.argsort(-scores, axis=1)[:, :k]
    near_left = np.argsort(-scores, axis=0)[:k]
    found = [max((adjusted[i, j], i, j) for j in near_right[i]) for i in range(len(left))]
    found += [max((adjusted[i, j], i, j) for i in near_left[:, j]) for j in range(len(right))]
    used, pairs = set(), []
    for score, i, j in sorted(found, reverse=True):
        if ("l", i) not in used and ("r", j) not in used:
            used |= {("l", i), ("r", j)}
            pairs.append((int(i), int(j), score))
    return pairs


@pytest.mark.parametrize("margin", ["absolute", "distance", "ratio"])
@pytest.mark.parametrize("sizes", [(20, 30), (30, 20), (1, 5), (3, 2)])
def test_pairs_are_those_of_the_definition(margin, sizes):
    rng = np.random.default_rng(2)
    left, right = (np.abs(units(rng, n)) for n in sizes)
    right[0] = left[0]
    k = min(4, *sizes)
    found = mine_pairs(*nearest_neighbors(left, right, k), margin)
    wanted = slowly(left, right, k, margin)
    assert list(zip(found.source.tolist(), found.target.tolist(), strict=True)) == [
        (i, j) for i, j, _ in wanted
    ]
    np.testing.assert_allclose(found.score, [score for *_, score in wanted], atol=1e-6)


def test_fewer_neighbours_than_asked_for_do_no_harm():
    rng = np.random.default_rng(3)
    left, right = np.abs(units(rng, 5)), np.abs(units(rng, 2))
    found = mine_pairs(*nearest_neighbors(left, right, 4), "ratio")
    assert sorted(found.target.tolist()) == [0, 1]
    assert np.isfinite(found.score).all()


def test_no_sentence_is_used_twice():
    rng = np.random.default_rng(4)
    found = mine_pairs(*nearest_neighbors(units(rng, 50), units(rng, 40), 4), "ratio")
    assert len(set(found.source)) == len(found.source)
    assert len(set(found.target)) == len(found.target)
    assert (np.diff(found.score) <= 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_has_a_higher_f1(seed):
    rng = np.random.default_rng(seed)
    score = np.sort(rng.integers(0, 8, 12) / 8)[::-1]  # many are equal
    correct = rng.random(12) < 0.5
    correct[3] = True
    gold = int(correct.sum()) + 2
    every = [quality(score > t, correct, gold).f1 for t in (-1, *np.unique(score) + 1e-3)]
    threshold = best_threshold(score, correct, gold)
    assert quality(score > threshold, correct, gold).f1 == pytest.approx(max(every))
    assert threshold not in score


def test_equal_texts_are_one_and_known_as_repeated():
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    unique = UniqueTexts(ShardedVectors([rows]), ["a", "b", "a", "c", "b", "d"])
    assert unique.positions.tolist() == [0, 1, 3, 5]
    assert unique.repeated.tolist() == [True, True, False, False]
    assert len(unique) == 4
    np.testing.assert_array_equal(unique[1:3], rows[[1, 3]])


def test_quality_is_that_of_sets():
    chosen, correct = np.array([1, 1, 1, 0], bool), np.array([1, 0, 1, 1], bool)
    assert quality(chosen, correct, 4) == pytest.approx((4 / 7, 2 / 3, 1 / 2))


def test_nothing_mined_is_nothing_found():
    none = np.zeros(3, bool)
    assert quality(none, ~none, 3) == (0.0, 0.0, 0.0)
