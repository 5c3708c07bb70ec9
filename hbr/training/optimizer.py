"""AdamW and the learning-rate schedule: linear warm-up, then linear decay to zero."""

import logging
import math
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from hbr.core.errors import UserError, first_line
from hbr.core.settings.train import Train as TrainSettings
from hbr.training.batch import AuxiliaryHead

BLOCKS = 4096  # numbers, as many as bitsandbytes keeps in a byte each


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the rate of a step from 0: it rises during warm-up, then falls to 0 after the last."""
    peak, steps = settings.learning_rate, settings.max_steps
    assert peak is not None
    warmup = round(settings.warmup_ratio * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / max(steps - warmup, 1)


def adamw(
    weights: Iterable[nn.Parameter], head: AuxiliaryHead, settings: TrainSettings
) -> torch.optim.Optimizer:
    """Return AdamW for an encoder's weights and a head, without weight decay on biases and norms.

    `multiplier` of a parameter group is its learning rate over that of the encoder. Raises
    UserError for `adamw_8bit` where bitsandbytes is not installed or does not run on the device.
    """
    weights, of_head = list(weights), list(head.module.parameters())
    peak = settings.learning_rate
    assert peak is not None
    groups = [
        {
            "params": [p for p in parameters if (p.ndim > 1) == decays],
            "weight_decay": settings.weight_decay if decays else 0.0,
            "multiplier": multiplier,
        }
        for parameters, multiplier in ((weights, 1.0), (of_head, head.learning_rate / peak))
        for decays in (True, False)
    ]
    if settings.optimizer == "adamw_8bit":
        return _adamw_8bit(weights[0].device)(groups, lr=peak)
    return torch.optim.AdamW(groups, lr=peak, fused=True)


def _adamw_8bit(device: torch.device) -> Any:
    """Return the class of bitsandbytes, once it has taken a step on a device."""
    setting = "train.optimizer=adamw_8bit"
    if find_spec("bitsandbytes") is None:
        raise UserError(f"{setting} needs bitsandbytes: pip install 'hbr[bnb]'")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels of no use here
    from bitsandbytes.optim import AdamW8bit

    trial = nn.Parameter(torch.zeros(BLOCKS, device=device))
    trial.grad = torch.ones_like(trial)
    try:
        AdamW8bit([trial]).step()
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        raise UserError(
            f"{setting}: bitsandbytes {version('bitsandbytes')} does not run on {device.type} "
            f"({first_line(error)}): upgrade it, or set train.optimizer=adamw"
        ) from error
    return AdamW8bit


def moment_bytes(settings: TrainSettings) -> int:
    """Return the bytes of AdamW's two moments of a weight."""
    return 2 if settings.optimizer == "adamw_8bit" else 8


def resident_bytes(parameters: int, trained: int, settings: TrainSettings) -> int:
    """Return the bytes of weights, gradients and the optimizer's state, without activations.

    `trained` are those of the parameters that are not frozen.
    """
    width, master = (2, 4) if settings.precision == "bf16-weights" else (4, 0)
    return width * parameters + (width + master + moment_bytes(settings)) * trained


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the encoder's learning rate, and that of a head in proportion."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]


def remaining_weight(settings: TrainSettings, steps: int) -> float:
    """Return the share that weight decay leaves of a weight without gradients, after some steps."""
    decay = settings.weight_decay
    return math.prod(1 - learning_rate(settings, step) * decay for step in range(steps))
