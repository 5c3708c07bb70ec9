"""The stages of a run as values: what each is made from, and how it fills its folder.

Nothing here is read or prepared before a function of a stage is called; `building` calls them.
"""

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.registry import source
from hbr.core.target import EvaluationTarget, Measure
from hbr.data.perturb import PerturbationSpec
from hbr.evaluation.perturbed_queries import perturb_queries, write_perturbed_queries
from hbr.experiments import mteb
from hbr.experiments.model_card import renew_card
from hbr.experiments.negatives import Miner
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec
from hbr.experiments.teachers import Teacher
from hbr.experiments.tracking import track_results
from hbr.experiments.train import train_encoder
from hbr.training.log import BEST, CHECKPOINT
from hbr.training.trackers import check as check_trackers

logger = logging.getLogger(__name__)

DIAGNOSIS = 1  # raise it when the diagnostics change
PERTURBATIONS = 2  # raise it when perturbations or attacks change


@dataclass(frozen=True)
class Stage:
    """A step of a run that fills one folder; settings and inputs decide what it holds."""

    run: RunSpec
    kind: str
    settings: Callable[[], Mapping[str, Any]]
    reads: Callable[[], dict[str, str]]  # completion ids of inputs that are no stage listed below
    fill: Callable[[Path], Mapping[str, Any] | None]  # returns what the manifest says of it
    needs: Mapping[str, "Stage"] = field(default_factory=dict)  # inputs that are stages of the run
    target: EvaluationTarget | None = None
    products: tuple[str, ...] = ()  # folders of the stage that move to the run's top
    loose: tuple[str, ...] = ()  # names of files and folders that are rewritten or removed later
    on_all_ranks: bool = False  # all ranks fill the folder together, else rank 0 alone
    wanted: str = ""  # a pattern of files that the folder must hold this time
    check: Callable[[], None] = lambda: None  # raises UserError for a stage that makes no sense
    finish: Callable[[], None] = lambda: None  # on rank 0, once it is up to date

    @property
    def name(self) -> str:
        """The name in the manifest, and the folder below the run's."""
        return f"{self.kind}/{self.target.folder}" if self.target else self.kind

    @property
    def folder(self) -> Path:
        """The finished folder."""
        return self.run.path / self.name

    @property
    def lacks_file(self) -> bool:
        """Whether the folder lacks the file that is wanted this time."""
        return bool(self.wanted) and not any(self.folder.glob(self.wanted))

    def completion(self) -> str:
        """Return the completion id. Raises UserError where the stage is not finished."""
        return self.run.store.completion(self.name)

    def inputs(self) -> dict[str, str]:
        """Return the completion ids of all that the stage is made from, by name."""
        return self.reads() | {name: stage.completion() for name, stage in self.needs.items()}


def all_stages(
    data: RunData,
    targets: Iterable[EvaluationTarget],
    diagnosed: Collection[EvaluationTarget] = (),
) -> list[Stage]:
    """Return the stages of a run in the order in which they are done, each once."""
    goals = [train(data)]
    for target in targets:
        goals.append(evaluate(data, target))
        if target in diagnosed:
            goals.append(diagnose(data, target))
    return in_order(goals)


def in_order(goals: Iterable[Stage]) -> list[Stage]:
    """Return stages and those that they need, each once and after all that it needs."""
    ordered: dict[str, Stage] = {}
    for goal in goals:
        for stage in (*in_order(goal.needs.values()), goal):
            ordered.setdefault(stage.name, stage)
    return list(ordered.values())


# Training


def train(data: RunData) -> Stage:
    """The training of the encoder, or the encoder as it is."""
    run = data.run

    def reads() -> dict[str, str]:
        rows, validation, encoder = data.training
        named = zip(run.config.data.train, rows, strict=bool(rows))  # none if untrained
        inputs = {f"rows {name}": store.completion("rows") for name, (store, _) in named}
        if validation:
            inputs["validation"] = validation[0].completion("rows")
        if data.goal:
            inputs["goal"] = data.goal[0].completion("task")
        if run.config.train.hard_negatives == "mined" and rows:
            inputs["miner"] = Miner(run, download=not data.ready).key
        if any(data.needs) and rows:
            inputs["teacher"] = Teacher(run, download=not data.ready).key
        return inputs | {"encoder": encoder.id}

    def finish() -> None:
        (run.path / "train" / BEST).unlink(missing_ok=True)  # they stand in model/
        if not run.config.train.keep_checkpoint:
            shutil.rmtree(run.path / "train" / CHECKPOINT, ignore_errors=True)
        run.write_config()  # also without training: settings of the evaluation may be new
        renew_card(run)

    return Stage(
        run,
        "train",
        run.config.identity,
        reads,
        partial(train_encoder, data),
        products=("model",),
        loose=("README.md", BEST, CHECKPOINT),
        on_all_ranks=True,
        check=partial(check_trackers, run.config.train.report_to),
        finish=finish,
    )


