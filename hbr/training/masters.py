"""The weights that an optimizer changes, where the encoder computes with rounded copies of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MasterWeights:
    """An encoder's weights as they are trained: its own, or with `bf16-weights` float32 masters.

    Then the encoder computes with bfloat16 copies, whose gradients are bfloat16 too. Frozen weights
    have masters in the host's memory, for the end alone.
    """

    def __init__(self, encoder: nn.Module, precision: str) -> None:
        self.copies: dict[str, nn.Parameter] = {}
        self.weights = dict(encoder.named_parameters())
        if precision == "bf16-weights":
            self.copies = self.weights
            self.weights = {name: _master(p) for name, p in self.copies.items()}
            for parameter in self.copies.values():
                parameter.data = parameter.data.bfloat16()

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that are not frozen, by name."""
        return {name: p for name, p in self.weights.items() if p.requires_grad}

    def take_gradients(self) -> None:
        """Move gradients from the copies to their masters."""
        for name, copy in self.copies.items():
            if copy.grad is not None:
                self.weights[name].grad, copy.grad = copy.grad.float(), None

    @torch.no_grad()
    def round(self) -> None:
        """Make the copies what their masters have become."""
        for name, copy in self.copies.items():
            if copy.requires_grad:
                copy.copy_(self.weights[name])

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Set the masters of copies to trained weights by name."""
        for name, copy in self.copies.items():
            if copy.requires_grad:
                self.weights[name].copy_(weights[name])

    def restore(self) -> None:
        """Give the encoder the masters for its weights."""
        for name, copy in self.copies.items():
            copy.data = self.weights[name].data.to(copy.device)
        self.copies = {}


def _master(parameter: nn.Parameter) -> nn.Parameter:
    weight = parameter.detach()
    return nn.Parameter(
        weight if parameter.requires_grad else weight.cpu(), parameter.requires_grad
    )
