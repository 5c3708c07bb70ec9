"""Run directories: stages published whole or not at all, keyed by what they were made from."""

import contextlib
import ctypes
import fcntl
import functools
import json
import logging
import os
import platform
import resource
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from hbr.core.digests import altered, file_digests, fingerprint, remember
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)

Entries = dict[str, dict[str, Any]]  # of stages, by name
T = TypeVar("T")

KEY, ENTRY, KNOWN = ".key.json", ".stage.json", ".digests.json"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2
VERSIONS = ("hbr", "torch", "transformers", "tokenizers", "numpy", "faiss-cpu")


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file, unless it has these bytes; a reader sees it old or new, also after a power cut.

    Text is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return
    partial = partial_of(path)
    partial.write_bytes(data)
    replace_synced(partial, path)


def partial_of(path: Path) -> Path:
    """Return where a file or folder is made before it takes its place."""
    return path.with_name(f".{path.name}.partial")


def is_special(path: Path) -> bool:
    """Return whether a path is a device, a pipe or a folder: nothing that a file can replace."""
    return path.is_relative_to("/dev") or (path.exists() and not path.is_file())


def write_through(path: Path, content: str) -> None:
    """Write a file, or what a link names, as `write_atomic` does; a device is written to."""
    if is_special(path):
        with path.open("a", encoding="utf-8") as device:
            device.write(content)
    else:
        write_atomic(path.resolve(), content)


def replace_synced(partial: Path, path: Path) -> None:
    """Put a written file in another's place; after a power cut one of them is there, whole."""
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


