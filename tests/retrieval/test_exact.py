"""Exact ranks equal a naive stable argsort, ties and collapsed encoders included."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.retrieval.exact import Ranks, exact_ranks, relevant_pairs
from hbr.retrieval.top_k import top_k

FAST = settings(max_examples=60, deadline=None, derandomize=True)


def joined(*parts: Ranks) -> Ranks:
    return Ranks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def naive(scores: np.ndarray, query: int, passage: int, block: slice) -> int:
    """Place of a passage in a stable sort of its block, counted from 1."""
    order = np.argsort(-scores[query, block], kind="stable")
    return int(np.flatnonzero(order == passage - block.start)[0]) + 1


def assert_ranks_are_naive(found: Ranks, queries, passages, pairs, blocks: list[slice]) -> None:
    scores = queries.astype(float) @ passages.T.astype(float)
    assert np.array_equal(found.query, pairs[0])
    assert np.array_equal(found.passage, pairs[1])
    everything = slice(0, len(passages))
    for query, passage, own, pool in zip(*found[:4], strict=True):
        (block,) = (b for b in blocks if b.start <= passage < b.stop)
        assert own == naive(scores, query, passage, block)
        assert pool == naive(scores, query, passage, everything)


def naive_top(scores: np.ndarray, k: int) -> np.ndarray:
    """The first k places of a stable sort of every line."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def unit(rows: int, width: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@FAST
@given(
    rng=st.integers(0, 10**6).map(np.random.default_rng),
    queries=st.integers(1, 9),
    passages=st.integers(1, 30),
    width=st.integers(1, 3),
    most=st.integers(0, 3),
    block_mb=st.sampled_from([0, 1]),  # 0: one query at a time
)
def test_ranks_equal_a_stable_argsort(rng, queries, passages, width, most, block_mb):
    asked = rng.integers(-most, most + 1, (queries, width)).astype(np.float32)
    answers = rng.integers(-most, most + 1, (passages, width)).astype(np.float32)  # exact products
    cuts = [0, *np.sort(rng.integers(0, passages + 1, 2)).tolist(), passages]  # some are empty
    blocks = [slice(a, b) for a, b in pairwise(cuts)]
    pairs = np.nonzero(rng.random((queries, passages)) < rng.random())
    parts = exact_ranks(asked, answers, pairs, blocks, block_mb=block_mb)
    assert_ranks_are_naive(joined(*parts), asked, answers, pairs, blocks)


def test_pieces_of_several_queries_join_to_the_whole():
    rng = np.random.default_rng(0)
    count = 2**17  # half a MiB of scores a query, so two queries a piece
    asked = rng.integers(-3, 4, (5, 3)).astype(np.float32)
    answers = rng.integers(-3, 4, (count, 3)).astype(np.float32)
    pairs = np.repeat(np.arange(5), 3), np.sort(rng.integers(0, count, (5, 3))).ravel()
    blocks = [slice(0, 50_000), slice(50_000, count)]
    parts = list(exact_ranks(asked, answers, pairs, blocks, block_mb=1))
    assert [len(part.query) for part in parts] == [6, 6, 3]
    assert_ranks_are_naive(joined(*parts), asked, answers, pairs, blocks)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("queries", "passages", "width"),
    [(1, 37, 24), (2, 50, 384), (7, 11, 768), (58, 10, 100), (64, 300, 64)],
)
def test_an_encoder_whose_vectors_are_all_equal_ranks_by_position(queries, passages, width, seed):
    half = passages // 2
    from_last = np.arange(passages)[::-1] % 5 == 0  # every fifth passage, the last one too
    pairs = np.nonzero(np.tile(from_last, (queries, 1)))
    one = unit(1, width, seed)
    equal = np.repeat(one, queries, 0), np.repeat(one, passages, 0)
    found = joined(*exact_ranks(*equal, pairs, [slice(0, half), slice(half, passages)]))
    assert np.array_equal(found.pool, found.passage + 1)
    assert np.array_equal(
        found.block, np.where(found.passage < half, found.pool, found.pool - half)
    )


def test_equal_passages_among_others_rank_in_their_order():
    for seed in range(10):
        queries, passages = unit(3, 24, seed), unit(37, 24, 100 + seed)
        passages[[3, 20, 36]] = passages[3]
        pairs = np.repeat(np.arange(3), 3), np.tile([3, 20, 36], 3)
        found = joined(*exact_ranks(queries, passages, pairs, [slice(0, 37)], block_mb=0))
        assert (np.diff(found.pool.reshape(3, 3)) == 1).all()


def test_vectors_that_only_look_equal_keep_their_scores(monkeypatch):
    monkeypatch.setattr("hbr.retrieval.vectors.hash", lambda _: 0, raising=False)
    passages = np.eye(4, dtype=np.float32)
    pairs = np.arange(4), np.arange(4)
    found = joined(*exact_ranks(passages, passages, pairs, [slice(0, 4)]))
    assert found.pool.tolist() == [1, 1, 1, 1]


