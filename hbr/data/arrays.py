"""Arrow and NumPy files, memory-mapped; a damaged one is a message that says what to do."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError

T = TypeVar("T")


def read_arrow(path: Path) -> pa.Table:
    """Memory-map an Arrow file. A missing or damaged one is a UserError that says what to do."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(path) from error


def write_arrow(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], size: int
) -> None:
    """Write rows of texts to an Arrow file, `size` of them at a time."""
    schema = pa.schema([(column, pa.large_string()) for column in columns])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for some in chunks(rows, size):
            texts = [pa.array(column, pa.large_string()) for column in zip(*some, strict=True)]
            writer.write(pa.record_batch(texts, schema))


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return starts[i], starts[i] + 1, …, counts[i] numbers for each i, end to end."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(owner)) + (starts - (np.cumsum(counts) - counts))[owner]


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of `size`, the last of what is left."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is missing or damaged; delete {path.parent} and run the command again"
    )


def load_array(path: Path) -> np.ndarray:
    """Memory-map a NumPy file. A missing or damaged one is a UserError that says what to do."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path) from error
