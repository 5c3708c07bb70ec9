"""`hbr sweep`."""

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hbr.cli import options
from hbr.cli.screen import console, show_missing, show_report
from hbr.core import distributed, stopping
from hbr.core.errors import AGAIN, UserError
from hbr.core.target import folder_name

logger = logging.getLogger(__name__)


EXAMPLES = (
    "hbr sweep experiments/embedded.yaml --jobs 2",
    "hbr sweep experiments/embedded.yaml --dry-run",
    "hbr sweep experiments/embedded.yaml --cell 3",
    "hbr sweep experiments/embedded.yaml --cluster slurm.yaml --wait",
)
PARTS = "Parts of a sweep"
GOOD = ("done", "running", "queued")  # states of a cell that nothing has to be done for


Study = Annotated[Path, typer.Argument(help="The study file.")]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at a time.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List the cells, with the cost of those to do.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=2,
        metavar="N",
        help="A trial in a folder of its own: N steps, N rows and queries per language.",
    ),
]
Cell = Annotated[
    str | None,
    typer.Option(
        metavar="[K|NAME]",
        help="This cell alone, on all ranks. Default: the number of this array task.",
        rich_help_panel=PARTS,
    ),
]
Prepare = Annotated[
    bool, typer.Option("--prepare", help="Make what the cells share.", rich_help_panel=PARTS)
]
Report = Annotated[
    bool, typer.Option("--report", help="Compare what is done.", rich_help_panel=PARTS)
]
Status = Annotated[
    bool, typer.Option("--status", help="Say how far the cells are.", rich_help_panel=PARTS)
]
Cluster = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Submit through submitit; a YAML file of its parameters.",
        rich_help_panel=PARTS,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the cluster.", rich_help_panel=PARTS)]
Again = Annotated[bool, typer.Option("--force", help="Repeat all, also what is up to date.")]


def sweep(
    study: Study = Path("experiments/embedded.yaml"),
    jobs: Jobs = 1,
    dry_run: DryRun = False,
    limit: Limit = None,
    cell: Cell = None,
    prepare: Prepare = False,
    report: Report = False,
    status: Status = False,
    cluster: Cluster = None,
    wait: Wait = False,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: Again = False,
) -> None:
    """Run, evaluate and compare all cells of a study, or do a part of that."""
    from hbr.core.config import parse_set
    from hbr.experiments import cells as study_cells
    from hbr.experiments.study import read_study, trial

    parts = {"--cell": cell is not None, "--prepare": prepare, "--report": report}
    parts |= {"--status": status, "--cluster": bool(cluster), "--dry-run": dry_run}
    _check_parts([name for name, wanted in parts.items() if wanted], wait, force)
    plan = read_study(study)
    if limit:
        plan, output_dir = trial(plan, limit, output_dir)
    forced = frozenset({"train", "encode", "evaluate"} if force else ())
    cells = study_cells.cells(plan, output_dir, parse_set(settings or []), device, forced)
    folder = output_dir / "studies" / folder_name(plan.name)
    if cell is not None:
        _do_cell(study_cells.cell_of(cells, cell), folder / "logs")
    elif report:
        _show_study(plan, cells, folder)
    elif status:
        _show_status(cells, folder)
    else:
        stale = study_cells.stale(cells)
        logger.info(f"{plan.name}: {len(cells)} cells, {len(cells) - len(stale)} up to date")
        if dry_run:
            _show_plan(plan, cells, stale)
        elif prepare:
            _prepare(stale)
        elif cluster:
            _submit(plan, cells, stale, folder, cluster, wait)
        else:
            _do_all(plan, cells, stale, folder, jobs)


def _check_parts(chosen: list[str], wait: bool, force: bool) -> None:
    """Raise UserError for options that exclude each other, and for a whole sweep on ranks."""
    if len(chosen) > 1:
        raise UserError(f"{' and '.join(chosen)}: say one of them")
    if wait and chosen != ["--cluster"]:
        raise UserError("--wait goes with --cluster")
    if force and chosen and chosen[0] not in ("--cell", "--dry-run"):
        again = ": a job that is queued again would begin again" if chosen == ["--cluster"] else ""
        raise UserError(f"--force goes without {chosen[0]}{again}; leave it out")
    if distributed.world_size() > 1 and chosen != ["--cell"]:
        raise UserError(
            "a sweep is one process that starts others; under torchrun name the cell that all "
            "ranks work on: --cell K"
        )


