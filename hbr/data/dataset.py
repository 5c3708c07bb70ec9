"""Data sets as values: what is published of each, and how its files are read.

Each stands in the file of its reader, one line of the registry names it, and one from outside is
used like any other. A fact that is not known is an empty text.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hbr.data.fetch import Remote
from hbr.data.snapshot import Snapshot

KINDS = {"evaluate": "dataset", "train": "training data"}  # kinds of the registry, by their use
PUBLISHED = re.compile(r"(?P<queries>[\d,]+)(?P<each> × \d+)? / ")  # queries, then passages
YOUR_FILES = "your own files"  # the licence of a layout that many data sets share


@dataclass(frozen=True)
class Dataset:
    """A data set to evaluate on: `read(source, passage)` returns `EvaluationData`.

    It may be downloaded where `remote` has its files by name, or `hub` those of the hub. Of a
    layout that many data sets share, `named` returns the one of a name and a split, either of them
    perhaps "", and `collections` has those that can be listed.
    """

    name: str
    read: Callable[..., Any]
    title: str = ""
    languages: str = ""  # "11: ar de …", a number, or "any"
    size: str = ""
    licence: str = ""
    source: str = ""  # a hub id or a place on the web
    protocol: str = ""  # of the evaluation; of training data, what a query is paired with
    remote: Mapping[str, Remote] = field(default_factory=dict)
    hub: tuple[Snapshot, ...] = ()
    needs_source: bool = True  # read from files that somebody else has made
    is_synthetic: bool = False  # made on the spot, in a moment
    version: int = 1  # raise it when what is read changes
    beside: "Callable[[Path], Iterable[Path]]" = lambda _: ()  # files read outside the source
    check: Callable[[], None] = lambda: None  # raises UserError where it cannot be had by its name
    revision: Callable[[], str] = lambda: ""  # of what is read besides files, such as a hub's
    named: "Callable[[str, str], Dataset] | None" = None
    collections: "Mapping[str, Dataset]" = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        """Whether it can be downloaded."""
        return bool(self.remote or self.hub)

    def part(self, queries: int, languages: int) -> str:
        """Return `302 of 1,190 questions, 3 of 11 languages` where fewer than are published.

        `queries` are those of all languages; a published size of `N × …` is that of each.
        """
        parts = []
        if known := PUBLISHED.match(self.size):
            each = languages if known["each"] else 1
            whole, here = int(known["queries"].replace(",", "")), round(queries / max(each, 1))
            parts += [f"{here:,} of {whole:,} questions"] if here < whole else []
        if (most := re.match(r"\d+", self.languages)) and languages < int(most[0]):
            parts.append(f"{languages} of {most[0]} languages")
        return ", ".join(parts)

    def facts(self) -> dict[str, str]:
        """Return what is published of it, by the names of the fields."""
        fields = ("title", "languages", "size", "licence", "source", "protocol")
        return {name: getattr(self, name) for name in fields}


@dataclass(frozen=True)
class TrainingData(Dataset):
    """Training rows: `read(source)` yields dicts of `id, group, query, passage, negatives`.

    One that is `linked` is read as `read(source, languages)`, of the languages wanted or, for None,
    all; it returns `hbr.data.rows.Linked`.
    """

    pivot: str = "en"  # the language of the `english` sampler
    validation: str | None = None  # the data set that comes along for validation
    linked: bool = False


def language_list(codes: Iterable[str]) -> str:
    """Return languages as `Dataset.languages` has them: `3: de en ru`."""
    codes = sorted(codes)
    return f"{len(codes)}: {' '.join(codes)}"
