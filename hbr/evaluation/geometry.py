"""The geometry of an encoder's vectors: do translations meet, and is the space used?

Every measure takes vectors (n, width) and is the same after a rotation, and after one factor for
all vectors. Most put vectors on the unit sphere first and so do not depend on lengths at all;
`hubness` and `cka` do. With a vector that is not finite, or all vectors the same, a measure is NaN
or says the worst.
"""

from typing import NamedTuple

import numpy as np

from hbr.retrieval.top_k import top_k

SAME = 1e-6  # relative: vectors that differ less than this differ by rounding
BLOCK = 512  # vectors compared with all others at a time


class Hubs(NamedTuple):
    """How often passages are among the first k of the queries, N_k.

    `skewness` is that of N_k over passages: 0 where it is symmetric, high where few passages are
    near many queries. `never` is the share of passages near no query (anti-hubs), `most`
    the highest N_k.
    """

    skewness: float
    never: float
    most: float


class Isotropy(NamedTuple):
    """How evenly unit vectors fill the directions of their space.

    `isoscore`: 1 where the covariance is the same in all directions, 0 where vectors vary along
    one alone. `partition`: 1 where no direction is preferred, exp(-2) where all vectors are one.
    `participation` and `effective_rank`: directions in use, from 1 to the width.
    """

    isoscore: float
    participation: float
    effective_rank: float
    partition: float


