"""faiss indexes find what exact search finds, or most of it."""

import numpy as np
import pytest

from hbr.evaluation.index import _recall
from hbr.retrieval.faiss_index import build_index
from hbr.retrieval.vectors import ShardedVectors
from tests.retrieval.test_exact import unit


def test_a_flat_index_finds_the_exact_nearest():
    queries, passages = unit(20, 16), unit(300, 16, 1)
    _, found = build_index(passages, "flat").search(queries, 10)
    assert np.array_equal(found, np.argsort(-queries @ passages.T, axis=1)[:, :10])


@pytest.mark.parametrize(
    ("kind", "least"), [("flat", 1.0), ("ivf", 0.6), ("hnsw", 0.9), ("pq", 0.8)]
)
def test_an_approximate_index_finds_most_of_the_nearest(kind, least):
    queries, passages = unit(50, 16), unit(1000, 16, 1)
    exact = np.argsort(-queries @ passages.T, axis=1)[:, :10]
    _, found = build_index(passages, kind).search(queries, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)])
    assert recall >= least


def test_more_probes_and_more_bytes_find_more():
    queries, passages = unit(50, 16), unit(1000, 16, 1)
    exact = np.argsort(-queries @ passages.T, axis=1)[:, 0]

    def hits(kind: str, **settings: int) -> float:
        return (build_index(passages, kind, **settings).search(queries, 1)[1][:, 0] == exact).mean()

    assert hits("ivf", nlist=20, nprobe=20) == 1.0
    assert hits("ivf", nlist=20, nprobe=1) < hits("ivf", nlist=20, nprobe=10)
    assert hits("pq", m=2) < hits("pq", m=16)


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw", "pq"])
@pytest.mark.parametrize("passages", [1, 2, 3, 7])
def test_an_index_can_be_built_of_a_few_passages(kind, passages):
    vectors = unit(passages, 8)
    _, found = build_index(vectors, kind).search(vectors, passages)
    assert sorted(found[0].tolist()) == list(range(passages))


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_passages_that_are_added_in_parts_give_the_same_index(kind):
    rng = np.random.default_rng(0)
    passages = rng.standard_normal((500, 16)).astype(np.float32)
    shards = ShardedVectors([passages[:90], passages[90:]])
    whole = build_index(passages, kind, nlist=4, nprobe=4, m=4)
    parts = build_index(shards, kind, nlist=4, nprobe=4, m=4, memory_mb=0.01)
    assert parts.ntotal == whole.ntotal == 500
    queries = passages[::50]  # every cell is searched, so that both are exact
    assert parts.search(queries, 9)[1].tolist() == whole.search(queries, 9)[1].tolist()


@pytest.mark.parametrize("length", [1, 6, 20])
def test_the_recall_of_an_exact_index_is_1_whatever_the_length_of_the_vectors(length):
    queries, passages = length * unit(200, 64), length * unit(3000, 64, 1)
    index = build_index(passages, "flat")
    assert _recall(index, queries, ShardedVectors([passages])) == 1
