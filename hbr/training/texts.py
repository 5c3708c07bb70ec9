"""Encoding of token ids, and chunks of texts that encode the same way every time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hbr.models.encoder import Encoder
from hbr.models.precision import autocast


@dataclass(frozen=True)
class TextEncoder:
    """An encoder on a device, with the precision and padding of a run."""

    encoder: Encoder
    device: torch.device
    precision: str
    unpadded: bool

    def __call__(self, texts: Sequence[np.ndarray], shift: Tensor | None = None) -> Tensor:
        """Encode token ids: (texts, width)."""
        with autocast(self.device, self.precision):
            return self.encoder.encode(texts, self.device, shift, unpadded=self.unpadded)


class Chunk(NamedTuple):
    """Some texts of one role, a `hbr.training.batch.TextChunk`; there may be none of them."""

    encode: TextEncoder
    texts: list[np.ndarray]
    dropout_seed: int
    noise_seeds: Callable[[], list[int]]  # called where an objective draws noise

    @property
    def seeds(self) -> list[int]:
        """Seeds of each text's noise, whatever its chunk and rank."""
        return self.noise_seeds()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(text) for text in self.texts]

    def __call__(self, shift: Tensor | None = None) -> Tensor:
        device, width = self.encode.device, self.encode.encoder.embedding_dimension
        if not self.texts:
            return torch.zeros(0, width, device=device, requires_grad=True)
        # without a GPU torch.manual_seed records the stack each time, which is slow
        cpu = device.type == "cpu"
        (torch.default_generator.manual_seed if cpu else torch.manual_seed)(self.dropout_seed)
        return self.encode(self.texts, shift)
