"""Prepare: upstream files to memory-mapped rows and tasks, texts to tokens, tiny encoders."""

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError
from hbr.core.registry import get, near
from hbr.core.store import Store, fingerprint, lock
from hbr.core.target import EvaluationTarget, folder_name, layout_of
from hbr.data import contamination, tasks
from hbr.data.catalogue import KINDS
from hbr.data.fetch import fetch
from hbr.data.perturb import Dictionary
from hbr.data.readers import RowsReader, TaskReader, hub, irds, jsonl
from hbr.data.rows import (
    LAYOUT,
    Rows,
    first_rows,
    open_rows,
    write_linked,
    write_rows,
)
from hbr.data.snapshot import fetch_snapshots
from hbr.data.tasks import Task, draft_of, limited, open_task, write_task

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    pass

MINED_PAIRS = 20_000  # sentences of a pair of languages that a dictionary is mined from
TINY_VERSION = 1  # raise it when the tiny encoders change


def rows(
    runs: Path,
    name: str,
    *,
    source: Path | None = None,
    languages: Sequence[str] | None = None,
    limit: int | None = None,
    force: bool = False,
) -> tuple[Store, Rows]:
    """Prepare training rows named in the table of names, or a path, or `hf:` and a hub id.

    Those that come in files of somebody else's layout are read from `source`, `$HBR_DATA/name`, or
    what is prepared, or a download; of rows that refer to texts, `languages` alone are kept. With
    a `limit` so many rows of each language are kept.
    """
    reader, place = _rows_reader(name)
    if source and not reader.needs_source:
        raise UserError(f"--source: {name} takes no files of its own")
    label = place.stem if place else name
    settings = _row_settings(reader, name, languages, limit)
    if reader.needs_source:
        place = source or _from_environment(name)
        if place is None:
            if not reader.hub or (_kept(runs, name, "rows", settings=settings) and not force):
                return _prepared_rows(runs, name, settings)
            place = _downloaded(runs, name, reader, languages)
        if not place.exists():
            raise UserError(f"--source {place}: there is no such file or folder")
    elif place and not place.exists():  # it may have been prepared elsewhere
        return _prepared_rows(runs, label, settings, f"--data {name}: there is no such file")
    store = _store(runs, label, _signature(reader.version, str([name, settings]), place))

    def make(folder: Path) -> dict[str, Any]:
        if reader.linked:
            linked = reader.read(place, languages)
            made = write_linked(
                folder, label, linked.first(limit) if limit else linked, reader.pivot
            )
        else:
            every = reader.read(place)
            some = first_rows(every, limit) if limit else every
            made = write_rows(folder, label, some, reader.pivot)
        return {**made, "source": str(place) if place else None}

    if store.build("rows", make, settings=settings, force=force, wait=True):
        _tell(label, store.entries()["rows"])
    return store, open_rows(store.path / "rows")


def _downloaded(
    runs: Path,
    name: str,
    reader: RowsReader | TaskReader,
    languages: Sequence[str] | None = None,
) -> Path:
    """Bring the files of a data set that are not there yet; give their folder."""
    downloads = runs / "downloads"
    if reader.hub:
        with lock(downloads / reader.hub[0].repo, wait=True):
            return fetch_snapshots(name, reader.hub, downloads, languages)
    assert isinstance(reader, TaskReader)
    place = downloads / folder_name(name)
    with lock(place, wait=True):
        return fetch(name, reader.remote, place)


def _prepared_rows(
    runs: Path, name: str, settings: Mapping[str, Any], missing: str | None = None
) -> tuple[Store, Rows]:
    """Return rows that were prepared from files, wherever these were."""
    found = _kept(runs, name, "rows", settings=settings)
    if not found:
        advice = f"`hbr prepare --data {name} --source DIR` does it"
        raise UserError(missing or f"--data {name} is not prepared; {advice}")
    if len({store.completion("rows") for store in found}) > 1:
        known = " and ".join(str(store.entries()["rows"].get("source")) for store in found)
        raise UserError(f"{name} was prepared from several sources, {known}; delete one in {runs}")
    if missing:
        logger.info(f"{name}: its file is not here; as prepared from {_origin(found[0], 'rows')}")
    return found[0], open_rows(found[0].path / "rows")


def _origin(store: Store, stage: str) -> str:
    return str(store.entries()[stage].get("source"))