# Vectors


def encode(data: RunData, target: EvaluationTarget) -> Stage:
    """The vectors of a data set; under a perturbation, those of its perturbed queries alone."""
    config, text = data.run.config, target.perturbation
    perturbation = PerturbationSpec.parse(text) if text else None
    needs = {}
    if perturbation and perturbation.entry.needs_encoder:
        needs["clean"] = encode(data, target.clean)

    def settings() -> dict[str, Any]:
        decisive = {**data.run.encode_identity(), "encoder": config.identity()["encoder"]}
        if perturbation:
            decisive |= {"perturbation": text, "seed": config.evaluate.seed}
            decisive |= {"version": PERTURBATIONS, **source("perturbation", perturbation.name)}
        return decisive

    def reads() -> dict[str, str]:
        inputs = {"task": data.task_id(target.dataset), "train": data.run.training_id()}
        if perturbation and perturbation.entry.needs_dictionary:
            inputs["dictionary"] = data.dictionary[0]
        return inputs

    return Stage(
        data.run,
        "encode",
        settings,
        reads,
        partial(_fill_vectors, data, target.dataset, perturbation),
        needs,
        target.encoded,
        on_all_ranks=True,
    )


def _fill_vectors(
    data: RunData, dataset: str, perturbation: PerturbationSpec | None, folder: Path
) -> dict[str, Any]:
    from hbr.evaluation.attack import attack
    from hbr.evaluation.encode import encode as encode_texts
    from hbr.evaluation.encode import write_queries

    run, config, task = data.run, data.run.config, data.task(dataset)
    is_main, device = distributed.rank() == 0, run.torch_device()
    context = (run.path / "model", config, task)
    if perturbation is None:
        return encode_texts(folder, *context, device)
    if perturbation.entry.needs_encoder:
        if not is_main:
            return {}
        clean = load_vectors(data, EvaluationTarget(dataset))
        queries, summary = attack(*context, clean, perturbation, device)
        write_queries(folder, config, task, queries)
        return {"perturbation": summary}
    words = data.dictionary[1] if perturbation.entry.needs_dictionary else None
    texts, summary = perturb_queries(task, perturbation, config.evaluate.seed, words)
    if is_main:
        write_perturbed_queries(folder, task, texts)
    return {**encode_texts(folder, *context, device, texts), "perturbation": summary}


def load_vectors(data: RunData, target: EvaluationTarget) -> tuple[Any, Any]:
    """Return the vectors of a target's queries, and those of the data set's passages."""
    from hbr.evaluation.encode import load_vectors as load

    queries, passages = encode(data, target), encode(data, target.clean)
    return load(queries.folder, "queries"), load(passages.folder, "passages")


def index(data: RunData, target: EvaluationTarget) -> Stage:
    """The faiss indexes of a kind over a data set's passages: one a language, and one of all."""
    config = data.run.config.at(target)

    def check() -> None:
        if data.task(target.dataset).mining:
            raise UserError(f"{target.dataset} is mined, not ranked: an index serves nothing")

    def fill(folder: Path) -> dict[str, Any]:
        from hbr.evaluation.index import index as write_indexes

        return write_indexes(folder, config, data.task(target.dataset), *load_vectors(data, target))

    return Stage(
        data.run,
        "index",
        lambda: config.index.model_dump(mode="json", exclude={"top_k"}),
        dict,
        fill,
        {"encode": encode(data, target)},
        target,
        check=check,
    )


def diagnose(data: RunData, target: EvaluationTarget) -> Stage:
    """What the vectors of a target say about languages."""

    def check() -> None:
        if data.task(target.dataset).mining:
            raise UserError(f"{target.dataset} is mined: its vectors cannot be diagnosed")

    def fill(folder: Path) -> None:
        from hbr.evaluation.diagnostics import write_diagnostics

        write_diagnostics(folder, data.task(target.dataset), load_vectors(data, target))

    return Stage(
        data.run,
        "diagnose",
        lambda: {"version": DIAGNOSIS},
        dict,
        fill,
        {"encode": encode(data, target)},
        target.encoded,
        check=check,
    )


# Evaluation


