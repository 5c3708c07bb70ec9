"""Work on one cell: bring it up to date, with a log of its own and a word on how it ended."""

import logging
import os
import socket
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.lease import InUse
from hbr.core.stopping import Stopped
from hbr.data.perturb import needs_dictionary
from hbr.experiments.building import update
from hbr.experiments.cells import Cell
from hbr.experiments.run_data import RunData
from hbr.experiments.train import tokenized

FAILED = "failed: "  # begins the last line of the log of a cell that failed


class Outcome(NamedTuple):
    """How work on a cell ended, why, and after how many seconds."""

    state: Literal["done", "failed", "elsewhere"]
    reason: str = ""
    seconds: float = 0.0


def log_file(logs: Path, cell: Cell) -> Path:
    """Return the log of a cell, to which every attempt adds."""
    return logs / f"{cell.run.name}.log"


def work(cell: Cell, logs: Path, *, wait: bool) -> Outcome:
    """Bring one cell up to date, on all ranks; say how it ended.

    Where another process works on it this one waits, or the outcome is "elsewhere". Raises Stopped
    when told to go.
    """
    started = time.monotonic()
    with _logged(log_file(logs, cell)) as file:
        state, reason = _update(cell, wait, file)
        reason = " ".join(reason.split())  # one line of the log, which `--status` reads
        if file and state == "failed":
            file.write(f"{FAILED}{reason}\n")
    return Outcome(state, reason, time.monotonic() - started)


def _update(cell: Cell, wait: bool, file: TextIO | None) -> tuple[Any, str]:
    try:
        update(cell.stages(), cell.force, wait=wait)
    except InUse as busy:
        return "elsewhere", str(busy)
    except Stopped as going:
        if file:
            file.write(f"{going}\n")
        raise
    except UserError as mistake:
        distributed.fail(str(mistake))
        return "failed", str(mistake)
    except Exception as failure:  # one cell's failure is not the sweep's
        if file:
            traceback.print_exc(file=file)
        distributed.fail(str(failure))
        return "failed", f"{type(failure).__name__}: {failure}"
    return "done", ""


@contextmanager
def _logged(path: Path) -> Iterator[TextIO | None]:
    """Add the log's lines to a file too, on rank 0."""
    if distributed.rank():
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        file.write(f"--- {now} process {os.getpid()} on {socket.gethostname()}\n")
        handler = logging.StreamHandler(file)
        logging.getLogger("hbr").addHandler(handler)
        try:
            yield file
        finally:
            logging.getLogger("hbr").removeHandler(handler)


def prepare(cells: Iterable[Cell]) -> None:
    """Make what cells share before they start: data, encoders, tokens, hashes, dictionaries."""
    tokens = set()
    for cell in cells:
        data = RunData(cell.run, cell.sources)
        config = cell.config
        decisive = (config.encoder.model_dump_json(), config.data.model_dump_json())
        if config.train.start_from:
            continue  # what it starts from may be made by another of the cells
        if config.is_trained and decisive not in tokens:
            tokenized(data, data.training.encoder.load())
        tokens.add(decisive)
        for target in cell.targets:
            data.task_id(target.dataset)
            data.seen_in(target.dataset)
            if needs_dictionary(target.perturbation):
                _ = data.dictionary
