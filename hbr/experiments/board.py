"""How far the workers of a sweep are, in memory that they share with it: no lock, nothing waits."""

from multiprocessing.context import BaseContext
from typing import NamedTuple

WIDTH = 240  # bytes of a worker


class Work(NamedTuple):
    """The share of a worker's cell that is done, and what it does."""

    share: float
    text: str


class Board:
    """A line for each of some workers: each writes its own, and the sweep reads all."""

    def __init__(self, context: BaseContext, workers: int) -> None:
        self.memory = context.RawArray("c", workers * WIDTH)
        self.workers = workers

    def write(self, worker: int, share: float, text: str) -> None:
        """Write the line of a worker; without a text it does nothing."""
        line = f"{share:.4f} {text}".encode()[:WIDTH] if text else b""
        self.memory[worker * WIDTH : (worker + 1) * WIDTH] = line.ljust(WIDTH, b"\0")

    def read(self) -> list[Work]:
        """Return what the workers do that do anything."""
        raw = (self.memory[i * WIDTH : (i + 1) * WIDTH] for i in range(self.workers))
        lines = (line.rstrip(b"\0").decode(errors="replace") for line in raw)
        parts = (line.partition(" ") for line in lines if line)
        return [Work(float(share), text) for share, _, text in parts]
