"""Ranks: gradients are summed once a step, whatever an objective's passes."""

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from hbr.training import parallel
from hbr.training.parallel import ALONE, Alone, Replicas


@pytest.fixture
def group() -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def encoder() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


TEXTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
GRADIENT = torch.ones(2, 2)


def step(model: nn.Module, way: Alone, last_waits: bool = True) -> list[Tensor]:
    """Take three chunks, in two passes; give the gradients."""
    model.zero_grad()
    way.backward(lambda: model(TEXTS[:2]), GRADIENT)
    way.backward(lambda: model(TEXTS[2:4]), -GRADIENT)
    way.flush()
    way.backward(lambda: model(TEXTS[4:]), 3 * GRADIENT)
    if not last_waits:
        way.flush()
    way.finish(lambda: model(TEXTS[:1])[:0])
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("last_waits", [True, False])
def test_gradients_are_summed_once_a_step_whatever_waited(group, last_waits):
    buckets = []

    def count(state, bucket):
        buckets.append(bucket.buffer().numel())
        return _sum(state, bucket)

    _sum = parallel._sum
    with mock.patch.object(parallel, "_sum", count):
        model = encoder()
        way = Replicas(model)
    expected = step(encoder(), ALONE)
    for number in range(1, 4):
        torch.testing.assert_close(step(model, way, last_waits), expected)
        assert sum(buckets) == number * sum(p.numel() for p in model.parameters())


def test_the_gradients_of_inputs_alone_come_at_once_and_are_not_summed(group):
    model = encoder()
    way, texts = Replicas(model), TEXTS.clone().requires_grad_()
    way.backward(lambda: model(texts).sum()[None], torch.ones(1), [texts])
    assert texts.grad.abs().max() > 0
    assert way.waiting is None
    assert all(p.grad is None for p in model.parameters())
