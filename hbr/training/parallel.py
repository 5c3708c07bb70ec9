"""How the ranks of a run come to the same gradients: one alone, or copies of the encoder.

A rank adds the gradients of its chunks of texts, pass by pass; their sum over the ranks is the
gradient of the global batch.
"""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hbr.training.gradient_cache import Chunk


class Alone:
    """One process, whose gradients are those of the global batch."""

    def backward(
        self, encode: Chunk, gradient: Tensor, inputs: Sequence[Tensor] | None = None
    ) -> None:
        """Back-propagate the gradient of a chunk's vectors to all weights, or to inputs alone."""
        encode().backward(gradient, inputs=inputs)

    def flush(self) -> None:
        """Do what waits: it was not the last of a step."""

    def finish(self, empty: Chunk) -> None:
        """End a step: gradients are summed over the ranks; `empty` encodes no texts."""

    def unsharded(self) -> AbstractContextManager[None]:
        """Return a context in which each rank encodes what it likes, without gradients."""
        return nullcontext()

    def gather(self) -> None:
        """Give rank 0 an encoder of whole weights, to be saved; training is over."""


ALONE = Alone()


class Replicas(Alone):
    """A copy of the encoder on every rank; gradients are summed in buckets as they come.

    That is done in the backward pass of a step's last chunk, by torch's `DistributedDataParallel`.
    Which one is the last shows at the end of the step, so that a chunk waits for the next one.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self.waiting: tuple[Chunk, Tensor] | None = None
        self.module = DistributedDataParallel(
            _Call(encoder),
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )
        self.module.register_comm_hook(None, _sum)

    def backward(
        self, encode: Chunk, gradient: Tensor, inputs: Sequence[Tensor] | None = None
    ) -> None:
        """As `Alone.backward`; a chunk that has gradients for the weights waits."""
        if inputs is not None:
            super().backward(encode, gradient, inputs)
            return
        self.flush()
        self.waiting = encode, gradient

    def flush(self) -> None:
        """As `Alone.flush`: add the gradients of the chunk that waits to those of this rank."""
        if self.waiting:
            encode, gradient = self.waiting
            self.waiting = None
            with self.module.no_sync():
                self.module(encode).backward(gradient)

    def finish(self, empty: Chunk) -> None:
        """As `Alone.finish`."""
        encode, gradient = self.waiting or (empty, None)
        self.waiting = None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "find_unused_parameters=True")  # it often is
            vectors = self.module(encode)
            vectors.backward(vectors.new_zeros(vectors.shape) if gradient is None else gradient)


class _Call(nn.Module):
    """Runs what encodes with an encoder: `DistributedDataParallel` wraps a module's `forward`.

    It holds the weights alone: buffers, which never change, would be sent in every step.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.weights = nn.ParameterList(p for p in encoder.parameters() if p.requires_grad)

    def forward(self, encode: Chunk) -> Tensor:
        return encode()


def _sum(_state: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Sum a bucket over the ranks, where `DistributedDataParallel` would take the mean."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])
