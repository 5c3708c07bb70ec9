"""Options that several commands share."""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Annotated, get_args

import typer

from hbr.core import registry
from hbr.core.errors import UserError
from hbr.core.target import Compression, EvaluationTarget


def _dataset(name: str | None) -> str | None:
    from hbr.core.settings.vectors import Index
    from hbr.data.lookup import dataset

    if not name:
        return name
    target = EvaluationTarget.parse(name)
    dataset(target.dataset)
    if target.index not in ("", *get_args(Index.model_fields["kind"].annotation)):
        raise UserError(f"--dataset {name}: there is no index {target.index!r}")
    if target.perturbation:
        target = target.perturbed(perturbations([target.perturbation])[0])
    return str(target)


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|[a-z]+(:\d+)?", name) or name.partition(":")[0] == "gpu":
        raise UserError(f"--device {name}: name auto, cpu, cuda or one GPU, cuda:1")
    return name


def matching(kind: str) -> Callable[[str], list[str]]:
    """Return what completes a name of a kind."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in registry.names(kind) if name.startswith(incomplete)]

    return complete


Files = Annotated[
    list[Path] | None,
    typer.Option("--config", "-C", metavar="FILE", help="YAML file of settings. Repeatable."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, such as seed=1 in training or metrics=map after it. Also as KEY=VALUE "
        "alone, or as --KEY VALUE. All settings: hbr settings.",
    ),
]
Runs = Annotated[
    Path,
    typer.Option("--output-dir", "--runs", metavar="DIR", envvar="HBR_RUNS", help="All runs."),
]
RunDir = Annotated[
    Path | None,
    typer.Option("--run", "--run-dir", metavar="DIR", help="The run. Default: the last hbr train."),
]
RunArgument = Annotated[Path | None, typer.Argument(help="The run. Default: the last hbr train.")]
_dataset_option = typer.Option(
    metavar="NAME",
    help="Evaluation data set.",
    callback=_dataset,
    autocompletion=matching("dataset"),
)
Dataset = Annotated[str, _dataset_option]
OptionalDataset = Annotated[str | None, _dataset_option]
Source = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder with the data set's files, as they are published."),
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, …", callback=_device)
]
OfRows = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", help="Also write them as JSON lines, by the ids of rows."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Repeat a stage that is up to date.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Print = Annotated[bool, typer.Option("--print-config", help="Print the settings and stop.")]
Epochs = Annotated[
    float | None,
    typer.Option(
        "--num-train-epochs",
        "--epochs",
        metavar="EPOCHS",
        help="Length of training in epochs, converted to steps by the size of the data.",
        rich_help_panel="Optimization",
    ),
]
DEFAULT_RUNS = Path("runs")


def only(ctx: typer.Context, option: str, *names: str) -> None:
    """Raise UserError where the command line has more than an option and those of some names."""
    for param in ctx.command.params:
        source = ctx.get_parameter_source(str(param.name))
        if source and source.name == "COMMANDLINE" and param.name not in names:
            name = param.opts[0]
            other = name if name.startswith("-") else f"names of {name}"
            raise UserError(f"{option} goes without {other}; leave out one or the other")


def perturbations(specs: list[str]) -> list[str]:
    """Return perturbations with their strengths, one each. Raises UserError for unknown ones."""
    from hbr.data.perturb import expand

    try:
        return [str(spec) for spec in expand(specs) if spec.entry]  # raises where there is none
    except ValueError as error:
        raise UserError(f"--perturb: {error}") from error


def compressions(dimensions: str | None, quantize: str | None) -> list[Compression]:
    """Return what `--dimensions` and `--quantize` name, in all combinations but whole vectors."""
    kinds = [None, *(quantize.split(",") if quantize else ())]
    lengths = [f"{n}d" for n in dimensions.split(",")] if dimensions else []
    found = []
    for name in ("+".join(filter(None, pair)) for pair in product([None, *lengths], kinds)):
        if name:
            compression = Compression.parse(name.replace(" ", ""))
            if compression is None:
                raise UserError(
                    f"{name!r}: --dimensions 64,128 and --quantize int8,binary are known"
                )
            found.append(compression)
    return found
