"""Smaller vectors: the first numbers of each, and passages in a byte or a bit a number."""

from typing import Any

import numpy as np

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import Compression
from hbr.data.tasks import Task
from hbr.evaluation.ranking import Vectors

BITS = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}


def compress(task: Task, vectors: Vectors, compression: Compression, config: Config) -> Vectors:
    """Return queries and passages compressed, in float32.

    The first `dimensions` numbers are kept, at unit length where the encoder normalizes (arXiv
    2205.13147). Passages are then as they come back from faiss' 8-bit scalar quantizer, whose
    ranges are those of all passages by dimension, or are the signs of their numbers. Queries stay
    float32: every passage is rescored, as a search does with its first candidates. Raises UserError
    for more dimensions than there are, and for vectors that need more than `memory_mb`.
    """
    width, needed = vectors[1].shape[1], 4 * sum(v.shape[0] * v.shape[1] for v in vectors) // 2**20
    if (compression.dimensions or 0) > width:
        raise UserError(f"--dimensions {compression.dimensions}: vectors have {width}")
    if needed > config.evaluate.memory_mb:
        raise UserError(f"compressed vectors of {task.name} need --set memory_mb={needed + 1}")
    queries, passages = (
        _cut(side, compression, bool(config.encoder.normalize)) for side in vectors
    )
    if compression.quantize == "int8":
        passages = _in_bytes(passages)
    elif compression.quantize == "binary":
        passages = np.where(passages > 0, np.float32(1), np.float32(-1))
    return queries, passages


def bytes_per_vector(compression: Compression, width: int, dtype: str) -> int:
    """Return the bytes that a passage's vector takes, once stored."""
    bits = BITS[compression.quantize or dtype]
    return -(-(compression.dimensions or width) * bits // 8)


def _cut(vectors: Any, compression: Compression, unit: bool) -> np.ndarray:
    cut = np.array(vectors, dtype=np.float32)[:, : compression.dimensions]
    if unit and compression.dimensions:
        cut = cut / np.maximum(
            np.linalg.norm(cut, axis=1, keepdims=True), np.finfo(np.float32).tiny
        )
    return np.ascontiguousarray(cut)


def _in_bytes(passages: np.ndarray) -> np.ndarray:
    import faiss

    quantizer = faiss.IndexScalarQuantizer(passages.shape[1], faiss.ScalarQuantizer.QT_8bit)
    quantizer.train(passages)
    return quantizer.sa_decode(quantizer.sa_encode(passages))
