"""Losses: by hand, against sentence-transformers, and against finite differences."""

import math
from functools import partial

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import dot_score
from torch.nn.functional import normalize

from hbr.training.losses import (
    info_nce,
    language_contrast,
    language_loss,
    reversal_strength,
    reverse,
    semantic_contrast,
    symmetric,
)


def unit(rows: int, seed: int, width: int = 8) -> torch.Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)))


def test_the_loss_is_that_of_sentence_transformers_with_and_without_negatives():
    vectors = [unit(6, seed) for seed in range(3)]
    oracle = MultipleNegativesRankingLoss(model=None, scale=20)  # cosine, 1 / 0.05
    for some in (vectors[:2], vectors):
        theirs = oracle.compute_loss_from_embeddings(some, None)
        torch.testing.assert_close(info_nce(*some), theirs, rtol=1e-6, atol=1e-6)


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


def test_several_negatives_a_row_are_the_columns_of_sentence_transformers():
    """Row by row here, column by column there: the loss does not depend on their order."""
    columns = [unit(6, seed) for seed in range(4)]
    oracle = MultipleNegativesRankingLoss(model=None, scale=20)
    theirs = oracle.compute_loss_from_embeddings(columns, None)
    by_row = torch.stack(columns[2:], dim=1).flatten(0, 1)
    ours = info_nce(*columns[:2], by_row)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_masking_every_other_passage_leaves_nothing_to_lose():
    same = torch.ones(3, 4) / 2
    mask = ~torch.eye(3, dtype=torch.bool)
    assert info_nce(same, same, mask=mask).item() == 0
    for hidden, left in ((False, math.log(2)), (True, 0.0)):
        wider = torch.cat([mask, torch.full((3, 1), hidden)], dim=1)
        loss = info_nce(same, same, same[:1], mask=wider).item()
        assert loss == pytest.approx(left, abs=1e-6)


def test_half_precision_vectors_are_compared_in_float32():
    queries, passages = unit(4, 0).bfloat16(), unit(4, 1).bfloat16()
    loss = info_nce(queries, passages)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, info_nce(queries.float(), passages.float()))


