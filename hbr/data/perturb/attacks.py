"""Attacks on the word embeddings of queries: `hbr.evaluation.attack` makes them, with an encoder.

The strength is the radius: a share of the mean norm of a word embedding.
"""

from hbr.data.perturb import Perturbation

FGM = Perturbation(
    "attack-fgm",
    "shifts word embeddings by one step along the gradient (FGM, arXiv 1605.07725)",
    strength=0.1,
    attack_steps=1,
)
PGD = Perturbation(
    "attack-pgd",
    "shifts word embeddings by five projected steps (PGD, arXiv 1706.06083)",
    strength=0.1,
    attack_steps=5,
)
