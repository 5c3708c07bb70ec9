"""Distillation: the encoder learns a teacher's scores or vectors, alone or beside InfoNCE."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.core.settings.fields import NonNegativeFloat, PositiveFloat
from hbr.training.objectives import LossTerms, Objective, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from hbr.training.batch import TrainingBatch, Vectors


class DistillationSettings(Settings):
    """A teacher's scores or vectors."""

    infonce_weight: NonNegativeFloat = Field(
        0.0, description="Weight of InfoNCE beside the distillation; 0: distillation alone."
    )


class DistillKLSettings(DistillationSettings):
    """KL divergence from a teacher's scores of passage and negatives."""

    teacher_temperature: PositiveFloat = Field(
        1.0, description="Divides the teacher's scores; those of a bi-encoder want some .05."
    )


class MarginMSESettings(DistillationSettings):
    """Squared difference from a teacher's margins between passage and negatives."""

    scale: PositiveFloat = Field(
        1.0, description="Multiplies the encoder's cosines, which a teacher's logits exceed."
    )


@dataclass(frozen=True)
class Distillation(Recipe):
    """The loss of `distilled`, and w L: InfoNCE with the weight `infonce_weight`."""

    settings: DistillationSettings

    def backward(self, batch: "TrainingBatch") -> LossTerms:
        """As `Recipe.backward`."""
        terms: LossTerms = {}
        weight = self.settings.infonce_weight

        def loss(vectors: "Vectors") -> "Tensor":
            value = self.distilled(batch, vectors)
            terms["distilled"] = float(value.detach())
            if weight:
                clean = batch.contrastive_loss(vectors)
                terms["clean"] = float(clean.detach())
                value = value + weight * clean
            return value

        return {"loss": batch.backward(loss), **terms}

    def distilled(self, batch: "TrainingBatch", vectors: "Vectors") -> "Tensor":
        """Return the loss that follows the teacher."""
        raise NotImplementedError


@dataclass(frozen=True)
class DistillKL(Distillation):
    """`hbr.training.distillation.distill_kl` of the batch's rows."""

    settings: DistillKLSettings

    needs_scores = True

    def distilled(self, batch: "TrainingBatch", vectors: "Vectors") -> "Tensor":
        """As `Distillation.distilled`."""
        from hbr.training.distillation import distill_kl

        return distill_kl(
            vectors["query"],
            vectors["passage"],
            vectors["negatives"],
            batch.negatives,
            temperature=batch.temperature,
            teacher_temperature=self.settings.teacher_temperature,
        )


@dataclass(frozen=True)
class MarginMSE(Distillation):
    """`hbr.training.distillation.margin_mse` of the batch's rows."""

    settings: MarginMSESettings

    needs_scores = True

    def distilled(self, batch: "TrainingBatch", vectors: "Vectors") -> "Tensor":
        """As `Distillation.distilled`."""
        from hbr.training.distillation import margin_mse

        return margin_mse(
            vectors["query"],
            vectors["passage"],
            vectors["negatives"],
            batch.negatives,
            scale=self.settings.scale,
        )


@dataclass(frozen=True)
class EmbeddingMSE(Distillation):
    """`hbr.training.distillation.embedding_mse` of queries and passages, whatever their language.

    The targets are the teacher's vectors of their rows' texts in the language that it reads.
    """

    needs_teacher_vectors = True

    @property
    def num_negatives(self) -> int:
        """As `Recipe.num_negatives`: InfoNCE alone has some."""
        return super().num_negatives if self.settings.infonce_weight else 0

    def distilled(self, batch: "TrainingBatch", vectors: "Vectors") -> "Tensor":
        """As `Distillation.distilled`."""
        import torch

        from hbr.training.distillation import embedding_mse

        assert batch.teacher is not None
        both = torch.cat([vectors["query"], vectors["passage"]])
        return embedding_mse(both, torch.cat([batch.teacher.query, batch.teacher.passage]))


# arXiv 2010.11386, 2010.02666, 2004.09813
DISTILL_KL = Objective("distill-kl", DistillKLSettings, recipe=DistillKL)
MARGIN_MSE = Objective("margin-mse", MarginMSESettings, recipe=MarginMSE)
EMBEDDING_MSE = Objective("embedding-mse", DistillationSettings, recipe=EmbeddingMSE)
