"""The list of data sets."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Group
from rich.table import Table

from hbr.data.dataset import KINDS, Dataset
from hbr.data.lookup import listed

NONE: Mapping[str, Iterable[str]] = MappingProxyType({})
HEADS = {
    "evaluate": ("to evaluate on", "lang.", "queries / passages", "licence", "protocol", "here"),
    "train": ("to train on", "lang.", "size", "licence", "paired with", "here"),
}


def listing(here: Mapping[str, str], more: Mapping[str, Iterable[str]] = NONE) -> Group:
    """Return a table of all data sets by kind; `here` says of a name in which form it is here.

    `more` has further names by kind, such as those from outside.
    It takes 100 columns; languages, titles and sources in full are in `plain`.
    """
    return Group(*(_table(kind, listed(kind, more.get(kind, ())), here) for kind in KINDS))


def plain(
    here: Mapping[str, str], more: Mapping[str, Iterable[str]] = NONE
) -> list[dict[str, Any]]:
    """Return all that is known of every data set as JSON-like values."""
    return [
        {"name": name, "kind": kind, **entry.facts(), "here": here.get(name, "")}
        for kind in KINDS
        for name, entry in listed(kind, more.get(kind, ())).items()
    ]


def _table(kind: str, entries: Mapping[str, Dataset], here: Mapping[str, str]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for head in HEADS[kind]:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for name, entry in entries.items():
        languages = entry.languages.partition(":")[0].partition(",")[0]
        cells = (languages, entry.size, entry.licence, entry.protocol, here.get(name, ""))
        table.add_row(name, *(cell or "–" for cell in cells))
    return table
