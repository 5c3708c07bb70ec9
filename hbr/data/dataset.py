"""Data sets as values: what is published of each, and how its files are read.

Each stands in the file of its reader, one line of the registry names it, and one from outside is
used like any other. A fact that is not known is an empty text.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.core.registry import get, names, near
from hbr.core.target import canonical_dataset, layout_of
from hbr.data.fetch import Remote
from hbr.data.snapshot import Snapshot

KINDS = {"evaluate": "dataset", "train": "training data"}  # kinds of the registry, by their use
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
    version: int = 1  # raise it when what is read changes
    named: "Callable[[str, str], Dataset] | None" = None
    collections: "Mapping[str, Dataset]" = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        """Whether it can be downloaded."""
        return bool(self.remote or self.hub)

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


def dataset(name: str) -> Dataset:
    """Return the data set to evaluate on of a name, such as `xquad-r`, `beir/scifact`, `irds:ID`.

    Raises UserError for an unknown name.
    """
    from hbr.data.readers import irds

    if name.startswith(irds.PREFIX):
        return irds.reader(name)
    layout, collection, split = layout_of(name)
    entry: Dataset = get("dataset", layout)
    if not collection and not split:
        return entry
    if entry.named is None:
        raise UserError(f"{layout} is one data set, and has no {collection or split!r} in it")
    return entry.named(collection, split)


def known_dataset(name: str) -> str:
    """Return a data set's name as the table spells it. Raises ValueError for an unknown one."""
    try:
        dataset(name)
    except UserError as error:
        raise ValueError(str(error)) from error
    return canonical_dataset(name)


def training_data(name: str) -> tuple[TrainingData, Path | None]:
    """Return the training data of a name, a path or `hf:HUB_ID`, and the path where it is one.

    Raises UserError for an unknown name.
    """
    from hbr.data.readers import hub, jsonl

    if name.startswith(hub.PREFIX):
        local = Path(name.removeprefix(hub.PREFIX))
        return hub.reader(name), local if local.exists() else None
    if name.endswith((".jsonl", ".json")) or Path(name).is_file():
        return jsonl.JSONL, Path(name)
    try:
        return get("training data", name), None
    except UserError as error:
        raise UserError(f"{error}, or the path of a .jsonl file, or hf:HUB_ID") from None


def is_from_library(name: str) -> bool:
    """Return whether a library of its own downloads what a name means: `hf:ID`, `irds:ID`."""
    from hbr.data.readers import hub, irds

    return name.startswith((irds.PREFIX, hub.PREFIX))


def listed(use: str, more: Iterable[str] = ()) -> dict[str, Dataset]:
    """Return the data sets to `train` or `evaluate` on by name, collections behind their layout.

    `more` are names that the registry lacks, such as those from outside.
    """
    entries: dict[str, Dataset] = {}
    for name in (*names(KINDS[use]), *more):
        entries[name] = dataset(name) if use == "evaluate" else training_data(name)[0]
        entries |= {f"{name}/{one}": entry for one, entry in entries[name].collections.items()}
    return entries


def collection_hint(name: str) -> str:
    """Return the names of listed collections that are like a name, as a clause, or nothing."""
    hosted = near(name, [other for other in listed("evaluate") if "/" in other])
    return hosted if "mean" in hosted else ""
