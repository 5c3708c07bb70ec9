"""hbr from Python: `import hbr` has what stands here; results are pandas data frames."""

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hbr.compare.claims import EVIDENCE, Claim, doubled_id
from hbr.compare.model import Report
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, read_result
from hbr.core import log
from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget
from hbr.core.yaml_files import read_yaml
from hbr.data.tasks import EvaluationData
from hbr.experiments import cells as planned
from hbr.experiments import stages, study_results
from hbr.experiments import study as studies
from hbr.experiments.building import update
from hbr.experiments.inventory import exact_targets
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec, complete, laid_over, open_run

if TYPE_CHECKING:
    from hbr.evaluation.retriever import Retriever

Place = str | Path
log.calm_libraries()  # before they are imported


@dataclass(frozen=True)
class Run:
    """A trained (or untrained) run."""

    spec: RunSpec

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.spec.path

    @property
    def config(self) -> Config:
        """Its settings."""
        return self.spec.config

    @property
    def log(self) -> pd.DataFrame:
        """Its training log, a line a record: step, loss, learning rate, validation loss, …"""
        lines = (self.path / "train" / "log.jsonl").read_text("utf-8").splitlines()
        return pd.DataFrame(map(json.loads, lines))

    def load(self) -> "Retriever":
        """Return its encoder, which turns queries and passages into vectors."""
        from hbr.evaluation.retriever import Retriever

        self.spec.training_id()  # raises where it is not trained
        return Retriever.open(self.path / "model", self.config, self.spec.torch_device())


