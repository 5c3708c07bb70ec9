"""Prepare: files in their upstream layout become memory-mapped training rows and tasks."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.core.lease import lease
from hbr.core.settings import Data as DataSettings
from hbr.core.store import Store
from hbr.core.target import folder_name, whole_dataset
from hbr.data.dataset import Dataset, TrainingData
from hbr.data.fetch import fetch
from hbr.data.location import from_environment, kept, new_store, row_settings, task_settings
from hbr.data.lookup import collection_hint, dataset, training_data
from hbr.data.row_writer import write_linked, write_rows
from hbr.data.rows import Rows, first_rows, open_rows
from hbr.data.snapshot import fetch_snapshots
from hbr.data.tasks import Task, data_of, limited, open_task, write_task

logger = logging.getLogger(__name__)


class NotPrepared(UserError):
    """Data whose files are here were not prepared from them as they are."""


def rows(
    runs: Path,
    name: str,
    *,
    source: Path | None = None,
    languages: Sequence[str] | None = None,
    limit: int | None = None,
    ready: bool = False,
    force: bool = False,
) -> tuple[Store, Rows]:
    """Prepare training rows: those of a registered name, of a path, or `hf:` and a hub id.

    Files in somebody else's layout are taken from `source`, `$HBR_DATA/name`, what is prepared, or
    a download. Of rows that refer to texts by id, `languages` alone are kept. With a `limit`, so
    many rows of each language are kept. Raises UserError where the rows cannot be had, or are not
    `ready` when they must be.
    """
    entry, place = training_data(name)
    if source and not entry.needs_source:
        raise UserError(f"--source: {name} takes no files of its own")
    label = place.stem if place else name
    settings = row_settings(entry, name, languages, limit)
    if entry.needs_source:
        place = source or from_environment(name)
        if place is None:
            if not entry.is_remote or (kept(runs, name, "rows", settings=settings) and not force):
                return _prepared_rows(runs, name, settings)
            if ready:
                raise UserError(f"{name} is not prepared, and HBR_DATA names no folder of it")
            place = _downloaded(runs, name, entry, languages)
        if not place.exists():
            raise UserError(f"--source {place}: there is no such file or folder")
    elif place and not place.exists():  # it may have been prepared elsewhere
        return _prepared_rows(runs, label, settings, f"--data {name}: there is no such file")
    beside = entry.beside(place) if place else ()
    store = new_store(runs, label, entry.version, str([name, settings]), place, beside)
    if ready and not (entry.is_synthetic or store.is_current("rows", settings, {})):
        raise NotPrepared(f"{label} is not prepared")

    def make(folder: Path) -> dict[str, Any]:
        counts = _write_rows(folder, label, entry, place, languages, limit)
        return {**counts, "source": str(place) if place else None}

    if store.build("rows", make, settings=settings, force=force):
        _log_rows(label, store.entries()["rows"])
    return store, open_rows(store.path / "rows")


def training_rows(settings: DataSettings, runs: Path, **how: Any) -> list[tuple[Store, Rows]]:
    """Prepare the training data that the settings name, as `rows` does with each."""
    return [
        rows(runs, name, languages=settings.languages, limit=settings.limit, **how)
        for name in settings.train
    ]


def _write_rows(
    folder: Path,
    label: str,
    entry: TrainingData,
    place: Path | None,
    languages: Sequence[str] | None,
    limit: int | None,
) -> dict[str, Any]:
    if entry.linked:
        linked = entry.read(place, languages)
        return write_linked(folder, label, linked.first(limit) if limit else linked, entry.pivot)
    every = entry.read(place)
    return write_rows(folder, label, first_rows(every, limit) if limit else every, entry.pivot)


def _downloaded(
    runs: Path, name: str, entry: Dataset, languages: Sequence[str] | None = None
) -> Path:
    """Download the files of a data set that are not here yet; return their folder."""
    downloads = runs / "downloads"
    if entry.hub:
        with lease(downloads / entry.hub[0].repo, wait=True):
            return fetch_snapshots(name, entry.hub, downloads, languages)
    place = downloads / folder_name(whole_dataset(name))
    with lease(place, wait=True):
        return fetch(name, entry.remote, place)


def _prepared_rows(
    runs: Path, name: str, settings: Mapping[str, Any], message: str | None = None
) -> tuple[Store, Rows]:
    """Return rows that were prepared from files, wherever these were; else raise the message."""
    stores = kept(runs, name, "rows", settings=settings)
    if not stores:
        advice = f"`hbr prepare --data {name} --source DIR` does it"
        raise UserError(message or f"--data {name} is not prepared; {advice}")
    if len({store.completion("rows") for store in stores}) > 1:
        sources = " and ".join(_origin(store, "rows") for store in stores)
        raise UserError(
            f"{name} was prepared from several sources, {sources}; delete one in {runs}"
        )
    if message:
        logger.info(f"{name}: its file is not here; as prepared from {_origin(stores[0], 'rows')}")
    return stores[0], open_rows(stores[0].path / "rows")


def _origin(store: Store, stage: str) -> str:
    return str(store.entries()[stage].get("source"))


def validation_name(train: tuple[str, ...]) -> str | None:
    """Return the validation set that comes with the first of some training sets, if one does."""
    return training_data(train[0])[0].validation


def task(
    runs: Path,
    name: str,
    source: Path | None,
    passage: str,
    *,
    limit: int | None = None,
    ready: bool = False,
    force: bool = False,
) -> tuple[Store, Task]:
    """Prepare an evaluation task from `source`, `$HBR_DATA`, what is prepared, or a download.

    With a `limit` it has so many concepts of each language. Raises UserError where it cannot be
    had, or is not `ready` when it must be.
    """
    entry = dataset(name)
    if source and not entry.needs_source:
        raise UserError(f"--source: {name} takes no files; name the data set with --dataset")
    place = source or (from_environment(name) if entry.needs_source else None)
    settings = task_settings(name, passage, limit)
    if entry.needs_source and place is None:
        if not force and (store := _only_prepared(runs, name, settings)):
            return _opened(store)
        if limit and (whole := ready_task(runs, name, passage, None)):
            return _cut_task(runs, name, entry.version, whole, limit, settings)
        if not entry.is_remote:
            hint = collection_hint(name) if "/" in name else ""
            raise UserError(
                f"--dataset {name} needs its files: "
                f"`hbr prepare --dataset {name} --source DIR`{hint}"
            )
        if ready:
            raise UserError(f"{name} is not prepared, and HBR_DATA names no folder of it")
        place = _downloaded(runs, name, entry)
    if place is not None and not place.exists():
        return _prepared_task(runs, name, place, settings)
    key = " ".join(map(str, filter(None, (name, passage, limit, settings.get("revision")))))
    beside = entry.beside(place) if place else ()
    store = new_store(runs, name, entry.version, key, place, beside)
    if ready and not store.is_current("task", settings, {}):
        raise NotPrepared(f"{name} is not prepared")

    def make(folder: Path) -> dict[str, Any]:
        data = entry.read(place, passage)
        counts = write_task(folder, name, limited(data, limit) if limit else data)
        return {**counts, "source": str(place) if place else None}

    if store.build("task", make, settings=settings, force=force):
        _log_task(name, entry, store.entries()["task"])
    return _opened(store)


def _opened(store: Store) -> tuple[Store, Task]:
    return store, open_task(store.path / "task", store.completion("task"))


def _only_prepared(runs: Path, name: str, settings: Mapping[str, Any]) -> Store | None:
    """Return the store of a task that was prepared; from several sources is a UserError."""
    stores = {
        store.completion("task"): store for store in kept(runs, name, "task", settings=settings)
    }
    if not stores:
        return None
    first, *others = stores.values()
    if others:
        sources = " and ".join(_origin(store, "task") for store in stores.values())
        raise UserError(f"{name} was prepared from several sources, {sources}; say --source")
    logger.info(f"{name}: as prepared from {_origin(first, 'task')}")
    return first


def _cut_task(
    runs: Path, name: str, version: int, whole: Task, limit: int, settings: Mapping[str, Any]
) -> tuple[Store, Task]:
    """Prepare a small task from the whole one that is prepared."""
    store = new_store(runs, name, version, f"{name} {whole.id} {limit}")
    part = limited(data_of(whole), limit)
    store.build("task", lambda f: write_task(f, name, part), settings=settings)
    return _opened(store)


def _prepared_task(
    runs: Path, name: str, source: Path, settings: Mapping[str, Any]
) -> tuple[Store, Task]:
    """Return a task whose source is not here and that was prepared from it, perhaps elsewhere."""
    stores = kept(runs, name, "task", source=str(source), settings=settings)
    if not stores:
        raise UserError(f"--source {source}: there is no such file or folder")
    if len({store.completion("task") for store in stores}) > 1:
        raise UserError(f"{source} is gone, and {name} was prepared from it as it was twice")
    logger.info(f"{name}: {source} is not here; as prepared from it before")
    return _opened(stores[0])


def ready_rows(
    runs: Path, name: str, languages: Sequence[str] | None, limit: int | None
) -> Rows | None:
    """Return training rows if they are prepared, in any version, or made in a moment."""
    entry, place = training_data(name)
    if entry.is_synthetic:
        return rows(runs, name, languages=languages, limit=limit)[1]
    settings = row_settings(entry, name, languages, limit)
    stores = kept(runs, place.stem if place else name, "rows", settings=settings)
    return open_rows(stores[0].path / "rows") if stores else None


def ready_task(runs: Path, name: str, passage: str, limit: int | None) -> Task | None:
    """Return a task if it is prepared, in any version, or made in a moment."""
    if dataset(name).is_synthetic:
        return task(runs, name, None, passage, limit=limit)[1]
    stores = kept(runs, name, "task", settings=task_settings(name, passage, limit))
    return _opened(stores[0])[1] if stores else None


def _log_rows(label: str, entry: Mapping[str, Any]) -> None:
    languages = ", ".join(f"{lang} {n:,}" for lang, n in entry["rows_by_language"].items())
    logger.info(
        f"prepared {label}: {entry['rows']:,} rows, {entry['groups']:,} groups ({languages})"
    )
    _log_notes(entry)


def _log_task(label: str, known: Dataset, entry: Mapping[str, Any]) -> None:
    counts = ", ".join(f"{lang} {n:,}" for lang, n in entry["passages_by_language"].items())
    logger.info(
        f"prepared {label}: {entry['queries']:,} queries, {entry['passages']:,} passages in "
        f"{len(entry['languages'])} languages ({counts})"
    )
    if some := known.part(entry["queries"], len(entry["languages"])):
        logger.warning(f"  {some}: a part of {label}; no figure of the whole compares with these")
    _log_notes(entry)


def _log_notes(entry: Mapping[str, Any]) -> None:
    for note, count in entry["notes"].items():
        logger.info(f"  {count:,} {note}")
