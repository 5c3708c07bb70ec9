"""Hard negatives: equal to a naive search, and to sentence-transformers' own mining."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

from hbr.retrieval.faiss_index import build_index
from hbr.retrieval.hard_negatives import Candidates, Pool, choose, find
from hbr.retrieval.search import BM25, IndexSearch, VectorSearch
from hbr.retrieval.vectors import ShardedVectors

ROWS, LANGUAGES, WIDTH = 12, 3, 6


def unit(*shape: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(*shape, WIDTH)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


QUERIES, PASSAGES = unit(ROWS, LANGUAGES, seed=0), unit(ROWS + 3, LANGUAGES, seed=1)
HAS = np.random.default_rng(2).random((ROWS, LANGUAGES)) < 0.7  # languages of each row's query
ITEM_HAS = np.random.default_rng(3).random((ROWS + 3, LANGUAGES)) < 0.8
PASSAGE_OF = np.random.default_rng(4).permutation(ROWS)
LABELS = np.arange(ROWS + 3) % 7  # items 0, 7 and 14 say the same, 1 and 8, …
SAME = LABELS[PASSAGE_OF], LABELS


def pool_of(query_languages: list[int], passage_languages: list[int]) -> Pool:
    row, asked = np.nonzero(HAS[:, query_languages])
    item, told = np.nonzero(ITEM_HAS[:, passage_languages])
    asked, told = np.array(query_languages)[asked], np.array(passage_languages)[told]
    half = len(item) // 2  # of two shards
    vectors = PASSAGES[item, told]
    search = VectorSearch(
        ShardedVectors([QUERIES[row, asked]]),
        ShardedVectors([vectors[:half], vectors[half:]]),
        chunk_mb=5 * WIDTH * 4 / 2**20,  # five passages at a time
    )
    most = len(passage_languages)
    return Pool(search, row, np.arange(len(row)), asked, item, told, most)


POOLS = {
    "own": [([code], [code]) for code in range(LANGUAGES)],
    "all": [([0, 1, 2], [0, 1, 2])],
    "pivot": [([1], [1])],
}


def naive(kind: str, row: int) -> tuple[list[tuple[float, int]], float]:
    """Score every item of another label for a row, the slow way; and the row's own."""
    best: dict[int, float] = {}
    for asked, told in POOLS[kind]:
        for a in (a for a in asked if HAS[row, a]):
            for item in range(ROWS + 3):
                for t in (t for t in told if ITEM_HAS[item, t]):
                    score = float(QUERIES[row, a] @ PASSAGES[item, t])
                    best[item] = max(best.get(item, -9.0), score)
    own = best.get(int(PASSAGE_OF[row]), np.nan)
    others = [(-s, i) for i, s in best.items() if LABELS[i] != LABELS[PASSAGE_OF[row]]]
    return [(-s, i) for s, i in sorted(others)], own


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("count", [1, 4, 99])
@pytest.mark.parametrize("part", [range(ROWS), range(5, 9)])
def test_what_is_found_is_what_a_naive_search_finds(kind, count, part):
    pools = [pool_of(*languages) for languages in POOLS[kind]]
    found, own = find(pools, part, PASSAGE_OF, SAME, count)
    for row in part:
        expected, own_score = naive(kind, row)
        here = found.row == row
        assert found.item[here].tolist() == [item for _, item in expected[:count]]
        np.testing.assert_allclose(found.score[here], [s for s, _ in expected[:count]], atol=1e-6)
        assert own[row - part.start] == pytest.approx(own_score, abs=1e-6, nan_ok=True)
    for query, passage in zip(found.query_language, found.passage_language, strict=True):
        assert any(query in asked and passage in told for asked, told in POOLS[kind])


def test_rows_and_passages_that_say_the_same_never_meet():
    found, _ = find([pool_of([0, 1, 2], [0, 1, 2])], range(ROWS), PASSAGE_OF, SAME, 99)
    assert len(found.row)
    assert (SAME[0][found.row] != LABELS[found.item]).all()


