"""Leases: one process at a time in a folder, on file systems without `flock` too."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import SoftFileLease, Timeout

from hbr.core.errors import AGAIN, UserError

logger = logging.getLogger(__name__)

FILE = ".lease"
SECONDS = float(os.environ.get("HBR_LEASE_SECONDS", "60"))  # of silence that end a lease
BEATS = 6  # signs of life in that time
NAMELESS = min(SECONDS, 5.0)  # seconds that a lease may be without its owner's name
PAUSE = 1.0  # seconds between two looks at another's lease, at most


class InUse(UserError):
    """A folder that another process works in."""


@contextmanager
def lease(folder: Path, *, wait: bool) -> Iterator[SoftFileLease]:
    """Keep other processes out of a folder, on this host and on others that share it.

    The owner's process and host stand in `.lease`, made exclusively and touched as a sign of life.
    A lease is taken over where its process is gone from this host, or has given no sign for
    `SECONDS` of this process's own clock. Raises InUse where another has it and `wait` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = SoftFileLease(
        folder / FILE, lease_duration=SECONDS, heartbeat_interval=SECONDS / BEATS, timeout=0
    )
    _acquire(own, folder, wait)
    try:
        yield own
    finally:
        own.release()


def check_held(own: SoftFileLease) -> None:
    """Raise UserError (exit code: again) where a lease was lost while this process stood still."""
    if own.compromise is not None or not own.is_lock_held_by_us:
        raise UserError(
            f"{Path(own.lock_file).parent} was taken over by {owner(own) or 'another process'} "
            "while this one gave no sign of life; the same command waits for it",
            exit_code=AGAIN,
        )


def owner(of: SoftFileLease) -> str:
    """Return the process and the host that a lease names, "" where there is none."""
    record = of.owner
    return f"process {record.pid} on {record.hostname.partition('?')[0]}" if record else ""


def owner_of(folder: Path) -> str:
    """Return the process that works in a folder, or died there: "" for none."""
    return owner(SoftFileLease(folder / FILE, lease_duration=SECONDS))


def in_use(folder: Path) -> bool:
    """Return whether a process works in a folder; nothing is written.

    One of another host is taken for alive while its last sign is no older than two leases.
    """
    own = SoftFileLease(folder / FILE, lease_duration=SECONDS)
    record = own.owner
    if record is None:
        return False
    host, _, space = record.hostname.partition("?pidns-")
    here = f"{Path('/proc/self/ns/pid').stat().st_ino:x}"
    if host == socket.gethostname() and space in ("", here):
        return Path("/proc", str(record.pid)).exists()
    try:
        return time.time() - (folder / FILE).stat().st_mtime < 2 * SECONDS
    except FileNotFoundError:
        return False


def _acquire(own: SoftFileLease, folder: Path, wait: bool) -> None:
    pause, silent_since, seen = 0.02, time.monotonic(), None
    while True:
        before = owner(own)
        try:
            own.acquire()
        except Timeout:
            pass
        else:
            if before and (seen is None or time.monotonic() - silent_since >= SECONDS):
                logger.info(
                    f"{folder.name}: taking over from {before}, which ended before it was done"
                )
            _sync(Path(own.lock_file))
            return
        if not wait:
            raise InUse(f"{folder} is in use by {before or 'another process'}; wait for it")
        if before != seen:
            logger.info(f"{folder.name}: waiting for {before or 'another process'} to finish")
            seen, silent_since = before, time.monotonic()
        _break_empty(own, silent_since)
        time.sleep(pause)
        pause = min(2 * pause, PAUSE)


def _break_empty(own: SoftFileLease, since: float) -> None:
    """Remove a lease without a name, of a process that was killed as it wrote it."""
    path = Path(own.lock_file)
    try:
        is_empty = path.stat().st_size == 0
    except FileNotFoundError:
        return
    if is_empty and time.monotonic() - since >= NAMELESS:
        own.force_break()


def _sync(path: Path) -> None:
    """Show other hosts the owner's name, which a network file system may keep back a while."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
