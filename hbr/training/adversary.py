"""Perturbations of token embeddings: noise, and ascent in a ball around each text.

A shift is (texts, tokens, width), zero after a text's last token, and added to token embeddings.
Each text has its own ball: with norm "l2" over all its tokens together, ||r||₂ ≤ ε; with "linf",
|r| ≤ ε for every number.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l2", "linf"]
Draw = Callable[[Tensor, torch.Generator], object]  # fills a tensor with random numbers
TINY = 1e-30  # stands in for the length of a gradient that is zero


def project(shift: Tensor, radius: float, norm: Norm) -> Tensor:
    """Return the point of each text's ball that is nearest to its shift."""
    if norm == "linf":
        return shift.clamp(-radius, radius)
    length = torch.linalg.vector_norm(shift, dim=(1, 2), keepdim=True)
    return shift * (radius / length.clamp(min=TINY)).clamp(max=1)


def ascend(shift: Tensor, gradient: Tensor, size: float, radius: float, norm: Norm) -> Tensor:
    """Return the shift after one step of this size towards a higher loss, projected into the ball.

    r ← Π( r + α g / ||g||₂ ) in an L2 ball, Π( r + α sign g ) in an L∞ ball. From r = 0 with
    α = ε the first is FGM, r = ε g / ||g||₂ (Miyato et al., arXiv 1605.07725, eq. 5). Repeated it
    is PGD (Madry et al., arXiv 1706.06083, section 2.1).
    """
    if norm == "linf":
        direction = gradient.sign()
    else:
        length = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True)
        direction = gradient / length.clamp(min=TINY)
    return project(shift + size * direction, radius, norm)


def random_start(uniform: Tensor, lengths: Sequence[int], radius: float, norm: Norm) -> Tensor:
    """Return a point of the ball from numbers that are uniform in [-1, 1].

    r = ε u / √N in an L2 ball, N the numbers of the text; r = ε u in an L∞ ball.
    Source: Zhu et al. (FreeLB), arXiv 1909.11764, algorithm 1.
    """
    if norm == "linf":
        return radius * uniform
    tokens = torch.tensor(lengths, dtype=uniform.dtype, device=uniform.device)
    return radius * uniform / (tokens * uniform.shape[-1]).sqrt()[:, None, None]


def uniform(numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Fill a tensor with numbers that are uniform in [-1, 1]."""
    return numbers.uniform_(-1, 1, generator=generator)


def normal(numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Fill a tensor with standard normal numbers."""
    return numbers.normal_(generator=generator)


def by_text(
    draw: Draw,
    lengths: Sequence[int],
    seeds: Sequence[int],
    width: int,
    device: torch.device,
) -> Tensor:
    """Return numbers for each text from its own seed, whatever texts are in its batch.

    They are (texts, tokens, width), zero after each text's length.
    """
    numbers = torch.zeros(len(lengths), max(lengths, default=0), width, device=device)
    for text, length, seed in zip(numbers, lengths, seeds, strict=True):
        draw(text[:length], torch.Generator(device).manual_seed(seed))
    return numbers
