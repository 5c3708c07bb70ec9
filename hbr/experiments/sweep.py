"""Sweep: the cells of a study are worked on; what fails stops no other."""

import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any

from hbr.core import log
from hbr.core.cores import share_cores
from hbr.core.errors import AGAIN
from hbr.core.progress import Progress
from hbr.core.stopping import Stopped
from hbr.data.lookup import dataset
from hbr.experiments.board import Board, Work
from hbr.experiments.cells import Cell, in_rounds
from hbr.experiments.work import Outcome, work

logger = logging.getLogger(__name__)

POLL = 0.5  # seconds between looks at what the workers do
GRACE = 25.0  # seconds that workers have to save what they do when the sweep is told to go


def sweep(stale: list[Cell], logs: Path, jobs: int) -> dict[str, Outcome]:
    """Work on some cells, `jobs` at a time, each in a process; return how those ended, not done.

    The log of a cell is `logs/<cell>.log`. Where a worker dies, the cells beside it are built
    again, one by one. GPUs are dealt out among the workers.
    """
    if stale and stale[0].run.device not in ("auto", "cpu"):
        stale[0].run.torch_device()  # raises UserError before any cell fails by it
    for name in {target.dataset for cell in stale for target in cell.targets}:
        dataset(name).check()
    left: dict[str, Outcome] = {}
    with Progress("sweep", len(stale), "cells") as progress:
        outcomes = chain.from_iterable(
            _outcomes(_spread(cells), logs, jobs, progress) for cells in in_rounds(stale)
        )
        for number, (cell, outcome) in enumerate(outcomes, start=1):
            name, ending = cell.run.name, f"done in {outcome.seconds:.0f} s"
            if outcome.state != "done":
                left[name] = outcome
                word = "in progress" if outcome.state == "elsewhere" else outcome.state.upper()
                ending = f"{word}: {outcome.reason}"
            logger.info(f"[{number}/{len(stale)}] {name}: {ending}")
            progress.advance()
    return left


def _spread(cells: Iterable[Cell]) -> list[Cell]:
    """Order cells so that neighbours differ in their encoder: one would wait until it is made."""
    count: Counter[str] = Counter()

    def turn(cell: Cell) -> int:
        count[cell.config.encoder.name] += 1
        return count[cell.config.encoder.name]

    return sorted(cells, key=turn)


def _outcomes(
    todo: list[Cell], logs: Path, jobs: int, progress: Progress
) -> Iterator[tuple[Cell, Outcome]]:
    """Yield every cell as it ends, and how; until then, show how far the workers are."""
    waiting, suspects = list(todo), []
    gpus = visible_gpus(todo[0].run.device, jobs) if todo else []
    while waiting:
        with _pool(jobs, gpus) as (pool, board):
            running: dict[Future[Outcome], Cell] = {}
            broken = False
            while (waiting and not broken) or running:
                while waiting and len(running) < jobs and not broken:
                    cell = waiting.pop(0)
                    running[pool.submit(_work, cell, logs)] = cell
                doing = board.read() or [Work(0.0, "the workers start")]
                progress.show(sum(one.share for one in doing), [one.text for one in doing])
                for future in wait(running, POLL, FIRST_COMPLETED).done:
                    cell = running.pop(future)
                    try:
                        yield cell, future.result()
                    except BrokenProcessPool:  # all that ran are lost, and one is to blame
                        broken = True
                        if jobs > 1:
                            suspects.append(cell)
                        else:
                            yield cell, Outcome("failed", "its process was killed (out of memory?)")
    for cell in suspects:
        yield from _outcomes([cell], logs, 1, progress)


def visible_gpus(device: str, jobs: int) -> list[str]:
    """Return the names of the GPUs to deal out among workers; none where one was chosen."""
    if jobs == 1 or device not in ("auto", "cuda"):
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        import torch

        gpus = [str(number) for number in range(torch.cuda.device_count())]
    else:
        gpus = [gpu for gpu in named.split(",") if gpu and not gpu.startswith("-")]
    if 0 < len(gpus) < jobs:
        logger.warning(f"{jobs} jobs share {len(gpus)} GPUs: their memory and time too")
    return gpus


@contextmanager
def _pool(jobs: int, gpus: list[str]) -> Iterator[tuple[ProcessPoolExecutor, Board]]:
    """Worker processes, which save and end where the sweep is told to go, and their board."""
    context = multiprocessing.get_context("spawn")
    board = Board(context, jobs)
    how = (jobs, gpus, context.Value("i", 0), board)
    with ProcessPoolExecutor(jobs, context, _start_worker, how) as pool:
        try:
            yield pool, board
        except BaseException:
            _end_workers()
            raise


def _end_workers() -> None:
    """Tell the workers to go, and kill those that are slow: nothing that was finished is lost."""
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        worker.kill()


def _start_worker(jobs: int, gpus: list[str], count: Any, board: Board) -> None:
    share_cores(jobs)  # before torch is imported
    alone = os.environ.get("OMP_NUM_THREADS") == "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if alone else "true"
    with count.get_lock():
        number, count.value = count.value, count.value + 1
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    Progress.listener = partial(board.write, number)
    log.configure()  # to the `sys.stderr` of the moment
    logging.getLogger("hbr").addHandler(_LastLine())
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once that of the sweep is gone: where it is killed, it can stop nobody."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


class _LastLine(logging.Handler):
    """Hands each line of the log to the listener: some work has no progress to show."""

    def emit(self, record: logging.LogRecord) -> None:
        before, stages = Progress.stage
        if Progress.listener:
            Progress.listener(before / stages, record.getMessage().strip())


def _work(cell: Cell, logs: Path) -> Outcome:
    """Work on a cell in this worker, which is silent; it ends once the worker was told to go."""
    hear = Progress.listener
    assert hear
    name = cell.run.name.rpartition("-")[0]  # without the digest
    Progress.listener = lambda share, text: hear(share, f"{name}: {text}")
    Progress.stage = (0, 1)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        try:
            return work(cell, logs, wait=False)
        except Stopped:
            os._exit(AGAIN)
        finally:
            hear(0.0, "")
            Progress.listener = hear
