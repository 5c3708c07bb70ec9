"""Bundles: tars whose last file holds the SHA-256 of all others, checked before anything is used.

`result_bundle` and `study_bundle` say what they hold.
"""

import contextlib
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from hbr.core.errors import UserError
from hbr.core.files import is_special, partial_of, replace_synced
from hbr.core.progress import track

SUMS = "SHA256SUMS"


def write_bundle(path: Path, files: Iterable[tuple[str, bytes | Path]]) -> int:
    """Write files into a bundle, whole or not at all; return their number.

    The same files in the same order give the same bytes; no more than a block is in memory.
    """
    if is_special(path):
        raise UserError(f"{path} is no regular file: a bundle needs one")
    sums: dict[str, str] = {}
    path = path.resolve()
    partial = partial_of(path)
    try:
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in files:
                sums[name] = _add(tar, name, content)
            text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
            _add(tar, SUMS, text.encode())
        replace_synced(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return len(sums)


class Bundle(NamedTuple):
    """An open bundle: its files by name, and their SHA-256 when it was packed."""

    tar: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]
    sums: dict[str, str]

    def open(self, name: str) -> IO[bytes]:
        """Open a file. Raises KeyError where there is none of this name."""
        content = self.tar.extractfile(self.members[name])
        assert content is not None  # `open_bundle` lets regular files through alone
        return content

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        with self.open(name) as content:
            return content.read()

    def extract(self, name: str, folder: Path, new_name: str) -> None:
        """Write a file below a folder."""
        member = self.members[name].replace(name=new_name, deep=False)
        self.tar.extract(member, folder, set_attrs=False, filter="data")

    def differences(self, changed: str, needed: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Yield the files that are not as they were packed, and how: `changed` words one way.

        `needed` are files that must be there whatever the checksums list.
        """
        names = self.members.keys() - {SUMS}
        for name in sorted(names - self.sums.keys()):
            yield name, f"not in {SUMS}"
        for name in sorted((self.sums.keys() | set(needed)) - names):
            yield name, "missing"
        both = sorted(names & self.sums.keys())
        for name in track(both, "checking", len(both), "files"):
            with self.open(name) as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != self.sums[name]:  # type: ignore[arg-type]
                    yield name, changed


@contextlib.contextmanager
def open_bundle(path: Path, names: re.Pattern[str]) -> Iterator[Bundle]:
    """Open a bundle whose files have such names.

    Raises ValueError for links, other names and names that lead outside, and where the checksums
    are missing; tarfile.TarError for what is no whole tar.
    """
    with tarfile.open(path, "r:") as tar:
        members: dict[str, tarfile.TarInfo] = {}
        for member in tar:
            is_listed = member.name == SUMS or names.fullmatch(member.name)
            is_plain = member.isfile() and not member.issparse()
            if not (is_plain and is_listed) or ".." in PurePosixPath(member.name).parts:
                raise ValueError(f"{member.name!r} is no file inside of it")
            members[member.name] = member
        if SUMS not in members:
            raise ValueError(f"it ends before {SUMS}")
        bundle = Bundle(tar, members, {})
        for line in bundle.read(SUMS).decode().splitlines():
            digest, name = line.split("  ", 1)
            bundle.sums[name] = digest
        yield bundle


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> str:
    """Write a file into a tar, and return its SHA-256."""
    member = tarfile.TarInfo(name)
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        member.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        tar.addfile(member, file)
    return digest
