"""Sweep: a study's grid becomes runs; what is up to date is skipped, what fails stops no other."""

import itertools
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from hbr.compare.claims import Claim
from hbr.compare.references import names as reference_names
from hbr.compare.references import reference
from hbr.compare.reports import StudyResults
from hbr.compare.results import Result, read_result
from hbr.core.config import full_path, read_yaml, resolve_config
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.registry import known, near
from hbr.core.settings import UNTRAINED, Config, Section, known_measure
from hbr.core.store import Store
from hbr.core.target import EvaluationTarget, known_dataset
from hbr.data.location import missing
from hbr.data.perturb import expand
from hbr.experiments.pipeline import Pipeline, complete, slug

logger = logging.getLogger(__name__)


def _perturbations(value: Any) -> Any:
    return tuple(map(str, expand([value] if isinstance(value, str) else value or ())))


class Evaluation(Section):
    """A data set to evaluate on, where its files are, and what else is looked at."""

    dataset: Annotated[str, AfterValidator(known_dataset)]
    source: Path | None = None
    perturb: Annotated[tuple[str, ...], BeforeValidator(_perturbations)] = ()
    diagnose: bool = False  # the vectors too

    @property
    def names(self) -> tuple[str, ...]:
        """The data set, and it again under each perturbation."""
        return self.dataset, *(f"{self.dataset}~{change}" for change in self.perturb)


class Study(Section):
    """A grid of runs, what to evaluate them on, and what is claimed of the results."""

    name: str
    title: str = ""
    base: dict[str, Any] = Field(default_factory=dict)  # settings that all runs share
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]]  # setting -> its values
    untrained: bool = True  # add every encoder of the grid as it is
    evaluate: Annotated[list[Evaluation], Field(min_length=1)]
    limit: Annotated[int, Field(ge=2)] | None = None  # of a trial: see `trial`
    claims: list[Claim] = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [item.dataset for item in self.evaluate]
        if len(set(names)) < len(names):
            raise ValueError("evaluate names a data set twice")
        ids = [claim.id for claim in self.claims]
        if twice := {id for id in ids if ids.count(id) > 1}:
            raise ValueError(f"two claims have the id {sorted(twice)[0]!r}")
        return self

    @model_validator(mode="after")
    def _claims_name_what_there_is(self) -> Self:
        for claim in self.claims:
            try:
                known_measure(claim.metric)
                for key in claim.keys:
                    if full_path(key) == "seed":
                        raise ValueError("claims are about means over seeds, not about one")
                for side in claim.sides:
                    for name in _as_list(side.get("sampler")):
                        if name != UNTRAINED:
                            known("sampler", name)
            except (UserError, ValueError) as error:
                raise ValueError(f"claim {claim.id!r}: {error}") from error
        return self

    @property
    def tasks(self) -> dict[str, Path | None]:
        """What every run is evaluated on, and where the files are."""
        return {name: item.source for item in self.evaluate for name in item.names}

    @property
    def varied(self) -> set[str]:
        """The settings that differ on purpose, by full name."""
        return {full_path(key) for key in self.grid}


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


class Cell(NamedTuple):
    """One run of a study."""

    config: Config
    runs: Path
    tasks: dict[str, Path | None]
    device: str
    force: frozenset[str]
    diagnosed: tuple[str, ...] = ()


def read_study(path: Path) -> Study:
    """Read a study file. Raises one UserError that lists every mistake in it."""
    content = read_yaml(path)
    content.setdefault("name", path.stem)
    listed = content.get("evaluate")
    if isinstance(listed, list):
        content["evaluate"] = [{"dataset": e} if isinstance(e, str) else e for e in listed]
    claims = content.get("claims") or []
    content["claims"] = _claims_of(claims, path) if isinstance(claims, str) else claims
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_mistake(path, item) for item in error.errors())) from error


