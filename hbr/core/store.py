"""Run directories: stages published whole or not at all, keyed by what they were made from."""

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from hbr.core.digests import altered, file_digests, fingerprint, remember
from hbr.core.errors import UserError
from hbr.core.files import exchange, old_of, replace_folder, sync, write_atomic
from hbr.core.lease import check_held, lease
from hbr.core.provenance import provenance

Entries = dict[str, dict[str, Any]]  # of stages, by name
Make = Callable[[Path], Mapping[str, Any] | None]  # fills a folder; returns facts about it
T = TypeVar("T")


class _Entry(BaseModel):
    """What a manifest says of a stage; other keys are the stage's own."""

    model_config = ConfigDict(strict=True)
    id: str
    key: str = ""
    settings: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    files: dict[str, str] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    finished: str = ""
    seconds: float = 0


MANIFEST = TypeAdapter(dict[str, _Entry])

KEY, ENTRY, KNOWN = ".key.json", ".stage.json", ".digests.json"


class Store:
    """A directory of stages with a manifest: a run, a prepared data set, a tiny encoder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Entries:
        """Return what the manifest says of each finished stage."""
        try:
            stages = json.loads((self.path / "manifest.json").read_bytes())["stages"]
            MANIFEST.validate_python(stages)
            return stages
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path / 'manifest.json'} is damaged; delete it to do the stages again"
            ) from error

    def read(self, stages: Collection[str], read: Callable[[Entries], T]) -> T:
        """Return what `read` makes of the manifest's entries and of the folders of some stages.

        Beside a process that publishes one of them it is repeated, so that it sees the old version
        or the new one: entries of these stages are those in their folders, which change together
        with the files. A UserError of `read` counts once nothing is being published any more, or
        after a second without a change: then a publication was cut off.
        """
        last, changed = None, time.monotonic()
        while True:
            entries, error, before = {}, None, self._folder_entries(stages)
            there, made = before
            try:
                entries = self.entries()
                result = read(entries | {k: v for k, v in there.items() if k in entries})
            except UserError as mistake:
                error = mistake
            after = self._folder_entries(stages)
            halfway = {*there, *made} - (there.keys() & entries.keys())
            if before == after and not halfway:
                break
            if not before == after == last:
                last, changed = after, time.monotonic()
            elif time.monotonic() > changed + 1:
                break
            time.sleep(0.02)
        if error:
            raise error
        return result

    def _folder_entries(self, stages: Collection[str]) -> tuple[Entries, Entries]:
        """Return what stages' folders say of themselves, where they stand and where they are made.

        The latter are read first and last: between the two a folder may move to its place.
        """
        made = {stage: self._entry_in_making(stage) for stage in stages}
        there = {stage: entry_of(self.path / stage) for stage in stages}
        made |= {stage: made[stage] or self._entry_in_making(stage) for stage in stages}
        known = [{k: v for k, v in entries.items() if v} for entries in (there, made)]
        return known[0], known[1]

    def completion(self, stage: str) -> str:
        """Return the completion id of a stage.

        Raises UserError where it is not finished, or its files are not as they were published.
        """
        entry = self.entries().get(stage)
        if entry is None:
            raise UserError(f"{self.path}: stage {stage!r} has not been done")
        self.verify(stage, entry)
        return entry["id"]

    def verify(
        self, stage: str, entry: Mapping[str, Any], *, missing: bool = True, remedy: str = ""
    ) -> None:
        """Raise UserError where a file of a finished stage is not as it was published.

        `entry` is what the manifest says of it, `remedy` what to do. Without `missing`, a file that
        is not there is passed over.
        """
        remedy = remedy or f"restore it, or delete {self.path / stage} and run the command again"
        there = entry_of(self.path / stage) or entry
        made_of = fingerprint([entry.get("settings", {}), entry.get("inputs", {})])
        is_same = there.get("publication") != entry.get("publication") or there == entry
        if not is_same or entry.get("key", made_of) != made_of:
            raise UserError(f"{self.path / 'manifest.json'} is altered at {stage}; {remedy}")
        wrong = altered(self.path / KNOWN, self.path, entry.get("files", {}), missing)
        if wrong:
            raise UserError(f"{self.path / wrong[0]} {wrong[1]}; {remedy}")

    def is_current(
        self,
        stage: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
    ) -> bool:
        """Return whether a stage was finished with these settings and from these inputs.

        Raises UserError where its files are not as they were published.
        """
        if not self._is_done(stage, fingerprint([settings, inputs])):
            return False
        self.completion(stage)
        return True

    def partials(self, stage: str) -> list[Path]:
        """Return the folders that a stage is made in, or was: each is named by its owner too."""
        place = self.path / stage
        name = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}\.partial")
        if not place.parent.is_dir():
            return []
        return sorted(path for path in place.parent.iterdir() if name.fullmatch(path.name))

    def _entry_in_making(self, stage: str) -> dict[str, Any] | None:
        return next(filter(None, map(entry_of, self.partials(stage))), None)

    def build(
        self,
        stage: str,
        make: Make,
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str] | None = None,
        products: tuple[str, ...] = (),
        loose: tuple[str, ...] = (),
        force: bool = False,
        fresh: bool = False,
        wait: bool = True,
    ) -> bool:
        """Publish a stage unless it is up to date, and return whether anything was done.

        `make(folder)` fills `folder`, which still holds what a killed attempt with the same
        settings and inputs left there, and returns what the manifest is to hold about it (an `id`
        in it replaces the digest of the files as completion id). The folders in `products`
        are moved from it to the top of the store. Files are synced, renamed, and the manifest is
        written last: what it calls done is whole. It holds the digest of every file, but for those
        that are rewritten or removed later, whose names are in `loose`. `force` does a finished
        stage again, and it and `fresh` start from nothing. Where another process works here this
        one waits, or raises InUse.
        """
        inputs = dict(inputs or {})
        key = fingerprint([settings, inputs])
        if not force and self.is_current(stage, settings, inputs):
            return False
        with lease(self.path, wait=wait) as own:
            if not force and (self._recover(stage, key, products) or self._is_done(stage, key)):
                return False
            partial = self._open_partial(stage, key, resume=not (force or fresh))
            known = {"key": key, "settings": dict(settings), "inputs": inputs}
            try:
                _fill(partial, make, known, lambda name: _place(stage, name, products), loose)
                check_held(own)
                self._publish(stage, partial, products)
            except OSError:
                check_held(own)  # whoever took the folder over has moved it
                raise
        return True

    def _is_done(self, stage: str, key: str) -> bool:
        entry, folder = self.entries().get(stage, {}), self.path / stage
        there = entry_of(folder) or entry  # another one after a publication that was cut off
        same = all(entry.get(name) == there.get(name) for name in ("key", "id"))
        return entry.get("key") == key and same and folder.is_dir()

    def _open_partial(self, stage: str, key: str, *, resume: bool) -> Path:
        """Return a folder of this process's own, with what a killed attempt has left if it fits."""
        place = self.path / stage
        partial = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.partial")
        for left in self.partials(stage):
            if resume and _is_resumable(left, key) and not partial.exists():
                left.rename(partial)  # a process that stood still cannot write there any more
            else:
                _remove(left)
        if not partial.exists():
            partial.mkdir(parents=True)
            write_atomic(partial / KEY, key)
        return partial

    def _recover(self, stage: str, key: str, products: tuple[str, ...]) -> bool:
        """Finish a publication that was cut off between its renames."""
        folders = [self.path / stage, *self.partials(stage)]
        for folder in sorted(folders, key=_finished, reverse=True):  # the old one may be in any
            entry = entry_of(folder)
            if entry and entry["key"] == key and not self._is_done(stage, key):
                self._publish(stage, folder, products)
                return True
        return False

    def _publish(self, stage: str, made: Path, products: tuple[str, ...]) -> None:
        """Put products and stage into their places, unless they are, and write the manifest.

        The stage's folder is exchanged at once, so that a reader finds the old or the new one.
        """
        final, stages, entry = self.path / stage, self.entries(), entry_of(made)
        assert entry is not None
        moved = made == final
        if products and not moved:  # of several folders there is no exchange: nothing stands
            if stages.pop(stage, None):
                self._write_manifest(stages)
            _unmark(final)
            for product in products:
                if (made / product).exists():
                    replace_folder(made / product, self.path / product)
        if not (moved or exchange(made, final)):
            replace_folder(made, final)
        for folder in self.partials(stage):
            _remove(folder)
        for name in (*products, stage):
            _remove(old_of(self.path / name))
        self._write_manifest(stages | {stage: entry})
        if not moved:
            remember(self.path / KNOWN, self.path, entry.get("files", {}))

    def _write_manifest(self, stages: dict[str, Any]) -> None:
        text = json.dumps({"stages": stages}, indent=1, ensure_ascii=False)
        for left in self.path.glob(".manifest.json.*.partial"):  # by a kill
            left.unlink()
        write_atomic(self.path / "manifest.json", text)


