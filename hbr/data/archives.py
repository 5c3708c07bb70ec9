"""Zips and tars: nothing is written outside their folder, and nothing is there half."""

import gzip
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

MOST_TIMES, AT_LEAST = 200, 2**27  # bytes of an archive's files by those of itself; texts: under 20
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


def unpack(archive: Path, target: Path) -> None:
    """Put what an archive holds under the name of `target` there, whole, and delete the archive.

    Raises ValueError where it holds no such file or folder, or one that is a link, a device or
    outside of its folder, or unfolds to far more than an archive of texts does, or is damaged.
    """
    place = target.with_name(f".{target.name}.unpacked")
    shutil.rmtree(place, ignore_errors=True)
    try:
        _extract(archive, place)
        if not (place / target.name).exists():
            raise ValueError(f"holds no {target.name}")
        for path in filter(Path.is_file, place.rglob("*")):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        (place / target.name).rename(target)
        archive.unlink()
    except DAMAGED as error:
        raise ValueError(f"is a damaged archive, {error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _extract(archive: Path, place: Path) -> None:
    most = max(AT_LEAST, MOST_TIMES * archive.stat().st_size)
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            _check(most, ((m.name, m.size, m.isdir() or _is_file(m)) for m in tar))
            tar.extractall(place, filter="data")
    else:
        with zipfile.ZipFile(archive) as held:
            _check(most, ((m.filename, m.file_size, _is_plain(m)) for m in held.infolist()))
            held.extractall(place)


def _check(most: int, members: Iterable[tuple[str, int, bool]]) -> None:
    """Refuse names that lead out, what is no plain file or folder, and more bytes than `most`."""
    for name, size, plain in members:
        if not plain or name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
            raise ValueError(f"holds {name!r}, a link, a device or a place outside of its folder")
        most -= size
        if most < 0:
            raise ValueError(f"unfolds to more than {MOST_TIMES} times its size: not unpacked")


def _is_file(member: tarfile.TarInfo) -> bool:
    """Return whether a member is a file of as many bytes as it takes in the tar."""
    return member.isreg() and not member.issparse()


def _is_plain(member: zipfile.ZipInfo) -> bool:
    mode = member.external_attr >> 16  # 0 where it was made on a system without modes
    return stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
