"""Bitext mining: which sentences of two corpora translate one another, and how well it is found.

Artetxe and Schwenk, Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings
(arXiv 1811.01136): candidates from both directions, one use of a sentence, a threshold on a score.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from hbr.retrieval.top_k import merge_topk, stable_topk
from hbr.retrieval.vectors import ShardedVectors, float32_tensor

CHUNK_MB = 128  # of scores held at a time
MARGINS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # eq. 2 to 4
    "absolute": lambda cosine, _: cosine,
    "distance": lambda cosine, mean: cosine - mean,
    "ratio": lambda cosine, mean: cosine / mean,
}


class Neighbors(NamedTuple):
    """The nearest sentences of the other side, best first: both arrays (sentences, k)."""

    scores: np.ndarray
    positions: np.ndarray  # -1 where the other side has fewer than k


class MinedPairs(NamedTuple):
    """Pairs of a source and a target with their scores, best first: arrays (pairs,)."""

    source: np.ndarray
    target: np.ndarray
    score: np.ndarray


class Quality(NamedTuple):
    """How the pairs above a threshold compare with the true ones."""

    f1: float
    precision: float
    recall: float


class UniqueTexts:
    """The vectors of the first of each set of equal texts, sliced like an array.

    `positions` (texts,) are those of the first ones; `repeated` (texts,) says which have repeats.
    """

    def __init__(self, vectors: ShardedVectors, texts: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        ids = np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)
        _, self.positions, counts = np.unique(ids, return_index=True, return_counts=True)
        self.repeated = counts > 1
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: slice) -> np.ndarray:
        return self.vectors.take(self.positions[chosen])


def nearest_neighbors(
    sources: Any,
    targets: Any,
    k: int,
    *,
    chunk_mb: float = CHUNK_MB,
    device: Any = "cpu",
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Neighbors, Neighbors]:
    """Return the k nearest targets of every source and sources of every target, by cosine.

    `sources` (n, d) and `targets` (m, d) are sliced, be they arrays or sharded vectors; no more
    than a few `chunk_mb` of them and of their products are in memory. `advance` is called with the
    number of sources done.
    """
    size = max(1, int((chunk_mb * 2**20 / 4) ** 0.5))
    forward, backward = _no_neighbors(len(sources), k), _no_neighbors(len(targets), k)
    for row in range(0, len(sources), size):
        left = _unit_vectors(sources[row : row + size], device)
        for column in range(0, len(targets), size):
            scores = left @ _unit_vectors(targets[column : column + size], device).T
            _merge(forward, row, scores, column)
            _merge(backward, column, scores.T, row)
        advance(len(left))
    return forward, backward


def mine_pairs(forward: Neighbors, backward: Neighbors, margin: str) -> MinedPairs:
    """Pair sentences greedily by score, each at most once; scores are cosines under a margin.

    The margin sets a cosine against the mean one of both sentences' neighbors (eq. 4); candidates
    are the best target of each source and the best source of each target ("max").
    """
    means = [np.ma.masked_invalid(side.scores).mean(1).filled(0) for side in (forward, backward)]
    ahead = _best_neighbors(forward, means[0], means[1], margin)
    back = _best_neighbors(backward, means[1], means[0], margin)
    source = np.concatenate([ahead.source, back.target])
    target = np.concatenate([ahead.target, back.source])
    score = np.concatenate([ahead.score, back.score]).astype(float)
    order = np.argsort(-score, kind="stable")
    free_source = np.ones(len(forward.scores), bool)
    free_target = np.ones(len(backward.scores), bool)
    kept = []
    for i, s, t in zip(order, source[order], target[order], strict=True):
        if free_source[s] and free_target[t]:
            free_source[s] = free_target[t] = False
            kept.append(i)
    return MinedPairs(source[kept], target[kept], score[kept])


def best_threshold(score: np.ndarray, correct: np.ndarray, gold: int) -> float:
    """Return the threshold with the highest F1, the highest of those: half-way between two scores.

    `score` and `correct` (pairs,) are those of pairs, best first; `gold` is the number of true
    pairs.
    """
    hits = np.cumsum(correct)
    f1 = 2 * hits / (np.arange(1, len(score) + 1) + gold)
    last = np.append(score[1:] < score[:-1], True)  # equal scores fall on one side
    best = int(np.flatnonzero(last)[f1[last].argmax()])
    lowest = float(score[best])
    if best + 1 == len(score):
        return float(np.nextafter(lowest, -np.inf))
    return (lowest + float(score[best + 1])) / 2


def quality(chosen: np.ndarray, correct: np.ndarray, gold: int) -> Quality:
    """Return F1, precision and recall of the chosen pairs: `chosen` and `correct` (pairs,)."""
    count, hits = int(chosen.sum()), int((chosen & correct).sum())
    return Quality(2 * hits / (count + gold), hits / count if count else 0.0, hits / gold)


def _no_neighbors(count: int, k: int) -> Neighbors:
    return Neighbors(np.full((count, k), -np.inf, np.float32), np.full((count, k), -1, np.int64))


def _unit_vectors(vectors: np.ndarray, device: Any) -> torch.Tensor:
    copy = float32_tensor(vectors).to(device)
    return torch.nn.functional.normalize(copy, dim=1)


def _merge(neighbors: Neighbors, row: int, scores: torch.Tensor, column: int) -> None:
    """Merge a block of scores into the nearest so far; of equal ones the earlier stays."""
    rows = slice(row, row + len(scores))
    old = neighbors.scores[rows], neighbors.positions[rows]
    best, positions = stable_topk(scores, neighbors.scores.shape[1])
    neighbors.scores[rows], neighbors.positions[rows] = merge_topk(old, (best, positions + column))


def _best_neighbors(
    side: Neighbors, means: np.ndarray, other_means: np.ndarray, margin: str
) -> MinedPairs:
    """Return each sentence with the best of its neighbors under a margin."""
    exists = side.positions >= 0
    positions = np.where(exists, side.positions, 0)
    scores = MARGINS[margin](side.scores, (means[:, None] + other_means[positions]) / 2)
    scores = np.where(exists, scores, -np.inf)
    rows, best = np.arange(len(scores)), scores.argmax(1)
    return MinedPairs(rows, positions[rows, best], scores[rows, best])
