"""The list of data sets."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console, ConsoleOptions, Group
from rich.table import Table

from hbr.data.dataset import KINDS, Dataset
from hbr.data.lookup import listed

NONE: Mapping[str, Iterable[str]] = MappingProxyType({})
HEADS = {
    "evaluate": ("to evaluate on", "lang.", "queries / passages", "licence", "protocol", "here"),
    "train": ("to train on", "lang.", "size", "licence", "paired with", "here"),
}
WIDE = 100  # columns
LEFT_OUT, BROKEN = {"protocol", "paired with"}, {"licence", "protocol", "paired with"}


def listing(here: Mapping[str, str], more: Mapping[str, Iterable[str]] = NONE) -> Group:
    """Return a table of all data sets by kind; `here` says of a name in which form it is here.

    `more` has further names by kind, such as those from outside.
    On less than 100 columns it has no protocols, and breaks licences alone; all is in `plain`.
    """
    return Group(*(_Listing(kind, listed(kind, more.get(kind, ())), here) for kind in KINDS))


def plain(
    here: Mapping[str, str], more: Mapping[str, Iterable[str]] = NONE
) -> list[dict[str, Any]]:
    """Return all that is known of every data set as JSON-like values."""
    return [
        {"name": name, "kind": kind, **entry.facts(), "here": here.get(name, "")}
        for kind in KINDS
        for name, entry in listed(kind, more.get(kind, ())).items()
    ]


class _Listing:
    """A table of data sets that rich prints at the width of its console."""

    def __init__(self, kind: str, entries: Mapping[str, Dataset], here: Mapping[str, str]) -> None:
        self.heads = HEADS[kind]
        self.rows = [
            (name, *(cell or "–" for cell in _cells(entry)), here.get(name, "") or "–")
            for name, entry in entries.items()
        ]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table]:
        table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
        wide = options.max_width >= WIDE
        shown = [i for i, head in enumerate(self.heads) if wide or head not in LEFT_OUT]
        longest = {i: max(map(len, (self.heads[i], *(row[i] for row in self.rows)))) for i in shown}
        left = options.max_width - sum(longest[i] + 1 for i in shown if self.heads[i] not in BROKEN)
        for i in shown:
            breaks = self.heads[i] in BROKEN and not wide
            most = min(longest[i], left - 1) if breaks else None
            table.add_column(self.heads[i], no_wrap=not breaks, overflow="fold", max_width=most)
        for row in self.rows:
            table.add_row(*(row[i] for i in shown))
        yield table


def _cells(entry: Dataset) -> tuple[str, ...]:
    languages = entry.languages.partition(":")[0].partition(",")[0]
    return languages, entry.size, entry.licence, entry.protocol