def validation_name(train: tuple[str, ...]) -> str | None:
    """Return the validation set that comes with the first of some training sets, if one does."""
    reader, _ = _rows_reader(train[0])
    return reader.validation


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
    reader = _task_reader(name)
    if source and not reader.needs_source:
        raise UserError(f"--source: {name} takes no files; name the data set with --dataset")
    place = source or (_from_environment(name) if reader.needs_source else None)
    settings = _task_settings(name, passage, limit)
    if reader.needs_source and place is None:
        found = _kept(runs, name, "task", settings=settings)
        prepared = {store.completion("task"): store for store in found}
        if len(prepared) > 1 and not force:
            entries = [store.entries()["task"] for store in prepared.values()]
            known = " and ".join(str(entry.get("source")) for entry in entries)
            raise UserError(f"{name} was prepared from several sources, {known}; say --source")
        if prepared and not force:
            (store,) = prepared.values()
            logger.info(f"{name}: as prepared from {store.entries()['task'].get('source')}")
            return store, open_task(store.path / "task", store.completion("task"))
        if limit and (whole := ready_task(runs, name, passage, None)):
            store = _store(
                runs, name, _signature(reader.version, f"{name} {whole.id} {limit}", None)
            )
            cut = limited(draft_of(whole), limit)
            store.build("task", lambda f: write_task(f, name, cut), settings=settings, wait=True)
            return store, open_task(store.path / "task", store.completion("task"))
        if not (reader.remote or reader.hub):
            raise UserError(
                f"--dataset {name} needs --source DIR, the folder with its files"
                + (_hint(name) if "/" in name else "")
            )
        if ready:
            raise UserError(f"{name} is not prepared")
        place = _downloaded(runs, name, reader)
    if place is not None and not place.exists():
        return _prepared_task(runs, name, place, settings)
    label = " ".join(map(str, filter(None, (name, passage, limit))))
    store = _store(runs, name, _signature(reader.version, label, place))
    if ready and not store.is_current("task", settings, {}):
        raise UserError(f"{name} is not prepared")

    def make(folder: Path) -> dict[str, Any]:
        draft = reader.read(place, passage)
        made = write_task(folder, name, limited(draft, limit) if limit else draft)
        return {**made, "source": str(place) if place else None}

    if store.build("task", make, settings=settings, force=force, wait=True):
        _tell(name, store.entries()["task"])
    return store, open_task(store.path / "task", store.completion("task"))


def _prepared_task(
    runs: Path, name: str, source: Path, settings: Mapping[str, Any]
) -> tuple[Store, Task]:
    """Return a task whose source is not here and that was prepared from it, perhaps elsewhere."""
    found = _kept(runs, name, "task", source=str(source), settings=settings)
    if not found:
        raise UserError(f"--source {source}: there is no such file or folder")
    if len({store.completion("task") for store in found}) > 1:
        raise UserError(f"{source} is gone, and {name} was prepared from it as it was twice")
    logger.info(f"{name}: {source} is not here; as prepared from it before")
    return found[0], open_task(found[0].path / "task", found[0].completion("task"))


def missing(runs: Path, data: Iterable[str], tasks: Mapping[str, Path | None]) -> Path | None:
    """Return a file or folder that is neither here nor among what was prepared, if there is one."""
    for name in data:
        place = _rows_reader(name)[1]
        if place and not place.exists() and not _kept(runs, place.stem, "rows"):
            return place
    for name, source in ((EvaluationTarget.parse(n).dataset, s) for n, s in tasks.items()):
        if source and not source.exists() and not _kept(runs, name, "task", source=str(source)):
            return source
    return None


def ready_rows(
    runs: Path, name: str, languages: Sequence[str] | None, limit: int | None
) -> Rows | None:
    """Return training rows if they are prepared, in any version, or made in a moment."""
    reader, place = _rows_reader(name)
    if name.startswith("embedded"):
        return rows(runs, name, languages=languages, limit=limit)[1]
    wanted = _row_settings(reader, name, languages, limit)
    found = _kept(runs, place.stem if place else name, "rows", settings=wanted)
    return open_rows(found[0].path / "rows") if found else None


def ready_task(runs: Path, name: str, passage: str, limit: int | None) -> Task | None:
    """Return a task if it is prepared, in any version, or made in a moment."""
    if name == "embedded":
        return task(runs, name, None, passage, limit=limit)[1]
    found = _kept(runs, name, "task", settings=_task_settings(name, passage, limit))
    return open_task(found[0].path / "task", found[0].completion("task")) if found else None


def here(runs: Path) -> dict[str, str]:
    """Say of every named data set where it is: embedded, prepared, in `$HBR_DATA`, a download."""
    found: dict[str, str] = {}
    for kind, names in KINDS.items():
        for name in names:
            found[name] = found.get(name) or whereabouts(runs, name, kind)
    return found


