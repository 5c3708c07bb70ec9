"""Losses that follow a teacher: sentence-transformers' own, and by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    CachedGISTEmbedLoss,
    DistillKLDivLoss,
    MarginMSELoss,
    MSELoss,
)
from torch.nn.functional import normalize

from hbr.training.batch import Owned
from hbr.training.distillation import distill_kl, embedding_mse, guide_mask, margin_mse
from hbr.training.losses import info_nce

ROWS, WIDTH, EACH = 5, 8, 3


def unit(rows: int, seed: int, width: int = WIDTH) -> torch.Tensor:
    drawn = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return normalize(drawn).requires_grad_()


COLUMNS = [unit(ROWS, seed) for seed in range(2 + EACH)]  # queries, passages, negatives
SCORES = torch.randn(ROWS, 1 + EACH, generator=torch.Generator().manual_seed(9))
BY_ROW = torch.stack(COLUMNS[2:], dim=1).flatten(0, 1)  # (ROWS · EACH, WIDTH)
OWNED = Owned(torch.arange(ROWS).repeat_interleave(EACH), SCORES[:, 0], SCORES[:, 1:].flatten())
WHOLE = (COLUMNS[0], COLUMNS[1], BY_ROW, OWNED)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Compare losses and their gradients."""
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    found, expected = (torch.autograd.grad(x, COLUMNS, retain_graph=True) for x in (ours, theirs))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("student", "teacher"), [(1.0, 1.0), (0.05, 1.0), (0.5, 2.0)])
def test_the_divergence_is_that_of_sentence_transformers(student, teacher):
    oracle = DistillKLDivLoss(None, student_temperature=student, teacher_temperature=teacher)
    theirs = oracle.compute_loss_from_embeddings(COLUMNS, SCORES)
    ours = distill_kl(*WHOLE, temperature=student, teacher_temperature=teacher)
    assert_same(ours * student**2, theirs)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_margins_are_those_of_sentence_transformers(scale):
    oracle = MarginMSELoss(None, similarity_fct=lambda a, b: scale * (a * b).sum(1))
    theirs = oracle.compute_loss_from_embeddings(COLUMNS, SCORES)
    assert_same(margin_mse(*WHOLE, scale=scale), theirs)


def test_the_vectors_loss_is_that_of_sentence_transformers():
    targets = [unit(ROWS, seed).detach() for seed in (20, 21)]
    theirs = MSELoss(None).compute_loss_from_embeddings(COLUMNS[:2], targets)
    ours = embedding_mse(torch.cat(COLUMNS[:2]), torch.cat(targets))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("strategy", ["absolute", "relative"])
@pytest.mark.parametrize("margin", [0.0, 0.2, -0.1])
def test_the_filter_is_that_of_sentence_transformers(strategy, margin):
    guides = [unit(ROWS, seed, 3).detach() for seed in range(30, 30 + len(COLUMNS))]
    oracle = object.__new__(CachedGISTEmbedLoss)
    torch.nn.Module.__init__(oracle)
    settings = {"temperature": 0.1, "margin_strategy": strategy, "margin": margin}
    settings |= {"contrast_anchors": False, "contrast_positives": False}
    settings |= {"mini_batch_size": 2, "show_progress_bar": False, "gather_across_devices": False}
    settings |= {"cross_entropy_loss": torch.nn.CrossEntropyLoss()}
    for name, value in settings.items():
        setattr(oracle, name, value)
    oracle.similarity_fct = lambda one, other: (one * other).sum(-1)  # of unit vectors
    theirs = oracle.calculate_loss([[c] for c in COLUMNS], [[g] for g in guides])
    texts = torch.cat([guides[1], torch.stack(guides[2:], dim=1).flatten(0, 1)])
    mask = guide_mask(guides[0], texts, strategy, margin)
    assert_same(info_nce(COLUMNS[0], COLUMNS[1], BY_ROW, mask=mask, temperature=0.1), theirs)
    if margin >= 0:
        assert mask.any()


def test_rows_may_have_any_number_of_negatives():
    """Two for the first row, none for the second, one for the third."""
    queries, passages, negatives = unit(3, 0), unit(3, 1), unit(3, 2)
    owned = Owned(torch.tensor([0, 0, 2]), torch.tensor([2.0, 0, 1]), torch.tensor([1.0, 0, 3]))
    rows = [
        distill_kl(
            queries[[row]],
            passages[[row]],
            negatives[places],
            Owned(
                torch.zeros(len(places), dtype=torch.int64),
                owned.positive_score[[row]],
                owned.score[places],
            ),
        )
        for row, places in ((0, [0, 1]), (2, [2]))
    ]
    found = distill_kl(queries, passages, negatives, owned)
    torch.testing.assert_close(found, sum(rows) / 2)
    margins = (queries * passages).sum(1)[owned.row] - (queries[owned.row] * negatives).sum(1)
    wanted = torch.tensor([1.0, 2.0, -2.0])
    torch.testing.assert_close(
        margin_mse(queries, passages, negatives, owned), ((margins - wanted) ** 2).mean()
    )


def test_two_even_scores_have_the_divergence_from_one_half():
    one = torch.eye(2)[:1]
    owned = Owned(torch.tensor([0]), torch.tensor([1.0]), torch.tensor([1.0]))
    found = distill_kl(one, one, torch.eye(2)[1:], owned, temperature=1.0).item()
    q = 1 / (1 + math.exp(-1))
    assert found == pytest.approx(0.5 * math.log(0.5 / q) + 0.5 * math.log(0.5 / (1 - q)))


def test_where_no_row_has_a_negative_there_is_nothing_to_lose():
    none = Owned(torch.zeros(0, dtype=torch.int64), torch.ones(ROWS), torch.zeros(0))
    for loss in (distill_kl, margin_mse):
        value = loss(COLUMNS[0], COLUMNS[1], BY_ROW[:0], none)
        assert value.item() == 0
        value.backward()


def test_a_query_s_own_passage_is_never_filtered():
    guide = SimpleNamespace(queries=unit(4, 0).detach(), texts=unit(6, 1).detach())
    assert guide_mask(guide.queries, guide.texts, "absolute", 2.0).sum() == 4 * 6 - 4
