"""Losses: vectors in, one number out."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def info_nce(
    queries: Tensor,
    passages: Tensor,
    negatives: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    temperature: float = 0.05,
) -> Tensor:
    """Mean of -log softmax of each query's own passage among all passages of the batch.

    L = -1/n Σ_i log( exp(s_ii / t) / Σ_j exp(s_ij / t) ), s the dot product of unit vectors
    (queries (n, d), passages (n, d)), j over the passages and the given negatives (m, d). `mask`
    (n, n) is True where passage j may not be a negative of query i. Computed in float32.
    Source: van den Oord et al., arXiv 1807.03748, eq. 4; in-batch as in arXiv 2408.10536, eq. 1.
    """
    scores = queries.float() @ passages.float().T / temperature
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    if negatives is not None and len(negatives):
        scores = torch.cat([scores, queries.float() @ negatives.float().T / temperature], dim=1)
    return cross_entropy(scores, torch.arange(len(scores), device=scores.device))