@contextlib.contextmanager
def lock(folder: Path, *, wait: bool) -> Iterator[None]:
    """Keep other processes out of a directory.

    The kernel drops the lock with its process, so a stale one never blocks; its owner's name is
    left in the file and a takeover is logged. Raises UserError where the directory is in use and
    `wait` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            if not wait:
                raise UserError(
                    f"{folder} is in use by {owner}; wait for it, or stop it and run this again"
                ) from None
            logger.debug(f"waiting for {owner} to finish with {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        stale = file.read().strip()
        if stale:
            logger.info(f"{folder.name}: taking over from {stale}, which ended before it was done")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # not reached after a kill: the owner's name stays


class Store:
    """A directory of stages with a manifest: a run, a prepared data set, a tiny encoder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Entries:
        """Return what the manifest says of each finished stage."""
        try:
            return json.loads((self.path / "manifest.json").read_bytes())["stages"]
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
        made = {stage: entry_of(self.partial(stage)) for stage in stages}
        there = {stage: entry_of(self.path / stage) for stage in stages}
        made |= {stage: made[stage] or entry_of(self.partial(stage)) for stage in stages}
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
        if there.get("publication") == entry.get("publication") and there != entry:
            raise UserError(f"{self.path / 'manifest.json'} is altered at {stage}; {remedy}")
        wrong = altered(self.path / KNOWN, self.path, entry.get("files", {}), missing)
        if wrong:
            raise UserError(f"{self.path / wrong[0]} {wrong[1]}; {remedy}")

    def is_current(
        self,
        stage: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        products: tuple[str, ...] | None = None,
    ) -> bool:
        """Return whether a stage was finished with these settings and from these inputs.

        Raises UserError where its files are not as they were published. With `products`, a
        publication that was cut off between its renames is finished first.
        """
        key = fingerprint([settings, inputs])
        if products is not None:
            with lock(self.path, wait=False):
                self._recover(stage, key, products)
        if not self._is_done(stage, key):
            return False
        self.completion(stage)
        return True

    def partial(self, stage: str) -> Path:
        """Return the folder that a stage is made in."""
        return partial_of(self.path / stage)

    def build(
        self,
        stage: str,
        make: Callable[[Path], Mapping[str, Any] | None],
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str] | None = None,
        products: tuple[str, ...] = (),
        loose: tuple[str, ...] = (),
        force: bool = False,
        fresh: bool = False,
        wait: bool = False,
    ) -> bool:
        """Publish a stage unless it is up to date, and return whether anything was done.

        `make(folder)` fills `folder`, which still holds what a killed attempt with the same
        settings and inputs left there, and returns what the manifest is to hold about it (an `id`
        in it replaces the digest of the files as completion id). The folders in `products`
        are moved from it to the top of the store. Files are synced, renamed, and the manifest is
        written last: what it calls done is whole. It holds the digest of every file, but for those
        that are rewritten or removed later, whose names are in `loose`. `force` does a finished
        stage again, and it and `fresh` start from nothing.
        """
        inputs = dict(inputs or {})
        key = fingerprint([settings, inputs])
        if not force and self.is_current(stage, settings, inputs):
            return False
        with lock(self.path, wait=wait):
            if not force and (self._recover(stage, key, products) or self._is_done(stage, key)):
                return False
            partial = self._open_partial(stage, key, resume=not (force or fresh))
            started = time.time()
            facts = dict(make(partial) or {})
            files = file_digests(partial, loose)
            entry = {
                "state": "done",
                "id": facts.pop("id", None) or fingerprint(list(files.items())),
                "key": key,
                "settings": dict(settings),
                "inputs": inputs,
                "files": {_place(stage, n, products): digest for n, digest in files.items()},
                **facts,
                **_provenance(started),
            }
            _sync_tree(partial)
            write_atomic(partial / ENTRY, json.dumps(entry, indent=1, ensure_ascii=False))
            self._publish(stage, entry, products)
        return True

    def _is_done(self, stage: str, key: str) -> bool:
        entry, folder = self.entries().get(stage, {}), self.path / stage
        there = entry_of(folder) or entry  # another one after a publication that was cut off
        same = all(entry.get(name) == there.get(name) for name in ("key", "id"))
        return entry.get("key") == key and same and folder.is_dir()

    def _open_partial(self, stage: str, key: str, *, resume: bool) -> Path:
        partial = self.partial(stage)
        try:
            resumable = (partial / KEY).read_text("utf-8") == key and not (partial / ENTRY).exists()
        except FileNotFoundError:
            resumable = False
        if not (resume and resumable):
            _remove(partial)
            partial.mkdir(parents=True)
            write_atomic(partial / KEY, key)
        return partial

    def _recover(self, stage: str, key: str, products: tuple[str, ...]) -> bool:
        """Finish a publication that was cut off between its renames."""
        folders = [self.path / stage, self.partial(stage)]
        for folder in sorted(folders, key=_finished, reverse=True):  # the old one may be in either
            entry = entry_of(folder)
            if entry and entry["key"] == key and not self._is_done(stage, key):
                self._publish(stage, entry, products, moved=folder == self.path / stage)
                return True
        return False

    def _publish(
        self, stage: str, entry: dict[str, Any], products: tuple[str, ...], *, moved: bool = False
    ) -> None:
        """Put products and stage into their places, unless they are, and write the manifest.

        The stage's folder is exchanged at once, so that a reader finds the old or the new one.
        """
        partial, final = self.partial(stage), self.path / stage
        stages = self.entries()
        if products and not moved:  # of several folders there is no exchange: nothing stands
            if stages.pop(stage, None):
                self._write_manifest(stages)
            _unmark(final)
            for product in products:
                if (partial / product).exists():
                    _replace_folder(partial / product, self.path / product)
        if not (moved or _exchange(partial, final)):
            _replace_folder(partial, final)
        for folder in (partial, *(_old(self.path / name) for name in (*products, stage))):
            _remove(folder)
        self._write_manifest(stages | {stage: entry})
        if not moved:
            remember(self.path / KNOWN, self.path, entry.get("files", {}))

    def _write_manifest(self, stages: dict[str, Any]) -> None:
        text = json.dumps({"stages": stages}, indent=1, ensure_ascii=False)
        write_atomic(self.path / "manifest.json", text)


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


def _remove(folder: Path) -> None:
    """Remove a folder; one that is half removed is taken for nothing."""
    _unmark(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _unmark(folder: Path) -> None:
    for mark in (KEY, ENTRY):
        (folder / mark).unlink(missing_ok=True)


def _exchange(source: Path, target: Path) -> bool:
    """Exchange two folders at once; return whether there are two and the system can."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = [os.fsencode(path) for path in (source, target)]
    if renameat2 is None or renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
        return False
    _sync(target.parent)
    return True


def _replace_folder(source: Path, target: Path) -> None:
    old = _old(target)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    _sync(target.parent)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    """Sync files and folders; a file that a library made private gets the rights of the others."""
    rights = (folder / KEY).stat().st_mode & 0o777
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(rights)
        _sync(path)
    _sync(folder)


def _provenance(started: float) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    return {
        "versions": _versions(),
        "commit": _commit(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "publication": uuid.uuid4().hex,  # the same files made again are another one
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(time.time() - started, 2),
        "peak_memory_mb": round(peak / 1024),
    }


@functools.cache
def _versions() -> dict[str, str]:
    versions = {}
    for package in VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


@functools.cache
def _commit() -> str | None:
    """Return git's name of the source's state, None outside git; git must not hold up a stage."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=1)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or None if done.returncode == 0 else None
