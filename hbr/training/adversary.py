"""Perturbations of word embeddings: a ball round each text, ascent in it, noise.

A shift is (texts, tokens, width), zero behind a text's last token, and added to word embeddings.
Each text has a ball of its own: of norm "l2" over all its tokens together, ||r||₂ ≤ ε, or "linf",
|r| ≤ ε for every number.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l2", "linf"]
TINY = 1e-30  # stands in for the length of a gradient that is zero


def project(shift: Tensor, radius: float, norm: Norm) -> Tensor:
    """Bring each text's shift back into its ball, by the shortest way."""
    if norm == "linf":
        return shift.clamp(-radius, radius)
    length = torch.linalg.vector_norm(shift, dim=(1, 2), keepdim=True)
    return shift * (radius / length.clamp(min=TINY)).clamp(max=1)


def ascend(shift: Tensor, gradient: Tensor, size: float, radius: float, norm: Norm) -> Tensor:
    """Go one step of this size towards a higher loss, and back into the ball.

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
    """Turn numbers drawn from [-1, 1] into a point of the ball.

    r = ε u / √N in an L2 ball, N the numbers of the text; r = ε u in an L∞ ball.
    Source: Zhu et al. (FreeLB), arXiv 1909.11764, algorithm 1.
    """
    if norm == "linf":
        return radius * uniform
    tokens = torch.tensor(lengths, dtype=uniform.dtype, device=uniform.device)
    return radius * uniform / (tokens * uniform.shape[-1]).sqrt()[:, None, None]


def uniform(numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Fill with numbers from [-1, 1]."""
    return numbers.uniform_(-1, 1, generator=generator)


def normal(numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Fill with numbers of mean 0 and variance 1."""
    return numbers.normal_(generator=generator)


def by_text(
    draw: Callable[[Tensor, torch.Generator], Tensor],
    lengths: Sequence[int],
    seeds: Sequence[int],
    width: int,
    device: torch.device,
) -> Tensor:
    """Draw numbers for each text from a seed of its own, whatever texts stand beside it.

    Gives (texts, tokens, width), zero behind each text's length.
    """
    drawn = torch.zeros(len(lengths), max(lengths, default=0), width, device=device)
    for line, length, seed in zip(drawn, lengths, seeds, strict=True):
        draw(line[:length], torch.Generator(device).manual_seed(seed))
    return drawn
