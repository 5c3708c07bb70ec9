"""Downloads with checksums: a file is there whole and as expected, or not at all."""

import errno
import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from hbr.core.errors import UserError, first_line
from hbr.core.files import partial_of
from hbr.core.progress import track
from hbr.data.archives import unpack

logger = logging.getLogger(__name__)

TIMEOUT = 30  # seconds without a byte
PAUSES = (1, 4, 16)  # seconds before each further attempt
FAILURES = (urllib.error.URLError, http.client.HTTPException, OSError)


class Remote(NamedTuple):
    """A file on the web and its checksum: `sha256:HEX`, `md5:HEX`, or `git:HEX`, a blob's id.

    With `unpack` it is a zip or a tar, wanted for the file or folder that it holds.
    """

    url: str
    checksum: str
    unpack: bool = False


def listed(table: str, root: str) -> dict[str, Remote]:
    """Return the files below an address by a table of checksums; its suffix is their kind."""
    text = (resources.files("hbr.data") / "checksums" / table).read_text("utf-8")
    pairs = (line.split() for line in text.splitlines())
    kind = table.rpartition(".")[2]
    return {name: Remote(f"{root}/{name}", f"{kind}:{digest}") for digest, name in pairs}


def fetch(name: str, files: Mapping[str, Remote], folder: Path) -> Path:
    """Bring the files of a data set into a folder, those that are not there yet.

    What was cut off, by a kill too, is gone on with by the next call. Raises UserError (exit
    code 1) where one cannot be had, or its checksum is not the expected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {file: remote for file, remote in files.items() if not (folder / file).exists()}
    for file, remote in track(wanted.items(), f"downloading {name}", len(wanted), "files"):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_of(target)
        try:
            _download(remote, partial)
        except FAILURES as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                partial.unlink(missing_ok=True)
                raise
            cause = getattr(error, "reason", error)
            reason = first_line(cause) if isinstance(cause, BaseException) else cause
            again = "do it again to go on from there, or " if partial.exists() else ""
            raise UserError(
                f"{name} cannot be downloaded ({remote.url}: {reason}): {again}put "
                f"{_listing(files)} into a folder and name it with --source FOLDER, or set "
                f"HBR_DATA to the folder above one named {name}",
                exit_code=1,
            ) from error
        if remote.unpack:
            _unpack(remote.url, partial, target)
        else:
            partial.replace(target)
    return folder


def _download(remote: Remote, partial: Path) -> None:
    """Bring a file until its checksum is right, going on with what an earlier attempt brought."""
    kind = remote.checksum.partition(":")[0]
    if partial.exists() and checksum(partial, kind) == remote.checksum:
        return
    pauses = iter(PAUSES)
    while True:
        try:
            resumed = _receive(remote, partial)
        except FAILURES as error:
            if getattr(error, "code", 0) == 416 and partial.exists():  # longer than the file
                partial.unlink()
                continue
            pause = next(pauses, None) if _passing(error) else None
            if pause is None:
                raise
            logger.info(f"{remote.url}: {first_line(error)}; trying again in {pause} s")
            time.sleep(pause)
            continue
        digest = checksum(partial, kind)
        if digest == remote.checksum:
            return
        partial.unlink()
        if not resumed:
            raise UserError(
                f"{remote.url} is not the file that hbr knows ({digest}, expected "
                f"{remote.checksum}); name the folder of a good copy with --source FOLDER",
                exit_code=1,
            )


def _receive(remote: Remote, partial: Path) -> bool:
    """Append what is missing of a file, or write it anew; return whether it was appended."""
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(remote.url)
    if done:
        request.add_header("Range", f"bytes={done}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, partial.open("ab") as file:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not resumed:
            file.truncate(0)
        while block := response.read(1 << 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        if response.length:  # of Content-Length, still to come
            raise http.client.IncompleteRead(b"", response.length)
    return resumed


def _passing(error: Exception) -> bool:
    """Return whether another attempt may go better: a connection broke, or the server is busy."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 429) or error.code >= 500
    reason = getattr(error, "reason", error)
    broken = isinstance(reason, http.client.IncompleteRead | TimeoutError | ConnectionError)
    return broken and not isinstance(reason, ConnectionRefusedError)


def checksum(path: Path, kind: str) -> str:
    """Return the checksum of a file as `Remote` has it; `kind` is `sha256`, `md5` or `git`."""
    digest = hashlib.new("sha1" if kind == "git" else kind, usedforsecurity=False)
    if kind == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    return f"{kind}:{digest.hexdigest()}"


def _unpack(url: str, archive: Path, target: Path) -> None:
    try:
        unpack(archive, target)
    except ValueError as error:
        archive.unlink()
        raise UserError(
            f"{url}: {error}; nothing of it was kept: unpack a good copy yourself and "
            "name its folder with --source FOLDER",
            exit_code=1,
        ) from error


def _listing(files: Mapping[str, Remote]) -> str:
    names = sorted(files)
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]}"
