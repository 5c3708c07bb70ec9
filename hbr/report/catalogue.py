"""How the list of data sets looks."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from hbr.data.catalogue import KINDS, Entry

HEADS = {
    "evaluate": ("to evaluate on", "lang.", "queries / passages", "licence", "protocol", "here"),
    "train": ("to train on", "lang.", "size", "licence", "paired with", "here"),
}


def listing(here: Mapping[str, str]) -> Group:
    """Return a table of all data sets by kind; `here` says of a name in which form it is here.

    It takes 100 columns; languages, titles and sources in full are in `plain`.
    """
    return Group(*(_table(kind, entries, here) for kind, entries in KINDS.items()))


def plain(here: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return all that is known of every data set as JSON-like values."""
    return [
        {"name": name, "kind": kind, **entry._asdict(), "here": here.get(name, "")}
        for kind, entries in KINDS.items()
        for name, entry in entries.items()
    ]


def _table(kind: str, entries: Mapping[str, Entry], here: Mapping[str, str]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for head in HEADS[kind]:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for name, entry in entries.items():
        languages = entry.languages.partition(":")[0].partition(",")[0]
        cells = (languages, entry.size, entry.licence, entry.protocol, here.get(name, ""))
        table.add_row(name, *(cell or "–" for cell in cells))
    return table
