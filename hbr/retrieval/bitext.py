"""Mining translations: which sentences of two corpora translate one another, and how well it went.

Artetxe and Schwenk, Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings
(arXiv 1811.01136): candidates from both directions, one use of a sentence, a threshold on a score.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from hbr.retrieval.exact import first_of

CHUNK_MB = 128  # of scores held at a time
MARGINS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # eq. 2 to 4
    "absolute": lambda cosine, _: cosine,
    "distance": lambda cosine, mean: cosine - mean,
    "ratio": lambda cosine, mean: cosine / mean,
}


class Nearest(NamedTuple):
    """The nearest sentences of the other side, best first: both arrays (sentences, k)."""

    scores: np.ndarray
    places: np.ndarray


class Mined(NamedTuple):
    """Pairs of a source and a target with their scores, best first: arrays (pairs,)."""

    source: np.ndarray
    target: np.ndarray
    score: np.ndarray


class Quality(NamedTuple):
    """How the pairs above a threshold compare with the true ones."""

    f1: float
    precision: float
    recall: float


def nearest(
    sources: Any,
    targets: Any,
    k: int,
    *,
    chunk_mb: float = CHUNK_MB,
    device: Any = "cpu",
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Nearest, Nearest]:
    """Return the k nearest targets of every source and sources of every target, by cosine.

    `sources` (n, width) and `targets` (m, width) are sliced, as arrays or stacks of shards; no more
    than a few `chunk_mb` of them and of their products are in memory. `advance` hears of every few
    sources that are done.
    """
    size = max(1, int((chunk_mb * 2**20 / 4) ** 0.5))
    forward, backward = _none(len(sources), k), _none(len(targets), k)
    for top in range(0, len(sources), size):
        left = _tensor(sources[top : top + size], device)
        for at in range(0, len(targets), size):
            scores = left @ _tensor(targets[at : at + size], device).T
            _merge(forward, top, scores, at)
            _merge(backward, at, scores.T, top)
        advance(len(left))
    return forward, backward


def _none(count: int, k: int) -> Nearest:
    return Nearest(np.full((count, k), -np.inf, np.float32), np.full((count, k), -1, np.int64))


def _tensor(vectors: np.ndarray, device: Any) -> torch.Tensor:
    own = torch.from_numpy(np.array(vectors, dtype=np.float32)).to(device)
    return torch.nn.functional.normalize(own, dim=1)


def _merge(found: Nearest, start: int, scores: torch.Tensor, at: int) -> None:
    """Take the best of some scores among the nearest so far; of equal ones the earlier stays."""
    some = slice(start, start + len(scores))
    k = found.scores.shape[1]
    best, places = first_of(scores, k)
    best = np.concatenate([found.scores[some], best], axis=1)
    places = np.concatenate([found.places[some], places + at], axis=1)
    order = np.argsort(-best, axis=1, kind="stable")[:, :k]
    found.scores[some] = np.take_along_axis(best, order, 1)
    found.places[some] = np.take_along_axis(places, order, 1)


class Unique:
    """Vectors of texts, the first of each, sliced as the whole is.

    `places` (texts,) are those of the first ones; `repeated` says which of them stand for several.
    """

    def __init__(self, vectors: Any, texts: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        which = np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)
        _, self.places, counts = np.unique(which, return_index=True, return_counts=True)
        self.repeated = counts > 1
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, some: slice) -> np.ndarray:
        return self.vectors.take(self.places[some])


def candidates(forward: Nearest, backward: Nearest, margin: str) -> Mined:
    """Pair sentences greedily by score, each at most once; scores are cosines under a margin.

    The margin sets a cosine against the mean one of both sentences' neighbours (eq. 4); candidates
    are the best target of each source and the best source of each target ("max").
    """
    means = [np.ma.masked_invalid(side.scores).mean(1).filled(0) for side in (forward, backward)]
    ahead = _scored(forward, means[0], means[1], margin)
    back = _scored(backward, means[1], means[0], margin)
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
    return Mined(source[kept], target[kept], score[kept])


def _scored(side: Nearest, own: np.ndarray, other: np.ndarray, margin: str) -> Mined:
    """Return each sentence with the best of its neighbours under a margin."""
    there = np.where(side.places >= 0, side.places, 0)
    scores = MARGINS[margin](side.scores, (own[:, None] + other[there]) / 2)
    scores = np.where(side.places >= 0, scores, -np.inf)
    best = scores.argmax(1)[:, None]
    lines = np.arange(len(scores))
    return Mined(
        lines, np.take_along_axis(there, best, 1)[:, 0], np.take_along_axis(scores, best, 1)[:, 0]
    )


def best_threshold(score: np.ndarray, correct: np.ndarray, gold: int) -> float:
    """Return the threshold with the highest F1, the highest of those: half-way between two scores.

    `score` and `correct` (pairs,) are those of pairs, best first, of which `gold` are to be found.
    """
    right = np.cumsum(correct)
    f1 = 2 * right / (np.arange(1, len(score) + 1) + gold)
    last = np.append(score[1:] < score[:-1], True)  # equal scores fall on one side
    best = int(np.flatnonzero(last)[f1[last].argmax()])
    own = float(score[best])
    if best + 1 == len(score):
        return float(np.nextafter(own, -np.inf))
    return (own + float(score[best + 1])) / 2


def quality(chosen: np.ndarray, correct: np.ndarray, gold: int) -> Quality:
    """Return F1, precision and recall of the chosen pairs: `chosen` and `correct` (pairs,)."""
    found, right = int(chosen.sum()), int((chosen & correct).sum())
    return Quality(2 * right / (found + gold), right / found if found else 0.0, right / gold)
