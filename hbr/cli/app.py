"""The application: its commands, what all of them share, and what becomes of errors."""

import importlib
import io
import os
import shlex
import sys
from typing import Annotated

import typer
from typer.core import TyperCommand

from hbr import __version__
from hbr.cli.flags import SettingsCommand
from hbr.core import distributed, registry
from hbr.core.cores import share_cores
from hbr.core.errors import UserError, printable
from hbr.core.stopping import SAME, Stopped, end_ranks

COMMANDS = (
    *("prepare", "mine", "score", "train", "encode", "index", "evaluate"),
    *("compare", "sweep", "search", "serve", "inspect", "runs", "show", "plan", "push", "settings"),
)


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
    help="Train and compare multilingual retrievers under different batch sampling strategies.",
    epilog="Start with [bold]hbr train --sampler hybrid[/bold], then [bold]hbr evaluate[/bold].",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hbr {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Import what files outside the current folder name as code."
        ),
    ] = False,
) -> None:
    from hbr.core import log

    other_rank = os.environ.get("RANK", "0") != "0"
    log.configure(quiet=quiet or other_rank, verbose=verbose)
    log.calm_libraries()


def _register(name: str) -> None:
    """Add the command that a module of the same name holds."""
    module = importlib.import_module(f"hbr.cli.{name}")
    function = getattr(module, name)
    cls = SettingsCommand if "settings" in function.__annotations__ else TyperCommand
    examples = (f"  [bold]{line.replace('[', chr(92) + '[')}[/bold]" for line in module.EXAMPLES)
    epilog = "\n\n".join(["[dim]Examples:[/dim]", *examples])
    app.command(cls=cls, epilog=epilog)(function)


for name in COMMANDS:
    _register(name)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    _use_utf8()
    share_cores()
    first = [flag for flag in ("--debug", "--allow-code") if flag in sys.argv]
    debug = "--debug" in first
    # they are accepted anywhere on the line
    sys.argv = [sys.argv[0], *first, *(word for word in sys.argv[1:] if word not in first)]
    typed = None if "--allow-code" in first else registry.references(" ".join(sys.argv))
    try:
        with registry.guarded(typed):
            app(prog_name="hbr")
    except Stopped as going:
        end_ranks(going)
        if distributed.rank() == 0:
            print(f"hbr: {str(going).replace(SAME, _same())}", file=sys.stderr)
        sys.exit(going.exit_code)
    except UserError as error:
        distributed.fail(str(error))
        if debug:
            raise
        print(f"hbr: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as done:
        if not done.code:
            distributed.destroy_process_group()
        if done.code == 130:  # which Typer makes of an interrupt
            print(f"hbr: interrupted; {_same()} goes on from here", file=sys.stderr)
        raise
    except Exception as error:
        distributed.fail(_reason(error))
        if debug:
            raise
        print(f"hbr: {printable(_reason(error))}", file=sys.stderr)
        sys.exit(1)


def _same() -> str:
    """Name the command that goes on from here: what is forced begins again."""
    return f"{SAME}, without --force," if "--force" in sys.argv else SAME


def _use_utf8() -> None:
    """Read words as UTF-8 where the locale is ASCII, and show `?` for what it cannot show."""
    if sys.getfilesystemencoding() == "ascii":
        sys.argv = [os.fsencode(word).decode("utf-8", "surrogateescape") for word in sys.argv]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _reason(error: Exception) -> str:
    if "No space left on device" in str(error) and not isinstance(error, OSError):
        return "no space left on device; nothing that was finished is lost"  # safetensors' words
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror.lower()}{place}; nothing that was finished is lost"
    command = shlex.join(["hbr", *sys.argv[1:]])
    return f"{type(error).__name__}: {error} (a bug? `{command} --debug` shows where)"