def unit(vectors: np.ndarray) -> np.ndarray:
    """Put vectors on the unit sphere, in float32; NaN for one that has no length or no number."""
    rows = np.asarray(vectors, dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        rows = rows / np.abs(rows).max(1, keepdims=True, initial=0)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def varies(vectors: np.ndarray) -> bool:
    """Whether vectors are finite and differ by more than rounding."""
    if len(vectors) < 2 or not np.isfinite(vectors).all():
        return False
    rows = vectors.astype(np.float64)
    mean = rows.mean(0)
    return bool(((rows - mean) ** 2).sum() > SAME**2 * (rows**2).sum())


def distances(x: np.ndarray, y: np.ndarray, alpha: float = 2) -> np.ndarray:
    """Return ||x - y||^alpha between unit vectors, line by line: (n,).

    Its mean over positive pairs is their alignment: at alpha 2, from 0 to 4, twice one minus the
    cosine. Lower is better. Wang, Isola, arXiv 2005.10242, section 4.1.
    """
    return ((unit(x).astype(np.float64) - unit(y)) ** 2).sum(1) ** (alpha / 2)


def uniformity(vectors: np.ndarray, t: float = 2) -> float:
    """Log of the mean of exp(-t ||x - y||²) over all pairs of unit vectors; lower is more even.

    0 where all vectors are one; uniform vectors in d dimensions have -2t + log 0F1(d / 2, t²),
    close to -2t. NaN below two vectors. Wang, Isola, arXiv 2005.10242, section 4.1.
    """
    rows, total = unit(vectors), 0.0
    for at in range(0, len(rows), BLOCK):
        cosines = rows[at : at + BLOCK] @ rows[at:].T
        near = np.exp(2 * t * (np.minimum(cosines, 1) - 1))
        total += np.triu(near[:, : len(near)], 1).sum(dtype=np.float64)
        total += near[:, len(near) :].sum(dtype=np.float64)
    number = len(rows) * (len(rows) - 1) / 2
    return float(np.log(total / number)) if number else float("nan")


def hubness(queries: np.ndarray, passages: np.ndarray, k: int = 10) -> Hubs:
    """Count the passages among each query's k highest inner products: a few passages for all?

    Lengths count, as in retrieval; one factor for all vectors does not. Even without hubs N_k is
    skewed where queries ask for some passages more than for others: compare encoders, on one task.
    NaN where N_k is the same for all. Radovanović et al., Hubs in Space, JMLR 11, 2010, section 3.
    """
    if not len(queries) or not (np.isfinite(queries).all() and np.isfinite(passages).all()):
        return Hubs(*[float("nan")] * 3)
    counts = np.zeros(len(passages))
    for _, places in top_k(queries, passages, k, block_mb=64):
        counts += np.bincount(places.ravel(), minlength=len(passages))
    from_mean = counts - counts.mean()
    sd = from_mean.std()
    skewness = float((from_mean**3).mean() / sd**3) if sd > 0 else float("nan")
    return Hubs(skewness, float((counts == 0).mean()), float(counts.max()))


def isotropy(vectors: np.ndarray) -> Isotropy:
    """Return how evenly unit vectors fill their space, from the eigenvalues λ of their covariance.

    `participation` is (Σλ)² / Σλ²; `isoscore`, (participation - 1) / (width - 1), which is what
    the IsoScore of Rudman et al., arXiv 2108.07344, comes to; `effective_rank`, exp of the entropy
    of λ / Σλ (Roy, Vetterli, 2007). They see no more directions than there are vectors.
    `partition` is min Z(c) / max Z(c), Z(c) = Σ exp(c·x), over the eigenvectors c of Σ x xᵀ (Mu,
    Viswanath, arXiv 1702.01417, equation 2), each with both signs, since a sign is arbitrary; it
    alone sees a direction that all vectors share. All NaN where vectors do not vary.
    """
    rows = unit(vectors)
    if not varies(rows):
        return Isotropy(*[float("nan")] * 4)
    wide, width = rows.astype(np.float64), rows.shape[1]
    centred = wide - wide.mean(0)
    spectrum = np.maximum(np.linalg.eigvalsh(centred.T @ centred), 0)
    share = spectrum / spectrum.sum()
    participation = 1 / (share**2).sum()
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum()
    along = wide @ np.linalg.eigh(wide.T @ wide)[1]
    sums = np.concatenate([np.exp(along).sum(0), np.exp(-along).sum(0)])
    return Isotropy(
        float((participation - 1) / (width - 1)) if width > 1 else float("nan"),
        float(participation),
        float(np.exp(entropy)),
        float(sums.min() / sums.max()),
    )


def cka(x: np.ndarray, y: np.ndarray, *, debiased: bool = True) -> float:
    """Linear CKA between two encodings of the same n things, line by line.

    1 where one is a rotation, shift and scaling of the other; blind to what all of a language
    shares. Not debiased, it is at least 0 and far above 0 for unrelated vectors when n is not
    much larger than the width d: about d / (n + d). Debiased, unrelated vectors have 0 in the
    mean. NaN where an encoding does not vary, or below four rows. Kornblith et al., arXiv
    1905.00414, equations 3 and 4; debiased, with the HSIC₁ of Song et al., JMLR 13, 2012,
    equation 5, as in Nguyen et al., arXiv 2010.15327.
    """
    if len(x) < 4 or not (varies(x) and varies(y)):
        return float("nan")
    a, b = (rows.astype(np.float64) - rows.mean(0, dtype=np.float64) for rows in (x, y))
    norms = _similarity(a, a, debiased), _similarity(b, b, debiased)
    if min(norms) <= 0:
        return float("nan")
    return float(_similarity(a, b, debiased) / np.sqrt(norms[0] * norms[1]))


def _similarity(x: np.ndarray, y: np.ndarray, debiased: bool) -> float:
    """Return n² HSIC of centred vectors under linear kernels, or n (n - 3) HSIC₁."""
    n = len(x)
    if n > max(x.shape[1], y.shape[1]):
        product = float(((x.T @ y) ** 2).sum())
    else:
        product = float(((x @ x.T) * (y @ y.T)).sum())
    if not debiased:
        return product
    a, b = (x**2).sum(1), (y**2).sum(1)
    return product - n / (n - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((n - 1) * (n - 2))


def cosines(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean cosine between translations (a line of x, that line of y), and between all other pairs.

    Their difference is what tells a translation from another text; 0 where all vectors are one.
    The second is NaN below two rows.
    """
    left, right = unit(x).astype(np.float64), unit(y).astype(np.float64)
    n, same = len(x), float((left * right).sum())
    others = (float(left.sum(0) @ right.sum(0)) - same) / (n * (n - 1)) if n > 1 else float("nan")
    return same / n, others


def language_share(vectors: np.ndarray, language: np.ndarray) -> float:
    """Share of the variance of unit vectors that the means of their languages account for.

    0 where all languages have one mean, 1 where nothing but the language tells vectors apart; of
    unrelated vectors about (languages - 1) / (n - 1). The R² of a one-way analysis of variance,
    summed over dimensions; biased by topic where languages do not say the same. NaN where vectors
    do not vary.
    """
    rows = unit(vectors).astype(np.float64)
    if not varies(rows):
        return float("nan")
    mean, between = rows.mean(0), 0.0
    for code in np.unique(language):
        group = rows[language == code]
        between += len(group) * ((group.mean(0) - mean) ** 2).sum()
    return float(between / ((rows - mean) ** 2).sum())
