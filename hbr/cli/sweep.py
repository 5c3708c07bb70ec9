"""`hbr sweep`."""

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hbr.cli import options
from hbr.cli.screen import console, show_missing, show_report
from hbr.core.target import folder_name

logger = logging.getLogger(__name__)


EXAMPLES = (
    "hbr sweep experiments/embedded.yaml --jobs 2",
    "hbr sweep experiments/embedded.yaml --dry-run",
)


def sweep(
    study: Annotated[Path, typer.Argument(help="The study file.")] = Path(
        "experiments/embedded.yaml"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells, with the cost of those to do.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="A trial in a folder of its own: N steps, N rows and queries per language.",
        ),
    ] = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Repeat all, also what is up to date.")
    ] = False,
) -> None:
    """Run, evaluate and compare all cells of a study."""
    from hbr.core.config import parse_set
    from hbr.experiments import sweep as sweeping
    from hbr.experiments.study import read_study, trial

    _end_as_interrupted()
    plan = read_study(study)
    overrides = parse_set(settings or [])
    if limit:
        plan, output_dir = trial(plan, limit, output_dir)
    forced = frozenset({"train", "encode", "evaluate"} if force else ())
    cells = sweeping.cells(plan, output_dir, overrides, device, forced)
    stale = [cell for cell in cells if sweeping.is_stale(cell)]
    logger.info(f"{plan.name}: {len(cells)} cells, {len(cells) - len(stale)} up to date")
    if dry_run:
        _show_plan(plan, cells, stale)
        return
    folder = output_dir / "studies" / folder_name(plan.name)
    logs = folder / "logs"
    failed = sweeping.sweep(stale, logs, jobs) if stale else {}
    _show_study(plan, cells, folder)
    if failed:
        for name, error in failed.items():
            print(f"failed: {name}: {error} (log: {logs / name}.log)", file=sys.stderr)
        raise typer.Exit(3)


def _end_as_interrupted() -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C, so that no worker outlives the sweep."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(ending, signal.default_int_handler)


def _show_plan(study: Any, cells: list[Any], stale: list[Any]) -> None:
    """Show what is to be done, what the study can decide, and what that costs."""
    from hbr.compare.power import outlook

    for cell in cells:
        print(f"{'to do     ' if cell in stale else 'up to date'}  {cell.run.name}")
    print(outlook(study.claims, [cell.run.config for cell in cells], list(study.targets)))
    _show_cost(stale)


def _show_study(study: Any, cells: list[Any], folder: Path) -> None:
    """Show a study's report, and keep it in all its forms, drawn anew where it has changed."""
    from hbr.compare.reports import Options, assemble
    from hbr.experiments.study_results import study_results
    from hbr.report.formats import write_all

    results, missing = study_results(study, cells)
    show_missing(missing)
    if not results.results:
        return
    report = assemble(results, Options())
    show_report(report, "table", None)
    first, *others = write_all(report, folder)
    logger.info(f"report: {', '.join([str(first), *(path.suffix for path in others)])}; figures/")


def _show_cost(stale: list[Any]) -> None:
    if not stale:
        return
    from hbr.experiments.cost import cost
    from hbr.report.terminal.cost import cost_table

    logger.info("measuring a few seconds of each encoder")
    console().print(cost_table(cost(stale)))
