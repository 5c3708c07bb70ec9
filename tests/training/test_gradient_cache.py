"""The gradient cache gives the gradients of plain back-propagation, dropout and ranks included."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from hbr.models.encoder import Encoder
from hbr.training.gradient_cache import Chunk, backward
from hbr.training.losses import info_nce
from tests.training.support import bert

Roles = Mapping[str, list[Chunk]]


def loss_of(vectors: Mapping[str, Tensor]) -> Tensor:
    return info_nce(vectors["query"], vectors["passage"], vectors.get("negatives"), temperature=0.5)


@pytest.fixture
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """A transformer of two small layers; the parameter is its dropout."""
    return bert(getattr(request, "param", 0.0))


def texts(count: int, seed: int) -> Tensor:
    return torch.randint(1, 50, (count, 6), generator=torch.Generator().manual_seed(seed))


def chunks(encoder: Encoder, ids: Tensor, size: int, first: int = 0) -> list[Chunk]:
    """Pieces of some texts, each with a seed of its own, from the number of its first text."""

    def chunk(some: Tensor, seed: int) -> Chunk:
        def encode() -> Tensor:
            torch.manual_seed(seed)
            return encoder(some, torch.ones_like(some))

        return encode

    return [chunk(ids[at : at + size], first + at) for at in range(0, len(ids), size)]


def roles(encoder: Encoder, size: int, negatives: int = 0) -> dict[str, list[Chunk]]:
    counts = {"query": 7, "passage": 7, "negatives": negatives}
    return {
        role: chunks(encoder, texts(count, seed), size, 100 * seed)
        for seed, (role, count) in enumerate(counts.items(), start=1)
        if count
    }


def after(encoder: Encoder, step: Callable[[], object]) -> tuple[object, list[Tensor]]:
    """Do something from no gradients; give what it gives and the gradients it leaves."""
    encoder.zero_grad()
    value = step()
    return value, [p.grad.clone() for p in encoder.parameters() if p.grad is not None]


def plain(pieces: Roles) -> float:
    """Encode the same pieces in one graph and go back through it."""
    value = loss_of({role: torch.cat([p() for p in some]) for role, some in pieces.items()})
    value.backward()
    return value.item()


def assert_same(found: tuple[object, list[Tensor]], expected: tuple[object, list[Tensor]]) -> None:
    assert found[0] == pytest.approx(expected[0], abs=1e-6)
    assert len(found[1]) == len(expected[1]) > 30
    assert max(gradient.abs().max() for gradient in expected[1]) > 1e-2
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("negatives", [0, 4])
@pytest.mark.parametrize("encoder", [0.2], indirect=True)
def test_chunks_give_the_gradients_of_one_graph_with_dropout(encoder, size, negatives):
    pieces = roles(encoder, size, negatives)
    cached = after(encoder, lambda: backward(pieces, loss_of))
    assert_same(cached, after(encoder, lambda: plain(pieces)))


@pytest.mark.parametrize("encoder", [0.2], indirect=True)
def test_dropout_is_on_in_these_tests(encoder):
    (one,), (other,) = (chunks(encoder, texts(7, 1), 7, first) for first in (0, 1))
    assert torch.equal(one(), one())
    assert not torch.allclose(one(), other(), atol=1e-2)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_chunks_give_the_gradients_of_the_whole_batch_without_dropout(encoder, size):
    cached = after(encoder, lambda: backward(roles(encoder, size, 4), loss_of))
    assert_same(cached, after(encoder, lambda: plain(roles(encoder, 7, 4))))


def test_gradients_are_added_to_those_that_are_there(encoder):
    pieces = roles(encoder, 3)
    _, once = after(encoder, lambda: backward(pieces, loss_of))
    _, twice = after(encoder, lambda: [backward(pieces, loss_of) for _ in range(2)])
    torch.testing.assert_close(twice, [2 * gradient for gradient in once])


@pytest.mark.parametrize("size", [2, 7])
@pytest.mark.parametrize("split", [3, 4, 6])
@pytest.mark.parametrize("encoder", [0.0, 0.2], indirect=True)
def test_the_gradients_of_two_ranks_add_up_to_those_of_one_process(encoder, split, size):
    ids = {"query": texts(7, 1), "passage": texts(7, 2)}
    slices = slice(0, split), slice(split, 7)
    parts = [
        {
            role: chunks(encoder, all_ids[piece], size, 100 * seed + piece.start)
            for seed, (role, all_ids) in enumerate(ids.items(), start=1)
        }
        for piece in slices
    ]
    together = {role: [*parts[0][role], *parts[1][role]] for role in ids}
    with torch.no_grad():
        vectors = {role: torch.cat([p() for p in some]) for role, some in together.items()}

    def rank(number: int) -> float:
        order = iter(vectors.values())

        def gather(own: Tensor) -> tuple[Tensor, slice]:
            everyone = next(order).clone()
            torch.testing.assert_close(own, everyone[slices[number]])
            return everyone, slices[number]

        return backward(parts[number], loss_of, gather)

    value, summed = after(encoder, lambda: [rank(0), rank(1)])
    assert value[0] == pytest.approx(value[1])  # each rank has the loss of the global batch
    assert_same((value[0], summed), after(encoder, lambda: plain(together)))
