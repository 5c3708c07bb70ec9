"""Language-contrastive training: parallel passages come close, and equally near to all others."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.core.settings.fields import NonNegativeFloat, PositiveFloat
from hbr.training.objectives import LossTerms, Objective, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from hbr.training.batch import TrainingBatch, Vectors


class LanguageContrastiveSettings(Settings):
    """Contrast of translations: parallel passages come close, and equally near to all others."""

    weight: PositiveFloat = Field(1.0, description="w_s, of the semantic contrastive loss.")
    language_weight: NonNegativeFloat = Field(
        0.1, description="w_l, of the language contrastive loss."
    )


@dataclass(frozen=True)
class LanguageContrastive(Recipe):
    """L + w_s L_s + w_l L_l (Hu et al., Findings of ACL 2023, arXiv 2210.06633).

    L_s is the `semantic_contrast` and L_l the `language_contrast` of the batch's passages, their
    translations (one for each row, in another of its languages) and the passages of other rows.
    Rows without another language are left out, and so are passages of the same group.
    """

    settings: LanguageContrastiveSettings

    needs_translations = True

    def backward(self, batch: "TrainingBatch") -> LossTerms:
        """As `Recipe.backward`."""
        terms: LossTerms = {}

        def loss(vectors: "Vectors") -> "Tensor":
            losses = {"clean": batch.contrastive_loss(vectors), **self._contrasts(batch, vectors)}
            terms.update({name: float(term.detach()) for name, term in losses.items()})
            return (
                losses["clean"]
                + self.settings.weight * losses["semantic"]
                + self.settings.language_weight * losses["language"]
            )

        return {"loss": batch.backward(loss), **terms}

    def _contrasts(self, batch: "TrainingBatch", vectors: "Vectors") -> "dict[str, Tensor]":
        import torch

        from hbr.training.losses import language_contrast, semantic_contrast

        passages, rows, t = vectors["passage"], batch.translated_rows, batch.temperature
        same_group = torch.zeros(2 * [len(passages)], dtype=torch.bool, device=passages.device)
        if batch.mask is not None:
            same_group = batch.mask[:, : len(passages)].clone()
        translations = vectors["translation"]
        mask = same_group[rows][:, rows]
        semantic = semantic_contrast(passages[rows], translations, mask=mask, temperature=t)
        counted = ~same_group.fill_diagonal_(True)[rows]
        language = language_contrast(passages[rows], translations, passages, counted, temperature=t)
        return {"semantic": semantic, "language": language}


LANGUAGE_CONTRASTIVE = Objective(
    "language-contrastive",
    LanguageContrastiveSettings,
    recipe=LanguageContrastive,
)  # arXiv 2210.06633