def whereabouts(runs: Path, name: str, kind: str) -> str:
    """Return where a data set to `train` or `evaluate` on is, as `here` does; "" for nowhere."""
    evaluated = kind == "evaluate"
    if name.startswith("embedded"):
        return "embedded"
    if _kept(runs, name, "task" if evaluated else "rows"):
        return "prepared"
    if _from_environment(name):
        return "in $HBR_DATA"
    if evaluated:
        task_reader = _task_reader(name)
        remote = bool(task_reader.remote or task_reader.hub)
    else:
        reader, place = _rows_reader(name)
        if place:
            return "a file" if place.exists() else ""
        remote = bool(reader.hub)
    by_itself = name.startswith((irds.PREFIX, hub.PREFIX))  # a library downloads it
    return "download" if remote or by_itself else ""


def row_hashes(store: Store, data: Rows) -> Path:
    """Hash the texts of some rows once, given negatives among the passages."""
    columns = {"query": data.queries.column, "passage": data.passages.column}
    return _hashes(store, columns, {"rows": store.completion("rows")})


def task_hashes(store: Store, data: Task) -> Path:
    """Hash the texts of a task once."""
    columns = {"query": data.queries["text"], "passage": data.passages["text"]}
    return _hashes(store, columns, {"task": store.completion("task")})


def _hashes(store: Store, columns: dict[str, pa.ChunkedArray], inputs: dict[str, str]) -> Path:
    settings = {"version": contamination.VERSION}
    store.build(
        "hashes",
        lambda folder: contamination.write_hashes(folder, columns),
        settings=settings,
        inputs=inputs,
        wait=True,
    )
    return store.path / "hashes"


def dictionary(store: Store, data: Rows) -> tuple[str, Dictionary]:
    """Mine words and their translations from parallel rows, once; give its id, and itself."""

    def make(folder: Path) -> dict[str, Any]:
        mined = {one: _translations(data, one) for one in data.languages}
        (folder / "words.json").write_text(json.dumps(mined, ensure_ascii=False), encoding="utf-8")
        return {"words": {language: len(words) for language, words in mined.items()}}

    settings = {"pairs": MINED_PAIRS, "version": 1}
    inputs = {"rows": store.completion("rows")}
    if store.build("dictionary", make, settings=settings, inputs=inputs, wait=True):
        found = store.entries()["dictionary"]["words"]
        counts = ", ".join(f"{language} {count:,}" for language, count in found.items())
        logger.info(f"mined a dictionary from {data.name}: words {counts}")
    path = store.path / "dictionary" / "words.json"
    return store.completion("dictionary"), json.loads(path.read_text(encoding="utf-8"))


