"""A corpus that goes by in chunks gives the ranks of one that is held in memory."""

import os
import signal
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from hbr.core import stopping
from hbr.evaluation.counts import count_and_keep, kept_counts
from hbr.retrieval.exact import Ranks, exact_ranks
from hbr.retrieval.streamed import StreamedRanking, add, streamed_ranks
from hbr.retrieval.top_k import top_k
from hbr.retrieval.vectors import ShardedVectors


def coarse(rng: np.random.Generator, shape: tuple[int, int], dtype=np.float16) -> np.ndarray:
    """Vectors of few small values, so that float32 holds every product exactly, with many ties."""
    return (rng.integers(-3, 4, shape) / 4).astype(dtype)


def problem(seed: int):
    rng = np.random.default_rng(seed)
    queries, passages = coarse(rng, (40, 12)), coarse(rng, (300, 12))
    passages[150::7] = passages[3]  # one vector many times
    blocks = [slice(0, 90), slice(90, 91), slice(91, 91), slice(91, 300)]
    chosen = [np.sort(rng.choice(300, 5, replace=False)) for _ in range(40)]
    pairs = np.repeat(np.arange(40), 5), np.concatenate(chosen)
    return queries, passages, pairs, blocks


def whole(queries, passages, pairs, blocks, top: int) -> Ranks:
    parts = list(exact_ranks(queries, passages, pairs, blocks, top=top))
    return Ranks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def sharded(passages: np.ndarray) -> ShardedVectors:
    cuts = [0, 17, 17, 120, len(passages)]
    return ShardedVectors([passages[a:b] for a, b in pairwise(cuts)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chunk_mb", [0.0005, 0.003, 1])
def test_ranks_in_any_chunks_are_those_in_memory_ties_included(seed, chunk_mb):
    queries, passages, pairs, blocks = problem(seed)
    expected = whole(queries, passages, pairs, blocks, 7)
    *_, (end, found) = streamed_ranks(
        queries, sharded(passages), pairs, blocks, top=7, chunk_mb=chunk_mb
    )
    assert end == len(passages)
    for name in ("query", "passage", "block", "pool", "top"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


@pytest.mark.parametrize("width", [8, 16, 64])
def test_vectors_that_differ_in_signs_alone_are_told_apart(width):
    rng = np.random.default_rng(width)
    signs = np.where(rng.random((3000, width)) < 0.5, -1, 1).astype(np.float32)
    pairs = np.arange(50), np.sort(rng.choice(3000, 50, replace=False))
    expected = whole(coarse(rng, (50, width)), signs, pairs, [slice(0, 3000)], 0)
    rng = np.random.default_rng(width)
    rng.random((3000, width)), rng.choice(3000, 50, replace=False)
    queries = coarse(rng, (50, width))
    *_, (_, found) = streamed_ranks(
        queries, ShardedVectors([signs]), pairs, [slice(0, 3000)], chunk_mb=0.01
    )
    assert found.pool.tolist() == expected.pool.tolist()


def test_without_a_pool_each_query_meets_its_own_blocks_alone():
    queries, passages, pairs, blocks = problem(5)
    expected = whole(queries, passages, pairs, blocks, 0)
    *_, (_, found) = streamed_ranks(
        queries, sharded(passages), pairs, blocks, pool=False, chunk_mb=0.003
    )
    assert found.block.tolist() == expected.block.tolist()
    assert np.isnan(found.pool).all()
    assert found.top.shape == (40, 0)


def test_a_collapsed_encoder_ranks_by_position():
    passages = np.full((50, 8), 0.3, np.float32)  # products that round
    pairs = np.array([0, 0, 1]), np.array([4, 49, 20])
    *_, (_, found) = streamed_ranks(
        passages[:2] * 1.7,
        ShardedVectors([passages]),
        pairs,
        [slice(0, 30), slice(30, 50)],
        top=3,
        chunk_mb=0.0001,
    )
    assert found.pool.tolist() == [5, 50, 21]
    assert found.block.tolist() == [5, 20, 21]
    assert found.top.tolist() == [[0, 1, 2]] * 2


MEASURED = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from hbr.retrieval.streamed import streamed_ranks
from hbr.retrieval.top_k import top_k
from hbr.retrieval.vectors import ShardedVectors
rng, width = np.random.default_rng(0), 768
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def measure(folder, shards):
    for n in range(shards):
        np.save(folder / f"{n}.npy", rng.integers(-8, 9, (20_000, width)).astype(np.float16))
    parts = [np.load(folder / f"{n}.npy", mmap_mode="r") for n in range(shards)]
    passages = ShardedVectors(parts)
    queries = rng.integers(-8, 9, (50, width)).astype(np.float16)
    pairs = np.arange(50), rng.integers(0, len(passages), 50)
    blocks = [slice(0, len(passages))]
    *_, (_, found) = streamed_ranks(queries, passages, pairs, blocks, top=20, chunk_mb=32)
    assert np.isfinite(found.pool).all()
    return peak()
with tempfile.TemporaryDirectory() as folder:
    print(measure(Path(folder), 2), measure(Path(folder), 16))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus() -> None:
    """Sixteen shards of 30 MB against two; pages that were mapped are let go."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    small, large = map(float, done.stdout.split())  # MiB
    assert large - small < 150  # of 430 MB more


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_counts_of_any_parts_of_the_corpus_add_up_to_the_ranks_of_one(parts):
    queries, passages, pairs, blocks = problem(6)
    ranking = StreamedRanking(queries, sharded(passages), pairs, blocks, top=7, chunk_mb=0.0005)
    assert len(ranking.chunks) > 7
    order = np.random.default_rng(parts).permutation(len(ranking.chunks))
    total = ranking.nothing()
    for part in range(parts):
        counts = ranking.nothing()
        for number in order[part::parts]:
            ranking.count(int(number), counts)
        add(total, counts)
    assert total.done.all()
    found, expected = ranking.ranks(total), whole(queries, passages, pairs, blocks, 7)
    for name in ("query", "passage", "block", "pool", "top"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


def test_a_ranking_that_was_told_to_go_goes_on_with_the_chunks_that_are_left(tmp_path):
    queries, passages, pairs, blocks = problem(7)
    ranking = StreamedRanking(queries, sharded(passages), pairs, blocks, top=7, chunk_mb=0.0005)
    every = range(len(ranking.chunks))

    def told_at_the_fourth() -> None:
        for number in count_and_keep(tmp_path, ranking, every):
            if number == 3:
                os.kill(os.getpid(), signal.SIGUSR2)

    with stopping.listening(), pytest.raises(stopping.Stopped, match="SIGUSR2"):
        told_at_the_fourth()
    left = np.flatnonzero(~kept_counts(tmp_path, ranking).done).tolist()
    assert left == list(every)[4:]
    assert list(count_and_keep(tmp_path, ranking, left)) == left
    found = ranking.ranks(kept_counts(tmp_path, ranking))
    assert found.pool.tolist() == whole(queries, passages, pairs, blocks, 7).pool.tolist()


def test_the_best_of_a_streamed_corpus_are_those_of_one_in_memory():
    queries, passages, _, _ = problem(8)
    whole = [np.concatenate(parts) for parts in zip(*top_k(queries, passages, 30), strict=True)]
    (found,) = top_k(queries, sharded(passages), 30, block_mb=0.001, memory_mb=0.001)
    assert found[1].tolist() == whole[1].tolist()
    assert found[0].tolist() == whole[0].tolist()
