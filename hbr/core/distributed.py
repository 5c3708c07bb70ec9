"""The ranks of a `torchrun`; one process is rank 0 of 1 and none of this does anything."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


PATIENCE = timedelta(days=7)  # others wait while rank 0 downloads and prepares


def rank() -> int:
    """Number of this process."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(*, cuda: bool) -> None:
    """Join the others, over NCCL or Gloo."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)


def stop() -> None:
    """Leave the others, all together: who leaves early takes away what others still receive."""
    if world_size() == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        with suppress(RuntimeError):  # of another that failed, and has said why
            dist.barrier()
        dist.destroy_process_group()


def wait() -> None:
    """Go on when all are here; a broadcast does not make its sender wait."""
    if world_size() == 1:
        return
    import torch.distributed as dist

    dist.barrier()


def broadcast(value: Any) -> Any:
    """Return rank 0's value to all."""
    if world_size() == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather(own: "Tensor") -> "tuple[Tensor, slice]":
    """Join the ranks' vectors, in rank order, and say where one's own stand; sizes may differ."""
    if world_size() == 1:
        return own, slice(0, len(own))
    import torch
    import torch.distributed as dist

    sizes = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor([len(own)], device=own.device))
    counts = [int(size) for size in sizes]
    padded = own.new_zeros(max(counts), *own.shape[1:])
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    start = sum(counts[: rank()])
    joined = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return joined, slice(start, start + len(own))


def sum_gradients(parameters: "Iterable[torch.nn.Parameter]") -> None:
    """Replace each rank's gradients by their sum."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
