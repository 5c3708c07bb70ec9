"""The probe against scikit-learn, and on vectors of which it is known what they tell."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression

from hbr.evaluation.probe import PENALTY, fit, language_probe

LANGUAGES, CONCEPTS, WIDTH = 4, 80, 10
LANGUAGE = np.tile(np.arange(LANGUAGES), CONCEPTS)
CONCEPT = np.repeat(np.arange(CONCEPTS), LANGUAGES)
RNG = np.random.default_rng(11)
NOISE = RNG.normal(size=(len(LANGUAGE), WIDTH))
MEANING = 3 * RNG.normal(size=(CONCEPTS, WIDTH))[CONCEPT]
OFFSET = RNG.normal(size=(LANGUAGES, WIDTH))[LANGUAGE]
HARD = NOISE + OFFSET  # told apart, but not without error


def test_the_fit_is_that_of_scikit_learn():
    weights, converged = fit(HARD, LANGUAGE, LANGUAGES)
    model = LogisticRegression(C=1 / PENALTY, tol=1e-8, max_iter=5000).fit(HARD, LANGUAGE)
    assert converged
    assert weights[1:].transpose() == pytest.approx(model.coef_, abs=1e-3)
    assert weights[0] - weights[0].mean() == pytest.approx(model.intercept_, abs=1e-3)


def test_folds_that_share_no_concept_give_the_accuracy():
    found = language_probe(HARD, LANGUAGE, CONCEPT, seed=3)
    fold = np.random.default_rng(3).permutation(CONCEPTS)[CONCEPT] % 5
    right = np.zeros(len(HARD))
    for number in range(5):
        test = fold == number
        x = HARD - HARD[~test].mean(0)
        x /= x[~test].std()
        model = LogisticRegression(C=1, tol=1e-8, max_iter=5000).fit(x[~test], LANGUAGE[~test])
        right[test] = model.predict(x[test]) == LANGUAGE[test]
    assert found.accuracy == right.mean()
    assert found.recall == {c: right[c::LANGUAGES].mean() for c in range(LANGUAGES)}
    assert 0.5 < found.low < found.accuracy < found.high < 0.95
    assert found.normalised == pytest.approx((found.accuracy - 0.25) / 0.75)
    assert (found.vectors, found.concepts, found.folds) == (320, 80, 5)


def test_an_offset_for_each_language_is_told_without_error():
    found = language_probe(0.2 * MEANING + NOISE + 20 * OFFSET, LANGUAGE, CONCEPT, seed=0)
    assert (found.accuracy, found.normalised, found.converged) == (1, 1, True)


def test_translations_with_one_vector_are_told_by_chance_exactly():
    found = language_probe(MEANING, LANGUAGE, CONCEPT, seed=0)
    assert found.accuracy == found.chance == 0.25
    assert found.normalised == 0


def test_vectors_without_language_are_told_by_chance_within_nearly_every_interval():
    found = []
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(size=NOISE.shape)
        found.append(language_probe(MEANING + noise, LANGUAGE, CONCEPT, seed))
    assert sum(one.low <= one.chance <= one.high for one in found) >= 26
    assert np.mean([one.accuracy for one in found]) == pytest.approx(0.25, abs=0.01)


def test_the_language_of_a_concept_is_not_learnt_by_heart():
    concept = np.arange(320) // 4
    language = np.random.default_rng(4).permutation(80)[concept] % 4
    vectors = 5 * np.eye(80)[concept] + 0.01 * RNG.normal(size=(320, 80))
    assert language_probe(vectors, language, np.arange(320), seed=0).accuracy == 1
    assert language_probe(vectors, language, concept, seed=0).accuracy < 0.4


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x @ scipy.stats.ortho_group.rvs(WIDTH, random_state=0),
        lambda x: 1000 * x,
        lambda x: x + 30,
    ],
    ids=["rotation", "scale", "shift"],
)
def test_it_does_not_see_rotation_scale_and_shift(change):
    assert language_probe(change(HARD), LANGUAGE, CONCEPT, 0) == language_probe(
        HARD, LANGUAGE, CONCEPT, 0
    )


def test_chance_is_the_largest_language():
    kept = (LANGUAGE < 2) & ((LANGUAGE == 0) | (CONCEPT % 4 == 0))
    found = language_probe(MEANING[kept], LANGUAGE[kept], CONCEPT[kept], seed=0)
    assert found.chance == pytest.approx(80 / 100)
    assert found.normalised <= 0.3


@pytest.mark.parametrize("noise", [0, 1e-9])
def test_what_does_not_vary_or_is_no_number_gives_no_figure(noise):
    for vectors in (1 + noise * NOISE, np.where(CONCEPT[:, None] == 3, np.nan, HARD)):
        found = language_probe(vectors, LANGUAGE, CONCEPT, seed=0)
        assert np.isnan([found.accuracy, found.normalised, found.low, found.high]).all()
        assert not found.converged


def test_one_language_or_one_concept_gives_no_figure():
    one = LANGUAGE == 2
    assert np.isnan(language_probe(HARD[one], LANGUAGE[one], CONCEPT[one], 0).accuracy)
    assert np.isnan(language_probe(HARD, LANGUAGE, np.zeros_like(CONCEPT), 0).accuracy)
