"""Weights, gradients and optimizer state in shards, one on each rank, where they are large.

A tensor in shards is torch's `DTensor`, whose functions all ranks call together.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.settings.train import Train
from hbr.training.masters import MasterWeights
from hbr.training.optimizer import resident_bytes
from hbr.training.parallel import ALONE, Alone, Replicas

MOST = 0.5  # of a device's memory, for all but activations


class Shards(Alone):
    """A share of weights, gradients and the optimizer's state on every rank: torch's FSDP2.

    Each layer is gathered while it computes. All ranks encode and go backward equally often.
    """

    def __init__(self, encoder: Any, precision: str, device: torch.device) -> None:
        self.encoder = encoder
        half = torch.bfloat16 if precision == "bf16-weights" else None
        options: dict[str, Any] = {
            "mesh": init_device_mesh(device.type, (distributed.world_size(),)),
            "mp_policy": MixedPrecisionPolicy(half, torch.float32 if half else None),
        }
        blocks = getattr(encoder.backbone, "_no_split_modules", None) or ()
        modules = [m for m in encoder.backbone.modules() if type(m).__name__ in blocks]
        self.layers = [m for m in modules if not type(m).__name__.endswith("Embeddings")]
        for module in (*self.layers, encoder):
            fully_shard(module, **options)
            module.set_gradient_divide_factor(1.0)  # a sum, not a mean
            module.set_force_sum_reduction_for_comms(True)
        register_fsdp_forward_method(encoder, "encode")

    @contextmanager
    def unsharded(self) -> Iterator[None]:
        """As `Alone.unsharded`: each rank has all weights for a while."""
        modules = (self.encoder, *self.layers)
        self.encoder.set_reshard_after_forward(False)
        for module in modules:
            module.unshard()
        yield
        for module in modules:
            module.reshard()
        for layer in self.layers:
            layer.set_reshard_after_forward(True)

    def gather(self) -> None:
        """As `Alone.gather`."""
        for module in list(self.encoder.modules()):
            for name, weight in list(module.named_parameters(recurse=False)):
                gathered = whole(weight.detach())
                if distributed.rank() == 0:
                    setattr(module, name, nn.Parameter(gathered.cpu(), weight.requires_grad))


def whole(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor that may be sharded; all ranks call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_as(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a tensor where another is: this rank's shard, if the other is sharded and as large."""
    tensor = tensor.to(other.device)
    if isinstance(tensor, DTensor) or not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)


def choose(encoder: nn.Module, settings: Train, device: torch.device) -> str:
    """Return how the ranks train an encoder: `ddp`, `fsdp`, or nothing where there is one rank.

    Raises UserError for settings that do not go with shards.
    """
    if distributed.world_size() == 1:
        return ""
    unfit = {"torch_compile": settings.torch_compile, "optimizer": settings.optimizer != "adamw"}
    reason = next((name for name, does in unfit.items() if does), None)
    way = settings.parallel
    if way == "auto":
        sizes = [(p.numel(), p.requires_grad) for p in encoder.parameters()]
        trained = sum(size for size, is_trained in sizes if is_trained)
        needed = resident_bytes(sum(size for size, _ in sizes), trained, settings)
        large = needed > MOST * device_memory(device) and not reason
        way = "fsdp" if distributed.broadcast(large) else "ddp"
    elif way == "fsdp" and reason:
        value = str(getattr(settings, reason)).lower()
        raise UserError(f"train.{reason}={value} does not go with train.parallel=fsdp: set ddp")
    return way


def device_memory(device: torch.device) -> int:
    """Return the bytes of memory that a rank can have on its device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    of_host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return of_host // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def distribute(
    way: str, encoder: nn.Module, settings: Train, device: torch.device
) -> tuple[Alone, MasterWeights]:
    """Make an encoder ready for the ranks; return their way and the weights to train."""
    if way == "fsdp":
        shards = Shards(encoder, settings.precision, device)
        return shards, MasterWeights(encoder, "fp32")  # the shards are float32
    masters = MasterWeights(encoder, settings.precision)
    return (Replicas(encoder) if way == "ddp" else ALONE), masters
