"""`hbr search`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from hbr.cli import options
from hbr.cli.resolve import open_run_spec
from hbr.cli.screen import console
from hbr.core.errors import UserError
from hbr.core.files import exists

EXAMPLES = (
    'hbr search "Who won?"',
    'hbr search runs/RUN runs/OTHER_RUN "Who won?" --dataset xquad-r --pool de',
    "hbr search runs/RUN --dataset xquad-r",
)
Words = Annotated[
    list[str] | None,
    Argument(
        metavar="[RUN]... [QUESTION]",
        help="Runs, side by side; without one, the last hbr train. Without a question it asks.",
    ),
]
Language = Annotated[str | None, Option(metavar="CODE", help="The question's language.")]
Pool = Annotated[
    str, Option(metavar="CODE", help="Search the passages of this language, or of all.")
]
Number = Annotated[int, Option("-k", min=1, max=1000, help="Passages to show.")]


def search(
    words: Words = None,
    dataset: options.OptionalDataset = None,
    source: options.Source = None,
    language: Language = None,
    pool: Pool = "all",
    k: Number = 10,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Put a question to runs, and see which passages they find in which languages."""
    from hbr.experiments.search import Desk, answer_values
    from hbr.report.terminal.search import answers_view

    folders, question = _split(words or [])
    specs = [open_run_spec(run, output_dir, device, None, settings) for run in folders or (None,)]
    desk = Desk(specs, dataset, source)
    for asked in [question] if question else _questions(output_dir, as_json):
        answers = desk.ask(asked, language=language, pool=pool, k=k)
        if as_json:
            print(json.dumps(answer_values(asked, desk.dataset, answers), ensure_ascii=False))
        else:
            screen = console()
            screen.print(answers_view(answers, screen.width))


def _split(words: list[str]) -> tuple[list[Path], str | None]:
    """Return the runs that words name, and the question behind them."""
    places = [exists(Path(word) / "config.yaml") for word in words]
    count = places.index(False) if False in places else len(words)
    if len(words) - count > 1:
        raise UserError(f"{words[count]} is no run; a question of several words stands in quotes")
    question = words[count] if count < len(words) else None
    if question is not None and not question.strip():
        raise UserError("the question is blank")
    return [Path(word) for word in words[:count]], question


def _questions(folder: Path, as_json: bool) -> Iterator[str]:
    """Yield the lines that somebody types, with a history, or that stand on standard input.

    Standard output is left to JSON: nothing asks there.
    """
    if not sys.stdin.isatty():
        yield from filter(None, map(str.strip, sys.stdin))
        return
    import readline

    history: Any = folder / ".search_history"
    if history.exists():
        readline.read_history_file(history)
    try:
        while line := input("" if as_json else "question (blank ends): ").strip():
            yield line
    except EOFError:
        print()
    finally:
        readline.write_history_file(history)
