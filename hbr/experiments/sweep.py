"""Sweep: a study's grid becomes runs; what is up to date is skipped, what fails stops no other."""

import logging
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from hbr.core import log
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget
from hbr.data.location import missing as missing_source
from hbr.experiments.building import is_current, update
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec
from hbr.experiments.stages import Stage, all_stages
from hbr.experiments.study import Study, configs

logger = logging.getLogger(__name__)


class Cell(NamedTuple):
    """One run of a study, and what it is evaluated on."""

    run: RunSpec
    targets: tuple[EvaluationTarget, ...]
    sources: Mapping[str, Path | None]  # folders with the files of the data sets
    diagnosed: tuple[EvaluationTarget, ...] = ()
    force: frozenset[str] = frozenset()  # kinds of stages to build again

    @property
    def config(self) -> Config:
        """The settings of the run."""
        return self.run.config

    def stages(self, *, ready: bool = False) -> list[Stage]:
        """Return all stages of the run; see `RunData` for `ready`."""
        return all_stages(
            RunData(self.run, self.sources, ready=ready), self.targets, self.diagnosed
        )


def cells(
    study: Study,
    runs: Path,
    overrides: Mapping[str, Any],
    device: str = "auto",
    force: frozenset[str] = frozenset(),
) -> list[Cell]:
    """Return all cells of a study. Raises UserError where files of its data are missing."""
    each = [
        Cell(RunSpec(config, runs, device), study.targets, study.sources, study.diagnosed, force)
        for config in configs(study, overrides, runs)
    ]
    data = {name for cell in each for name in cell.config.data.train}
    if absent := missing_source(runs, sorted(data), study.sources):
        raise UserError(f"study {study.name}: {absent}: there is no such file or folder")
    return each


def is_stale(cell: Cell) -> bool:
    """Return whether any stage of a cell is to be built."""
    if cell.force:
        return True
    listed, finished = cell.stages(ready=True), cell.run.store.entries()
    if any(stage.name not in finished for stage in listed):
        return True  # first, since it needs no data
    try:
        return not all(map(is_current, listed))
    except UserError:  # data that are missing: the run itself reports them
        return True


def sweep(stale: list[Cell], logs: Path, jobs: int) -> dict[str, str]:
    """Build some cells, `jobs` at a time, each in a worker process; return the errors by name.

    The log of a cell is `logs/<cell>.log`. Where a worker dies, the cells beside it are built
    again, one by one.
    """
    if stale and stale[0].run.device not in ("auto", "cpu"):
        stale[0].run.torch_device()  # raises UserError before any cell fails by it
    logs.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    with Progress("sweep", len(stale), "cells") as progress:
        outcomes = _outcomes(_spread(stale), logs, jobs)
        for number, (cell, error, seconds) in enumerate(outcomes, start=1):
            name = cell.run.name
            if error:
                failed[name] = error
            state = f"FAILED: {error}" if error else f"done in {seconds:.0f} s"
            logger.info(f"[{number}/{len(stale)}] {name}: {state}")
            progress.advance()
    return failed


def _spread(cells: Iterable[Cell]) -> list[Cell]:
    """Order cells so that neighbours differ in their encoder: one would wait until it is made."""
    count: Counter[str] = Counter()

    def turn(cell: Cell) -> int:
        count[cell.config.encoder.name] += 1
        return count[cell.config.encoder.name]

    return sorted(cells, key=turn)


def _outcomes(todo: list[Cell], logs: Path, jobs: int) -> Iterator[tuple[Cell, str | None, float]]:
    """Yield every cell as it ends, with its error or None, and its seconds."""
    waiting, suspects = list(todo), []
    while waiting:
        with _pool(jobs) as pool:
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


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, which end at once where the sweep is interrupted."""
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start_worker, (threads,)) as pool:
        try:
            yield pool
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.kill()  # nothing that was finished is lost
            raise


def _start_worker(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported
    # a thread that spins while it waits takes the core of the one it waits for
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"
    log.configure()  # to the `sys.stderr` of the moment
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once that of the sweep is gone: where it is killed, it can stop nobody."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _work(cell: Cell, logs: Path) -> tuple[str | None, float]:
    """Bring one cell up to date in this process; return its error, if any, and its seconds."""
    started = time.monotonic()
    error = None
    with (logs / f"{cell.run.name}.log").open("w", encoding="utf-8") as file, redirect_stderr(file):
        try:
            update(cell.stages(), cell.force)
        except UserError as mistake:
            error = str(mistake)
            file.write(f"{error}\n")
        except Exception as failure:  # one cell's failure is not the sweep's
            error = f"{type(failure).__name__}: {failure}"
            traceback.print_exc(file=file)
    return error, time.monotonic() - started
