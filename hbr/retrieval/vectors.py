"""Vectors: in memory-mapped shards that are read as one array, and as tensors to multiply."""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

PART = 8192  # vectors that are read at a time to be told apart


class ShardedVectors:
    """Vectors in several memory-mapped shards, read as one array: (vectors, dimension)."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self.shards = shards
        self.offsets = np.cumsum([0, *map(len, shards)])
        self.shape = (int(self.offsets[-1]), shards[0].shape[1])
        self.dtype = shards[0].dtype
        self.size = self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: slice) -> np.ndarray:
        pieces = [self.shards[0][:0]]
        for piece in self._pieces(chosen):
            pieces.append(piece.copy())
            _release(piece)
        return np.concatenate(pieces)

    def view(self, chosen: slice) -> "ShardedVectors":
        """Return a slice of the vectors without reading it."""
        return ShardedVectors(self._pieces(chosen) or [self.shards[0][:0]])

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return the vectors at some positions, in any order: (positions, dimension)."""
        shard = np.searchsorted(self.offsets, positions, side="right") - 1
        vectors = np.empty((len(positions), self.shape[1]), self.dtype)
        for number in np.unique(shard):
            here = shard == number
            vectors[here] = self.shards[number][positions[here] - self.offsets[number]]
        return vectors

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=bool(copy))

    def _pieces(self, chosen: slice) -> list[np.ndarray]:
        start, stop, _ = chosen.indices(len(self))
        shards = zip(self.shards, self.offsets[:-1], strict=True)
        pieces = [shard[max(start - at, 0) : max(stop - at, 0)] for shard, at in shards]
        return [piece for piece in pieces if len(piece)]


def as_shards(vectors: Any) -> ShardedVectors:
    """Return vectors as shards: one where they are an array."""
    return vectors if isinstance(vectors, ShardedVectors) else ShardedVectors([np.asarray(vectors)])


def repeated_vectors(passages: np.ndarray | ShardedVectors) -> tuple[np.ndarray, np.ndarray]:
    """Return the passages that repeat an earlier vector, and the first that each repeats.

    A matrix product may round the same sum in two columns differently, and a tie must be one.
    """
    rows, none = as_shards(passages), [np.empty(0, np.int64)]
    parts = (rows[at : at + PART] for at in range(0, len(rows), PART))
    hashes = np.concatenate([*none, *map(vector_hashes, parts)])
    _, index, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    first = index[inverse]
    alike = np.flatnonzero(first != np.arange(len(rows)))
    several = (alike[at : at + PART] for at in range(0, len(alike), PART))
    equal = (some[(rows.take(some) == rows.take(first[some])).all(1)] for some in several)
    repeated = np.concatenate([*none, *equal])
    return repeated, first[repeated]


def vector_hashes(vectors: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of the bytes of each vector, another in each process: (vectors,)."""
    return np.fromiter((hash(vector.tobytes()) for vector in vectors), np.int64, len(vectors))


def float32_tensor(vectors: np.ndarray) -> Tensor:
    """Return vectors as a float32 tensor; memory maps are read-only and are copied."""
    return torch.from_numpy(np.require(vectors, np.float32, ["C", "W"]))


def _release(shard: np.ndarray) -> None:
    """Release a mapped file's pages: they would count as memory until others need it."""
    mapped = getattr(shard, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
