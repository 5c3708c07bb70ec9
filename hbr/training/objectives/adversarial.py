"""Adversarial training: the loss also where word embeddings are shifted to its worst."""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.core.settings.fields import Positive, PositiveFloat
from hbr.training.objectives import LossTerms, Objective, Recipe, Side

if TYPE_CHECKING:
    from torch import Tensor

    from hbr.training.batch import Chunk, EmbeddingShifts, TrainingBatch


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
    ascent_steps: Positive = Field(1, le=1000, description="K: 1 is FGM, more are PGD.")
    ascent_size: PositiveFloat | None = Field(
        None, description="Length of a step, as a share of epsilon; null: 2.5 / K, at most 1."
    )
    start: Literal["zero", "random"] = Field("zero", description="Where the ascent starts.")
    average: bool = Field(
        False, description="K points of the ascent count (FreeLB), not the last alone."
    )


@dataclass(frozen=True)
class Adversarial(Recipe):
    """L(E) + λ L(E + r), r the shift of the token embeddings E with the highest loss found.

    One step of ascent is FGM (arXiv 1605.07725), more are PGD (arXiv 1706.06083; for transfer
    between languages arXiv 2104.08645). With `average` K points of the ascent count, not the last
    alone: λ/K Σ_t L(E + r_t), FreeLB's sum (arXiv 1909.11764, algorithm 1) beside the clean loss.
    With a random start these are the start and the points of the first K - 1 steps, as there; from
    zero, whose loss is the clean one, those of K steps. The clean pass gives the first direction at
    no cost: all this takes 1 + K passes, and one more with a random start whose last point alone
    counts. r is the worst case of all texts of a batch together. Dropout is the same in all passes
    of a batch.
    """

    settings: AdversarialSettings

    def backward(self, batch: "TrainingBatch") -> LossTerms:
        """As `Recipe.backward`."""
        settings, radius = self.settings, self.radius(batch)
        random = settings.start == "random"
        shifts = batch.shifts(settings.perturbed, batch.zero_shift)
        clean = batch.backward(batch.contrastive_loss, shifts=shifts)
        if random:
            shifts = batch.shifts(settings.perturbed, partial(self._start, batch, radius))
        else:
            shifts = self._ascend(shifts, radius)
        points = settings.ascent_steps + (random and not settings.average)
        weight = settings.weight / (points if settings.average else 1)
        losses = []
        for point in range(1, points + 1):
            on_the_way = point < points and not settings.average
            if point == points:  # where they go from there is of no use
                shifts = {role: [s.detach() for s in of_role] for role, of_role in shifts.items()}
            loss = batch.backward(
                batch.contrastive_loss, shifts=shifts, weight=weight, shifts_only=on_the_way
            )
            losses += [] if on_the_way else [loss]
            if point < points:
                shifts = self._ascend(shifts, radius)
        adversarial = sum(losses) / len(losses)
        loss = clean + settings.weight * adversarial
        return {"loss": loss, "clean": clean, "adversarial": adversarial}

    def radius(self, batch: "TrainingBatch") -> float:
        """Return the ball's radius: ε times the norm of a token embedding, or of its numbers."""
        norm, width = batch.embedding_norm, batch.embedding_width
        return self.settings.epsilon * (
            norm if self.settings.norm == "l2" else norm / math.sqrt(width)
        )

    def _start(self, batch: "TrainingBatch", radius: float, chunk: "Chunk") -> "Tensor":
        from hbr.training import adversary

        numbers = batch.random_shift(chunk, adversary.uniform)
        return adversary.random_start(numbers, chunk.lengths, radius, self.settings.norm)

    def _ascend(self, shifts: "EmbeddingShifts", radius: float) -> "dict[str, list[Tensor]]":
        """Move each shift one step up its gradient; one without texts has none and stays."""
        from hbr.training.adversary import ascend

        settings = self.settings
        size = radius * (settings.ascent_size or min(1.0, 2.5 / settings.ascent_steps))
        return {
            role: [
                s
                if s.grad is None
                else ascend(s.detach(), s.grad, size, radius, settings.norm).requires_grad_()
                for s in of_role
            ]
            for role, of_role in shifts.items()
        }


ADVERSARIAL = Objective(
    "adversarial",
    AdversarialSettings,
    recipe=Adversarial,
)  # arXiv 1605.07725, 1706.06083, 1909.11764
