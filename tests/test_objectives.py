"""InfoNCE: by hand, and against sentence-transformers."""

import math

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import dot_score
from torch.nn.functional import normalize

from hbr.objectives import info_nce


def unit(rows: int, seed: int, width: int = 8) -> torch.Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)))


def test_the_loss_is_that_of_sentence_transformers_with_and_without_negatives():
    vectors = [unit(6, seed) for seed in range(3)]
    oracle = MultipleNegativesRankingLoss(model=None, scale=20)  # cosine, 1 / 0.05
    for some in (vectors[:2], vectors):
        theirs = oracle.compute_loss_from_embeddings(some, None)
        torch.testing.assert_close(info_nce(*some), theirs, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_sentence_transformers():
    vectors = [unit(6, seed).requires_grad_() for seed in range(3)]
    oracle = MultipleNegativesRankingLoss(model=None, scale=20, similarity_fct=dot_score)
    theirs = torch.autograd.grad(oracle.compute_loss_from_embeddings(vectors, None), vectors)
    ours = torch.autograd.grad(info_nce(*vectors), vectors)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_softmax_minus_one_hot_over_the_temperature():
    queries, passages = unit(5, 0).requires_grad_(), unit(5, 1)
    (gradient,) = torch.autograd.grad(info_nce(queries, passages, temperature=0.5), queries)
    shares = (queries @ passages.T / 0.5).softmax(1)
    expected = (shares - torch.eye(5)) @ passages / 0.5 / 5
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("pairs", [1, 2, 5])
def test_n_equal_pairs_lose_log_n(pairs):
    same = torch.ones(pairs, 4) / 2
    assert info_nce(same, same).item() == pytest.approx(math.log(pairs), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_two_orthogonal_pairs_lose_log_of_1_plus_e_to_minus_1_over_t(temperature):
    loss = info_nce(torch.eye(2), torch.eye(2), temperature=temperature).item()
    assert loss == pytest.approx(math.log1p(math.exp(-1 / temperature)), abs=1e-6)


def test_every_given_negative_stands_against_every_query():
    same = torch.ones(2, 4) / 2
    assert info_nce(same, same, same[:1]).item() == pytest.approx(math.log(3), abs=1e-6)
    assert info_nce(same, same, same[:0]).item() == pytest.approx(math.log(2), abs=1e-6)


def test_a_masked_passage_does_not_change_the_loss_whatever_its_vector():
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0, 1] = True  # the second passage is no negative of the first query

    def loss(x: float, mask: torch.Tensor | None) -> float:
        passages = torch.eye(3)
        passages[1, 0] = x  # seen by the first query alone
        return info_nce(torch.eye(3), passages, mask=mask).item()

    assert loss(0.0, mask) == loss(1.0, mask) == loss(-5.0, mask)
    assert loss(1.0, None) > loss(0.0, None) + 0.1


def test_masking_every_other_passage_leaves_nothing_to_lose():
    same = torch.ones(3, 4) / 2
    mask = ~torch.eye(3, dtype=torch.bool)
    assert info_nce(same, same, mask=mask).item() == 0
    with_negative = info_nce(same, same, same[:1], mask=mask)  # negatives are never masked
    assert with_negative.item() == pytest.approx(math.log(2), abs=1e-6)


def test_half_precision_vectors_are_compared_in_float32():
    queries, passages = unit(4, 0).bfloat16(), unit(4, 1).bfloat16()
    loss = info_nce(queries, passages)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, info_nce(queries.float(), passages.float()))
