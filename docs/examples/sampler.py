"""A sampler: queries in any other language, passages in English."""

import numpy as np

from hbr.training.samplers import X_X_MONO, Choice, Mode, Sampler


def choices(has, languages, pivot):
    """Rows in several languages, English among them; `has` is (rows, languages)."""
    english = languages.index("en")
    others = [i for i in range(len(languages)) if i != english]
    eligible = has[:, english] & has[:, others].all(1)

    def draw(has, u):  # u (rows, 2), uniform in [0, 1)
        query = np.take(others, (u[:, 0] * len(others)).astype(int))
        return query, np.full(len(has), english)

    return [Choice("into English", eligible, draw)]


MODE = Mode("into-english", choices, cross_lingual=True)


def mix(alpha):
    """English passages with probability alpha, else monolingual batches."""
    return {MODE: alpha, X_X_MONO: 1 - alpha}


INTO_ENGLISH = Sampler("into-english", mix, uses_alpha=True)
