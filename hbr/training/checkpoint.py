"""Checkpoints: weights, optimizer state and counters in one file that replaces the last.

What is sharded is written by all ranks, as a folder of files in the layout of
`torch.distributed.checkpoint`; any number of ranks reads either, whole or in shards.

Batches and dropout depend on the seed and the step alone, so nothing else has to be kept.
"""

import json
import math
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.tensor import DTensor

from hbr.core import distributed
from hbr.core.errors import UserError, first_line
from hbr.core.files import partial_of, replace_synced, write_atomic
from hbr.training.log import BEST, CHECKPOINT
from hbr.training.masters import MasterWeights
from hbr.training.shards import sharded_as, whole

COUNTERS = "counters.json"
ANEW = "hbr train -C RUN/config.yaml --no-resume"


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

    All ranks call these, and rank 0 writes what is not sharded. Raises UserError where one is
    damaged or belongs to another encoder.
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
        self.last, self.best = self.folder / "state.safetensors", folder / BEST
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
        tensors = _flat(
            {"model": self._weights(), "optimizer": optimizer, "head": self.head.state_dict()}
        )
        before = self._saved()
        if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
            written = self.folder / f"state-{state.step}"
            _write_shards(written, tensors, state)
        else:
            written = self.last
            _write(written, tensors, state)
        if distributed.rank() == 0:
            for old in before - {written}:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

    def seconds_since_save(self) -> float:
        """Return the seconds since the last checkpoint, or since the beginning."""
        return time.monotonic() - self.saved_at

    def save_best(self, state: TrainerState) -> None:
        """Write the weights of the encoder, in the place of the best so far."""
        _write(self.best, _flat({"model": self._weights()}), state)

    def resume(self) -> TrainerState:
        """Load the last checkpoint, if there is one; return the state of the run."""
        if not (saved := self._saved()):
            return TrainerState()
        path, parameters = max(saved, key=lambda one: _state(one).step), self._parameters()
        read = _read_shards(path, parameters) if path.is_dir() else _read(path)
        state = _state(path)
        tensors: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "head": {}}
        for key, value in read.items():
            kind, _, name = key.partition("/")
            tensors[kind][name] = value
        self._load_weights(tensors["model"], path)
        _load(self.head, tensors["head"], path)
        for key, value in tensors["optimizer"].items():
            name, _, field = key.partition("|")
            parameter = parameters[name]
            is_count = not value.is_floating_point() and value.ndim == 0
            self.optimizer.state[parameter][field] = (
                value.item() if is_count else sharded_as(value, parameter)
            )
        self.saved_step = state.step
        return state

    def load_best(self) -> None:
        """Load the best weights, where validation has chosen some."""
        if self.best.exists():
            read = _read(self.best)
            weights = {key.removeprefix("model/"): value for key, value in read.items()}
            self._load_weights(weights, self.best)

    def _saved(self) -> set[Path]:
        """Return the checkpoints that are there: one, or two where the last was not removed yet."""
        return {path for path in (self.last, *self.folder.glob("state-*")) if path.exists()}

    def _parameters(self) -> dict[str, nn.Parameter]:
        """Return all that is trained, by name."""
        head = {f"head.{name}": p for name, p in self.head.named_parameters()}
        return self.masters.trained | head

    def _weights(self) -> dict[str, Tensor]:
        return _trained(self.encoder) | self.masters.trained

    def _load_weights(self, weights: dict[str, Tensor], path: Path) -> None:
        own = dict(self.encoder.named_parameters())
        placed = {
            name: sharded_as(w, own[name]) if name in own else w for name, w in weights.items()
        }
        _load(self.encoder, placed, path)
        self.masters.load(weights)


def _own(value: Any) -> Tensor:
    """Return a number or tensor of an optimizer's state as a tensor that shares no memory.

    bitsandbytes has one table of 256 numbers for all weights.
    """
    value = torch.as_tensor(value)
    return value.clone() if value.numel() <= 256 else value


def _flat(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{kind}/{name}": t for kind, by_name in tensors.items() for name, t in by_name.items()}


def _write(path: Path, tensors: Mapping[str, Tensor], state: TrainerState) -> None:
    """Write whole tensors, on rank 0; each is gathered where it is sharded."""
    file = {}
    for key, tensor in tensors.items():
        gathered = whole(tensor.detach())
        if distributed.rank() == 0:
            file[key] = gathered.cpu().contiguous()
    if distributed.rank() == 0:
        path.parent.mkdir(exist_ok=True)
        partial = partial_of(path)
        save_file(file, partial, {"counters": json.dumps(asdict(state))})
        replace_synced(partial, path)


def _write_shards(folder: Path, tensors: Mapping[str, Tensor], state: TrainerState) -> None:
    """Write a folder of tensors, each rank its shards."""
    partial = partial_of(folder)
    if distributed.rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    distributed.barrier()
    writer = dcp.HuggingFaceStorageWriter(str(partial), save_distributed=True)
    with distributed.blamed():
        dcp.save({key: t.detach() for key, t in tensors.items()}, storage_writer=writer)
    if distributed.rank() == 0:
        write_atomic(partial / COUNTERS, json.dumps(asdict(state)))
        replace_synced(partial, folder)


def _state(path: Path) -> TrainerState:
    """Return the state of the run that a checkpoint holds."""
    try:
        if path.is_dir():
            counters = (path / COUNTERS).read_text(encoding="utf-8")
        else:
            with safe_open(path, framework="pt") as file:
                counters = file.metadata()["counters"]
        return TrainerState(**json.loads(counters))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_shards(folder: Path, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a folder, sharded as the parameters are that they belong to."""

    def room(key: str, stored: Any) -> Tensor:
        like = parameters.get(key.partition("/")[2].partition("|")[0])
        if isinstance(like, DTensor) and like.shape == stored.size:
            return torch.empty_like(like, dtype=stored.properties.dtype, requires_grad=False)
        return torch.empty(stored.size, dtype=stored.properties.dtype)

    alone = not any(isinstance(parameter, DTensor) for parameter in parameters.values())
    try:
        reader = dcp.HuggingFaceStorageReader(str(folder))
        stored = reader.read_metadata().state_dict_metadata
        tensors = {key: room(key, entry) for key, entry in stored.items()}
        with distributed.blamed(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            dcp.load(tensors, storage_reader=reader, no_dist=alone)
    except (dcp.api.CheckpointException, SafetensorError, OSError, KeyError, ValueError) as error:
        raise _damaged(folder, error) from error
    return tensors


def _damaged(path: Path, error: BaseException) -> UserError:
    return UserError(f"{path} is damaged ({first_line(error)}); start again with `{ANEW}`")


def _trained(module: nn.Module) -> dict[str, Tensor]:
    """Return the state of a module without the weights that are frozen."""
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad}
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def _load(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    own = _trained(module)
    if _shapes(own) != _shapes(weights):
        raise UserError(
            f"{path} is the checkpoint of another encoder, or of an older hbr; "
            f"start again with `{ANEW}`"
        )
    for name, tensor in own.items():
        tensor.copy_(weights[name])


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
