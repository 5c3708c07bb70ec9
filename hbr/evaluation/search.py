"""What one question finds among the passages of a task, and where its answers stand."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from hbr.core.errors import UserError
from hbr.core.registry import near
from hbr.data.tasks import Task
from hbr.retrieval.vectors import as_shards, repeated_vectors

CHUNK = 65_536  # passages scored at a time


class QueryEncoder(Protocol):
    """What turns questions into vectors; see `hbr.evaluation.retriever.Retriever`."""

    def encode_queries(self, texts: Sequence[str], language: str | None = None) -> np.ndarray:
        """Return the vectors of queries: (texts, width)."""
        ...


class Hit(NamedTuple):
    """A passage with its rank in what was searched, counted from 1.

    `relevant` is None where the question is none of the data set's, so that nobody has judged.
    """

    rank: int
    score: float
    language: str
    id: str
    text: str
    relevant: bool | None


class Found(NamedTuple):
    """The first passages for a question, best first, and those that are judged relevant."""

    query_language: str | None  # of the data set's own question
    hits: list[Hit]
    judged: list[Hit]

    @property
    def languages(self) -> dict[str, int]:
        """How many of the first passages are in which language, most first."""
        names = [hit.language for hit in self.hits]
        return {n: names.count(n) for n in sorted(set(names), key=lambda n: (-names.count(n), n))}


class Searcher:
    """Searches the passages of a task exactly; equal scores stand in the order of the corpus."""

    def __init__(self, encoder: QueryEncoder, task: Task, passages: Any) -> None:
        self.encoder, self.task, self.passages = encoder, task, passages
        self._repeats: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def search(
        self,
        question: str,
        *,
        language: str | None = None,
        pool: str | None = None,
        k: int = 10,
        known: Sequence[int] | None = None,
    ) -> Found:
        """Return what a question finds in the passages of a language, or of all.

        `language` is the question's, by which one that the data set has in several languages is
        told from the others. `known` are the places of the data set's queries that it is, by
        default all that have its text. Raises UserError for languages that the data set lacks.
        """
        block = self._block(pool)
        known = self._known(question, language) if known is None else known
        query = self.encoder.encode_queries([question], language)[0].astype(np.float32)
        scores = self._scores(query, block)
        relevant, excluded = self._judgements(known)
        here = range(block.start, block.stop)
        scores[[place - block.start for place in excluded if place in here]] = -np.inf
        order = best(scores, k) + block.start
        hits = [
            self._hit(rank, place, scores[place - block.start], relevant if known else None)
            for rank, place in enumerate(order.tolist(), start=1)
        ]
        judged = [
            self._hit(rank_of(scores, at), at + block.start, scores[at], {at + block.start})
            for at in (place - block.start for place in relevant if place in here)
        ]
        own = self.task.languages[self.task.query_language[known[0]]] if known else language
        return Found(own, hits, sorted(judged))

    def _block(self, pool: str | None) -> slice:
        if pool in (None, "all"):
            return slice(0, len(self.task.passage_language))
        if pool not in self.task.languages:
            raise UserError(
                f"--pool: {self.task.name} has no {pool!r}{near(pool, self.task.languages)}"
            )
        return self.task.blocks[self.task.languages.index(pool)]

    def _known(self, question: str, language: str | None) -> list[int]:
        """Return the data set's queries that are this question."""
        task = self.task
        if language is not None and language not in task.languages:
            raise UserError(
                f"--language: {task.name} has no {language!r}{near(language, task.languages)}"
            )
        places = self._places.get(question.strip(), [])
        return [q for q in places if language in (None, task.languages[task.query_language[q]])]

    def _judgements(self, known: Sequence[int]) -> tuple[set[int], set[int]]:
        """Return the passages that are relevant to queries, and those that do not count."""
        task, concepts = self.task, self.task.concept[list(known)].tolist()
        relevant = {
            place
            for c in concepts
            for place in task.relevant[task.indptr[c] : task.indptr[c + 1]].tolist()
        }
        return relevant, {int(task.excluded[c]) for c in concepts} - relevant - {-1}

    def _scores(self, query: np.ndarray, block: slice) -> np.ndarray:
        parts = [
            np.asarray(self.passages[at : min(at + CHUNK, block.stop)], np.float32) @ query
            for at in range(block.start, block.stop, CHUNK)
        ]
        scores = np.concatenate(parts) if parts else np.empty(0, np.float32)
        repeated, first = self._repeated(block.start, block.stop)
        scores[repeated] = scores[first]
        return scores

    def _hit(self, rank: int, place: int, score: Any, relevant: set[int] | None) -> Hit:
        task = self.task
        row = task.passages.slice(place, 1).to_pylist()[0]
        language = task.languages[task.passage_language[place]]
        judged = None if relevant is None else place in relevant
        return Hit(rank, float(score), language, row["id"], row["text"], judged)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, text in enumerate(self.task.queries["text"].to_pylist()):
            places.setdefault(text.strip(), []).append(place)
        return places

    def _repeated(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the passages of a block that repeat an earlier vector, whose tie must be one."""
        if (start, stop) not in self._repeats:
            self._repeats[start, stop] = repeated_vectors(
                as_shards(self.passages).view(slice(start, stop))
            )
        return self._repeats[start, stop]


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the positions of the k highest scores, the first of equal ones first."""
    k = min(k, int(np.isfinite(scores).sum()))
    if k == 0:
        return np.empty(0, np.int64)
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= least)
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


def rank_of(scores: np.ndarray, place: int) -> int:
    """Return the rank of the score at a position, counted from 1, as `exact_ranks` has it."""
    own = scores[place]
    return 1 + int((scores > own).sum()) + int((scores[:place] == own).sum())
