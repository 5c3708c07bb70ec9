"""`hbr runs`."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

from hbr.cli import options
from hbr.cli.screen import console
from hbr.core import registry
from hbr.core.errors import UserError
from hbr.core.target import canonical_dataset

logger = logging.getLogger(__name__)

EXAMPLES = (
    "hbr runs",
    "hbr runs --sampler hybrid --dataset xquad-r",
    "hbr runs --prune",
)
Sampler = Annotated[str | None, Option(metavar="NAME", help="Only runs of this sampler.")]
EncoderName = Annotated[str | None, Option("--encoder", metavar="NAME", help="Only of this one.")]
State = Annotated[
    Literal["running", "unfinished", "trained", "evaluated"] | None,
    Option(help="Only runs that are so far."),
]
Dataset = Annotated[
    str | None, Option(metavar="NAME", help="Only runs evaluated on it; the score is of it.")
]
Prune = Annotated[
    bool,
    Option(
        "--prune",
        help="Remove optimizer states of finished runs, exports of earlier trainings, what dead "
        "processes left unfinished, and downloads whose data are prepared; says what that frees, "
        "and asks.",
    ),
]
Yes = Annotated[bool, Option("--yes", "-y", help="With --prune: do not ask.")]


def runs(
    ctx: typer.Context,
    sampler: Sampler = None,
    encoder: EncoderName = None,
    dataset: Dataset = None,
    state: State = None,
    prune: Prune = False,
    yes: Yes = False,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    as_json: options.Json = False,
) -> None:
    """List the runs, or remove what they need no more."""
    from hbr.report.terminal.runs import runs_table

    if yes and not prune:
        raise UserError("--yes answers what --prune asks; leave it out")
    if prune:
        options.only(ctx, "--prune", "prune", "yes", "output_dir")
        _prune(output_dir, yes)
        return
    wanted = {
        "sampler": sampler and registry.canonical("sampler", sampler),
        "encoder": encoder and registry.canonical("encoder", encoder),
        "state": state,
    }
    kept = {key: value for key, value in wanted.items() if value}
    dataset = dataset and canonical_dataset(dataset)
    found = [run for run in _read(output_dir, dataset) if kept.items() <= run.items()]
    found.sort(key=lambda run: run["age"])
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    elif not found:
        logger.info(f"{output_dir}: no run{' like that' if kept or dataset else ' yet'}")
    else:
        screen = console()
        screen.print(runs_table(found, _latest(output_dir), screen.width))


def _read(folder: Path, dataset: str | None) -> list[dict]:
    """Return what is known of every run; one that is damaged is named and left out."""
    from hbr.experiments.inventory import run_folders, run_values

    found = []
    for run in run_folders(folder):
        try:
            found.append(run_values(run, dataset))
        except UserError as error:
            logger.warning(f"{run.name} is left out: {error}")
    return [run for run in found if not dataset or run["score"]]


def _latest(folder: Path) -> str:
    link = folder / "latest"
    return link.readlink().name if link.is_symlink() else ""


def _prune(folder: Path, yes: bool) -> None:
    from hbr.experiments.pruning import leftovers, remove
    from hbr.report.terminal.runs import leftovers_table, size_text

    found = leftovers(folder)
    if not found:
        print(f"{folder}: nothing to remove")
        return
    total = size_text(sum(item.bytes for item in found))
    names = [(str(item.path.relative_to(folder)), item.reason, item.bytes) for item in found]
    console().print(leftovers_table(names))
    if not yes and not sys.stdin.isatty():
        raise UserError(f"--prune would free {total}; say --yes where nobody can answer")
    if yes or typer.confirm(f"remove them and free {total}?"):
        print(f"{size_text(remove(found))} freed")
