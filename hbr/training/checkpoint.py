"""Checkpoints: weights, optimizer state and counters in one file that replaces the last.

Batches and dropout depend on the seed and the step alone, so nothing else has to be kept.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.files import partial_of, replace_synced
from hbr.training.log import CHECKPOINT
from hbr.training.masters import MasterWeights


@dataclass
class TrainerState:
    """What a checkpoint remembers besides tensors."""

    step: int = 0
    best: float = math.inf  # value of validation, negative where a higher one is better
    best_step: int = 0
    since_best: int = 0  # validations
    log_bytes: int = 0
    means: dict[str, float] = field(default_factory=dict)  # of the loss, and in each mode


class Checkpoints:
    """The checkpoints of a run: `checkpoint-last/` to resume from, and the best weights.

    Rank 0 writes them, all ranks read them. Raises UserError where one is damaged or belongs to
    another encoder.
    """

    def __init__(
        self,
        folder: Path,
        encoder: nn.Module,
        masters: MasterWeights,
        head: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.encoder, self.masters, self.head = encoder, masters, head
        self.optimizer = optimizer
        self.folder = folder / CHECKPOINT
        self.last, self.best = self.folder / "state.safetensors", folder / "best.safetensors"
        self.saved_step = 0  # step of the last checkpoint
        self.saved_at = time.monotonic()

    def save(self, state: TrainerState) -> None:
        """Write what a run needs to go on from here."""
        self.saved_step, self.saved_at = state.step, time.monotonic()
        names = {id(p): name for name, p in self._parameters().items()}
        optimizer = {
            f"{names[id(p)]}|{key}": _own(value)
            for p, values in self.optimizer.state.items()
            for key, value in values.items()
        }
        tensors = {"model": self._weights(), "optimizer": optimizer}
        _write(self.last, tensors | {"head": self.head.state_dict()}, state)

    def seconds_since_save(self) -> float:
        """Return the seconds since the last checkpoint, or since the beginning."""
        return time.monotonic() - self.saved_at

    def save_best(self, state: TrainerState) -> None:
        """Write the weights of the encoder, in the place of the best so far."""
        _write(self.best, {"model": self._weights()}, state)

    def resume(self) -> TrainerState:
        """Load the last checkpoint, if there is one; return the state of the run."""
        if not self.last.exists():
            return TrainerState()
        tensors, state = _read(self.last)
        self._load_weights(tensors["model"], self.last)
        _load(self.head, tensors["head"], self.last)
        parameters = self._parameters()
        for key, value in tensors["optimizer"].items():
            name, _, field = key.partition("|")
            parameter = parameters[name]
            whole = not value.is_floating_point() and value.ndim == 0
            self.optimizer.state[parameter][field] = (
                value.item() if whole else value.to(parameter.device)
            )
        self.saved_step = state.step
        return state

    def load_best(self) -> None:
        """Load the best weights, where validation has chosen some."""
        if self.best.exists():
            self._load_weights(_read(self.best)[0]["model"], self.best)

    def _parameters(self) -> dict[str, nn.Parameter]:
        """Return all that is trained, by name."""
        head = {f"head.{name}": p for name, p in self.head.named_parameters()}
        return self.masters.trained | head

    def _weights(self) -> dict[str, Tensor]:
        return _trained(self.encoder) | self.masters.trained

    def _load_weights(self, weights: dict[str, Tensor], path: Path) -> None:
        _load(self.encoder, weights, path)
        self.masters.load(weights)


def _own(value: Any) -> Tensor:
    """Return a number or tensor of an optimizer's state as a tensor that shares no memory.

    bitsandbytes has one table of 256 numbers for all weights.
    """
    value = torch.as_tensor(value)
    return value.clone() if value.numel() <= 256 else value


def _write(path: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: TrainerState) -> None:
    """Write tensors by kind and name, on rank 0."""
    if distributed.rank() != 0:
        return
    path.parent.mkdir(exist_ok=True)
    flat = {
        f"{kind}/{key}": value.detach().cpu().contiguous()
        for kind, by_name in tensors.items()
        for key, value in by_name.items()
    }
    partial = partial_of(path)
    save_file(flat, partial, {"counters": json.dumps(asdict(state))})
    replace_synced(partial, path)


def _read(path: Path) -> tuple[dict[str, dict[str, Tensor]], TrainerState]:
    """Return the tensors of a checkpoint by kind and name, and the state of the run."""
    tensors: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "head": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                kind, _, name = key.partition("/")
                tensors[kind][name] = file.get_tensor(key)
            return tensors, TrainerState(**json.loads(file.metadata()["counters"]))
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); start again with --no-resume") from error


def _trained(module: nn.Module) -> dict[str, Tensor]:
    """Return the state of a module without the weights that are frozen."""
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad}
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def _load(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    try:
        if weights.keys() != _trained(module).keys():
            raise RuntimeError("other names")
        module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(
            f"{path} is the checkpoint of another encoder, or of an older hbr; "
            "start again with --no-resume"
        ) from error
