"""Peers: signs of life of all ranks, so that nobody waits for one that has ended."""

import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbr.core.errors import PEER_LOST

if TYPE_CHECKING:
    from torch.distributed import TCPStore

BEAT = 2.0  # seconds between signs of life
SILENCE = float(os.environ.get("HBR_SILENCE_SECONDS", "60"))  # after which a peer counts as ended


class Peers:
    """The ranks of a run, which meet in the store that brought them together.

    Values and barriers go through the store: a wait lasts as long as those waited for are alive,
    be it days. A thread gives signs of life and ends this process (exit code PEER_LOST) once
    another rank has failed, or has given none for `SILENCE`.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        self.store, self.count = _connect(), 0
        self.name = f"{socket.gethostname()} {os.getpid()}"
        self.leaving = threading.Event()
        self.store.set(f"hbr/name/{rank}", self.name)
        names = [f"hbr/name/{peer}" for peer in range(world_size)]
        self.store.wait(names, timedelta(minutes=30))  # some begin later than others
        self.names = [self.store.get(name).decode() for name in names]
        self.thread = threading.Thread(target=self._watch, args=(_connect(),), daemon=True)
        self.thread.start()

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value on all ranks."""
        key = self._next("value")
        if self.rank == 0:
            self.store.set(key, pickle.dumps(value))  # type: ignore[arg-type]  # bytes, too
            return value
        self._wait(key)
        return pickle.loads(self.store.get(key))

    def barrier(self) -> None:
        """Return once all ranks have come here."""
        key = self._next("barrier")
        if self.store.add(key, 1) == self.world_size:
            self.store.set(f"{key}/open", "")
        self._wait(f"{key}/open")

    def fail(self, reason: str, code: int) -> None:
        """Say to the other ranks that this one ends, why, and with which exit code they do."""
        self.store.set(f"hbr/failed/{self.rank}", f"{code} {reason}")
        self._let_others_see()

    def leave(self) -> None:
        """End the signs of life; rank 0, at which the store may be, goes last."""
        self.barrier()
        self.leaving.set()
        self.thread.join()
        gone = self.store.add("hbr/gone", 1)
        deadline = time.monotonic() + SILENCE
        while self.rank == 0 and gone < self.world_size and time.monotonic() < deadline:
            time.sleep(0.01)
            gone = self.store.add("hbr/gone", 0)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Give an error of a collective time to be known as the end of another rank."""
        try:
            yield
        except RuntimeError:
            self.leaving.wait(SILENCE + 2 * BEAT)  # the thread ends this process if it is
            raise

    def _next(self, kind: str) -> str:
        self.count += 1
        return f"hbr/{kind}/{self.count}"

    def _wait(self, key: str) -> None:
        pause = 0.001
        while not self.store.check([key]):
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _watch(self, store: "TCPStore") -> None:
        last = dict.fromkeys(range(self.world_size), (b"", time.monotonic()))
        beats = 0
        while not self.leaving.wait(BEAT):
            beats += 1
            try:
                store.set(f"hbr/beat/{self.rank}", str(beats))
                for peer in range(self.world_size):
                    self._look_at(peer, store, last)
            except RuntimeError:
                if not self.leaving.is_set():
                    self._end(0, "ended, and the store with it")

    def _look_at(self, peer: int, store: "TCPStore", last: dict[int, tuple[bytes, float]]) -> None:
        if peer == self.rank:
            return
        if store.check([f"hbr/failed/{peer}"]):
            code, _, reason = store.get(f"hbr/failed/{peer}").decode().partition(" ")
            self._end(peer, f"ended: {reason}", int(code))
        host, pid = self.names[peer].split()
        if host == socket.gethostname() and not Path("/proc", pid).exists():
            self._end(peer, "ended")
        key = f"hbr/beat/{peer}"
        beat = store.get(key) if store.check([key]) else b""
        if beat != last[peer][0]:
            last[peer] = beat, time.monotonic()
        elif time.monotonic() - last[peer][1] > SILENCE:
            self._end(peer, f"has given no sign of life for {SILENCE:.0f} s")

    def _end(self, peer: int, what: str, code: int = PEER_LOST) -> None:
        if self.leaving.is_set():
            return
        host = self.names[peer].split()[0]
        print(
            f"hbr: rank {peer} on host {host} {what}; rank {self.rank} ends too, and the same "
            "command goes on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        self._let_others_see()
        os._exit(code)

    def _let_others_see(self) -> None:
        """Wait until the others have looked, where the store may end with this process."""
        if self.rank == 0:
            time.sleep(2 * BEAT)


def _connect() -> "TCPStore":
    """Return a connection to the store of `torchrun`, or of rank 0."""
    from torch.distributed import TCPStore

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=timedelta(minutes=5))