def test_ranks_by_hand():
    passages = np.array([[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    pairs = np.array([0, 0, 0, 1]), np.array([0, 2, 4, 3])
    queries = np.array([[1, 0], [0, 1]], dtype=np.float32)
    found = joined(*exact_ranks(queries, passages, pairs, [slice(0, 2), slice(2, 5)]))
    assert found.pool.tolist() == [4, 2, 3, 2]
    assert found.block.tolist() == [2, 1, 2, 1]


def test_half_precision_vectors_are_ranked_in_float32():
    queries, passages = unit(4, 16).astype(np.float16), unit(50, 16, 1).astype(np.float16)
    pairs = np.arange(4), np.arange(4) * 9
    found = joined(*exact_ranks(queries, passages, pairs, [slice(0, 50)]))
    assert_ranks_are_naive(found, queries, passages, pairs, [slice(0, 50)])


@FAST
@given(
    rng=st.integers(0, 10**6).map(np.random.default_rng),
    queries=st.integers(1, 9),
    passages=st.integers(1, 30),
    width=st.integers(1, 3),
    most=st.integers(0, 2),  # 0: every score is equal
    top=st.integers(0, 33),
    block_mb=st.sampled_from([0, 1]),
)
def test_the_top_is_the_start_of_a_stable_argsort(
    rng, queries, passages, width, most, top, block_mb
):
    asked = rng.integers(-most, most + 1, (queries, width)).astype(np.float32)
    answers = rng.integers(-most, most + 1, (passages, width)).astype(np.float32)  # exact products
    pairs = np.nonzero(rng.random((queries, passages)) < 0.2)
    parts = exact_ranks(asked, answers, pairs, [slice(0, passages)], top=top, block_mb=block_mb)
    found, expected = joined(*parts), naive_top(asked @ answers.T, top)
    assert found.top.shape == (queries, min(top, passages))
    assert np.array_equal(found.top, expected)
    inside = found.pool <= found.top.shape[1]  # the ranks and the top are of one order
    assert np.array_equal(
        found.top[found.query[inside], found.pool[inside] - 1], found.passage[inside]
    )
    best = list(top_k(asked, answers, top, block_mb=block_mb))
    assert np.array_equal(np.concatenate([places for _, places in best]), expected)
    assert np.array_equal(
        np.concatenate([scores for scores, _ in best]),
        -np.sort(-(asked @ answers.T), axis=1)[:, :top],
    )


@pytest.mark.parametrize("top", [1, 5, 36, 37, 99])
def test_the_top_of_an_encoder_whose_vectors_are_all_equal_is_the_start_of_the_corpus(top):
    one = unit(1, 384)
    equal = np.repeat(one, 7, 0), np.repeat(one, 37, 0)
    pairs = np.arange(7), np.arange(7)
    found = joined(*exact_ranks(*equal, pairs, [slice(0, 37)], top=top))
    assert np.array_equal(found.top, np.tile(np.arange(min(top, 37)), (7, 1)))


def test_equal_scores_on_both_sides_of_the_cut_are_taken_from_the_front():
    passages = np.array([[0.5], [1], [0.5], [0.5], [0.25], [0.5]], dtype=np.float32)
    none = np.zeros(0, int), np.zeros(0, int)
    for top in range(8):
        found = joined(*exact_ranks(np.ones((2, 1)), passages, none, [slice(0, 6)], top=top))
        assert found.top.tolist() == [[1, 0, 2, 3, 5, 4][:top]] * 2


def test_without_a_top_there_is_none():
    found = joined(*exact_ranks(unit(4, 8), unit(9, 8, 1), (np.arange(4),) * 2, [slice(0, 9)]))
    assert found.top.shape == (4, 0)
    assert found.pool.shape == (4,)


def test_queries_without_a_relevant_passage_have_a_top_too():
    queries, passages = unit(5, 8), unit(20, 8, 1)
    pairs = np.array([1, 3]), np.array([0, 19])
    found = joined(*exact_ranks(queries, passages, pairs, [slice(0, 20)], top=3, block_mb=0))
    assert np.array_equal(found.top, naive_top(queries @ passages.T, 3))


def test_pairs_are_those_of_each_query_s_concept():
    indptr, relevant = np.array([0, 2, 2, 5]), np.array([3, 8, 0, 4, 9])  # concept 1 has none
    query, passage = relevant_pairs(np.array([2, 1, 0, 2]), indptr, relevant)
    assert query.tolist() == [0, 0, 0, 2, 2, 3, 3, 3]
    assert passage.tolist() == [0, 4, 9, 3, 8, 0, 4, 9]


@pytest.mark.parametrize("block_mb", [0, 1])
def test_the_best_k_come_best_first(block_mb):
    queries, passages = unit(6, 8), unit(40, 8, 1)
    scores, places = map(
        np.concatenate, zip(*top_k(queries, passages, 5, block_mb=block_mb), strict=True)
    )
    exact = queries @ passages.T
    assert np.array_equal(places, np.argsort(-exact, axis=1)[:, :5])
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :5], atol=1e-6)
    assert next(top_k(queries, passages, 100))[1].shape == (6, 40)
