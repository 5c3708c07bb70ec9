"""Losses: vectors in, one number out. How training uses them is in `hbr.training.objectives`."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

Loss = Callable[..., Tensor]  # (queries, passages, negatives=None, *, mask, temperature)


def info_nce(
    queries: Tensor,
    passages: Tensor,
    negatives: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    temperature: float = 0.05,
) -> Tensor:
    """Return the mean of -log softmax of each query's passage among all passages of the batch.

    L = -1/n Σ_i log( exp(s_ii / t) / Σ_j exp(s_ij / t) ), s the dot product of unit vectors
    (queries (n, d), passages (n, d)), j over the passages and the negatives (m, d) of all rows.
    `mask` (n, n + m) is True where text j may not be a negative of query i. Computed in float32, or
    in float64 where the vectors are.
    Source: van den Oord et al., arXiv 1807.03748, eq. 4; in-batch as in arXiv 2408.10536, eq. 1.
    """
    texts = passages if negatives is None else torch.cat([passages, negatives])
    scores = _at_least_float32(queries) @ _at_least_float32(texts).T / temperature
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    return cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def symmetric(loss: Loss) -> Loss:
    """Return the mean of a loss and of the same loss with queries and passages exchanged.

    L(q, p) / 2 + L(p, q) / 2, with the mask of passages transposed; negatives count for queries
    alone.
    Source: the two directions of LaBSE's loss, arXiv 2007.01852, section 2.1.
    """

    def both(
        queries: Tensor,
        passages: Tensor,
        negatives: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        **settings: Any,
    ) -> Tensor:
        there = loss(queries, passages, negatives, mask=mask, **settings)
        turned = None if mask is None else mask[:, : len(passages)].T
        back = loss(passages, queries, None, mask=turned, **settings)
        return (there + back) / 2

    return both


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradient, None


def reverse(x: Tensor, strength: float) -> Tensor:
    """Return x itself, with a reversed gradient: R(x) = x, dR/dx = -λ I.

    What is computed from it learns to lower the loss, what it is computed from learns to raise it.
    `strength` is λ ≥ 0.
    Source: the gradient reversal layer, Ganin & Lempitsky et al., arXiv 1505.07818.
    """
    return _Reversal.apply(x, strength)


def reversal_strength(progress: float) -> float:
    """Return a strength that rises from 0 almost to 1: λ_p = 2 / (1 + exp(-10 p)) - 1, p in [0, 1].

    Source: Ganin & Lempitsky et al., arXiv 1505.07818, the schedule of their experiments (γ = 10).
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def language_loss(
    vectors: Tensor, languages: Tensor, classify: Callable[[Tensor], Tensor], strength: float
) -> Tensor:
    """Return the cross-entropy of a classifier of the vectors' languages, behind a reversal.

    L = -1/n Σ_i log softmax(C(R_λ(v_i)))_(l_i), for vectors (n, d), languages (n,) counted from 0
    and a classifier C from (n, d) to (n, languages); R_λ is `reverse`.
    Source: the domain classifier's loss of arXiv 1505.07818, languages being the domains.
    """
    return cross_entropy(classify(reverse(_at_least_float32(vectors), strength)), languages)


def semantic_contrast(
    passages: Tensor,
    translations: Tensor,
    *,
    mask: Tensor | None = None,
    temperature: float = 0.05,
) -> Tensor:
    """Return InfoNCE between passages and their translations, both (m, d), in both directions.

    L = -1/2m Σ_i log( exp(<d_i, e_i> / t) / Σ_j exp(<d_i, e_j> / t) ) + the same with d and e
    exchanged: the texts of a parallel pair come close, the others of the batch move away.
    `mask` (m, m) as in `info_nce`. Zero where there is no pair.
    Source: the semantic contrastive loss of Hu et al., Findings of ACL 2023, arXiv 2210.06633.
    """
    if not len(translations):
        return _at_least_float32(passages).sum() * 0
    loss = symmetric(info_nce)
    return loss(passages, translations, mask=mask, temperature=temperature)


def language_contrast(
    passages: Tensor,
    translations: Tensor,
    others: Tensor,
    counted: Tensor,
    *,
    temperature: float = 0.05,
) -> Tensor:
    """Return how far parallel pairs (i, j) are from equally near to the texts k of other rows.

    L = -1/2 [ log( exp(s_ik / t) / (exp(s_ik / t) + exp(s_jk / t)) ) + the same with i and j
    exchanged ], averaged over pairs and texts. It is least, log 2, where s_ik = s_jk: the language
    of i and j then says nothing about how near they are to k. Passages d_i and translations d_j are
    (m, d), others d_k (n, d); `counted` (m, n) says which k count for which pair. Zero if none do.
    Source: the language contrastive loss of Hu et al., Findings of ACL 2023, arXiv 2210.06633.
    """
    gap = (
        (_at_least_float32(passages) - _at_least_float32(translations))
        @ _at_least_float32(others).T
        / temperature
    )
    each = (softplus(gap) + softplus(-gap)) / 2  # -log of a two-way softmax is a softplus
    return (each * counted).sum() / counted.sum().clamp(min=1)


def _at_least_float32(vectors: Tensor) -> Tensor:
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))
