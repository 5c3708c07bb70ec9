"""How long commands take to start: `hbr --help` and `hbr plan`, beside a bare Typer app.

    python benchmarks/starting.py [--rounds 10] [--batches 1000] [--json FILE]

The bare app has two commands, and its `--help` is drawn by rich as ours is. Times are whole
processes', medians of several in turns; `plan` reads embedded data, which the first one in a folder
prepares.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import side

BARE = '''
import typer

app = typer.Typer()


@app.command()
def greet(name: str = "you") -> None:
    """Greet somebody."""
    print(f"hello {name}")


@app.command()
def leave(name: str = "you") -> None:
    """Take leave of somebody."""
    print(f"goodbye {name}")


app()
'''


def call(words: list[str], folder: Path) -> None:
    """Run a command and look at nothing that it says."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(words, check=True, cwd=folder, **quiet)


def main() -> None:
    """Time every command, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batches", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    module, installed = (
        [sys.executable, "-m", "hbr"],
        shutil.which("hbr", path=Path(sys.executable).parent),
    )
    plan = ["plan", "--batches", str(args.batches)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "a bare Typer app, --help": [sys.executable, "bare.py", "--help"],
            "a bare Typer app, greet --help": [sys.executable, "bare.py", "greet", "--help"],
            "python -m hbr --help": [*module, "--help"],
            "python -m hbr plan --help": [*module, "plan", "--help"],
            f"python -m hbr plan, {args.batches:,} batches": [*module, *plan],
        }
        if installed:
            commands["hbr --help"] = [installed, "--help"]

        def first() -> None:
            with tempfile.TemporaryDirectory() as fresh:
                call([*module, *plan], Path(fresh))

        ways = {name: lambda words=words: call(words, folder) for name, words in commands.items()}
        ways[f"the first plan, {args.batches:,} batches"] = first
        rows = {
            name: side.changed(turns, lambda seconds: 1000 * seconds)
            for name, turns in side.in_turns(ways, args.rounds).items()
        }
    side.compare("whole processes", rows, "a bare Typer app, --help", "ms", digits=0)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
