"""A linear probe: can the language of a text be read off its vector?"""

from typing import NamedTuple

import numpy as np

from hbr.core.statistics import Design, bootstrap, interval
from hbr.evaluation.geometry import varies

FOLDS = 5
PENALTY = 1.0  # on half the squared weights, against the sum of the losses
STEPS = 1000  # of L-BFGS at most
FLAT = 1e-5  # the highest slope of the mean loss at what counts as the minimum
RESAMPLES = 1000


class Probe(NamedTuple):
    """How often a probe names the language of vectors of concepts that it was not fitted to.

    `chance` is the share of the largest language; `normalised` is (accuracy - chance) /
    (1 - chance): 1 where languages can be told apart without error, 0 where nothing tells them.
    `low` and `high` bound the accuracy (95 %, over concepts). `recall` is the accuracy by
    language. `converged` says whether every fit came to its minimum (`FLAT`).
    """

    accuracy: float
    low: float
    high: float
    chance: float
    normalised: float
    recall: dict[int, float]
    vectors: int
    concepts: int
    folds: int
    converged: bool


def language_probe(
    vectors: np.ndarray, language: np.ndarray, concept: np.ndarray, seed: int, folds: int = FOLDS
) -> Probe:
    """Fit a multinomial logistic regression to some concepts, and test it on the others.

    Vectors (n, width), language and concept (n,). All vectors of a concept are in one fold, so
    that a language cannot be told by what is said. Vectors are centred and divided by one number
    for all directions, so that their variance is 1 in the mean: the figures do not depend on
    rotation, shift or scale, as they would if each dimension were standardised for itself. Figures
    are NaN where vectors do not vary, with one language, or with fewer than two concepts. The
    interval draws concepts, with the fits as they are. One seed gives one answer.
    """
    codes, wanted = np.unique(language, return_inverse=True)
    concepts, group = np.unique(concept, return_inverse=True)
    folds = min(folds, len(concepts))
    size = np.bincount(wanted, minlength=1)
    chance = float(size.max() / max(len(wanted), 1))
    if len(codes) < 2 or folds < 2 or not varies(vectors):
        nan = float("nan")
        nothing = dict.fromkeys(map(int, codes), nan)
        counts = len(wanted), len(concepts), folds
        return Probe(nan, nan, nan, chance, nan, nothing, *counts, converged=False)
    fold = np.random.default_rng(seed).permutation(len(concepts))[group] % folds
    right, converged = np.zeros(len(wanted)), True
    for number in range(folds):
        test = fold == number
        lines, scale = _standard(vectors[~test])
        weights, done = fit(lines, wanted[~test], len(codes))
        tested = _apply(vectors[test], *scale)
        right[test] = (tested @ weights[1:] + weights[0]).argmax(1) == wanted[test]
        converged &= done
    design = Design(group, np.zeros(len(group), dtype=np.int64))
    low, high = interval(bootstrap(design, right[:, None], RESAMPLES, seed)[:, 0])
    accuracy = float(right.mean())
    recall = np.bincount(wanted, right) / size
    return Probe(
        accuracy,
        low,
        high,
        chance,
        (accuracy - chance) / (1 - chance),
        dict(zip(map(int, codes), map(float, recall), strict=True)),
        len(wanted),
        len(concepts),
        folds,
        converged,
    )


def fit(vectors: np.ndarray, wanted: np.ndarray, classes: int) -> tuple[np.ndarray, bool]:
    """Minimise the sum of cross-entropies plus `PENALTY` / 2 times the squared weights.

    Gives weights (1 + width, classes), the first line being the intercepts, which are not
    penalised; and whether the minimum was found. It is the only one, but for a constant added to
    all intercepts.
    """
    from scipy.optimize import minimize

    n, width = vectors.shape
    columns = np.ascontiguousarray(vectors.T)  # twice as fast as lines, with so few classes
    own = wanted, np.arange(n)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(classes, 1 + width)
        scores = weights[:, 1:] @ columns + weights[:, :1]
        scores -= scores.max(0)
        value = PENALTY / 2 * (weights[:, 1:] ** 2).sum() - scores[own].sum()
        np.exp(scores, out=scores)
        total = scores.sum(0)
        scores /= total
        scores[own] -= 1
        slope = np.empty_like(weights)
        slope[:, 0] = scores.sum(1)
        slope[:, 1:] = scores @ columns.T + PENALTY * weights[:, 1:]
        return (value + np.log(total).sum()) / n, slope.ravel() / n

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "gtol": FLAT, "ftol": 0, "maxcor": 20}
    start = np.zeros(classes * (1 + width))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(classes, -1).T, bool(np.abs(found.jac).max() < 10 * FLAT)


def _standard(vectors: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """Centre vectors and give them unit variance in the mean; and the mean and deviation."""
    mean = vectors.mean(0, dtype=np.float64)
    deviation = float(np.sqrt(((vectors - mean) ** 2).mean())) or 1.0
    return _apply(vectors, mean, deviation), (mean, deviation)


def _apply(vectors: np.ndarray, mean: np.ndarray, deviation: float) -> np.ndarray:
    return (vectors - mean) / deviation