def _fill(
    partial: Path,
    make: Make,
    known: Mapping[str, Any],
    place: Callable[[str], str],
    loose: tuple[str, ...],
) -> None:
    """Make a stage in its folder, and note there what the manifest will hold, synced."""
    started = time.time()
    facts = dict(make(partial) or {})
    files = file_digests(partial, loose)
    entry = {
        "state": "done",
        "id": facts.pop("id", None) or fingerprint(list(files.items())),
        **known,
        "files": {place(name): digest for name, digest in files.items()},
        **facts,
        **provenance(started),
    }
    _sync_tree(partial)
    write_atomic(partial / ENTRY, json.dumps(entry, indent=1, ensure_ascii=False))


def _place(stage: str, name: str, products: Collection[str]) -> str:
    """Return the place in a store of a file that a stage made under a name."""
    return name if name.partition("/")[0] in products else f"{stage}/{name}"


def _finished(folder: Path) -> int:
    entry = folder / ENTRY
    return entry.stat().st_mtime_ns if entry.exists() else 0


def entry_of(folder: Path) -> dict[str, Any] | None:
    """Return what a stage's folder says of itself, None where it is not whole."""
    try:
        return json.loads((folder / ENTRY).read_bytes())
    except (OSError, ValueError):
        return None


def _is_resumable(partial: Path, key: str) -> bool:
    try:
        return (partial / KEY).read_text("utf-8") == key and not (partial / ENTRY).exists()
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    """Remove a folder; one that is half removed is taken for nothing."""
    _unmark(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _unmark(folder: Path) -> None:
    for mark in (KEY, ENTRY):
        (folder / mark).unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    """Sync files and folders; a file that a library made private gets the rights of the others."""
    rights = (folder / KEY).stat().st_mode & 0o777
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(rights)
        sync(path)
    sync(folder)