def evaluate(data: RunData, target: EvaluationTarget, *, trec: bool = False) -> Stage:
    """The metrics of a target; with `trec`, its rankings as a TREC run too."""
    if target.is_mteb:
        return _evaluate_by_mteb(data, target, trec)
    run, config = data.run, data.run.config.at(target)
    needs = {"clean": evaluate(data, target.clean)} if target.perturbation else {}
    needs |= {"index": index(data, target)} if target.index else {"encode": encode(data, target)}

    def settings() -> dict[str, Any]:
        mining = data.task(target.dataset).mining
        decisive = {"margin", "n_neighbors"} if mining else {"metrics", "passage"}
        center = {"center_languages"} if target.center_languages else set()
        values = config.evaluate.model_dump(mode="json", include=decisive | center)
        if config.evaluate.near_duplicates is not None:
            values["near_duplicates"] = config.evaluate.near_duplicates
        names = [Measure.parse(name).name for name in config.evaluate.metrics]
        sources = {name: digest for name in names if (digest := source("metric", name))}
        values |= {"sources": sources} if sources else {}
        if target.compression:
            values["compression"] = str(target.compression)
        return values | ({"top_k": config.index.top_k} if target.index else {})

    return Stage(
        run,
        "evaluate",
        settings,
        lambda: {"task": data.task_id(target.dataset)},
        partial(_fill_evaluation, data, target, needs, trec),
        needs,
        target,
        on_all_ranks=True,
        wanted="run.*trec.gz" if trec else "",
        check=partial(_check_evaluation, data, target, trec),
        finish=partial(renew_card, run),
    )


def _evaluate_by_mteb(data: RunData, target: EvaluationTarget, trec: bool) -> Stage:
    run = data.run
    return Stage(
        run,
        "evaluate",
        partial(mteb.settings, data),
        lambda: {"task": data.task_id(target.dataset), "train": run.training_id()},
        partial(mteb.fill, data, target),
        target=target,
        loose=("mteb", "predictions"),  # MTEB's files hold dates; predictions may be removed
        on_all_ranks=True,
        check=partial(mteb.check, data, target, trec),
        finish=partial(renew_card, run),
    )


def _check_evaluation(data: RunData, target: EvaluationTarget, trec: bool) -> None:
    if trec and target.index:
        raise UserError("--trec writes the exact ranking; leave out --index")
    if target.perturbation and (trec or target.index):
        raise UserError("--perturb measures by exact search; leave out --trec and --index")
    if target.center_languages and replace(target, compression=None) != target.clean.centered():
        raise UserError("--center-languages goes without --perturb and --index; leave them out")
    if target.compression and target != target.clean.compressed(target.compression):
        others = "--perturb, --index and --center-languages"
        raise UserError(f"--dimensions and --quantize go without {others}; leave them out")
    if target.compression and trec:
        raise UserError("--trec writes the ranking of whole vectors; leave it out")
    if (trec or target != target.clean) and data.task(target.dataset).mining:
        raise UserError(f"{target.dataset} is mined, not ranked; {mteb.PLAIN}")


def _fill_evaluation(
    data: RunData, target: EvaluationTarget, needs: Mapping[str, Stage], trec: bool, folder: Path
) -> dict[str, Any]:
    from hbr.evaluation import evaluate as evaluation
    from hbr.evaluation.bitext_mining import mine_bitext
    from hbr.evaluation.drops import PerturbedQueries

    run, config, task = data.run, data.run.config.at(target), data.task(target.dataset)
    rank_along: dict[str, Any] = {"device": run.torch_device(), "compression": target.compression}
    data.open_trained_on()
    if distributed.rank():
        if not (task.mining or target.index):
            vectors = load_vectors(data, target)
            evaluation.evaluate(folder, config, task, vectors, {}, **rank_along)
        return {}
    entries = run.store.entries()
    before = entries.get(f"evaluate/{target.folder}")
    if before and before["inputs"]["task"] != data.task_id(target.dataset):
        logger.info(f"the results on {target.exact} from other files are replaced")
    context = (folder, config, task, load_vectors(data, target), data.seen_in(target.dataset))
    if task.mining:
        mine_bitext(*context, device=run.torch_device())
    elif target.index:
        evaluation.evaluate_index(*context, _load_indexes(needs["index"].folder, task.languages))
    else:
        perturbed = None
        if target.perturbation:
            summary = entries[needs["encode"].name]["perturbation"]
            perturbed = PerturbedQueries(summary, needs["clean"].folder)
        evaluation.evaluate(*context, trec=trec, perturbed=perturbed, **rank_along)
    track_results(config, run.path, folder)
    return {"dataset": str(target.exact)}


def _load_indexes(folder: Path, languages: Iterable[str]) -> dict[str, Any]:
    from hbr.evaluation.index import POOL, load_index

    return {name: load_index(folder, name) for name in (*languages, POOL)}


def as_built(run: RunSpec, target: EvaluationTarget) -> RunSpec:
    """Return a run with the parameters that the index of a target was built with, if it was."""
    entry = run.store.entries().get(index(RunData(run), target).name)
    if entry is None:
        return run
    built = run.config.index.model_copy(update=entry["settings"])
    return replace(run, config=run.config.model_copy(update={"index": built}))
