"""Weights laid out once for a CPU: the same products, and gradients as before."""

import copy

import pytest
import torch
from torch import nn

from hbr.models.precision import autocast
from hbr.models.prepacked import prepack


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 24, bias=False))


@pytest.mark.parametrize("shape", [(1, 24), (8, 24), (2, 50, 24)])  # laid out for eight
@pytest.mark.parametrize(("precision", "far"), [("fp32", 1e-6), ("bf16", 1e-2)])
def test_products_are_those_of_the_layers(shape, precision, far):
    plain, inputs = layers(), torch.randn(shape)
    packed = copy.deepcopy(plain)
    prepack(packed, precision, rows=8)
    with torch.no_grad(), autocast(torch.device("cpu"), precision):
        ours, theirs = packed(inputs), plain(inputs)
    assert ours.dtype == theirs.dtype
    assert (ours - theirs).abs().max() < far


def test_the_layout_is_used_and_kept_for_inference_alone():
    plain, inputs = layers(), torch.randn(8, 24)
    packed = copy.deepcopy(plain)
    prepack(packed, "fp32", rows=8)
    for module in (plain, packed):
        module(inputs).sum().backward()
    assert torch.equal(plain[0].weight.grad, packed[0].weight.grad)
    assert packed.state_dict().keys() == plain.state_dict().keys()
    with torch.no_grad():
        before = packed(inputs)
        packed[0].weight.zero_()
        assert torch.equal(packed(inputs), before)  # of the copy, made before
    assert not torch.allclose(packed(inputs), before)  # with gradients: of the weights as they are
