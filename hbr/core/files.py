"""Files and folders that take their place whole: a reader finds the old one or the new one."""

import ctypes
import os
import shutil
import uuid
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file, unless it has these bytes; a reader sees it old or new, also after a power cut.

    Text is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")  # of this writer
    try:
        partial.write_bytes(data)
        replace_synced(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Return whether a path is there; one that is longer than any name of a file is not."""
    try:
        return path.exists()
    except OSError:
        return False


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
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def exchange(source: Path, target: Path) -> bool:
    """Exchange two folders at once; return whether there are two and the system can."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = [os.fsencode(path) for path in (source, target)]
    if renameat2 is None or renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
        return False
    sync(target.parent)
    return True


def replace_folder(source: Path, target: Path) -> None:
    """Put a folder in another's place in two steps, between which none is there."""
    old = old_of(target)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    sync(target.parent)


def old_of(target: Path) -> Path:
    """Return where `replace_folder` moves what it replaces."""
    return target.with_name(f".{target.name}.old")


def sync(path: Path) -> None:
    """Have a file or folder on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
