"""Where the data of a data set are: prepared, in `$HBR_DATA`, in a file, or to be downloaded."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hbr.core import registry
from hbr.core.digests import contents, fingerprint
from hbr.core.store import Store
from hbr.core.target import EvaluationTarget, folder_name, layout_of, whole_dataset
from hbr.data import rows, tasks
from hbr.data.dataset import KINDS, TrainingData
from hbr.data.lookup import dataset, is_from_library, listed, training_data

KNOWN = ".sources.json"  # digests of the files that data were prepared from


def here(runs: Path, more: Mapping[str, Iterable[str]] = MappingProxyType({})) -> dict[str, str]:
    """Return where every listed data set is: see `whereabouts`. `more` has further names by use."""
    states: dict[str, str] = {}
    for use in KINDS:
        for name in listed(use, more.get(use, ())):
            states[name] = states.get(name) or whereabouts(runs, name, use)
    return states


def whereabouts(runs: Path, name: str, use: str) -> str:
    """Return where a data set to `train` or `evaluate` on is; "" where it is nowhere.

    That is "embedded", "prepared", "in $HBR_DATA", "a file" or "download".
    """
    entry, place = (dataset(name), None) if use == "evaluate" else training_data(name)
    if entry.is_synthetic:
        return "embedded"
    if kept(runs, name, "task" if use == "evaluate" else "rows"):
        return "prepared"
    if from_environment(name):
        return "in $HBR_DATA"
    if place:
        return "a file" if place.exists() else ""
    return "download" if entry.is_remote or is_from_library(name) else ""


def missing(runs: Path, data: Iterable[str], tasks: Mapping[str, Path | None]) -> Path | None:
    """Return a file or folder that is neither here nor among what was prepared, if there is one."""
    for name in data:
        place = training_data(name)[1]
        if place and not place.exists() and not kept(runs, place.stem, "rows"):
            return place
    for name, source in ((EvaluationTarget.parse(n).dataset, s) for n, s in tasks.items()):
        if source and not source.exists() and not kept(runs, name, "task", source=str(source)):
            return source
    return None


def from_environment(name: str) -> Path | None:
    """Return the folder of a data set in `$HBR_DATA`, if it is there."""
    root = os.environ.get("HBR_DATA")
    place = Path(root) / whole_dataset(name) if root else None
    return place if place and place.exists() else None


def new_store(
    runs: Path,
    label: str,
    version: int,
    key: str,
    source: Path | None = None,
    beside: Iterable[Path] = (),
) -> Store:
    """Return the store of what is read from a source.

    Its name holds a fingerprint of `key` and of the names and bytes of the source's files, and of
    those `beside` it, so that it is the same wherever they lie; they are read for that once, until
    they change.
    """
    signature: list[Any] = [version, key]
    for place in (*filter(None, [source]), *beside):
        signature.append(contents(runs / "data" / KNOWN, place))
    return Store(runs / "data" / f"{folder_name(label)}-{fingerprint(signature, 6)}")


def kept(runs: Path, name: str, stage: str, **facts: Any) -> list[Store]:
    """Return the prepared stores of a name whose manifest has these facts of a stage."""
    pattern = re.compile(re.escape(folder_name(name)) + "-[0-9a-f]{6}")
    folder = runs / "data"
    paths = sorted(folder.iterdir()) if folder.exists() else []
    stores = [Store(path) for path in paths if pattern.fullmatch(path.name)]
    entries = ((store, store.entries().get(stage)) for store in stores)
    return [store for store, entry in entries if entry and facts.items() <= entry.items()]


def _source(kind: str, name: str) -> dict[str, str]:
    """Return a digest of the module of a reader from outside; nothing for others."""
    is_ours = is_from_library(name) or ":" not in name or Path(name).is_file()
    return {} if is_ours else registry.source(kind, name)


def row_settings(
    entry: TrainingData, name: str, languages: Sequence[str] | None, limit: int | None
) -> dict[str, Any]:
    """Return the settings that decide what prepared training rows hold."""
    chosen = {"languages": sorted(languages) if languages else None} if entry.linked else {}
    settings = {"data": name, "version": entry.version, "layout": rows.LAYOUT, **chosen}
    settings |= _source("training data", name)
    return settings | ({"limit": limit} if limit else {})


def task_settings(name: str, passage: str, limit: int | None) -> dict[str, Any]:
    """Return the settings that decide what a prepared task holds."""
    entry = dataset(name)
    settings = {"data": name, "passage": passage, "version": entry.version, "layout": tasks.LAYOUT}
    settings |= {"revision": revision} if (revision := entry.revision()) else {}
    settings |= _source("dataset", layout_of(name)[0])
    return settings | ({"limit": limit} if limit else {})
