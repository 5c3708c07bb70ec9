"""Back-propagation through a loss over the whole batch when only parts of it fit into memory."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

Chunk = Callable[[], Tensor]  # encodes a part of the texts, the same way every time
Gather = Callable[[Tensor], tuple[Tensor, slice]]  # see `hbr.core.distributed.all_gather`
Back = Callable[[Chunk, Tensor, Sequence[Tensor] | None], None]


def _same(encoded: Tensor) -> Tensor:
    return encoded


def _go_back(encode: Chunk, gradient: Tensor, inputs: Sequence[Tensor] | None) -> None:
    encode().backward(gradient, inputs=inputs)


def backward(
    chunks: Mapping[str, Sequence[Chunk]],
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    gather: Gather = lambda vectors: (vectors, slice(0, len(vectors))),
    inputs: Mapping[str, Sequence[Tensor]] | None = None,
    go_back: Back = _go_back,
) -> float:
    """Add the gradients of `loss` to the encoder's weights; return the loss.

    `chunks` are those of each role (queries, passages, …), `loss` takes vectors by role. With one
    chunk for each role this is plain back-propagation. With more it is the gradient cache (Gao et
    al., arXiv 2101.06983): encode without a graph, differentiate the loss by the vectors, then
    encode each chunk again and back-propagate its part of these gradients. Both are exact as long
    as a chunk encodes the same way every time, dropout included.

    `gather` joins the vectors of all ranks and returns the slice of this rank's. Every rank
    computes the loss of the global batch and back-propagates its part, so that the sum of the
    ranks' gradients is the gradient of one process. Weights within the loss itself get their whole
    gradient on every rank.

    With `inputs`, one tensor for each chunk of some roles, these alone get gradients. `go_back`
    does the backward pass of a chunk; it may do so later.
    """
    whole = all(len(of_role) <= 1 for of_role in chunks.values())
    with torch.set_grad_enabled(whole):
        vectors = {role: [chunk() for chunk in of_role] for role, of_role in chunks.items()}
    leaves, slices = {}, {}
    for role, of_role in vectors.items():
        joined, slices[role] = gather(torch.cat(of_role).detach())
        leaves[role] = joined.requires_grad_()
    value = loss(leaves)
    value.backward(inputs=None if inputs is None else list(leaves.values()))
    for role in chunks if inputs is None else inputs:
        gradient = leaves[role].grad
        if gradient is None:
            continue  # the loss does not depend on this role
        parts = gradient[slices[role]].split([len(encoded) for encoded in vectors[role]])
        ends = [None] * len(parts) if inputs is None else [[end] for end in inputs[role]]
        for chunk, encoded, part, end in zip(chunks[role], vectors[role], parts, ends, strict=True):
            go_back(partial(_same, encoded) if whole else chunk, part, end)
    return float(value.detach())
