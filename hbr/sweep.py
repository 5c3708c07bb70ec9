"""Sweep: a study's grid becomes runs; what is up to date is skipped, what fails stops no other."""

import itertools
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from hbr.config import (
    Config,
    Section,
    known_name,
    merge,
    nested,
    read_yaml,
    resolve_config,
)
from hbr.errors import UserError
from hbr.names import near
from hbr.pipeline import Pipeline, complete, slug
from hbr.runs import Store
from hbr.stages.compare import Result, read_result
from hbr.talk import Progress, say


class Evaluation(Section):
    """A data set to evaluate on, and where its files are."""

    dataset: Annotated[str, AfterValidator(partial(known_name, "task"))]
    source: Path | None = None

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if self.source is not None and not self.source.exists():
            raise ValueError(f"{self.source}: there is no such file or folder")
        return self


class Study(Section):
    """A grid of runs, and what to evaluate them on."""

    name: str
    title: str = ""
    base: dict[str, Any] = Field(default_factory=dict)  # settings that all runs share
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]]  # setting -> its values
    untrained: bool = True  # add every encoder of the grid as it is
    evaluate: Annotated[list[Evaluation], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [item.dataset for item in self.evaluate]
        if len(set(names)) < len(names):
            raise ValueError("evaluate names a data set twice")
        return self


class Cell(NamedTuple):
    """One run of a study."""

    config: Config
    runs: Path
    tasks: dict[str, Path | None]
    device: str
    force: frozenset[str]


def read_study(path: Path) -> Study:
    """Read a study file. Raises one UserError that lists every mistake in it."""
    content = read_yaml(path)
    content.setdefault("name", path.stem)
    listed = content.get("evaluate")
    if isinstance(listed, list):
        content["evaluate"] = [{"dataset": e} if isinstance(e, str) else e for e in listed]
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_mistake(path, item) for item in error.errors())) from error


def _mistake(path: Path, item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"{path}: there is no {where!r} in a study{near(where, Study.model_fields)}"
    told = item["msg"].removeprefix("Value error, ")
    return f"{path}: {where}: {told[:1].lower()}{told[1:]}".replace(": : ", ": ")


def configs(study: Study, overrides: Mapping[str, Any]) -> list[Config]:
    """Give the config of every run of a study, none twice."""
    names = list(study.grid)
    points = [
        dict(zip(names, point, strict=True)) for point in itertools.product(*study.grid.values())
    ]
    if study.untrained:
        encoders = study.grid.get("encoder") or study.grid.get("encoder.name") or [None]
        points += [
            {"sampler": "untrained"} | ({"encoder": encoder} if encoder else {})
            for encoder in encoders
        ]
    found = {}
    try:
        for point in points:
            layers = merge(nested(study.base), nested(point))
            config = complete(resolve_config(layers, overrides))
            found[slug(config)] = config
    except UserError as error:
        raise UserError(f"study {study.name}: {error}") from error
    return list(found.values())


def cells(
    study: Study,
    runs: Path,
    overrides: Mapping[str, Any],
    device: str = "auto",
    force: frozenset[str] = frozenset(),
) -> list[Cell]:
    """Give all cells of a study."""
    tasks = {item.dataset: item.source for item in study.evaluate}
    return [Cell(config, runs, tasks, device, force) for config in configs(study, overrides)]


def is_current(cell: Cell) -> bool:
    """Say whether a cell's run is trained and evaluated and need not be done again."""
    return not cell.force and Pipeline(cell.config, cell.runs).is_current(cell.tasks)


def sweep(stale: list[Cell], logs: Path, jobs: int) -> dict[str, str]:
    """Do some cells, `jobs` at a time, each in a worker process; give the errors by cell.

    What a cell says goes to `logs/<cell>.log`. Where a worker dies, what ran beside it is done
    again, one by one.
    """
    logs.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    with Progress("sweep", len(stale), "cells") as progress:
        for number, (cell, error, seconds) in enumerate(_outcomes(stale, logs, jobs), start=1):
            name = slug(cell.config)
            if error:
                failed[name] = error
            state = f"FAILED: {error}" if error else f"done in {seconds:.0f} s"
            say(f"[{number}/{len(stale)}] {name}: {state}")
            progress.advance()
    return failed


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
    """Read the results of a study's cells on one data set; name the cells that have none."""
    found, missing = [], []
    for cell in every:
        path = cell.runs / slug(cell.config)
        try:
            found.append(read_result(Store(path), cell.config, dataset))
        except UserError:
            missing.append(path.name)
    return found, missing
