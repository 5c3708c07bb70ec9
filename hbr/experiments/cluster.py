"""Clusters: a study as jobs of submitit, on Slurm or on this machine: prepare, cells, report."""

import json
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core import distributed, log, stopping
from hbr.core.errors import AGAIN, UserError, first_line
from hbr.core.files import write_atomic
from hbr.core.stopping import Stopped
from hbr.experiments.cells import Cell, in_rounds
from hbr.experiments.status import queued
from hbr.experiments.study import Study
from hbr.experiments.study_results import write_report
from hbr.experiments.work import prepare, work

logger = logging.getLogger(__name__)

ONE = {"nodes": 1, "tasks_per_node": 1}  # preparing and reporting are one process each
AT_A_TIME = "slurm_array_parallelism"  # also of the other executors
TIMEOUTS = 100  # after which a job is not queued again
KIND = f"{UserError.__module__}.{UserError.__name__}: "
POLL = 2.0  # seconds between two looks at the queue


class Job:
    """A call that is queued again when its time is up: what it has done is on disk."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function on all tasks of a job, as ranks; go when told."""
        import submitit

        queue_again = signal.getsignal(signal.SIGUSR2)  # submitit's, in a job of its
        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            submitit.helpers.TorchDistributedEnvironment().export(overwrite=True)
        log.configure(quiet=distributed.rank() > 0)
        try:
            with stopping.listening():
                result = self.function(*arguments)
        except Stopped as going:
            logger.info(str(going))
            stopping.end_ranks(going)
            again = going.number == signal.SIGUSR2 or _is_preempted()
            if again and distributed.rank() == 0 and callable(queue_again):
                queue_again(going.number, None)
            raise SystemExit(AGAIN) from going
        distributed.destroy_process_group()
        return result

    def checkpoint(self, *arguments: Any) -> Any:
        """Return what is to be done again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, *arguments)


def _is_preempted() -> bool:
    """Return whether Slurm gives the place of this job to another one."""
    command = ["scontrol", "show", "job", "--oneliner", os.environ.get("SLURM_JOB_ID", "")]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return re.search(r"\bPreemptTime=\d", done.stdout) is not None


def report_job(study: Study, cells: Sequence[Cell], folder: Path) -> None:
    """Write the report of what there is; no executor gets it back."""
    write_report(study, cells, folder)


def queue_of(folder: Path) -> dict[str, str]:
    """Return the states in the queue of a study's jobs: by cell, `prepare` and `report`.

    Raises UserError where Slurm does not answer.
    """
    jobs = _jobs(folder)
    states = queued() if jobs else {}
    return {name: states[number] for name, number in jobs.items() if number in states}


def submit(
    study: Study, cells: Sequence[Cell], stale: Sequence[Cell], folder: Path, given: Mapping
) -> None:
    """Submit the stale cells that are in no queue: prepare, cells round by round, the report.

    `given` holds `cluster` (slurm, local, debug) and parameters as submitit names them. On Slurm
    nothing is waited for; other executors are done when this returns. Raises UserError for what
    submitit refuses.
    """
    kind, parameters = given.get("cluster", "slurm"), {**given}
    parameters.pop("cluster", None)
    waiting = queue_of(folder)
    todo = [cell for cell in stale if cell.run.name not in waiting]
    if waiting:
        logger.info(f"{len(waiting)} jobs of {study.name} are in the queue already")
    if not todo:
        return
    parameters["name"] = f"hbr-{study.name}"
    executor = partial(_executor, folder / "jobs", kind, parameters)
    logs = folder / "logs"
    if kind == "slurm":
        first = executor(ONE).submit(Job(prepare), todo).job_id
        numbers, arrays, after = {"prepare": first}, [], [f"afterok:{first}"]
        for some in in_rounds(todo):
            queue = executor({"slurm_dependency": ",".join(after)})
            jobs = queue.map_array(Job(partial(work, wait=True)), some, [logs] * len(some))
            numbers |= {cell.run.name: job.job_id for cell, job in zip(some, jobs, strict=True)}
            arrays.append(jobs[0].job_id.partition("_")[0])
            after = [f"afterok:{first}", f"afterany:{arrays[-1]}"]
        last = executor(ONE | {"slurm_dependency": after[-1]})
        numbers["report"] = last.submit(Job(report_job), study, cells, folder).job_id
        write_atomic(folder / "jobs.json", json.dumps(_jobs(folder) | numbers, indent=1))
        logger.info(
            f"{len(todo)} of {len(cells)} cells: prepare {first}, "
            f"cells {', '.join(arrays)}, report {numbers['report']}"
        )
    else:
        _do_here(executor, todo, logs, parameters.get(AT_A_TIME) or 1)


def wait_for(folder: Path) -> None:
    """Wait until no job of a study is in Slurm's queue, and while Slurm does not answer."""
    silent = False
    while True:
        try:
            if not queue_of(folder):
                return
            silent = False
        except UserError as error:
            if not silent:
                logger.warning(f"{error}: waiting goes on")
            silent = True
        time.sleep(POLL)


def _do_here(
    executor: Callable[..., Any], todo: Sequence[Cell], logs: Path, at_a_time: int
) -> None:
    """Do the jobs of an executor without a queue, so many at a time."""
    if error := executor(ONE).submit(Job(prepare), todo).exception():
        raise UserError(f"--cluster: preparing failed: {_reason(error)}", exit_code=1) from error
    for cells in in_rounds(todo):
        for start in range(0, len(cells), at_a_time):
            some = cells[start : start + at_a_time]
            jobs = executor({}).map_array(Job(partial(work, wait=True)), some, [logs] * len(some))
            for cell, job in zip(some, jobs, strict=True):
                if (error := job.exception()) is not None:
                    logger.error(f"{cell.run.name}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """Return the last line of a trace in a job's error, without the kind of a user's mistake."""
    trace = str(error).partition("with trace:")[2].rpartition("------")[0].strip(" -\n")
    return trace.splitlines()[-1].removeprefix(KIND) if trace else first_line(error)


def _jobs(folder: Path) -> dict[str, str]:
    path = folder / "jobs.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _executor(
    folder: Path, kind: str, parameters: Mapping[str, Any], more: Mapping[str, Any]
) -> Any:
    """Return an executor of a kind with some parameters and more."""
    try:
        import submitit
    except ImportError as error:
        raise UserError("--cluster needs submitit: pip install 'hbr[slurm]'") from error
    given = {"slurm_max_num_timeout": TIMEOUTS, **parameters, **more}
    if kind == "slurm" and "slurm_dependency" in more:
        extra = given.get("slurm_additional_parameters") or {}
        given["slurm_additional_parameters"] = {**extra, "kill-on-invalid-dep": "yes"}
    timeouts = {"slurm_max_num_timeout": given.pop("slurm_max_num_timeout")}
    try:
        made = submitit.AutoExecutor(folder, cluster=kind, **timeouts)
        made.update_parameters(**given)
    except (AssertionError, NameError, RuntimeError, ValueError) as error:
        raise UserError(f"--cluster: {first_line(error)}") from error
    return made
