"""Dropout from few random bits."""

import pytest
import torch
from torch import nn

from hbr.models.dropout import QuickDropout, quick_dropout, use_quick_dropout


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9])
def test_a_share_is_dropped_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001)  # not a multiple of four
    y = quick_dropout(x, share)
    deviation = (share * (1 - share) / x.numel()) ** 0.5
    assert abs(float((y == 0).double().mean()) - share) < 5 * deviation
    assert float(y.max()) == pytest.approx(1 / (1 - share), rel=1e-3)
    assert float(y.double().mean()) == pytest.approx(1, abs=5 * deviation / (1 - share))


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    gone = (quick_dropout(torch.ones(1_000_000), 0.5) == 0).double()
    for step in (1, 2, 3, 4, 8):  # four numbers share one draw
        both = float((gone[step:] * gone[:-step]).mean())
        assert both == pytest.approx(0.25, abs=0.003)


def test_the_gradient_goes_where_the_numbers_went() -> None:
    x = torch.randn(50, 3, dtype=torch.double, requires_grad=True)

    def again(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return quick_dropout(x, 0.3)

    assert torch.autograd.gradcheck(again, x)


@pytest.mark.parametrize("share", [0.0, 1.0, 1e-7])
def test_shares_that_16_bits_lack_are_torch_s(share: float) -> None:
    torch.manual_seed(0)
    ours = quick_dropout(torch.ones(10), share)
    torch.manual_seed(0)
    assert torch.equal(ours, nn.functional.dropout(torch.ones(10), share))


def test_layers_are_replaced_wherever_they_stand() -> None:
    layers = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Dropout(0.4)), nn.Dropout(0.2))
    use_quick_dropout(layers.eval())
    assert torch.equal(layers[1](torch.ones(9)), torch.ones(9))
    found = [layer for layer in layers.modules() if isinstance(layer, nn.Dropout)]
    assert [(type(layer), layer.p) for layer in found] == [(QuickDropout, 0.4), (QuickDropout, 0.2)]