RULES = [
    {},
    {"range_min": 2},
    {"max_score": 0.3},
    {"min_score": 0.1},
    {"absolute_margin": 0.1},
    {"relative_margin": 0.5, "range_min": 1},
    {"max_score": 0.5, "absolute_margin": -0.2, "min_score": -0.5},
]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_the_rules_are_those_of_sentence_transformers(rules):
    """Texts are their numbers; every query has one passage, and no two are the same.

    They look at one candidate more than `range_max` where the passage is not among these.
    """
    most = 8 if rules.keys() <= {"range_min"} else ROWS - 1
    queries, passages = QUERIES[:, 0], PASSAGES[:ROWS, 0]
    model = SimpleNamespace(
        device="cpu",
        similarity=lambda a, b: torch.as_tensor(a) @ torch.as_tensor(b).T,
        similarity_pairwise=lambda a, b: (torch.as_tensor(a) * torch.as_tensor(b)).sum(1),
        encode_query=lambda texts, **_: queries[[int(t[1:]) for t in texts]],
        encode_document=lambda texts, **_: passages[[int(t[1:]) for t in texts]],
        model_card_data=SimpleNamespace(base_model=""),
    )
    texts = {"query": [f"q{i}" for i in range(ROWS)], "answer": [f"p{i}" for i in range(ROWS)]}
    theirs = mine_hard_negatives(
        Dataset.from_dict(texts),
        model,
        num_negatives=3,
        range_max=most,
        output_format="triplet",
        verbose=False,
        **rules,
    )
    expected = sorted(zip(theirs["query"], theirs["negative"], strict=True))
    every = np.arange(ROWS)
    search = VectorSearch(ShardedVectors([queries]), ShardedVectors([passages]))
    pool = Pool(search, every, every, every * 0, every, every * 0, 1)
    found, own = find([pool], range(ROWS), every, (every, every), most)
    chosen, skipped = choose(found, own[found.row], num_negatives=3, **rules)
    assert (
        sorted((f"q{r}", f"p{i}") for r, i in zip(chosen.row, chosen.item, strict=True)) == expected
    )
    assert skipped.keys() == rules.keys() - {"range_min"}


def test_a_sample_is_drawn_from_the_candidates_alike_each_time():
    row, item = np.repeat([0, 1], 50), np.tile(np.arange(50), 2)
    found = Candidates(row, item, -item / 50, row * 0, row * 0)

    def drawn(seed: int) -> Candidates:
        rng = np.random.default_rng(seed)
        return choose(found, row * np.nan, num_negatives=5, range_min=10, rng=rng)[0]

    first = drawn(0)
    assert np.bincount(first.row).tolist() == [5, 5]
    assert first.item.min() >= 10
    assert (np.diff(first.score[:5]) < 0).all()  # the best first
    assert first.item.tolist() == drawn(0).item.tolist() != drawn(1).item.tolist()
    seen = {int(i) for seed in range(99) for i in drawn(seed).item}
    assert seen == set(range(10, 50))


def test_a_flat_index_finds_what_exact_search_finds():
    pool = pool_of([0, 1, 2], [0, 1, 2])
    vectors = pool.search.passages[:]
    index = IndexSearch(
        pool.search.queries, pool.search.passages, index=build_index(vectors, "flat")
    )
    one, other = (
        find([p], range(ROWS), PASSAGE_OF, SAME, 5) for p in (pool, pool._replace(search=index))
    )
    assert one[0].item.tolist() == other[0].item.tolist()
    np.testing.assert_allclose(one[0].score, other[0].score, atol=1e-6)


def test_bm25_is_lucene_s():
    queries, passages = [[1, 2], [3], [4]], [[1, 1, 3], [2, 3], [5, 6, 7, 1]]
    search = BM25(queries, passages, 8)
    lengths, mean = np.array([3, 2, 4]), 3.0
    idf = {t: np.log(1 + (3 - n + 0.5) / (n + 0.5)) for t, n in {1: 2, 2: 1, 3: 2}.items()}

    def term(token: int, passage: int) -> float:
        times = passages[passage].count(token)
        return idf[token] * times / (times + 1.5 * (0.25 + 0.75 * lengths[passage] / mean))

    expected = [[term(1, p) + term(2, p) for p in range(3)], [term(3, p) for p in range(3)]]
    scores, places = search.top(np.array([0, 1, 2]), 3)
    for query in range(2):
        assert scores[query] == pytest.approx(sorted(expected[query], reverse=True), abs=1e-5)
        assert places[query].tolist() == np.argsort(-np.array(expected[query])).tolist()
    assert scores[2].tolist() == [0, 0, 0]  # a word that no passage has
    pairs = search.scores(np.array([1, 0, 1]), np.array([0, 2, 1]))
    assert pairs == pytest.approx([expected[1][0], expected[0][2], expected[1][1]], abs=1e-5)


def test_rows_without_a_query_in_the_languages_of_the_pool_find_nothing():
    pool = pool_of([1], [1])
    alone = pool._replace(row=pool.row + ROWS)  # all queries are of later rows
    found, own = find([alone], range(ROWS), PASSAGE_OF, SAME, 5)
    assert len(found.row) == 0
    assert np.isnan(own).all()
