"""Runs that questions can be put to: vectors of a data set's passages, and the encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hbr.core.errors import UserError
from hbr.core.target import EvaluationTarget
from hbr.evaluation.search import Found, Searcher
from hbr.experiments import stages
from hbr.experiments.building import is_current, update
from hbr.experiments.inventory import last_dataset
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec


class Answer(NamedTuple):
    """What one run finds for a question."""

    run: str
    found: Found


class Desk:
    """Several runs over one data set, each ready to be asked; see `Searcher.search`.

    Without a `dataset` it is what the first run was evaluated on last.
    """

    def __init__(self, runs: Sequence[RunSpec], dataset: str | None, source: Path | None) -> None:
        """Bring the vectors of every run up to date and load its encoder."""
        self.dataset = dataset or last_dataset(runs[0].path)
        names = [run.path.name for run in runs]
        self.searchers = {
            run.path.name if names.count(run.path.name) == 1 else str(run.path): _searcher(
                run, self.dataset, source
            )
            for run in runs
        }
        self.task = next(iter(self.searchers.values())).task

    def ask(self, question: str, **how: Any) -> list[Answer]:
        """Return what every run finds; `how` is that of `Searcher.search`."""
        return [Answer(name, one.search(question, **how)) for name, one in self.searchers.items()]


def _searcher(run: RunSpec, dataset: str, source: Path | None) -> Searcher:
    from hbr.evaluation.encode import load_vectors
    from hbr.evaluation.retriever import Retriever

    data, target = RunData(run, {dataset: source}), EvaluationTarget(dataset)
    stage = stages.encode(data, target)
    if stage.name in run.store.entries() and not is_current(stage):
        raise UserError(
            f"{run.path.name}: its vectors of {dataset} were made with other settings, data or "
            "weights, and results rest on them; leave out --set, or make them anew: "
            f"`hbr encode --dataset {dataset} --run {run.path}`"
        )
    update([stage])
    retriever = Retriever.open(run.path / "model", run.config, run.torch_device())
    return Searcher(retriever, data.task(dataset), load_vectors(stage.folder, "passages"))


def answer_values(question: str, dataset: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what runs find as JSON-like values."""
    return {
        "question": question,
        "query_language": answers[0].found.query_language,
        "dataset": dataset,
        "runs": [
            {
                "run": answer.run,
                "languages": answer.found.languages,
                "hits": [hit._asdict() for hit in answer.found.hits],
                "judged": [hit._asdict() for hit in answer.found.judged],
            }
            for answer in answers
        ],
    }
