"""Measures of geometry against closed forms, brute force and scipy, and what they do not see."""

import numpy as np
import pytest
import scipy.stats
from scipy.special import hyp0f1

from hbr.evaluation import geometry as measured
from hbr.evaluation.geometry import (
    cka,
    cosines,
    distances,
    hubness,
    isotropy,
    language_share,
    uniformity,
    unit,
    varies,
)

RNG = np.random.default_rng(5)
CLOUD = RNG.normal(size=(300, 12)).astype(np.float32)
OTHER = (CLOUD @ RNG.normal(size=(12, 12)) + 0.5).astype(np.float32)
CODES = np.arange(300) % 3
SHARED = CLOUD + 2  # a direction that all vectors share


def rotated(*vectors):
    turn = scipy.stats.ortho_group.rvs(12, random_state=1)
    return [x @ turn for x in vectors]


def test_alignment_the_mean_distance_is_twice_one_minus_the_cosine():
    x, y = np.array([[1.0, 0], [0, 2]]), np.array([[3.0, 0], [5, 0]])
    assert distances(x, y).mean() == pytest.approx((0 + 2) / 2)
    assert distances(x, y, alpha=1).mean() == pytest.approx(2**0.5 / 2)
    assert distances(CLOUD, -CLOUD).mean() == pytest.approx(4)
    cos = np.array(
        [1 - scipy.spatial.distance.cosine(a, b) for a, b in zip(CLOUD, OTHER, strict=True)]
    )
    assert distances(CLOUD, OTHER).mean() == pytest.approx((2 - 2 * cos).mean(), abs=1e-5)


@pytest.mark.parametrize("count", [2, 300, 2 * measured.BLOCK + 3])
def test_uniformity_is_that_of_all_pairs(count):
    vectors = np.random.default_rng(0).normal(size=(count, 5))
    lines = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    brute = np.log(np.exp(-3 * scipy.spatial.distance.pdist(lines) ** 2).mean())
    assert uniformity(vectors, t=3) == pytest.approx(brute, abs=1e-5)


@pytest.mark.parametrize("width", [3, 20, 200])
def test_uniform_vectors_have_the_uniformity_of_the_sphere(width):
    vectors = np.random.default_rng(1).normal(size=(4000, width))
    expected = -4 + np.log(hyp0f1(width / 2, 4))
    assert uniformity(vectors) == pytest.approx(expected, abs=0.01)
    assert width < 200 or uniformity(vectors) == pytest.approx(-4, abs=0.05)


def test_hubness_counts_what_a_full_sort_finds():
    passages = CLOUD[:80]
    top = np.argsort(-(OTHER @ passages.T), axis=1)[:, :7]
    counts = np.bincount(top.ravel(), minlength=80)
    found = hubness(OTHER, passages, 7)
    assert found.skewness == pytest.approx(scipy.stats.skew(counts))
    assert found.never == (counts == 0).mean()
    assert found.most == counts.max()
    assert 0 < found.never < 1


def test_each_passage_found_once_has_no_hubs():
    found = hubness(np.eye(6), np.eye(6), 1)
    assert (found.never, found.most) == (0, 1)
    assert np.isnan(found.skewness)  # nothing to be skewed


def test_a_passage_near_all_queries_is_a_hub():
    hub = np.concatenate([CLOUD, 100 * SHARED.mean(0, keepdims=True)])
    asked = SHARED + 5
    assert hubness(asked, hub).most == len(asked)
    assert hubness(asked, hub).skewness > hubness(CLOUD, CLOUD).skewness


def original_isoscore(vectors):
    """Return IsoScore by the steps of Rudman et al., algorithm 1."""
    d = vectors.shape[1]
    spectrum = np.sort(np.linalg.eigvalsh(np.cov(vectors.T)))
    normed = spectrum * d**0.5 / np.linalg.norm(spectrum)
    defect = np.linalg.norm(normed - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    used = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return (d * used - 1) / (d - 1)


@pytest.mark.parametrize("vectors", [CLOUD, OTHER, SHARED], ids=["even", "odd", "shared"])
def test_isotropy_by_its_definitions(vectors):
    found, lines = isotropy(vectors), unit(vectors).astype(np.float64)
    assert found.isoscore == pytest.approx(original_isoscore(lines), abs=1e-5)
    values = np.linalg.svd(lines - lines.mean(0))[1] ** 2
    assert found.participation == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-4)
    entropy = scipy.stats.entropy(values / values.sum())
    assert found.effective_rank == pytest.approx(np.exp(entropy), rel=1e-4)
    sums = [np.exp(sign * lines @ c).sum() for c in np.linalg.svd(lines)[2] for sign in (1.0, -1.0)]
    assert found.partition == pytest.approx(min(sums) / max(sums), rel=1e-4)


def test_isotropy_from_one_to_nothing():
    axes = np.concatenate([np.eye(9), -np.eye(9)])
    assert isotropy(axes) == pytest.approx((1, 9, 9, 1), rel=1e-5)
    line = isotropy(np.outer([1.0, -1, 2, -2], np.arange(1, 10)))
    assert line[:3] == pytest.approx((0, 1, 1), abs=1e-5)
    assert isotropy(CLOUD + 50).partition == pytest.approx(np.exp(-2), rel=0.01)