def _claims_of(name: str, study: Path) -> Any:
    """Return the claims of a paper by its name, or those in a file beside the study."""
    if name in reference_names():
        return list(reference(name).claims)
    beside = study.parent / name
    if not beside.exists():
        raise UserError(f"{beside}: there is no such file{near(name, reference_names())}")
    return read_yaml(beside).get("claims") or []


def _mistake(path: Path, item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden" and item["loc"][0] == "claims":
        where, key = ".".join(map(str, item["loc"][:-1])), str(item["loc"][-1])
        return f"{path}: {where}: there is no {key!r} in a claim{near(key, Claim.model_fields)}"
    if item["type"] == "extra_forbidden":
        return f"{path}: there is no {where!r} in a study{near(where, Study.model_fields)}"
    told = item["msg"].removeprefix("Value error, ")
    return f"{path}: {where}: {told[:1].lower()}{told[1:]}".replace(": : ", ": ")


def configs(study: Study, overrides: Mapping[str, Any]) -> list[Config]:
    """Return the config of every run of a study, none twice."""
    names = list(study.grid)
    points = [
        dict(zip(names, point, strict=True)) for point in itertools.product(*study.grid.values())
    ]
    if study.untrained:
        encoders = study.grid.get("encoder") or study.grid.get("encoder.name") or [None]
        points += [
            {"sampler": UNTRAINED} | ({"encoder": encoder} if encoder else {})
            for encoder in encoders
        ]
    found = {}
    try:
        for point in points:
            config = complete(resolve_config(study.base, point, overrides))
            config = _cut(config, study.limit) if study.limit else config
            found[slug(config)] = config
    except UserError as error:
        raise UserError(f"study {study.name}: {error}") from error
    return list(found.values())


def trial(study: Study, limit: int, runs: Path) -> tuple[Study, Path]:
    """Cut a study down to see it run: give it and a folder of its own, beside full results.

    No more than `limit` steps, and rows and questions of each language.
    """
    folder = runs / f"limit-{limit}"
    folder.mkdir(parents=True, exist_ok=True)
    for shared in ("encoders", "data", "downloads"):
        (runs / shared).mkdir(exist_ok=True)
        if not (folder / shared).is_symlink():
            (folder / shared).symlink_to(f"../{shared}")
    title = f"{study.title or study.name} (a trial, limited to {limit})"
    return study.model_copy(update={"limit": limit, "title": title}), folder


def _cut(config: Config, limit: int) -> Config:
    train = config.train
    small = {
        "max_steps": min(train.max_steps, limit),
        "batch_size": min(train.batch_size, max(2, limit // 4)),
        "eval_steps": min(train.eval_steps, limit),
    }
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"limit": limit}),
            "evaluate": config.evaluate.model_copy(update={"limit": limit}),
            "train": train.model_copy(update=small),
        }
    )


def cells(
    study: Study,
    runs: Path,
    overrides: Mapping[str, Any],
    device: str = "auto",
    force: frozenset[str] = frozenset(),
) -> list[Cell]:
    """Return all cells of a study. Raises UserError where files of its data are not here."""
    diagnosed = tuple(item.dataset for item in study.evaluate if item.diagnose)
    made = [
        Cell(config, runs, study.tasks, device, force, diagnosed)
        for config in configs(study, overrides)
    ]
    data = {name for cell in made for name in cell.config.data.train}
    if absent := missing(runs, sorted(data), study.tasks):
        raise UserError(f"study {study.name}: {absent}: there is no such file or folder")
    return made


def is_current(cell: Cell) -> bool:
    """Return whether a cell's run is trained and evaluated and need not be done again."""
    return not cell.force and Pipeline(cell.config, cell.runs).is_current(
        cell.tasks, cell.diagnosed
    )


