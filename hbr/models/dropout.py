"""The dropout of training, and a quicker one: 16 random bits a number, an eighth of torch's time.

The quicker one serves CPUs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hbr.core.errors import UserError
from hbr.core.settings.train import Train

BITS = 16


class QuickDropout(nn.Dropout):
    """Drop numbers as `nn.Dropout` does, with a probability rounded to 16 bits."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, of any shape, with some numbers zero and the others scaled up to make up."""
        if not self.training or self.inplace or x.device.type != "cpu":
            return super().forward(x)
        return quick_dropout(x, self.p)


def quick_dropout(x: Tensor, p: float) -> Tensor:
    """Return x with a share `p` of its numbers zero and the others scaled up to make up."""
    threshold = round(p * 2**BITS)
    if not 0 < threshold < 2**BITS:
        return nn.functional.dropout(x, p)
    count = x.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    drawn = bits.view(torch.int16)[:count].view(x.shape)
    noise = torch.empty_like(x, requires_grad=False)
    torch.ge(drawn, threshold - 2 ** (BITS - 1), out=noise)
    return x * noise.mul_(1 / (1 - threshold / 2**BITS))


def set_dropout(backbone: Any, settings: Train) -> None:
    """Set the dropout of a backbone as the settings of training say.

    Raises UserError where they set attention dropout and no layer has any.
    """
    if settings.attention_dropout is not None:
        set_attention_dropout(backbone, settings.attention_dropout)
    if settings.quick_dropout and not settings.torch_compile:
        use_quick_dropout(backbone)


def use_quick_dropout(backbone: Any) -> None:
    """Replace the dropout modules of a backbone by quick ones."""
    for module in backbone.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, QuickDropout(child.p, child.inplace).train(child.training))


def set_attention_dropout(backbone: Any, p: float) -> None:
    """Set the share of attention weights that training drops; the config keeps its own.

    Raises UserError where no layer drops any.
    """
    layers = [
        module
        for module in backbone.modules()
        if type(module).__name__.endswith("SelfAttention")
        and isinstance(getattr(module, "dropout", None), nn.Dropout)
    ]
    if not layers:
        raise UserError(f"train.attention_dropout: {type(backbone).__name__} has no layer for it")
    for layer in layers:
        layer.dropout.p = p
