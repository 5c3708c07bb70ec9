"""One backward pass through a loss over the whole batch, whatever part fits into memory."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Chunk = Callable[[], Tensor]  # encodes some texts, the same way each time it is called
Gather = Callable[[Tensor], tuple[Tensor, slice]]


def backward(
    chunks: Mapping[str, Sequence[Chunk]],
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    gather: Gather = lambda vectors: (vectors, slice(0, len(vectors))),
    into: Mapping[str, Sequence[Tensor]] | None = None,
) -> float:
    """Add the gradients of `loss` to the encoder's weights and give its value.

    `chunks` are the pieces of each role (queries, passages, …). With one chunk a role this is
    plain back-propagation; with more it is the gradient cache (Gao et al., arXiv 2101.06983):
    encode without a graph, differentiate the loss by the vectors, then encode each chunk again
    and push its part of these gradients through. Both are exact as long as a chunk repeats
    itself, dropout included. `gather` puts other ranks' vectors around one's own and says where
    these stand: every rank computes the loss of the global batch and back-propagates its part,
    so the sum of the ranks' gradients is the gradient of one process. (Weights that the loss itself
    has get their whole gradient on every rank.) With `into`, one input tensor for each chunk of
    some roles, these get their gradients and nothing else does.
    """
    whole = all(len(pieces) <= 1 for pieces in chunks.values())
    own: dict[str, list[Tensor]] = {}
    with torch.set_grad_enabled(whole):
        for role, pieces in chunks.items():
            own[role] = [piece() for piece in pieces]
    leaves, places = {}, {}
    for role, vectors in own.items():
        joined, places[role] = gather(torch.cat(vectors).detach())
        leaves[role] = joined.requires_grad_()
    value = loss(leaves)
    value.backward(inputs=None if into is None else list(leaves.values()))
    for role, pieces in chunks.items():
        gradient = leaves[role].grad
        if gradient is None or (into is not None and role not in into):
            continue  # a role that this batch has nothing of, or that nobody asks for
        parts = gradient[places[role]].split([len(vectors) for vectors in own[role]])
        ends = [None] * len(pieces) if into is None else [[end] for end in into[role]]
        for piece, encoded, part, end in zip(pieces, own[role], parts, ends, strict=True):
            if len(part):
                (encoded if whole else piece()).backward(part, inputs=end)
    return float(value.detach())