def _translations(data: Rows, language: str) -> dict[str, list[str]]:
    """Return the translations of a language's words in all others, from queries and passages."""
    from hbr.data.perturb.dictionary import mine_dictionary

    one = data.languages.index(language)
    found: dict[str, list[str]] = {}
    for other in (i for i in range(len(data.languages)) if i != one):
        both = np.flatnonzero(np.asarray(data.stored[:, one] & data.stored[:, other]))
        some = both[: MINED_PAIRS // 2]
        pairs = [
            pair
            for texts, cells in (
                (data.queries, data.query_cells),
                (data.passages, data.passage_cells),
            )
            for pair in zip(
                *(
                    texts.column.take(cells(some, np.full(len(some), code))).to_pylist()
                    for code in (one, other)
                ),
                strict=True,
            )
        ]
        try:
            mined = mine_dictionary(pairs, language)
        except ValueError:  # a language without words between spaces
            continue
        for word, words in mined.items():
            found.setdefault(word, []).extend(words)
    return found


def training(
    sources: list[tuple[Store, Rows]], evaluated: tuple[Store, Task], *, negatives: bool = True
) -> dict[str, Any]:
    """Return what some training rows have to do with a task: languages, and texts in common.

    Counts the queries and the passages of the task whose text is that of a training query, or of
    a training passage, or with `negatives` that of a given one, in the languages trained on.
    """
    texts = task_hashes(*evaluated)
    asked, told = (contamination.open_hashes(texts, role) for role in ("query", "passage"))
    seen_queries, seen_passages = np.zeros(len(asked), bool), np.zeros(len(told), bool)
    languages: dict[str, int] = {}
    for store, data in sources:
        trained = row_hashes(store, data)
        for language, rows_of in zip(data.languages, data.has.sum(0), strict=True):
            if rows_of:
                languages[language] = languages.get(language, 0) + int(rows_of)
        drawn = np.asarray(data.has.any(0))  # (languages,)
        answers = np.zeros(len(data.passages.has), dtype=bool)
        answers[data.passage_of] = True
        if negatives:
            answers[data.negative] = True
        queries, passages = (
            contamination.open_hashes(trained, role) for role in ("query", "passage")
        )
        seen_queries |= contamination.occurring(asked, queries, _cells(data.queries.has, drawn))
        used = _cells(data.passages.has, drawn, answers)
        seen_passages |= contamination.occurring(told, passages, used)
    seen = {"queries": int(seen_queries.sum()), "passages": int(seen_passages.sum())}
    return {"languages": dict(sorted(languages.items())), "contamination": seen}


def _cells(has: np.ndarray, languages: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
    """Return which cells are in some languages (languages,) and of some items (items,): (cells,)."""
    parts = [np.zeros(0, dtype=bool)]
    for at in range(0, len(has), 2**18):
        item, language = np.nonzero(has[at : at + 2**18])
        own = languages[language]
        parts.append(own if items is None else own & items[at + item])
    return np.concatenate(parts)


def _rows_reader(name: str) -> tuple[RowsReader, Path | None]:
    if name.startswith(hub.PREFIX):
        local = Path(name.removeprefix(hub.PREFIX))
        return hub.reader(name), local if local.exists() else None
    if name.endswith((".jsonl", ".json")) or Path(name).is_file():
        return jsonl.JSONL, Path(name)
    try:
        return get("training data", name), None
    except UserError as error:
        raise UserError(f"{error}, or the path of a .jsonl file, or hf:HUB_ID") from None


def _task_reader(name: str) -> TaskReader:
    if name.startswith(irds.PREFIX):
        return irds.reader(name)
    layout, collection = layout_of(name)
    reader: TaskReader = get("dataset", layout)
    if collection and reader.named is None:
        raise UserError(f"{layout} is one data set, and has no {collection!r} in it")
    return reader.named(collection) if collection and reader.named else reader


def _hint(name: str) -> str:
    """Return the names like one of a collection that can be downloaded."""
    hosted = near(name, [other for other in KINDS["evaluate"] if "/" in other])
    return hosted if "mean" in hosted else ""


def _from_environment(name: str) -> Path | None:
    root = os.environ.get("HBR_DATA")
    place = Path(root) / name if root else None
    return place if place and place.exists() else None


def _signature(version: int, name: str, source: Path | None) -> Any:
    """Know a source again without reading it: paths, sizes and times of its files."""
    if source is None:
        return [version, name]
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    shown = [f for f in files if "/." not in f"{f}".removeprefix(f"{source}")]  # no lock, no cache
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in shown]
    return [version, name, stats]


def _store(runs: Path, label: str, signature: Any) -> Store:
    return Store(runs / "data" / f"{folder_name(label)}-{fingerprint(signature, 6)}")


def _stores(runs: Path, name: str) -> list[Store]:
    wanted = re.compile(re.escape(folder_name(name)) + "-[0-9a-f]{6}")
    folder = runs / "data"
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [Store(path) for path in found if wanted.fullmatch(path.name)]


def _kept(runs: Path, name: str, stage: str, **wanted: Any) -> list[Store]:
    """Return the prepared stores of a name whose manifest says `wanted` of a stage."""
    found = ((store, store.entries().get(stage)) for store in _stores(runs, name))
    return [store for store, entry in found if entry and wanted.items() <= entry.items()]


def _row_settings(
    reader: RowsReader, name: str, languages: Sequence[str] | None, limit: int | None
) -> dict[str, Any]:
    chosen = {"languages": sorted(languages) if languages else None} if reader.linked else {}
    settings = {"data": name, "version": reader.version, "layout": LAYOUT, **chosen}
    return settings | ({"limit": limit} if limit else {})


def _task_settings(name: str, passage: str, limit: int | None) -> dict[str, Any]:
    version = _task_reader(name).version
    settings = {"data": name, "passage": passage, "version": version, "layout": tasks.LAYOUT}
    return settings | ({"limit": limit} if limit else {})


def _tell(label: str, entry: dict[str, Any]) -> None:
    if "rows" in entry:
        languages = ", ".join(f"{lang} {n:,}" for lang, n in entry["rows_by_language"].items())
        logger.info(
            f"prepared {label}: {entry['rows']:,} rows, {entry['groups']:,} groups ({languages})"
        )
        return
    counts = ", ".join(f"{lang} {n:,}" for lang, n in entry["passages_by_language"].items())
    logger.info(
        f"prepared {label}: {entry['queries']:,} queries, {entry['passages']:,} passages in "
        f"{len(entry['languages'])} languages ({counts})"
    )
    for note, count in entry["notes"].items():
        logger.info(f"  {count:,} {note}")
