"""Every setting as a flag, in the ways that other command lines have it.

`--learning-rate 1e-4`, `--train.learning_rate=1e-4` (Lightning) and `learning_rate=1e-4` (Hydra)
all become `--set`. Where two sections have a setting of a name, that of the command's own section
is meant. Flags win over `--set`.
"""

import difflib
import json
import re
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from hbr.core.errors import UserError
from hbr.core.files import exists

SYNONYMS = {"lr": "train.learning_rate", "steps": "train.max_steps"}
VALUE_OR_NONE = {"--cell"}  # options that mean something without a value too
_EXPERIMENT = ("sampler.name", "sampler.alpha", "encoder.name", "data.train", "data.languages")
Panels = dict[str, tuple[str, ...]]
COMMON: dict[str, Panels] = {  # the settings that a command's `--help` lists
    "train": {
        "Experiment": (*_EXPERIMENT, "objective.name", "objective.temperature", "seed"),
        "Optimization": (
            *("train.max_steps", "train.batch_size", "train.learning_rate", "train.warmup_ratio"),
            *("train.precision", "train.mini_batch_size", "train.gradient_accumulation_steps"),
        ),
    },
    "plan": {
        "Experiment": (*_EXPERIMENT, "seed"),
        "Optimization": ("train.max_steps", "train.batch_size"),
    },
    "mine": {
        "Mining": (
            *("mine.miner", "mine.pool", "mine.num_negatives", "mine.range_min", "mine.range_max"),
            *("mine.max_score", "mine.min_score", "mine.absolute_margin", "mine.relative_margin"),
            *("mine.sampling_strategy", "mine.index"),
        ),
        "Data": ("data.train", "data.languages", "encoder.name"),
    },
    "score": {
        "Teacher": ("teacher.name", "teacher.reads", "teacher.truncate"),
        "Data": ("data.train", "data.languages", "train.hard_negatives", "encoder.name"),
    },
    "encode": {"Encoding": ("encode.precision", "encode.dtype", "encode.token_budget")},
    "index": {
        "Index": ("index.kind", "index.nlist", "index.nprobe", "index.m", "index.ef_search"),
    },
    "evaluate": {"Evaluation": ("evaluate.metrics", "evaluate.passage")},
}


class SettingsCommand(TyperCommand):
    """A command that takes settings."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, with those of common settings; these come first in training."""
        params: list[Any] = list(super().get_params(ctx))
        rest = "Other options" if "Experiment" in COMMON.get(str(self.name), {}) else None
        for param in params:
            param.rich_help_panel = getattr(param, "rich_help_panel", None) or rest
            param.metavar = "" if getattr(param, "is_flag", False) else param.metavar
        return [*_documented(str(self.name)), *params]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line whose settings may be flags. Completion reads it as it is."""
        if not ctx.resilient_parsing:
            args = as_assignments(str(self.name), super().get_params(ctx), args)
        return super().parse_args(ctx, args)


def as_assignments(command: str, params: list[Any], words: list[str]) -> list[str]:
    """Return a command line with every setting as `--set key=value`, flags behind all others."""
    takes_value = {
        name: not getattr(param, "is_flag", False) for param in params for name in param.opts
    } | {name: False for param in params for name in param.secondary_opts}
    rest, flags = list(words), dict[str, list[str]]()
    kept: list[str] = []
    while rest and rest[0] != "--":
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        option = name.replace("_", "-")
        if option in takes_value:
            kept.append(word)
            if takes_value[option] and not equals:
                if option in VALUE_OR_NONE and (not rest or rest[0].startswith("-")):
                    kept.append("")
                elif rest:
                    kept.append(rest.pop(0))
        elif name.startswith("--"):
            path = _path(command, name, takes_value)
            flags.setdefault(path, []).append(value if equals else _value(name, path, rest))
        elif (
            equals
            and command != "search"  # whose words are questions
            and re.fullmatch(r"[A-Za-z][\w.-]*", name)
            and not exists(Path(word))
        ):
            kept += ["--set", word]
        else:
            kept.append(word)
    return [*kept, *_assignments(flags), *rest]


def _assignments(flags: dict[str, list[str]]) -> list[str]:
    from hbr.core import values

    words = []
    for path, given in flags.items():
        field = values.leaves().get(path)
        several = len(given) > 1 and field is not None and values.is_a(field, tuple)
        words += ["--set", f"{path}={json.dumps(given) if several else given[-1]}"]
    return words


def _path(command: str, flag: str, options: dict[str, bool]) -> str:
    from hbr.core import values
    from hbr.core.config import ALIASES, full_path, hint

    name = flag.removeprefix("--").replace("-", "_")
    paths = values.leaves()
    if name in SYNONYMS or f"{command}.{name}" in paths:
        return SYNONYMS.get(name, f"{command}.{name}")
    try:
        return full_path(name)
    except UserError as error:
        if "ambiguous" in str(error):
            raise
    known = {option.strip("-").replace("-", "_"): option for option in options}
    near = [] if name in ALIASES else difflib.get_close_matches(name, known, cutoff=0.8)
    meant = f"; did you mean {known[near[0]]}?" if near else hint(name, paths)
    raise UserError(f"{command} has no option {flag}{meant}")


def _value(flag: str, path: str, rest: list[str]) -> str:
    """Take a flag's value from the words behind it; one that is true or false needs none."""
    from hbr.core import values

    field = values.leaves().get(path)
    is_switch = field is not None and values.is_a(field, bool)
    if is_switch and not (rest and rest[0].lower() in ("true", "false")):
        return "true"
    if not rest:
        raise UserError(f"{flag} needs a value")
    return rest.pop(0)


def _documented(command: str) -> list[Any]:
    """Return options for the help and for completion: their values are read as settings."""
    parameters = [
        Parameter(path.replace(".", "_"), Parameter.KEYWORD_ONLY, **_option(path, panel))
        for panel, paths in COMMON.get(command, {}).items()
        for path in paths
    ]

    def common(**_: Any) -> None: ...

    common.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    common.__annotations__ = {p.name: p.annotation for p in parameters}
    options = typer.Typer(add_completion=False)
    options.command()(common)
    params = typer.main.get_command(options).params
    for param in params:
        param.expose_value = False
    return list(params)


def _option(path: str, panel: str) -> dict[str, Any]:
    from rich.markup import escape

    from hbr.core import values
    from hbr.core.config import SHORT

    field = values.leaves()[path]
    short = {full: name for name, full in SHORT.items() if name != "index"}
    flag = short.get(path, path.rpartition(".")[2]).replace("_", "-")
    others = [f"--{other}" for other, full in SYNONYMS.items() if full == path]
    choices = values.choices(field)
    names = f" One of {', '.join(choices)}." if choices else ""
    option = typer.Option(
        f"--{flag}",
        *others,
        help=escape(f"{field.description}{names}".replace("`", "")),
        metavar=values.unit(field).partition(" ")[0].upper() or "VALUE",
        rich_help_panel=panel,
        autocompletion=lambda incomplete: [c for c in choices if c.startswith(incomplete)],
    )
    default = values.default(field)
    return {
        "annotation": Annotated[str | None, option],
        "default": None if default == "null" else default,
    }
