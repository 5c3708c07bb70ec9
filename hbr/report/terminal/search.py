"""What runs find for a question, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hbr.core.errors import printable
from hbr.report.terminal import new_table

BAR = 20  # characters of the bar of languages
LEAST = 60  # columns of a run: 25 are taken before a passage begins
COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red", "white")


def answers_view(answers: Sequence[Any], width: int) -> Group:
    """Return the passages that every run finds, and the languages of these.

    Runs stand side by side where each has room for a passage, else one below the other.

    `answers` are of `hbr.experiments.search`; equal languages have equal colours.
    """
    names = sorted({name for answer in answers for name in answer.found.languages})
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    beside = len(answers) > 1 and width // len(answers) >= LEAST
    panels = [_panel(answer, colours, beside) for answer in answers]
    if not beside:
        return Group(*panels)
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return Group(grid)


def _panel(answer: Any, colours: Mapping[str, str], short: bool) -> Group:
    found = answer.found
    table = new_table(Text(printable(answer.run), "bold"))
    table.expand = short
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("passage", ratio=1, no_wrap=short, overflow="ellipsis")
    for hit in found.hits:
        table.add_row(*_cells(hit, colours))
    missed = [hit for hit in found.judged if hit.rank > len(found.hits)]
    if missed:
        table.add_section()
    for hit in missed:
        table.add_row(*_cells(hit, colours), style="dim")
    lines = [_bar(found.languages, colours)]
    if found.hits and found.hits[0].relevant is None:
        lines.append(Text("not a question of the data set: nothing is judged", "dim"))
    elif not found.judged:
        lines.append(Text("no passage here is judged relevant", "dim"))
    return Group(table, *lines)


def _cells(hit: Any, colours: Mapping[str, str]) -> tuple[Text, ...]:
    text = printable(" ".join(hit.text.split()))
    return (
        Text(f"{hit.rank:,}"),
        Text(f"{hit.score:.3f}"),
        Text(hit.language, colours.get(hit.language, "")),
        Text("✓" if hit.relevant else "", "bold green"),
        Text(text, "bold" if hit.relevant else ""),
    )


def _bar(languages: Mapping[str, int], colours: Mapping[str, str]) -> Text:
    """Return the languages of the first passages as a bar, longest first."""
    total = sum(languages.values())
    bar = Text()
    for name, count in languages.items():
        bar.append("█" * max(1, round(BAR * count / total)), colours[name])
    for name, count in languages.items():
        bar.append(f" {name} {count}", colours[name])
    return bar
