"""The processes of a `torchrun`, named as in `torch.distributed`.

A single process is rank 0 of 1. With one process these functions do nothing and load nothing.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hbr.core.errors import PEER_LOST
from hbr.core.peers import Peers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")
TIMEOUT = timedelta(minutes=10)  # of a collective, which all ranks enter at about the same time
_peers: list[Peers] = []  # once joined: none or one


def rank() -> int:
    """Return the number of this process."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def init_process_group(*, cuda: bool) -> None:
    """Join the other processes, over NCCL or Gloo."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT)
        _peers.append(Peers(rank(), world_size()))


def destroy_process_group() -> None:
    """Leave the group when all do: one that leaves early cuts off what the others still receive."""
    if _peers:
        import torch.distributed as dist

        _peers.pop().leave()
        dist.destroy_process_group()


def fail(reason: str, code: int = PEER_LOST) -> None:
    """Tell the other processes that this one ends: they end too, with an exit code."""
    if _peers:
        with suppress(RuntimeError):  # where the store is gone they know
            _peers[0].fail(reason, code)


def blamed() -> AbstractContextManager[None]:
    """Return a context that gives an error of a collective time, see `Peers.blamed`."""
    return _peers[0].blamed() if _peers else nullcontext()


def barrier() -> None:
    """Wait until all processes are here, however long it takes."""
    if _peers:
        with blamed():
            _peers[0].barrier()


def broadcast(value: Any) -> Any:
    """Return rank 0's value in all processes, however long rank 0 takes to come here."""
    if world_size() == 1:
        return value
    with blamed():
        return _peers[0].broadcast(value)


def dealt(items: Sequence[T]) -> Sequence[T]:
    """Return those of some items that are this rank's: every n-th, of n ranks."""
    return items[rank() :: world_size()]


def main_first(read: Callable[[], T]) -> T:
    """Read something on rank 0, which prepares it, and then on the other ranks."""
    if rank() != 0:
        broadcast(None)
    data = read()
    if rank() == 0:
        broadcast(None)
    return data


def fill_together(
    build: Callable[[Callable[[Path], Any]], bool], fill: Callable[[Path], Any]
) -> bool:
    """Build a folder that all ranks fill; return whether it was not up to date.

    `build(fill)`, on rank 0, fills a folder and publishes it, unless it is there.
    """

    def share(folder: Path) -> Any:
        broadcast(folder)
        return fill(folder)

    if rank() == 0:
        built = build(share)
        broadcast(None)  # what comes next reads what was published
        return built
    folder = broadcast(None)
    if folder is None:
        return False
    fill(folder)
    broadcast(None)
    return True


def any_rank(flag: bool) -> bool:
    """Return whether a flag is up on any rank."""
    if world_size() == 1:
        return flag
    import torch
    import torch.distributed as dist

    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    flags = torch.tensor([int(flag)], device=device)
    with blamed():
        dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def all_gather(vectors: "Tensor") -> "tuple[Tensor, slice]":
    """Return the vectors of all ranks, in rank order, and the slice of this rank's own.

    Ranks may have different numbers of vectors.
    """
    if world_size() == 1:
        return vectors, slice(0, len(vectors))
    import torch
    import torch.distributed as dist

    device = vectors.device
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    with blamed():
        dist.all_gather(sizes, torch.tensor([len(vectors)], device=device))
    counts = [int(size) for size in sizes]
    padded = vectors.new_zeros(max(counts), *vectors.shape[1:])
    padded[: len(vectors)] = vectors
    parts = [torch.empty_like(padded) for _ in counts]
    with blamed():
        dist.all_gather(parts, padded)
    start = sum(counts[: rank()])
    gathered = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return gathered, slice(start, start + len(vectors))


def all_gather_objects(value: Any) -> list[Any]:
    """Return the values of all ranks, in rank order."""
    if world_size() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world_size()
    with blamed():
        dist.all_gather_object(values, value)
    return values


def all_reduce_gradients(parameters: "Iterable[torch.nn.Parameter]") -> None:
    """Replace each rank's gradients by their sum over the ranks."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with blamed():
        dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
