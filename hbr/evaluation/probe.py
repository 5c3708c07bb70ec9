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
    (1 - chance): 1 where the probe makes no error, 0 where it does not beat chance.
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

    Vectors (n, dimension), language and concept (n,). All vectors of a concept are in one fold, so
    that the content of a text does not give its language away. Vectors are centred and divided by
    one number for all dimensions, so that their variance is 1 in the mean: the figures do not
    depend on rotation, shift or scale. Figures are NaN where vectors do not vary, with one
    language, or with fewer than two concepts. The interval draws concepts, with the fits as they
    are. The result depends on the arguments alone.
    """
    codes, label = np.unique(language, return_inverse=True)
    concepts, group = np.unique(concept, return_inverse=True)
    folds = min(folds, len(concepts))
    size = np.bincount(label, minlength=1)
    chance, nan = float(size.max() / max(len(label), 1)), float("nan")
    counts = len(label), len(concepts), folds
    unknown = dict.fromkeys(map(int, codes), nan)
    probe = Probe(nan, nan, nan, chance, nan, unknown, *counts, converged=False)
    if len(codes) < 2 or folds < 2 or not varies(vectors):
        return probe
    fold = np.random.default_rng(seed).permutation(len(concepts))[group] % folds
    right, converged = np.zeros(len(label)), True
    for number in range(folds):
        test = fold == number
        mean, deviation = _mean_and_deviation(vectors[~test])
        standard = (vectors - mean) / deviation
        weights, done = fit(standard[~test], label[~test], len(codes))
        right[test] = (standard[test] @ weights[1:] + weights[0]).argmax(1) == label[test]
        converged &= done
    design = Design(group, np.zeros(len(group), dtype=np.int64))
    low, high = interval(bootstrap(design, right[:, None], RESAMPLES, seed)[:, 0])
    accuracy, recall = float(right.mean()), np.bincount(label, right) / size
    return probe._replace(
        accuracy=accuracy,
        low=low,
        high=high,
        normalised=(accuracy - chance) / (1 - chance),
        recall=dict(zip(unknown, map(float, recall), strict=True)),
        converged=converged,
    )


def fit(vectors: np.ndarray, label: np.ndarray, classes: int) -> tuple[np.ndarray, bool]:
    """Minimise the sum of cross-entropies plus `PENALTY` / 2 times the squared weights.

    Returns weights (1 + dimension, classes), the first row being the intercepts, which are not
    penalised; and whether the minimum was found. It is the only one, but for a constant added to
    all intercepts.
    """
    from scipy.optimize import minimize

    n, width = vectors.shape
    columns = np.ascontiguousarray(vectors.T)  # twice as fast as rows, with so few classes
    labels = label, np.arange(n)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(classes, 1 + width)
        scores = weights[:, 1:] @ columns + weights[:, :1]
        scores -= scores.max(0)
        value = PENALTY / 2 * (weights[:, 1:] ** 2).sum() - scores[labels].sum()
        np.exp(scores, out=scores)
        total = scores.sum(0)
        scores /= total
        scores[labels] -= 1
        slope = np.empty_like(weights)
        slope[:, 0] = scores.sum(1)
        slope[:, 1:] = scores @ columns.T + PENALTY * weights[:, 1:]
        return (value + np.log(total).sum()) / n, slope.ravel() / n

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "gtol": FLAT, "ftol": 0, "maxcor": 20}
    start = np.zeros(classes * (1 + width))
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return fitted.x.reshape(classes, -1).T, bool(np.abs(fitted.jac).max() < 10 * FLAT)


def _mean_and_deviation(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean, and the deviation that gives unit variance in the mean of dimensions."""
    mean = vectors.mean(0, dtype=np.float64)
    return mean, float(np.sqrt(((vectors - mean) ** 2).mean())) or 1.0
