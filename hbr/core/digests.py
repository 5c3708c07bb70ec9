"""Digests of files, so that what is read is what was written."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

Stats = tuple[int, int, int]  # inode, size and time of the last change, which nobody can set


def fingerprint(value: Any, length: int = 12) -> str:
    """Return a short hex digest of a JSON-like value; equal values give equal digests."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(folder: Path, loose: Collection[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of all files below a folder by their names in it.

    Hidden ones are left out, and what has one of the `loose` names in its path.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = {path: path.relative_to(folder).parts for path in files}
    return {
        "/".join(names): file_digest(path)
        for path, names in parts.items()
        if not any(name.startswith(".") or name in loose for name in names)
    }


def tree_digest(folder: Path) -> str:
    """Return a digest of the names and bytes of all files below a folder, hidden ones left out."""
    return fingerprint(list(file_digests(folder).items()))


def remember(known: Path, root: Path, digests: Mapping[str, str]) -> None:
    """Note in a file that some files below a root have these digests as they are now."""
    _note(known, _noted(known) | {n: [*_stats(root / n), d] for n, d in digests.items()})


def contents(known: Path, source: Path) -> list[tuple[str, str]]:
    """Return the names and digests of a file, or of all below a folder but hidden ones.

    Names are those below the source, "." for a file. As with `altered` each is read once.
    """
    files = sorted(_files_below(source)) if source.is_dir() else [source]
    noted, found = _noted(known), {}
    for path in files:
        name = path.relative_to(source)
        if not any(part.startswith(".") for part in name.parts):
            place, stats = str(path.resolve()), _stats(path)
            *before, digest = noted.get(place, [None])
            digest = digest if before == [*stats] else file_digest(path)
            found[name.as_posix()] = (place, [*stats, digest])
    if more := {k: v for k, v in found.values() if noted.get(k) != v}:
        _note(known, noted | more)
    return [(name, str(of_file[-1])) for name, (_, of_file) in found.items()]


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, also through links to folders, each of which once."""
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(Path(place).resolve())
        folders[:] = (n for n in sorted(folders) if (Path(place) / n).resolve() not in seen)
        yield from (path for name in names if (path := Path(place) / name).is_file())


def altered(
    known: Path, root: Path, digests: Mapping[str, str], missing: bool = True
) -> tuple[str, str] | None:
    """Return the first file below a root that has not its digest, and what is wrong with it.

    A file is read once for as long as its inode, size and time of change stay what `known` notes.
    Without `missing` a file that is not there is passed over.
    """
    noted, read = _noted(known), {}
    for name, digest in digests.items():
        try:
            stats = _stats(root / name)
            if noted.get(name) == [*stats, digest]:
                continue
            if _digest(root / name, stats) != digest:
                return name, "is not what was written there"
            read[name] = digest
        except OSError:
            if missing:
                return name, "is missing or cannot be read"
    if read:
        remember(known, root, read)
    return None


def known_digest(path: Path) -> str:
    """Return the digest of a file, read once for as long as its size and time stay."""
    return _digest(path, _stats(path))


@functools.cache
def _digest(path: Path, stats: Stats) -> str:  # noqa: ARG001 - the cache's key
    return file_digest(path)


def _stats(path: Path) -> Stats:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_ctime_ns


def _note(known: Path, noted: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # where nothing can be written, files are read again
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(noted), encoding="utf-8")  # half of it is as good as nothing


def _noted(known: Path) -> dict[str, list[Any]]:
    try:
        noted = json.loads(known.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
