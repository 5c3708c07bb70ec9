"""Centring: vectors less the mean of their language, a baseline that needs no training."""

import numpy as np

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.data.tasks import Task
from hbr.evaluation.ranking import Vectors

ROUNDING = 1e-6  # of a vector's length: what is left of one that is its language's mean


def center_languages(task: Task, vectors: Vectors, config: Config) -> Vectors:
    """Return queries and passages less the mean vector of their language, in float32.

    Each side has means of its own, over all queries or passages of the task in a language, without
    judgements. The vectors get their unit length back where the encoder normalizes. Sources:
    unsupervised centring of Libovický et al., arXiv 2004.05160, by language; SHIFT (arXiv
    2606.18801) does likewise with passages alone, and takes means from translation pairs. Raises
    UserError for a language with a single text, and for vectors that need more than `memory_mb`.
    """
    needed = 4 * sum(side.shape[0] * side.shape[1] for side in vectors) // 2**20
    if needed > config.evaluate.memory_mb:
        raise UserError(f"centred vectors of {task.name} need --set memory_mb={needed + 1}")
    sides = []
    for name, side, blocks in zip(
        ("queries", "passages"), vectors, (task.query_blocks, task.blocks), strict=True
    ):
        centred = np.array(side, dtype=np.float32)
        for language, block in zip(task.languages, blocks, strict=True):
            some = centred[block]
            if len(some) == 1:
                raise UserError(f"{task.name} has one of its {name} in {language}: no mean of it")
            length = np.linalg.norm(some, axis=1, keepdims=True)
            if len(some):
                some -= some.mean(0, dtype=np.float64).astype(np.float32)
            left = np.linalg.norm(some, axis=1, keepdims=True)
            some[(left <= ROUNDING * length)[:, 0]] = 0  # they tie, as chance has it
            if config.encoder.normalize:
                some /= np.maximum(left, np.finfo(np.float32).tiny)
        sides.append(centred)
    return sides[0], sides[1]
