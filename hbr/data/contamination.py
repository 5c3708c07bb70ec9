"""Which texts of an evaluation were trained on: by hash of the normalised text."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from hbr.data.rows import load_array

CHUNK = 2**20  # hashes looked up at a time
VERSION = 1  # raise it when the normalisation changes


def normalise(text: str) -> str:
    """Return a text as it counts here: NFKC, without case, with single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())  # folding may decompose


def text_hashes(texts: list[str]) -> np.ndarray:
    """Return 64 bits of BLAKE2b of each normalised text: (texts,)."""
    digests = (hashlib.blake2b(normalise(t).encode(), digest_size=8).digest() for t in texts)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def write_hashes(folder: Path, roles: Mapping[str, pa.ChunkedArray]) -> None:
    """Write the hashes of each role's texts, in their order."""
    for role, column in roles.items():
        chunks = [text_hashes(chunk.to_pylist()) for chunk in column.chunks]
        np.save(folder / f"{role}.npy", np.concatenate([np.zeros(0, np.uint64), *chunks]))


def open_hashes(folder: Path, role: str) -> np.ndarray:
    """Memory-map the hashes of a role."""
    return load_array(folder / f"{role}.npy")


def occurring(texts: np.ndarray, trained: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """Return which of some texts (n,) are among those trained on (m,), of which `used` (m,) count.

    Memory is that of the first, however many were trained on.
    """
    known, which = np.unique(texts, return_inverse=True)
    hit = np.zeros(len(known), dtype=bool)
    for chunk in _chunks(trained, used) if len(known) else ():
        at = np.minimum(np.searchsorted(known, chunk), len(known) - 1)
        hit[at[known[at] == chunk]] = True
    return hit[which]


def _chunks(trained: np.ndarray, used: np.ndarray | None) -> Iterator[np.ndarray]:
    for at in range(0, len(trained), CHUNK):
        chunk = np.asarray(trained[at : at + CHUNK])
        yield chunk if used is None else chunk[used[at : at + CHUNK]]
