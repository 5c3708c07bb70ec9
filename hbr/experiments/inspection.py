"""Queries of a run with their texts: what is judged relevant, what stands before it, how far."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hbr.compare.queries import (
    QueryLine,
    extremes,
    failed_by_all,
    line_values,
    query_lines,
)
from hbr.compare.results import Result, read_result
from hbr.core.errors import UserError
from hbr.core.target import EvaluationTarget
from hbr.data.tasks import Task
from hbr.evaluation.search import Found, Searcher
from hbr.experiments.inventory import last_dataset
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec
from hbr.experiments.stages import load_vectors

BEFORE = 3  # passages that are shown before the relevant ones
Values = dict[str, Any]


class StoredQueries:
    """The vectors of a task's own queries, as they were evaluated, in place of an encoder."""

    def __init__(self, task: Task, vectors: Any) -> None:
        self.vectors = np.asarray(vectors, np.float32)
        texts = task.queries["text"].to_pylist()
        codes = [task.languages[code] for code in task.query_language]
        self.places = {key: i for i, key in reversed([*enumerate(zip(codes, texts, strict=True))])}

    def encode_queries(self, texts: Sequence[str], language: str | None = None) -> np.ndarray:
        """Return the vectors of queries in a language."""
        return self.vectors[[self.places[language or "", text] for text in texts]]


class Inspector:
    """One run's queries on a data set, with those of others beside them.

    Without a `dataset` it is what the run was evaluated on last; see `RunData` for `ready`.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        dataset: str | None,
        source: Path | None,
        *,
        ready: bool = False,
    ) -> None:
        """Read the results of the runs. Raises UserError where they are not there."""
        dataset = dataset or last_dataset(runs[0].path)
        target = EvaluationTarget.parse(dataset)
        if target != target.clean:
            raise UserError(f"--dataset {dataset}: name {target.dataset}, whose queries are clean")
        if target.is_mteb:
            place = runs[0].path / "evaluate" / target.folder / "predictions"
            raise UserError(f"{dataset} is evaluated by MTEB: what it found is in {place}")
        self.data = RunData(runs[0], {dataset: source}, ready=ready)
        self.results: list[Result] = [read_result(r.store, r.config, target) for r in runs]
        self.task = self.data.task(dataset)
        for result in self.results:
            if result.metrics.get("task", self.task.id) != self.task.id:
                raise UserError(
                    f"{result.name} was evaluated on another {dataset} than its settings say "
                    "(evaluate.limit, evaluate.passage); evaluate it again with these"
                )
        queries, passages = load_vectors(self.data, target)
        self.searcher = Searcher(StoredQueries(self.task, queries), self.task, passages)
        ids = self.task.queries["id"].to_pylist()
        codes = [self.task.languages[code] for code in self.task.query_language]
        self.place = {key: i for i, key in enumerate(zip(codes, ids, strict=True))}

    def values(self, setting: str, metric: str, language: str | None, number: int) -> Values:
        """Return the worst, best and most changed queries, and what every run fails."""
        lines = query_lines(self.results, setting, metric, language)
        found = extremes(lines, metric, number)
        failed = failed_by_all(self.results, setting, number)
        return {
            "dataset": self.task.name,
            "runs": [result.name for result in self.results],
            "setting": setting,
            "metric": metric,
            **{name: [self.values_of(one) for one in some] for name, some in found.items()},
            "failed by every run": [
                one._asdict() | self._texts(one.query, one.query_language, one.passage_language)
                for one in failed
            ],
        }

    def values_of(self, line: QueryLine) -> Values:
        """Return a query's values with its text, and the passages as the first run ranks them."""
        return line_values(line) | self._texts(
            line.query, line.query_language, line.passage_language
        )

    def _texts(self, query: str, language: str, pool: str | None) -> Values:
        """Return the query's text, its relevant passages with their ranks, and those before."""
        place = self.place[language, query]
        text = self.task.queries["text"][place].as_py()
        found = self.searcher.search(text, language=language, pool=pool, k=BEFORE, known=[place])
        return {"question": text, "question_language": language} | _around(found)


def _around(found: Found) -> Values:
    best = found.judged[0] if found.judged else None
    before = [hit for hit in found.hits if best is None or hit.rank < best.rank]
    return {
        "relevant": [hit._asdict() for hit in found.judged],
        "before": [
            hit._asdict() | {"margin": hit.score - best.score if best else None} for hit in before
        ],
    }