@dataclass(frozen=True)
class Evaluation:
    """What one encoder reaches on one data set."""

    result: Result
    keep: Any = field(default=None, repr=False)  # holds a temporary folder until it is forgotten

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The content of `metrics.json`: means, by query language, by pair, bias."""
        return self.result.metrics

    @property
    def values(self) -> pd.DataFrame:
        """A line a setting (mono, cross, multi), a column a metric."""
        return pd.DataFrame(self.metrics["settings"]).T

    @property
    def by_language(self) -> pd.DataFrame:
        """The same by query language: a line a setting and language."""
        groups = self.metrics["by_query_language"].items()
        lines = {(s, language): v for s, by in groups for language, v in by.items()}
        table = pd.DataFrame(lines).T
        return table.rename_axis(["setting", "query_language"])

    @cached_property
    def by_query(self) -> pd.DataFrame:
        """The same by query: a line a setting, query and (but in the pool) passage language."""
        import pyarrow.parquet as pq

        assert self.result.folder is not None
        return pq.read_table(self.result.folder / "per_query.parquet").to_pandas()

    def _repr_html_(self) -> str:
        title = f"{self.metrics['dataset']}: {self.result.name}"
        return f"<p>{escape(title)}</p>{self.values.to_html(float_format='{:.3f}'.format)}"


@dataclass(frozen=True)
class Comparison:
    """Tables with tests, verdicts on claims, and warnings where runs are compared unfairly."""

    report: Report

    @property
    def values(self) -> pd.DataFrame:
        """A line a value: what it is of, mean, deviation over seeds, 95 % interval."""
        from hbr.report.formats.values import to_csv

        return pd.read_csv(io.StringIO(to_csv(self.report.tables)))

    @property
    def verdicts(self) -> pd.DataFrame:
        """A line a comparison of a claim: its status, effect, interval and p."""
        kept = ("dataset", "label", "effect", "low", "high", "relative", "adjusted", "seeds")
        return pd.DataFrame(
            [
                {"claim": verdict.id, "verdict": str(verdict.status), "status": str(one.status)}
                | {name: getattr(one, name) for name in kept}
                for verdict in self.report.verdicts
                for one in verdict.findings
            ]
        )

    @property
    def warnings(self) -> list[str]:
        """What limits trust in the comparison."""
        return list(self.report.warnings)

    def save(self, path: Place) -> Path:
        """Write the report; the suffix says how: .html, .md, .tex, .csv or .json."""
        from hbr.core.files import write_through
        from hbr.report import formats

        by_suffix = {each.suffix: each.name for each in formats.file_formats()}
        place = Path(path)
        if place.suffix not in by_suffix:
            raise UserError(f"{place}: a report is one of {', '.join(by_suffix)}")
        write_through(place, formats.write(self.report, by_suffix[place.suffix]))
        return place

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(line)}</p>" for line in self.warnings]
        for table in self.report.tables:
            head, *lines = table.lines()
            notes = "".join(f"<p>{escape(note)}</p>" for note in (table.protocol, *table.notes))
            frame = pd.DataFrame(lines, columns=head)
            parts.append(f"<h4>{escape(table.title)}</h4>{frame.to_html(index=False)}{notes}")
        return "".join([*parts, self.verdicts.to_html(index=False) if self.report.verdicts else ""])


@dataclass(frozen=True)
class Study:
    """A study: a grid of runs, what they are evaluated on, and claims."""

    study: studies.Study
    cells: Sequence[planned.Cell]

    @classmethod
    def from_yaml(
        cls, path: Place, *, runs: Place | None = None, device: str = "auto", **settings: Any
    ) -> "Study":
        """Read a study file; `settings` are laid over those of all its runs."""
        study = studies.read_study(Path(path))
        return cls(study, planned.cells(study, _folder(runs), settings, device))

    @property
    def runs(self) -> list[Run]:
        """Its runs, done or not."""
        return [Run(cell.run) for cell in self.cells]

    def run(self) -> "Study":
        """Do what is not up to date, one run after the other in this process; return the study."""
        from hbr.core.progress import track

        stale = planned.stale(self.cells)
        for cell in track(stale, self.study.name, len(stale), "runs"):
            update(cell.stages(), cell.force)
        return self

    def compare(self, **options: Any) -> Comparison:
        """Compare the runs that are done and judge the claims; `options` are those of `compare`."""
        results, _ = study_results.study_results(self.study, self.cells)
        return Comparison(assemble(results, _options(**options)))


def load(run: Place | Run, *, device: str = "auto") -> "Retriever":
    """Return the encoder of a run: `encode_queries(texts)` and `encode_passages(texts)`.

    It uses the run's prompts, lengths and precision. Raises UserError where there is no such run.
    """
    return (run if isinstance(run, Run) else _open(run, device)).load()


def train(
    config: Place | Mapping[str, Any] | None = None,
    *,
    runs: Place | None = None,
    device: str = "auto",
    force: bool = False,
    **settings: Any,
) -> Run:
    """Train an encoder, unless the same run is done; an interrupted training goes on.

    `runs` is the folder of all runs, by default `$HBR_RUNS` or `runs`, here and below.
    `config` is a YAML file or a mapping; `settings` are laid over it by their last word, such as
    `max_steps=100`, `sampler="hybrid"`. All of them: `hbr settings`.
    """
    below = read_yaml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    resolved = complete(resolve_config(below, settings), _folder(runs))
    spec = RunSpec(resolved, _folder(runs), device)
    update([stages.train(RunData(spec))], {"train"} if force else ())
    return Run(spec)


def evaluate(
    encoder: Any,
    task: str | EvaluationData = "embedded",
    *,
    source: Place | None = None,
    runs: Place | None = None,
    device: str = "auto",
    name: str | None = None,
    normalize: bool | None = None,
    **settings: Any,
) -> Evaluation:
    """Evaluate an encoder on a data set, exactly and for language bias.

    `encoder` is a run or its folder (its results on a data set by name are kept there), a
    SentenceTransformer, an object with `encode_queries` and `encode_passages`, or any callable from
    texts to vectors: (texts, width), scaled to unit length unless `normalize` is false. `task` is
    a data set by name, with its files in `source`, or one in memory. `name` is what tables call an
    encoder that is no run. `settings` are those of evaluation, such as `metrics=["map"]`.
    Contamination is counted of runs on data sets by name: of other encoders nobody knows what they
    were trained on.
    """
    run = _open(encoder, device) if isinstance(encoder, str | Path) else encoder
    place = Path(source) if source else None
    if isinstance(run, Run) and isinstance(task, str):
        if name or normalize is not None:
            raise UserError(
                "`name` and `normalize` are of encoders that are no runs; leave them out"
            )
        return _evaluate_run(run, EvaluationTarget.parse(task), place, settings)
    from hbr.experiments.outside import evaluate_encoder

    result, kept = evaluate_encoder(
        run.load() if isinstance(run, Run) else run,
        task,
        source=place,
        runs=_folder(runs),
        device=device,
        name=name or (run.path.name if isinstance(run, Run) else None),
        trained=run.config if isinstance(run, Run) else None,
        normalize=normalize,
        settings=settings,
    )
    return Evaluation(result, kept)


def compare(
    items: Iterable[Run | Place | Evaluation],
    claims: Iterable[Claim | Mapping[str, Any]] = (),
    **options: Any,
) -> Comparison:
    """Compare runs and evaluations on the data sets that all of them share.

    `claims` are judged as those of a study. `options` are `metrics`, `by`, `baseline`, `evidence`,
    `strict` and `reference`, as in `hbr compare`.
    """
    by_target = [_results(item) for item in items]
    shared = [t for t in by_target[0] if all(t in one for one in by_target)] if by_target else []
    if not shared:
        raise UserError("there is no data set that all of them were evaluated on")
    results = [one[target]() for target in shared for one in by_target]
    names = [result.name for result in results if result.target == shared[0]]
    if twice := sorted(name for name in set(names) if names.count(name) > 1):
        raise UserError(f"two of them are called {twice[0]}; `evaluate` takes a name")
    judged = [c if isinstance(c, Claim) else Claim.model_validate(dict(c)) for c in claims]
    if id := doubled_id(judged):
        raise UserError(f"two claims have the id {id!r}")
    datasets = list(dict.fromkeys(str(target.encoded) for target in shared))
    study = StudyResults("", results, claims=judged, datasets=datasets)
    return Comparison(assemble(study, _options(**options)))


def _folder(runs: Place | None) -> Path:
    return Path(runs or os.environ.get("HBR_RUNS", "runs"))


def _options(
    *, metrics: Sequence[str] | None = None, evidence: str = "methods", **others: Any
) -> Options:
    try:
        metrics = metrics.split(",") if isinstance(metrics, str) else metrics
        return Options(tuple(metrics) if metrics else None, evidence=EVIDENCE[evidence], **others)
    except (KeyError, TypeError) as error:
        raise UserError(f"compare has no such option: {error}") from error


def _open(run: Place, device: str) -> Run:
    path = Path(run)
    return Run(RunSpec(open_run(path)[1], path.parent, device, path))


def _evaluate_run(
    run: Run, target: EvaluationTarget, source: Path | None, settings: Mapping[str, Any]
) -> Evaluation:
    config = laid_over(run.config, settings)
    target = target.centered() if config.evaluate.center_languages else target
    spec = RunSpec(config, run.spec.runs, run.spec.device, run.path)
    update([stages.evaluate(RunData(spec, {target.dataset: source}), target)])
    return Evaluation(read_result(spec.store, config, target))


def _results(item: Run | Place | Evaluation) -> dict[EvaluationTarget, Callable[[], Result]]:
    """Return what reads each result of a run, by its target, or the one that an evaluation has."""
    if isinstance(item, Evaluation):
        return {item.result.target: lambda: item.result}
    run = item if isinstance(item, Run) else _open(item, "cpu")
    store = run.spec.store
    return {t: partial(read_result, store, run.config, t) for t in exact_targets(store.entries())}