def double(rows: int, seed: int, width: int = 5) -> torch.Tensor:
    """Unit vectors in float64 that take a gradient."""
    drawn = torch.randn(
        rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return normalize(drawn).requires_grad_()


@pytest.mark.parametrize("loss", [info_nce, symmetric(info_nce)])
def test_the_gradients_of_the_contrastive_losses_are_those_of_finite_differences(loss):
    mask = torch.zeros(4, 7, dtype=torch.bool)
    mask[0, 2] = mask[1, 6] = True
    vectors = double(4, 0), double(4, 1), double(3, 2)
    torch.autograd.gradcheck(lambda *v: loss(*v, mask=mask, temperature=0.3), vectors)


def test_symmetric_is_the_mean_of_both_directions_the_mask_transposed():
    queries, passages, negatives = unit(4, 0), unit(4, 1), unit(2, 2)
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[0, 2] = mask[3, 4] = True
    there = info_nce(queries, passages, negatives, mask=mask, temperature=0.1)
    turned = mask[:, :4].T
    back = info_nce(passages, queries, mask=turned, temperature=0.1)
    both = symmetric(info_nce)(queries, passages, negatives, mask=mask, temperature=0.1)
    torch.testing.assert_close(both, (there + back) / 2)
    assert abs(float(there - back)) > 1e-2
    assert back != info_nce(passages, queries, mask=turned.T, temperature=0.1)


def test_symmetric_turns_round_a_loss_of_ones_own():
    def own(queries, passages, negatives=None, *, mask=None, temperature=0.05):
        return queries.sum() * temperature + 10 * (negatives is not None)

    both = symmetric(own)(torch.ones(2, 1), torch.full((2, 1), 3.0), torch.ones(1), temperature=0.5)
    assert both == (1 + 10 + 3) / 2


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_a_reversal_changes_nothing_forwards_and_turns_the_gradient_round(strength):
    x = unit(3, 0).requires_grad_()
    turned = reverse(x, strength)
    assert torch.equal(turned, x)
    (gradient,) = torch.autograd.grad((turned**2).sum(), x)
    torch.testing.assert_close(gradient, -strength * 2 * x)


def test_the_reversal_rises_as_in_the_paper():
    assert reversal_strength(0) == 0
    for progress in (0.1, 0.5, 1.0):
        expected = 2 / (1 + math.exp(-10 * progress)) - 1
        assert reversal_strength(progress) == pytest.approx(expected, abs=1e-12)


def test_the_language_loss_trains_the_classifier_down_and_the_vectors_up():
    vectors, languages = double(6, 0), torch.tensor([0, 1, 2, 0, 1, 2])
    weight = double(3, 1)

    def loss(vectors, weight, strength):
        return language_loss(vectors, languages, lambda v: v @ weight.T, strength)

    torch.autograd.gradcheck(partial(loss, strength=-1.0), (vectors, weight))  # nothing turned
    plain = torch.autograd.grad(loss(vectors, weight, -1.0), (vectors, weight))
    turned = torch.autograd.grad(loss(vectors, weight, 0.25), (vectors, weight))
    torch.testing.assert_close(turned[0], -0.25 * plain[0])
    torch.testing.assert_close(turned[1], plain[1])
    assert float(plain[0].detach().abs().max()) > 1e-2


def test_the_semantic_contrast_is_infonce_of_translations_in_both_directions():
    passages, translations = unit(4, 0), unit(4, 1)
    found = semantic_contrast(passages, translations, temperature=0.1)
    scores = passages @ translations.T / 0.1
    own = scores.diag()
    expected = (2 * own - scores.logsumexp(0) - scores.logsumexp(1)).mean() / -2
    torch.testing.assert_close(found, expected)
    torch.autograd.gradcheck(
        partial(semantic_contrast, temperature=0.3), (double(4, 0), double(4, 1))
    )


def language_contrast_by_hand(passages, translations, others, counted, temperature):
    """The paper's two logarithms, pair by pair."""
    terms = []
    for i, line in enumerate(counted):
        for k in torch.nonzero(line).flatten():
            one = torch.exp(passages[i] @ others[k] / temperature)
            other = torch.exp(translations[i] @ others[k] / temperature)
            share = one / (one + other)
            terms.append(-(torch.log(share) + torch.log(1 - share)) / 2)
    return torch.stack(terms).mean()


def test_the_language_contrast_is_that_of_the_equation_and_its_gradient_too():
    passages, translations, others = double(3, 0), double(3, 1), double(4, 2)
    counted = torch.ones(3, 4, dtype=torch.bool)
    counted[0, 0] = counted[2, 1] = False
    found = language_contrast(passages, translations, others, counted, temperature=0.2)
    expected = language_contrast_by_hand(passages, translations, others, counted, 0.2)
    torch.testing.assert_close(found, expected)
    torch.autograd.gradcheck(
        lambda *v: language_contrast(*v, counted, temperature=0.2), (passages, translations, others)
    )


def test_the_language_contrast_is_least_where_a_pair_is_equally_near_to_the_others():
    others = torch.eye(4)
    passages, counted = others[:2], torch.ones(2, 4, dtype=torch.bool)
    equal = language_contrast(passages, passages, others, counted)
    assert equal.item() == pytest.approx(math.log(2))
    counted[:, :2] = False  # those that they do differ in
    apart = others[[1, 0]]
    assert language_contrast(passages, apart, others, counted).item() == pytest.approx(math.log(2))
    counted[:, 0] = True  # one of three, where the scores over t are 20 apart
    far = language_contrast(passages, apart, others, counted).item()
    assert far == pytest.approx((10 + 2 * math.log(2)) / 3)


def test_texts_far_apart_lose_finitely():
    passages = torch.eye(2)
    counted = torch.ones(2, 2, dtype=torch.bool)
    loss = language_contrast(passages, -passages, passages, counted, temperature=1e-3)
    assert loss.item() == pytest.approx((1000 + math.log(2)) / 2)


def test_where_no_passage_has_a_translation_there_is_nothing_to_lose():
    none = torch.zeros(0, 4, requires_grad=True)
    counted = torch.zeros(0, 3, dtype=torch.bool)
    loss = semantic_contrast(none, none) + language_contrast(none, none, unit(3, 0, 4), counted)
    assert loss.item() == 0
    loss.backward()
