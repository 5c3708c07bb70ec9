"""Status: how far the cells of a study are, from their folders, their logs and the queue."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hbr.core.errors import UserError
from hbr.core.lease import in_use, owner_of
from hbr.experiments.cells import Cell, condition, warn_of_unread
from hbr.experiments.work import FAILED, log_file
from hbr.models.sources import are_guessed


class Status(NamedTuple):
    """What is known of a cell."""

    cell: Cell
    state: str  # done, running, ended, queued, failed, to do, or unknown
    reason: str = ""


def status(cells: Iterable[Cell], logs: Path, queue: Mapping[str, str]) -> list[Status]:
    """Return the state of some cells; `queue` has the states of jobs by the names of their cells.

    A cell has ended where its process was killed before it was done. Logs what of those that are
    done cannot be compared.
    """
    found = [_status(cell, logs, queue.get(cell.run.name, "")) for cell in cells]
    warn_of_unread(each.reason for each in found if each.state == "done")
    return found


def queued() -> dict[str, str]:
    """Return the states of this user's jobs in Slurm, by number; none where there is no Slurm.

    Raises UserError where Slurm does not answer.
    """
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T %r"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        done.check_returncode()
    except FileNotFoundError:
        return {}
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        raise UserError(f"Slurm's queue cannot be read ({said}); try again", exit_code=1) from error
    lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    return {number: state.lower() for number, state in lines}


def _status(cell: Cell, logs: Path, job: str) -> Status:
    owner = owner_of(cell.run.path)
    if owner and in_use(cell.run.path):
        return Status(cell, "running", f"{_progress(cell)}, {owner}")
    known = condition(cell)
    if not known.stale:
        return Status(cell, "done", known.unread)
    if owner:
        return Status(cell, "ended", f"{owner} is gone; the same command goes on")
    if job:
        return Status(cell, "running" if job.startswith("running") else "queued", job)
    encoder = cell.config.encoder
    if not cell.run.path.exists() and are_guessed(cell.run.runs, encoder.name, encoder.revision):
        return Status(cell, "unknown", f"{encoder.name} is not here, which decides the run's name")
    log = log_file(logs, cell)
    last = log.read_text("utf-8").splitlines()[-1:] if log.exists() else []
    if last and last[0].startswith(FAILED):
        return Status(cell, "failed", last[0].removeprefix(FAILED))
    return Status(cell, "to do", last[0] if last and not last[0].startswith("---") else "")


def _progress(cell: Cell) -> str:
    """Return the stage that is being made and, in training, its step and rate."""
    for stage in cell.stages(ready=True):
        for folder in cell.run.store.partials(stage.name):
            if stage.kind != "train":
                return stage.name
            step, rate = _last_step(folder / "log.jsonl")
            return f"step {step:,} of {cell.config.train.max_steps:,}, {rate:,.0f} pairs/s"
    return "at work"


def _last_step(log: Path) -> tuple[int, float]:
    records: list[dict[str, Any]] = []
    if log.exists():
        lines = log.read_text("utf-8").splitlines(keepends=True)
        records = [json.loads(line) for line in lines[-20:] if line.endswith("\n")]
    steps = [record for record in records if "pairs_per_s" in record]
    return (steps[-1]["step"], steps[-1]["pairs_per_s"]) if steps else (0, 0.0)