def sweep(stale: list[Cell], logs: Path, jobs: int) -> dict[str, str]:
    """Do some cells, `jobs` at a time, each in a worker process; give the errors by cell.

    What a cell says goes to `logs/<cell>.log`. Where a worker dies, what ran beside it is done
    again, one by one.
    """
    logs.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    with Progress("sweep", len(stale), "cells") as progress:
        outcomes = _outcomes(_spread(stale), logs, jobs)
        for number, (cell, error, seconds) in enumerate(outcomes, start=1):
            name = slug(cell.config)
            if error:
                failed[name] = error
            state = f"FAILED: {error}" if error else f"done in {seconds:.0f} s"
            logger.info(f"[{number}/{len(stale)}] {name}: {state}")
            progress.advance()
    return failed


def _spread(cells: Iterable[Cell]) -> list[Cell]:
    """Order cells so that neighbours differ in their encoder: one would wait until it is made."""
    seen: Counter[str] = Counter()
    turns = []
    for cell in cells:
        turns.append((seen[cell.config.encoder.name], cell))
        seen[cell.config.encoder.name] += 1
    return [cell for _, cell in sorted(turns, key=lambda turn: turn[0])]


def _outcomes(todo: list[Cell], logs: Path, jobs: int) -> Iterator[tuple[Cell, str | None, float]]:
    """Yield every cell as it ends, with its error or None, and its seconds."""
    waiting, suspects = list(todo), []
    while waiting:
        threads = max(1, len(os.sched_getaffinity(0)) // jobs)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _start_worker, (threads,)) as pool:
            running: dict[Future[tuple[str | None, float]], Cell] = {}
            broken = False
            while (waiting and not broken) or running:
                while waiting and len(running) < jobs and not broken:
                    cell = waiting.pop(0)
                    running[pool.submit(_work, cell, logs)] = cell
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    cell = running.pop(future)
                    try:
                        yield cell, *future.result()
                    except BrokenProcessPool:  # all that ran are lost, and one is to blame
                        broken = True
                        if jobs > 1:
                            suspects.append(cell)
                        else:
                            yield cell, "its process was killed (out of memory?)", 0.0
    for cell in suspects:
        yield from _outcomes([cell], logs, 1)


def _start_worker(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported
    # a thread that spins while it waits takes the core of the one it waits for
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"


def _work(cell: Cell, logs: Path) -> tuple[str | None, float]:
    """Bring one cell up to date in this process; give its error, if any, and its seconds."""
    started = time.monotonic()
    error = None
    with (logs / f"{slug(cell.config)}.log").open("w") as log:
        stderr, sys.stderr = sys.stderr, log
        try:
            pipeline = Pipeline(cell.config, cell.runs, device=cell.device, force=cell.force)
            pipeline.train()
            for dataset, source in cell.tasks.items():
                pipeline.evaluate(dataset, source)
                if dataset in cell.diagnosed:
                    pipeline.diagnose(dataset, source)
        except UserError as told:
            error = str(told)
            log.write(f"{error}\n")
        except Exception as raised:  # one cell's failure is not the sweep's
            error = f"{type(raised).__name__}: {raised}"
            traceback.print_exc(file=log)
        finally:
            sys.stderr = stderr
    return error, time.monotonic() - started


def results(every: list[Cell], dataset: str) -> tuple[list[Result], list[str]]:
    """Read the results of a study's cells on one data set; say which have none, and why."""
    found, missing = [], []
    for cell in every:
        path = cell.runs / slug(cell.config)
        try:
            found.append(read_result(Store(path), cell.config, EvaluationTarget.parse(dataset)))
        except UserError as error:
            missing.append(str(error))
    return found, missing


def material(
    study: Study, every: list[Cell], dataset: str | None = None
) -> tuple[StudyResults, list[str]]:
    """Return what is compared of a study, on its data sets or one; say which results are missing."""
    found, missing = [], []
    names = [dataset] if dataset else list(study.tasks)
    for name in names:
        own, absent = results(every, name)
        found += own
        missing += absent
    expected = [cell.config for cell in every]
    title = study.title or study.name
    return StudyResults(title, found, expected, study.claims, study.varied, names), missing
