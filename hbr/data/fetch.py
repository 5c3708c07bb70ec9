"""Downloads with checksums: a file is there whole and as expected, or not at all."""

import errno
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hbr.errors import UserError, first_line
from hbr.talk import track

TIMEOUT = 30  # seconds without a byte


class Remote(NamedTuple):
    """A file on the web and the SHA-256 of its bytes, in hex."""

    url: str
    sha256: str


def fetch(name: str, files: Mapping[str, Remote], folder: Path) -> Path:
    """Bring the files of a data set into a folder, those that are not there yet.

    Raises UserError (exit code 1) where one cannot be had, or its checksum is not the expected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {file: remote for file, remote in files.items() if not (folder / file).exists()}
    for file, remote in track(wanted.items(), f"downloading {name}", len(wanted), "files"):
        partial = folder / f".{file}.partial"
        try:
            digest = _download(remote.url, partial)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            told = getattr(error, "reason", error)
            reason = first_line(told) if isinstance(told, BaseException) else told
            raise UserError(
                f"{name} cannot be downloaded ({reason}): put {_listing(files)} into a folder and "
                f"say --source FOLDER, or set HBR_DATA to the folder above one named {name}",
                exit_code=1,
            ) from error
        if digest != remote.sha256:
            partial.unlink()
            raise UserError(
                f"{remote.url} is not the file that hbr knows (SHA-256 {digest}, expected "
                f"{remote.sha256}); hand over a good copy with --source FOLDER",
                exit_code=1,
            )
        partial.replace(folder / file)
    return folder


def _download(url: str, path: Path) -> str:
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:
        expected, got = response.headers.get("Content-Length"), 0
        while block := response.read(1 << 20):
            digest.update(block)
            got += file.write(block)
    if expected is not None and got != int(expected):
        raise http.client.IncompleteRead(b"", int(expected) - got)
    return digest.hexdigest()


def _listing(files: Mapping[str, Remote]) -> str:
    names = sorted(files)
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]}"
