"""Matryoshka: the sum of the losses of cut vectors, as sentence-transformers has it."""

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor, nn
from torch.nn.functional import normalize

from hbr.training.losses import info_nce, symmetric
from hbr.training.matryoshka import matryoshka
from tests.support import beside, hbr, log_of, only_run


class Given(nn.Module):
    """A model of sentence-transformers whose texts are their vectors."""

    def get_embedding_dimension(self) -> int:
        return 8

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["x"]}


def made(n: int = 5, d: int = 8) -> list[Tensor]:
    torch.manual_seed(0)
    vectors = [normalize(torch.randn(n, d), dim=-1) for _ in range(3)]
    return [v.requires_grad_() for v in vectors]


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [1.0, 0.5, 2.0]])
def test_it_is_the_loss_of_sentence_transformers_with_its_gradients(weights):
    dims, ours = [8, 4, 2], made()
    model = Given()
    inner = MultipleNegativesRankingLoss(model, scale=20.0)
    theirs = MatryoshkaLoss(model, inner, dims, weights)
    expected = theirs([{"x": v} for v in ours], torch.zeros(5))
    wanted = torch.autograd.grad(expected, ours)
    found = matryoshka(info_nce, dims, weights, True)(*ours, temperature=0.05)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, ours), wanted, rtol=1e-4, atol=1e-5)


def test_vectors_with_lengths_of_their_own_keep_them():
    queries, passages, _ = made()
    found = matryoshka(info_nce, [2], [1.0], False)(3 * queries, passages)
    torch.testing.assert_close(found, info_nce(3 * queries[:, :2], passages[:, :2]))


def test_masks_and_the_other_direction_pass_through():
    queries, passages, _ = made()
    mask = torch.zeros(5, 5, dtype=torch.bool)
    mask[0, 1] = True
    found = matryoshka(symmetric(info_nce), [8], [1.0], True)(queries, passages, mask=mask)
    torch.testing.assert_close(found, symmetric(info_nce)(queries, passages, mask=mask))


@pytest.mark.parametrize(
    "objective", ["infonce", "adversarial", "language-adversarial", "language-contrastive"]
)
def test_every_objective_trains_cut_vectors_with_and_without_the_gradient_cache(
    world, tmp_path, objective
):
    losses = {}
    for size in ("null", "5"):
        out = ["--output-dir", beside(world, tmp_path / size), "--objective", objective]
        words = ["--steps", "3", "--batch-size", "16", "--set", "logging_steps=1"]
        words += ["--set", "matryoshka_dims=[64, 16]", "--set", f"mini_batch_size={size}"]
        said = hbr("train", *words, *out)
        assert said.code == 0, said.err
        losses[size] = [
            line["loss"] for line in log_of(only_run(tmp_path / size)) if "loss" in line
        ]
    assert losses["null"] == pytest.approx(losses["5"], abs=1e-3)


def test_lengths_and_weights_that_do_not_fit_are_named(world, tmp_path):
    out = ["--output-dir", beside(world, tmp_path), "--steps", "1"]
    said = hbr("train", "--set", "matryoshka_dims=[640]", *out)
    assert (said.code, "matryoshka_dims: 640 is more than the vectors' 64" in said.err) == (2, True)
    said = hbr("train", "--set", "matryoshka_dims=[64]", "--set", "matryoshka_weights=[1, 2]", *out)
    assert (said.code, "1 matryoshka_dims need as many weights" in said.err) == (2, True)
