"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hbr.core.errors import UserError

Files = Annotated[
    list[Path] | None,
    typer.Option("--config", "-C", help="YAML file of settings; repeatable, later ones win."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. train.warmup_ratio=0.2."),
]
Runs = Annotated[
    Path,
    typer.Option("--output-dir", "--runs", envvar="HBR_RUNS", help="Where runs are kept."),
]
RunDir = Annotated[
    Path | None, typer.Option("--run", help="The run; without it, the last hbr train.")
]


def _dataset(name: str | None) -> str | None:
    from hbr.core.target import EvaluationTarget

    if not name:
        return name
    target = EvaluationTarget.parse(name)
    if target.perturbation:
        target = target.perturbed(perturbations([target.perturbation])[0])
    return str(target)


Dataset = Annotated[str, typer.Option(help="The evaluation set.", callback=_dataset)]
OptionalDataset = Annotated[str | None, typer.Option(help="An evaluation set.", callback=_dataset)]
Source = Annotated[
    Path | None,
    typer.Option(help="Folder with the set's files in their upstream layout."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Force = Annotated[bool, typer.Option("--force", help="Do the stage again.")]
Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON.")]
Print = Annotated[bool, typer.Option("--print-config", help="Show the settings and stop.")]
Samplers = Annotated[
    str | None,
    typer.Option(help="monolingual, cross-lingual, hybrid, mixed, english, untrained."),
]
Alpha = Annotated[
    str | None, typer.Option(help="Probability of a monolingual batch, or START,END.")
]
Encoders = Annotated[
    str | None,
    typer.Option(help="Preset (xlm-r, labse, mbert, xlm-r-tiny, …), hub id or folder."),
]
Train = Annotated[
    list[str] | None,
    typer.Option("--data", help="Training data: embedded, FILE.jsonl, hf:HUB_ID; repeatable."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Steps = Annotated[int | None, typer.Option(help="Optimiser steps.")]
BatchSize = Annotated[int | None, typer.Option(help="Pairs in a batch.")]
DEFAULT_RUNS = Path("runs")
Format = Literal["table", "markdown", "latex", "csv", "json", "html"]


def perturbations(specs: list[str]) -> list[str]:
    from hbr.data.perturb import expand

    try:
        return [str(spec) for spec in expand(specs)]
    except ValueError as error:
        raise UserError(f"--perturb: {error}") from error


def alpha_of(text: str | None) -> Any:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--alpha {text!r}: give a number, or START,END") from None
    return values[0] if len(values) == 1 else values