def brute_cka(x, y, debiased):
    """Return CKA from Gram matrices: HSIC with centring, or HSIC₁ of Song et al."""

    def hsic(k, m):
        n, one = len(k), np.ones(len(k))
        if not debiased:
            h = np.eye(n) - 1 / n
            return np.trace(k @ h @ m @ h)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return (np.trace(k @ m) + middle - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))

    a, b = (v.astype(np.float64) @ v.T.astype(np.float64) for v in (x, y))
    return hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("lines", [9, 12, 300])  # fewer than dimensions, as many, more
def test_cka_is_that_of_gram_matrices(lines, debiased):
    x, y = CLOUD[:lines], OTHER[:lines]
    found = cka(x, y, debiased=debiased)
    assert found == pytest.approx(brute_cka(x, y, debiased), abs=1e-6)
    assert found == pytest.approx(cka(y, x, debiased=debiased))


@pytest.mark.parametrize("debiased", [True, False])
def test_one_encoding_twice_has_a_cka_of_one_in_any_position(debiased):
    (turned,) = rotated(CLOUD)
    assert cka(CLOUD, CLOUD, debiased=debiased) == pytest.approx(1)
    assert cka(CLOUD, 3 * turned + 7, debiased=debiased) == pytest.approx(1, abs=1e-6)


def test_unrelated_encodings_have_no_debiased_cka_and_a_plain_one_by_their_size():
    rng = np.random.default_rng(2)
    pairs = [(rng.normal(size=(60, 40)), rng.normal(size=(60, 40))) for _ in range(30)]
    assert np.mean([cka(x, y) for x, y in pairs]) == pytest.approx(0, abs=0.02)
    assert np.mean([cka(x, y, debiased=False) for x, y in pairs]) == pytest.approx(0.4, abs=0.03)


def test_cosines_are_those_of_the_matrix_on_and_off_its_diagonal():
    matrix = 1 - scipy.spatial.distance.cdist(CLOUD, OTHER, "cosine")
    off = matrix[~np.eye(len(matrix), dtype=bool)].mean()
    assert cosines(CLOUD, OTHER) == pytest.approx((np.diag(matrix).mean(), off), abs=1e-6)


def test_the_share_of_language_from_none_to_all():
    means = np.eye(12)[CODES]
    assert language_share(means + 0.001 * CLOUD, CODES) == pytest.approx(1, abs=1e-3)
    same = np.repeat(CLOUD[:100], 3, axis=0)
    assert language_share(same, CODES) == pytest.approx(0, abs=1e-9)
    many = np.random.default_rng(3).normal(size=(3000, 30))
    assert language_share(many, np.arange(3000) % 10) == pytest.approx(9 / 2999, rel=0.2)
    by_hand = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    assert language_share(by_hand, np.array([0, 0, 1, 1])) == pytest.approx(0.5)


MEASURES = {
    "uniformity": lambda x, _: uniformity(x),
    "hubness": lambda x, y: [*hubness(x, y)],
    "isotropy": lambda x, _: [*isotropy(x)],
    "cka": lambda x, y: cka(x, y),
    "plain cka": lambda x, y: cka(x, y, debiased=False),
    "cosines": lambda x, y: [*cosines(x, y)],
    "language share": lambda x, _: language_share(x, CODES[: len(x)]),
}
LENGTHS_COUNT = {"hubness", "cka", "plain cka"}


@pytest.mark.parametrize("name", MEASURES)
def test_rotation_and_scale_change_nothing(name):
    before = MEASURES[name](SHARED, OTHER)
    assert MEASURES[name](*rotated(SHARED, OTHER)) == pytest.approx(before, rel=1e-4, abs=1e-5)
    assert MEASURES[name](8 * SHARED, 8 * OTHER) == pytest.approx(before, rel=1e-4, abs=1e-5)
    lengths = RNG.uniform(0.5, 2, size=(300, 1))
    longer = MEASURES[name](SHARED * lengths, OTHER * lengths)
    same = longer == pytest.approx(before, rel=1e-4, abs=1e-5)
    assert same == (name not in LENGTHS_COUNT)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_a_vector_without_numbers_gives_no_figure(name, damage):
    x = CLOUD.copy()
    x[7, 3] = damage
    assert np.isnan(MEASURES[name](x, OTHER)).all()


WORST = {"uniformity": 0, "cosines": [1, 1]}


@pytest.mark.parametrize("noise", [0, 1e-8])
@pytest.mark.parametrize("name", [name for name in MEASURES if name != "hubness"])
def test_vectors_that_are_all_one_give_no_figure_or_the_worst(name, noise):
    x = (np.ones((50, 12)) + noise * RNG.normal(size=(50, 12))).astype(np.float32)
    expected = WORST.get(name, np.full(np.shape(MEASURES[name](x, x)), np.nan))
    assert MEASURES[name](x, x) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_vectors_that_are_all_one_are_full_of_hubs():
    found = hubness(np.ones((50, 4)), np.ones((40, 4)))
    assert (found.never, found.most) == (0.75, 50)


def test_too_few_vectors_give_no_figure():
    one = CLOUD[:1]
    assert np.isnan(uniformity(one))
    assert np.isnan(isotropy(one)).all()
    assert np.isnan(cka(CLOUD[:3], OTHER[:3]))
    assert np.isnan(cosines(one, OTHER[:1])[1])
    assert np.isnan(hubness(CLOUD[:0], CLOUD)).all()
    assert not varies(one)


def test_lengths_that_float32_cannot_square_are_unit_vectors_too():
    assert unit(np.array([[3e-30, 4e-30], [3e30, 4e30]])) == pytest.approx(
        np.array([[0.6, 0.8], [0.6, 0.8]])
    )
    assert np.isnan(unit(np.zeros((1, 3)))).all()
