"""Linear layers whose weights are laid out once as a CPU's matrix products read them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def prepack(module: nn.Module, precision: str, rows: int) -> None:
    """Let linear layers on a CPU keep a copy of their weights in the layout that oneDNN reads.

    Without it each product lays them out, and in `bf16` rounds them, anew. The layout is made for
    `rows` inputs at a time; of any other number products are right too. Weights must not change
    afterwards. Where gradients are recorded, and where oneDNN does not compute, nothing changes.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    if not torch.backends.mkldnn.is_available():
        return
    if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for layer in module.modules():
        if type(layer) is nn.Linear and layer.weight.device.type == "cpu":
            layer.forward = _prepacked(layer, dtype, rows)  # type: ignore


@torch.no_grad()
def _prepacked(layer: nn.Linear, dtype: torch.dtype, rows: int) -> Callable[[Tensor], Tensor]:
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.to(dtype), rows)
    bias = None if layer.bias is None else layer.bias.to(dtype)

    def forward(inputs: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return nn.functional.linear(inputs, layer.weight, layer.bias)
        return torch.ops.mkldnn._linear_pointwise(inputs.to(dtype), weight, bias, "none", [], "")

    return forward