def _do_cell(cell: Any, logs: Path) -> None:
    """Work on one cell; end with exit code 1 where it fails."""
    from hbr.experiments.work import work

    outcome = work(cell, logs, wait=True)
    if outcome.state == "failed":
        raise UserError(f"{cell.run.name}: {outcome.reason}", exit_code=1)
    if distributed.rank() == 0:
        print(cell.run.path)


@stopping.listening()
def _prepare(stale: list[Any]) -> None:
    from hbr.experiments.work import prepare

    prepare(stale)


def _do_all(study: Any, cells: list[Any], stale: list[Any], folder: Path, jobs: int) -> None:
    """Work on the stale cells, show the report, and end with a code that says what is left."""
    from hbr.experiments.sweep import sweep

    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)  # so that no worker outlives it
    logs = folder / "logs"
    with stopping.listening():
        left = sweep(stale, logs, jobs) if stale else {}
    _show_study(study, cells, folder)
    _end(logs, {name: outcome for name, outcome in left.items() if outcome.state == "failed"})
    if left:
        print(f"{len(left)} cells are in progress elsewhere; the same command goes on from here")
        raise typer.Exit(AGAIN)


def _end(logs: Path, failed: dict[str, Any]) -> None:
    """Name the cells that failed, if any, and end with exit code 3."""
    for name, outcome in failed.items():
        reason = outcome.reason or "its job has ended (out of memory, or cancelled?)"
        print(f"failed: {name}: {reason} (log: {logs / name}.log)", file=sys.stderr)
    if failed:
        raise typer.Exit(3)


def _submit(
    study: Any, cells: list[Any], stale: list[Any], folder: Path, cluster: Path, wait: bool
) -> None:
    """Submit the stale cells; where they are done, or waited for, show the report."""
    from hbr.core.yaml_files import read_yaml
    from hbr.experiments.cluster import submit, wait_for
    from hbr.experiments.status import status

    given = read_yaml(cluster)
    submit(study, cells, stale, folder, given)
    if given.get("cluster", "slurm") == "slurm":
        if not wait:
            return
        wait_for(folder)
    _show_study(study, cells, folder)
    known = status(cells, folder / "logs", {})
    _end(folder / "logs", {s.cell.run.name: s for s in known if s.state not in GOOD})


def _show_status(cells: list[Any], folder: Path) -> None:
    from hbr.experiments.cluster import queue_of
    from hbr.experiments.status import status

    for number, each in enumerate(status(cells, folder / "logs", queue_of(folder))):
        reason = "not checked" if each.state == "done" and each.reason else each.reason
        print(f"{number:3}  {each.state:7}  {each.cell.run.name}  {reason}".rstrip())


def _show_plan(study: Any, cells: list[Any], stale: list[Any]) -> None:
    """Show what is to be done, what the study can decide, and what that costs."""
    from hbr.compare.power import outlook
    from hbr.experiments.cost import cost
    from hbr.report.terminal.cost import cost_table

    for number, cell in enumerate(cells):
        print(f"{number:3}  {'to do     ' if cell in stale else 'up to date'}  {cell.run.name}")
    print(outlook(study.claims, [cell.run.config for cell in cells], list(study.targets)))
    if stale:
        logger.info("measuring a few seconds of each encoder")
        console().print(cost_table(cost(stale)))


def _show_study(study: Any, cells: list[Any], folder: Path) -> None:
    """Show a study's report, and keep it in all its forms, drawn anew where it has changed."""
    from hbr.experiments.study_results import write_report
    from hbr.experiments.tracking import track_verdicts

    report, paths, missing = write_report(study, cells, folder)
    show_missing(missing)
    if report:
        track_verdicts(study.name, cells[0].config, report.verdicts)
        show_report(report, "table", None)
        first, *others = paths
        names = ", ".join([str(first), *(path.suffix for path in others)])
        logger.info(f"report: {names}")
