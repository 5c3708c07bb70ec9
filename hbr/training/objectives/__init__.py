"""Training objectives: the name, the settings and the gradients of each.

An objective is a loss of vectors, or a *recipe* that makes the gradients of a batch from more than
one loss or pass. Adding one takes a file that holds its settings, its recipe and its `Objective`,
and a line in `hbr.core.registry`. One from outside is used as `package.module:ATTRIBUTE`.

These modules import torch and numpy only when they train: settings are checked without them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hbr.core.settings import Objective as Settings

if TYPE_CHECKING:
    import numpy as np

    from hbr.training.batch import AuxiliaryHead, TrainingBatch
    from hbr.training.schedule import Batch

Side = Literal["queries", "passages", "both"]
LossTerms = dict[str, float]  # "loss", and the terms it consists of; the log has them all


@dataclass(frozen=True)
class Recipe:
    """How an objective makes the gradients of a batch; this one takes the contrastive loss as is.

    Gradients that are added with `TrainingBatch.backward` go with the gradient cache, with
    accumulation and with several ranks.
    """

    settings: Any

    needs_translations = False  # encode each passage in another language of its row, too
    needs_scores = False  # a teacher's, of passages and negatives
    needs_teacher_vectors = False

    @property
    def draws_languages(self) -> bool:
        """Whether it puts texts into a batch in other languages than the sampler does."""
        return self.needs_translations

    @property
    def num_negatives(self) -> int:
        """How many given negatives of each row it puts into a batch."""
        return int(self.settings.num_negatives)

    def backward(self, batch: "TrainingBatch") -> LossTerms:
        """Add the gradients of a batch to the weights; return its loss and the terms of it."""
        return {"loss": batch.backward(batch.contrastive_loss)}

    def augment(self, batch: "Batch", has: "np.ndarray", seed: int) -> "Batch":
        """Choose other languages for a batch; `has` (n, languages) says which its rows have."""
        del has, seed
        return batch

    def head(self, width: int, languages: int) -> "AuxiliaryHead | None":
        """Make weights for vectors of this width, from torch's random state, if it trains any."""
        del width, languages
        return None


class Needs(NamedTuple):
    """What training needs of a teacher."""

    scores: bool
    vectors: bool


@dataclass(frozen=True)
class Objective:
    """A training objective with its facts.

    `loss` is a contrastive loss such as `hbr.training.losses.info_nce`, which is the default.
    `recipe` is made with the objective's settings. Without a recipe of its own, the settings that
    `settings` adds to those of every objective are keyword arguments of the loss.
    """

    name: str
    settings: type[Settings] = Settings
    loss: Callable[..., Any] | None = None
    recipe: Callable[[Any], Recipe] = Recipe

    def needs(self, settings: Settings) -> Needs:
        """Return what training needs of a teacher."""
        recipe, guided = self.recipe(settings), settings.guide != "none"
        return Needs(recipe.needs_scores, recipe.needs_teacher_vectors or guided)

    def make_loss(self, settings: Settings) -> Callable[..., Any]:
        """Return the contrastive loss, symmetric where the settings say so."""
        from hbr.training.losses import info_nce, symmetric

        loss = self.loss or info_nce
        if self.recipe is Recipe:
            added = self.settings.model_fields.keys() - Settings.model_fields.keys()
            loss = partial(loss, **{name: getattr(settings, name) for name in sorted(added)})
        return symmetric(loss) if settings.symmetric else loss


INFONCE = Objective("infonce")  # arXiv 1807.03748
