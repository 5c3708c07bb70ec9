"""AdamW and the learning-rate schedule: linear warm-up, then linear decay to zero."""

import math

import torch
from torch import nn

from hbr.core.settings import Train as TrainSettings
from hbr.training.batch import AuxiliaryHead


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the rate of a step from 0: it rises during warm-up, then falls to 0 after the last."""
    peak, steps = settings.learning_rate, settings.max_steps
    assert peak is not None
    warmup = round(settings.warmup_ratio * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / max(steps - warmup, 1)


def adamw(encoder: nn.Module, head: AuxiliaryHead, settings: TrainSettings) -> torch.optim.AdamW:
    """Return AdamW, without weight decay on biases and norms.

    `multiplier` of a parameter group is its learning rate over that of the encoder.
    """
    peak = settings.learning_rate
    assert peak is not None
    groups = [
        {
            "params": [
                p for p in module.parameters() if p.requires_grad and (p.ndim > 1) == decays
            ],
            "weight_decay": settings.weight_decay if decays else 0.0,
            "multiplier": multiplier,
        }
        for module, multiplier in ((encoder, 1.0), (head.module, head.learning_rate / peak))
        for decays in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=peak, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the encoder's learning rate, and that of a head in proportion."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]


def remaining_weight(settings: TrainSettings, steps: int) -> float:
    """Return the share that weight decay leaves of a weight without gradients, after some steps."""
    decay = settings.weight_decay
    return math.prod(1 - learning_rate(settings, step) * decay for step in range(steps))
