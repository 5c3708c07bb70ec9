"""Randomized smoothing: the loss under noise on token embeddings."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.core.settings.fields import NonNegativeFloat, Share
from hbr.training.objectives import LossTerms, Objective, Recipe, Side

if TYPE_CHECKING:
    import numpy as np

    from hbr.training.batch import TrainingBatch
    from hbr.training.schedule import Batch


class SmoothingSettings(Settings):
    """Randomised smoothing: the loss under noise on word embeddings."""

    perturbed: Side = Field("both", description="Texts with noise; negatives go with passages.")
    sigma: NonNegativeFloat = Field(
        0.1, description="Noise on a token, as a share of the mean norm of a word embedding."
    )
    swap: Share = Field(
        0.0, description="Probability that a text is replaced by its row's in another language."
    )


@dataclass(frozen=True)
class Smoothing(Recipe):
    """E_r L(E + r), with one draw of r for each text and step.

    r is normal noise on the token embeddings E; for each token its length is about σ times that of
    a token embedding (Cohen et al., arXiv 1902.02918; for transfer between languages arXiv
    2104.08645). With `swap`, each text is replaced, with this probability, by the text of its row
    in another language. arXiv 2104.08645 swaps single words for synonyms instead, which needs a
    dictionary; a translation is the synonym of a whole text.
    """

    settings: SmoothingSettings

    @property
    def draws_languages(self) -> bool:
        """As `Recipe.draws_languages`."""
        return self.settings.swap > 0

    def backward(self, batch: "TrainingBatch") -> LossTerms:
        """As `Recipe.backward`."""
        from hbr.training.adversary import normal

        deviation = self.settings.sigma * batch.embedding_norm / math.sqrt(batch.embedding_width)
        if deviation == 0:
            return super().backward(batch)
        shifts = batch.shifts(
            self.settings.perturbed,
            lambda chunk: deviation * batch.random_shift(chunk, normal),
            fixed=True,
        )
        return {"loss": batch.backward(batch.contrastive_loss, shifts=shifts)}

    def augment(self, batch: "Batch", has: "np.ndarray", seed: int) -> "Batch":
        """Swap texts for those of their rows in other languages."""
        from hbr.training.schedule import swap_languages

        queries, passages = (
            self.settings.perturbed in (s, "both") for s in ("queries", "passages")
        )
        return swap_languages(
            batch, has, self.settings.swap, seed, queries=queries, passages=passages
        )


SMOOTHING = Objective("smoothing", SmoothingSettings, recipe=Smoothing)  # arXiv 2104.08645
