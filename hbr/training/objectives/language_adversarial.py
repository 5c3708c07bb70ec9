"""Language-adversarial training: vectors that do not show the language of their texts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from hbr.core.errors import UserError
from hbr.core.settings import Objective as Settings
from hbr.core.settings.fields import PositiveFloat
from hbr.training.objectives import LossTerms, Objective, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from hbr.training.batch import AuxiliaryHead, TrainingBatch, Vectors


class LanguageAdversarialSettings(Settings):
    """A classifier of languages behind a gradient reversal."""

    weight: PositiveFloat = Field(1.0, description="λ, the strength of the reversal.")
    ramp: bool = Field(True, description="λ rises from 0 over training.")
    classifier_learning_rate: PositiveFloat = Field(
        1e-3, description="Peak learning rate of the classifier."
    )


@dataclass(frozen=True)
class LanguageAdversarial(Recipe):
    """L + L_l: a classifier learns the languages of vectors, and the encoder learns to hide them.

    L_l is the `language_loss` of all queries and passages behind a reversal of strength λ · λ_p;
    λ_p is `reversal_strength` with `ramp`, else 1 (Ganin & Lempitsky et al., arXiv 1505.07818).
    The classifier has one hidden layer, as wide as a vector.
    """

    settings: LanguageAdversarialSettings

    def backward(self, batch: "TrainingBatch") -> LossTerms:
        """As `Recipe.backward`."""
        import torch

        from hbr.training.losses import language_loss, reversal_strength

        ramp = reversal_strength(batch.progress) if self.settings.ramp else 1.0
        strength = self.settings.weight * ramp
        terms: LossTerms = {}

        def loss(vectors: "Vectors") -> "Tensor":
            clean = batch.contrastive_loss(vectors)
            both = torch.cat([vectors["query"], vectors["passage"]])
            language = language_loss(both, batch.languages, batch.head, strength)
            terms.update(clean=float(clean.detach()), language=float(language.detach()))
            return clean + language

        return {"loss": batch.backward(loss), **terms, "reversal": strength}

    def head(self, width: int, languages: int) -> "AuxiliaryHead":
        """Make the classifier. Raises UserError where there is only one language."""
        from torch import nn

        from hbr.training.batch import AuxiliaryHead

        if languages < 2:
            raise UserError("--objective language-adversarial needs two languages or more")
        layers = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, languages)
        return AuxiliaryHead(nn.Sequential(*layers), self.settings.classifier_learning_rate)


LANGUAGE_ADVERSARIAL = Objective(
    "language-adversarial",
    LanguageAdversarialSettings,
    recipe=LanguageAdversarial,
)  # arXiv 1505.07818
