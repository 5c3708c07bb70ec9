"""Training objectives: what each is called, the settings it reads, and where it is computed.

Light on purpose: settings are checked without torch. How an objective makes the gradients of a
batch is in `hbr.training.objectives.recipes`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hbr.core.settings import NonNegativeFloat, Positive, PositiveFloat, Share
from hbr.core.settings import Objective as Settings

if TYPE_CHECKING:
    from hbr.training.objectives.recipes import Plain

Side = Literal["queries", "passages", "both"]


@dataclass(frozen=True)
class Objective:
    """A training objective and all that is known of it.

    `loss` is a contrastive loss such as `hbr.training.losses.info_nce`, `recipe` a class such as
    those of `hbr.training.objectives.recipes`, made with the objective's settings. Both may be
    given as `module:attribute`, imported when training starts.
    """

    name: str
    settings: type[Settings] = Settings
    recipe: "str | Callable[[Any], Plain]" = "hbr.training.objectives.recipes:Plain"
    loss: str | Callable[..., Any] = "hbr.training.losses:info_nce"
    passes: str = "1"  # texts encoded, as a multiple of InfoNCE's
    source: str = ""  # the paper

    def make_recipe(self, settings: Settings) -> "Plain":
        """Return the recipe with its settings."""
        return _imported(self.recipe)(settings)

    def make_loss(self) -> Callable[..., Any]:
        """Return the contrastive loss."""
        return _imported(self.loss)


def _imported(place: Any) -> Any:
    if not isinstance(place, str):
        return place
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


class AdversarialSettings(Settings):
    """Adversarial training: the loss also of word embeddings shifted where it is worst."""

    perturbed: Side = Field(
        "both", description="Texts whose word embeddings are shifted; negatives go with passages."
    )
    weight: PositiveFloat = Field(1.0, description="λ, of the loss of shifted texts.")
    epsilon: PositiveFloat = Field(
        0.1,
        description="Radius, as a share of the mean norm of a word embedding: of a whole text (l2) "
        "or of each number of the embeddings (linf).",
    )
    norm: Literal["l2", "linf"] = Field("l2", description="Norm of the ball round a text.")
    ascent_steps: Positive = Field(1, description="K: 1 is FGM, more are PGD.")
    ascent_size: PositiveFloat | None = Field(
        None, description="Length of a step, as a share of epsilon; null: 2.5 / K, at most 1."
    )
    start: Literal["zero", "random"] = Field("zero", description="Where the ascent starts.")
    average: bool = Field(
        False, description="Every point of the ascent counts (FreeLB), not the last alone."
    )


class SmoothingSettings(Settings):
    """Randomised smoothing: the loss under noise on word embeddings."""

    perturbed: Side = Field("both", description="Texts with noise; negatives go with passages.")
    sigma: NonNegativeFloat = Field(
        0.1, description="Noise on a token, as a share of the mean norm of a word embedding."
    )
    swap: Share = Field(
        0.0, description="Probability that a text is replaced by its row's in another language."
    )


class LanguageAdversarialSettings(Settings):
    """A classifier of languages behind a gradient reversal."""

    weight: PositiveFloat = Field(1.0, description="λ, the strength of the reversal.")
    ramp: bool = Field(True, description="λ rises from 0 over training.")
    classifier_learning_rate: PositiveFloat = Field(
        1e-3, description="Peak learning rate of the classifier."
    )


class LanguageContrastiveSettings(Settings):
    """Contrast of translations: parallel passages come close, and equally near to all others."""

    weight: PositiveFloat = Field(1.0, description="w_s, of the semantic contrastive loss.")
    language_weight: NonNegativeFloat = Field(
        0.1, description="w_l, of the language contrastive loss."
    )


_RECIPES = "hbr.training.objectives.recipes"
INFONCE = Objective("infonce", source="arXiv 1807.03748")
ADVERSARIAL = Objective(
    "adversarial",
    AdversarialSettings,
    f"{_RECIPES}:Adversarial",
    passes="1 + K",
    source="arXiv 1605.07725, 1706.06083, 1909.11764",
)
SMOOTHING = Objective(
    "smoothing", SmoothingSettings, f"{_RECIPES}:Smoothing", source="arXiv 2104.08645"
)
LANGUAGE_ADVERSARIAL = Objective(
    "language-adversarial",
    LanguageAdversarialSettings,
    f"{_RECIPES}:LanguageAdversarial",
    source="arXiv 1505.07818",
)
LANGUAGE_CONTRASTIVE = Objective(
    "language-contrastive",
    LanguageContrastiveSettings,
    f"{_RECIPES}:LanguageContrastive",
    passes="1.5",
    source="arXiv 2210.06633",
)
