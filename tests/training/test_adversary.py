"""Shifts stay in their balls and go uphill; noise belongs to a text and to nothing beside it."""

import pytest
import torch

from hbr.training.adversary import ascend, by_text, normal, project, random_start, uniform

NORMS = ("l2", "linf")
LENGTHS = [4, 1, 6]


def shifts(seed: int, scale: float = 1.0) -> torch.Tensor:
    """Shifts of three texts, zero behind their ends."""
    drawn = by_text(normal, LENGTHS, [seed, seed + 1, seed + 2], 5, torch.device("cpu"))
    return scale * drawn


def size(shift: torch.Tensor, norm: str) -> torch.Tensor:
    flat = shift.flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().amax(1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("radius", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e4])
def test_a_projected_shift_is_in_the_ball_and_one_that_was_is_left_alone(norm, radius, scale):
    shift = shifts(1, scale)
    kept = project(shift, radius, norm)
    assert (size(kept, norm) <= radius * (1 + 1e-6)).all()
    inside = size(shift, norm) <= radius
    assert torch.equal(kept[inside], shift[inside])
    torch.testing.assert_close(project(kept, radius, norm), kept)


@pytest.mark.parametrize("norm", NORMS)
def test_no_point_of_the_ball_is_nearer_than_the_projected_one(norm):
    shift = shifts(2, 3.0)
    kept = project(shift, 1.0, norm)
    for seed in range(20):
        other = project(kept + shifts(10 * seed, 0.3), 1.0, norm)
        assert (
            (other - shift).flatten(1).norm(dim=1) >= (kept - shift).flatten(1).norm(dim=1)
        ).all()


def test_one_step_from_zero_is_epsilon_g_over_its_norm():
    gradient = shifts(3)
    found = ascend(torch.zeros_like(gradient), gradient, 0.7, 0.7, "l2")
    for text, own in zip(found, gradient, strict=True):
        torch.testing.assert_close(text, 0.7 * own / own.norm())
    signs = ascend(torch.zeros_like(gradient), gradient, 0.7, 0.7, "linf")
    torch.testing.assert_close(signs, 0.7 * gradient.sign())


@pytest.mark.parametrize("norm", NORMS)
def test_many_steps_stay_in_the_ball_and_find_the_highest_point_of_a_plane(norm):
    gradient = shifts(4)
    shift = torch.zeros_like(gradient)
    for _ in range(20):
        shift = ascend(shift, gradient, 0.3, 1.0, norm)
        assert (size(shift, norm) <= 1 + 1e-6).all()
    best = gradient.sign() if norm == "linf" else gradient / size(gradient, "l2")[:, None, None]
    torch.testing.assert_close(shift, best)


@pytest.mark.parametrize("norm", NORMS)
def test_a_gradient_of_zero_moves_nothing(norm):
    shift = shifts(5, 1e-3)
    assert torch.equal(ascend(shift, torch.zeros_like(shift), 0.3, 1.0, norm), shift)


@pytest.mark.parametrize("norm", NORMS)
def test_a_random_start_is_in_the_ball_and_fills_it(norm):
    lengths = [40, 60]
    drawn = by_text(uniform, lengths, [1, 2], 5, torch.device("cpu"))
    start = random_start(drawn, lengths, 0.5, norm)
    assert (size(start, norm) <= 0.5).all()
    far = 0.5 * 3**-0.5 if norm == "l2" else 0.5  # of so many numbers
    torch.testing.assert_close(size(start, norm), torch.full((2,), far), rtol=0.1, atol=0)
    assert not start[0, 40:].any()


def test_noise_belongs_to_the_text_whatever_stands_beside_it():
    alone = by_text(normal, [4], [7], 3, torch.device("cpu"))[0]
    beside = by_text(normal, [9, 4, 2], [1, 7, 2], 3, torch.device("cpu"))
    assert torch.equal(beside[1, :4], alone)
    assert not beside[1, 4:].any()
    assert not torch.equal(beside[2, :2], alone[:2])


def test_noise_has_the_asked_for_spread():
    drawn = by_text(normal, [1000], [3], 20, torch.device("cpu"))
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    drawn = by_text(uniform, [1000], [3], 20, torch.device("cpu"))
    assert float(drawn.abs().max()) <= 1
    assert float(drawn.std()) == pytest.approx(3**-0.5, abs=0.02)


def test_no_texts_have_no_noise():
    assert by_text(normal, [], [], 3, torch.device("cpu")).shape == (0, 0, 3)
