"""Matryoshka: a contrastive loss of the first numbers of each vector too, for several lengths."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from hbr.training.losses import Loss


def matryoshka(loss: Loss, dims: Sequence[int], weights: Sequence[float], unit: bool) -> Loss:
    """Return the sum of a loss over the first d numbers of all vectors, for each of some lengths d.

    L = Σ_d w_d · L(q[:d], p[:d], n[:d]); with `unit`, what is cut gets unit length again.
    Source: Kusupati et al., arXiv 2205.13147, eq. 1, for a contrastive loss.
    """

    def nested(queries: Tensor, passages: Tensor, *negatives: Any, **settings: Any) -> Tensor:
        def first(vectors: Any, d: int) -> Any:
            if vectors is None:
                return None
            return normalize(vectors[..., :d].float(), dim=-1) if unit else vectors[..., :d]

        terms = []
        for d, weight in zip(dims, weights, strict=True):
            vectors = (first(side, d) for side in (queries, passages, *negatives))
            terms.append(weight * loss(*vectors, **settings))
        return sum(terms[1:], terms[0])

    return nested
