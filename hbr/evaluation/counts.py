"""Counts of a streamed ranking on disk: what killed attempts and other ranks have counted."""

import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hbr.core import stopping
from hbr.core.files import partial_of, replace_synced
from hbr.retrieval.streamed import Counts, StreamedRanking, add

PATTERN = ".counts-{}.npz"  # of one process
EVERY = 60.0  # seconds between two writings


def count_and_keep(folder: Path, ranking: StreamedRanking, numbers: Iterable[int]) -> Iterator[int]:
    """Count some chunks and yield the number of each; write the counts now and then, and last.

    Raises Stopped, with the counts written, when told to go.
    """
    path = folder / PATTERN.format(uuid.uuid4().hex[:8])
    counts, written = ranking.nothing(), time.monotonic()
    with stopping.at_safe_places():
        for number in numbers:
            ranking.count(number, counts)
            yield number
            if stopping.told() or time.monotonic() - written >= EVERY:
                _write(path, counts)
                written = time.monotonic()
            if stopping.told():
                stopping.leave("the ranking so far is saved", together=False)
    _write(path, counts)


def kept_counts(folder: Path, ranking: StreamedRanking) -> Counts:
    """Return the sum of the counts that are kept in a folder."""
    total = ranking.nothing()
    for path in sorted(folder.glob(PATTERN.format("*"))):
        with np.load(path) as arrays:
            add(total, Counts(**arrays))
    return total


def remove_counts(folder: Path) -> None:
    """Remove what is kept."""
    for path in folder.glob(PATTERN.format("*")):
        path.unlink()


def _write(path: Path, counts: Counts) -> None:
    partial = partial_of(path)
    with partial.open("wb") as file:
        np.savez(file, **counts._asdict())
    replace_synced(partial, path)
