"""Pace: how long an encoder takes to train and to encode here, from a few seconds of each."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from hbr.core.settings import Config
from hbr.models.adapter import LowRankAdapter
from hbr.models.dropout import set_dropout
from hbr.models.encoder import Encoder
from hbr.models.precision import autocast
from hbr.training.batch import AuxiliaryHead
from hbr.training.losses import info_nce
from hbr.training.masters import MasterWeights
from hbr.training.optimizer import adamw

LONG_ENOUGH = 1.0  # seconds that something is measured for
PAIRS = 16  # at a time, on a CPU


class Pace(NamedTuple):
    """Seconds of a training step, and of encoding a token; how big the encoder is."""

    step: float
    token: float
    parameters: int
    trained: int  # of them
    dimension: int  # of a vector


def pace(encoder: Encoder, config: Config, lengths: tuple[int, int], device: torch.device) -> Pace:
    """Measure an encoder on texts of some lengths: tokens of a query and of a passage.

    A step is InfoNCE over random tokens, a part of a batch where that is large, and the optimizer.
    """
    if config.adapter.name:
        LowRankAdapter(encoder, config.adapter, config.seed)
    encoder.to(device)
    settings, rng = config.train, np.random.default_rng(0)
    most = settings.mini_batch_size or settings.batch_size
    pairs = min(most, PAIRS) if device.type == "cpu" else most
    vocabulary = len(encoder.tokenizer)
    queries, passages = (list(rng.integers(0, vocabulary, (pairs, n))) for n in lengths)
    set_dropout(encoder.backbone, settings)
    if settings.gradient_checkpointing:
        encoder.recompute_layers()
    unpadded = settings.unpadded and not settings.torch_compile

    def train() -> None:
        with autocast(device, settings.precision):
            vectors = [encoder.encode(t, device, unpadded=unpadded) for t in (queries, passages)]
        info_nce(*vectors).backward()

    @torch.inference_mode()
    def encode() -> None:
        with autocast(device, config.encode.precision):
            encoder.encode(passages, device, unpadded=config.encode.unpadded)

    token = _seconds(encode, device) / (pairs * lengths[1])
    encoder.train()
    masters = MasterWeights(encoder, settings.precision)
    optimizer = adamw(masters.trained.values(), AuxiliaryHead(nn.Sequential(), 1.0), settings)
    pair = _seconds(train, device) / pairs
    masters.take_gradients()

    def update() -> None:
        optimizer.step()
        masters.round()

    factor = 4 / 3 if settings.mini_batch_size else 1  # a gradient cache encodes once more
    return Pace(
        settings.batch_size * settings.gradient_accumulation_steps * pair * factor
        + _seconds(update, device),
        token,
        sum(p.numel() for p in encoder.parameters()),
        sum(p.numel() for p in masters.trained.values()),
        encoder.embedding_dimension,
    )


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Return the seconds that some work takes once it has been done before."""
    times: list[float] = []
    while len(times) < 2 or sum(times[1:]) < LONG_ENOUGH:
        started = time.monotonic()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.monotonic() - started)
    return float(np.mean(times[1:]))
