"""Data sets by name: those of the registry, files, and what libraries download."""

from collections.abc import Iterable
from pathlib import Path

from hbr.core.errors import UserError
from hbr.core.registry import get, likely, names
from hbr.core.target import MTEB, canonical_dataset, layout_of
from hbr.data.dataset import KINDS, Dataset, TrainingData
from hbr.data.readers import hub, irds, jsonl, mteb


def dataset(name: str) -> Dataset:
    """Return the data set to evaluate on of a name, such as `beir/scifact`, `irds:ID`, `mteb:TASK`.

    Raises UserError for an unknown name.
    """
    if name.startswith(irds.PREFIX):
        return irds.reader(name)
    if name.startswith(MTEB):
        return mteb.reader(name)
    layout, collection, split = layout_of(name)
    whole = not collection and not split
    is_listed = canonical_dataset(name) in names("dataset")  # a split may have an entry of its own
    entry: Dataset = get("dataset", canonical_dataset(name) if is_listed else layout)
    if whole or is_listed:
        return entry
    if entry.named is None:
        raise UserError(
            f"{layout} is one data set, and has no {collection or split!r} in it"
            f"{likely(name, names('dataset'))}"
        )
    return entry.named(collection, split)


def in_languages(name: str, codes: Iterable[str]) -> str:
    """Return the name of a data set of MTEB in some languages. Raises UserError for others."""
    if not name.startswith(MTEB):
        raise UserError(f"languages are chosen of {MTEB} data sets alone, not of {name}")
    return f"{name}/{','.join(codes)}"


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
    """Return whether a library downloads what a name means: `hf:ID`, `irds:ID`, `mteb:TASK`."""
    return name.startswith((irds.PREFIX, hub.PREFIX, MTEB))


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
    return likely(name, [other for other in listed("evaluate") if "/" in other])
