"""The tokens of training rows: every cell tokenised once, in flat memory-mapped files."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.files import replace_synced, sync
from hbr.data.arrays import load_array
from hbr.data.rows import ROLES, Rows


class Tokenize(Protocol):
    """Texts of one role to lists of token ids, special tokens and truncation included."""

    def __call__(self, role: str, texts: list[str]) -> list[list[int]]: ...


@dataclass(frozen=True)
class Tokens:
    """The tokens of all cells, flat: cell i of a role is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: dict[str, np.ndarray]
    offsets: dict[str, np.ndarray]

    def texts(self, role: str, cells: Iterable[int]) -> list[np.ndarray]:
        """Return the token ids of some cells of a role."""
        # plain arrays over the maps: a slice of a map takes several times as long
        flat, offsets = np.asarray(self.flat[role]), np.asarray(self.offsets[role])
        return [flat[offsets[i] : offsets[i + 1]] for i in cells]


def write_tokens(folder: Path, rows: Rows, tokenize: Tokenize) -> dict[str, Any]:
    """Tokenise every cell of some rows once, chunk by chunk. Returns token counts.

    What a killed attempt left in the folder is gone on with. With several ranks all of them call
    this, chunks are dealt out among them, and rank 0 joins them.
    """
    if distributed.world_size() > 1:
        _write_chunks_of_rank(folder, rows, tokenize)
        distributed.barrier()
        if distributed.rank():
            return {}
    counts = {}
    for role, texts in zip(ROLES, (rows.queries, rows.passages), strict=True):
        whole = folder / f"{role}.npy"
        if not whole.exists():
            chunks = enumerate(texts.column.chunks)
            lengths = [_write_chunk(folder, role, n, chunk, tokenize) for n, chunk in chunks]
            offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
            _join_chunks(folder, role, len(lengths))
            np.save(partial := whole.with_suffix(".partial.npy"), offsets)
            partial.replace(whole)
        counts[role] = int(load_array(whole)[-1])
    return {"tokens": counts}


def _write_chunks_of_rank(folder: Path, rows: Rows, tokenize: Tokenize) -> None:
    for role, texts in zip(ROLES, (rows.queries, rows.passages), strict=True):
        for number, chunk in enumerate(texts.column.chunks):
            mine = number % distributed.world_size() == distributed.rank()
            if mine and not (folder / f"{role}.npy").exists():
                _write_chunk(folder, role, number, chunk, tokenize)


def _write_chunk(
    folder: Path, role: str, number: int, chunk: pa.Array, tokenize: Tokenize
) -> np.ndarray:
    """Tokenise a chunk, unless that was done; return the number of tokens of each cell."""
    place, sizes = folder / f"{role}-{number}.tokens", folder / f"{role}-{number}.npy"
    if not (sizes.exists() and place.exists()):
        tokens = tokenize(role, chunk.to_pylist())
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        np.fromiter(chain.from_iterable(tokens), np.int32, int(lengths.sum())).tofile(place)
        sync(place)
        np.save(partial := sizes.with_suffix(".partial.npy"), lengths)
        replace_synced(partial, sizes)  # last: the chunk is whole
    return np.load(sizes)


def _join_chunks(folder: Path, role: str, number: int) -> None:
    """Put the chunks of a role into one file, and remove them."""
    parts = [folder / f"{role}-{n}.tokens" for n in range(number)]
    with (folder / f"{role}.tokens").open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
    for part in parts:
        part.with_suffix(".npy").unlink()  # first: without it the chunk counts as not done
        part.unlink()


def open_tokens(folder: Path) -> Tokens:
    """Open what `write_tokens` wrote; a file cut short is a UserError."""
    flat, offsets = {}, {}
    for role in ROLES:
        offsets[role] = load_array(folder / f"{role}.npy")
        path = folder / f"{role}.tokens"
        if path.stat().st_size != 4 * offsets[role][-1]:
            raise UserError(f"{path} is damaged; delete {path.parent} and run the command again")
        flat[role] = (
            np.memmap(path, np.int32, "r") if offsets[role][-1] else np.zeros(0, dtype=np.int32)
        )
    return Tokens(flat, offsets)
