"""A perturbation: some words in capitals."""

from hbr.data.perturb import Perturbation


def shout(text, language, rng, strength):
    """Return the text with a share of its words in capitals."""
    return " ".join(word.upper() if rng.random() < strength else word for word in text.split(" "))


SHOUT = Perturbation("shout", "share of words in capitals", shout, strength=0.3)
