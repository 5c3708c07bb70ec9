"""How an objective makes the gradients of one batch: what it encodes, how often, which losses.

A recipe has its objective's section of settings. It sees a batch as a `Step` and adds
gradients through `Step.backward`, so that all of them go with the gradient cache, accumulation and
several ranks. A loss of vectors alone needs no recipe of its own: it is `Plain`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from hbr.core.errors import UserError
from hbr.core.settings import Objective as Settings
from hbr.training import adversary
from hbr.training.gradient_cache import Gather, backward
from hbr.training.losses import (
    language_contrast,
    language_loss,
    reversal_strength,
    semantic_contrast,
)
from hbr.training.objectives import (
    AdversarialSettings,
    LanguageAdversarialSettings,
    LanguageContrastiveSettings,
    Side,
    SmoothingSettings,
)
from hbr.training.schedule import Batch, swapped, translations

Vectors = Mapping[str, Tensor]
Shifts = Mapping[str, Sequence[Tensor]]
Parts = dict[str, float]  # "loss", and what it is made of
SIDES = {"queries": ("query",), "passages": ("passage", "negatives")}


class Piece(Protocol):
    """Some texts of one role; called, it encodes them the same way every time."""

    @property
    def lengths(self) -> Sequence[int]: ...  # tokens of each text
    @property
    def seeds(self) -> Sequence[int]: ...  # of each text, whatever its chunk and rank
    def __call__(self, shift: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Step:
    """One global batch of n rows, as a recipe sees it.

    `chunks` are this rank's pieces of each role: query, passage, perhaps negatives and translation.
    `contrast` is the contrastive loss of the vectors of all ranks by role.
    """

    chunks: Mapping[str, Sequence[Piece]]
    contrast: Callable[[Vectors], Tensor]
    gather: Gather
    share: float  # of this batch in an optimiser's step
    progress: float  # of the training, from 0 to 1
    words: float  # mean L2 norm of a word embedding, before training
    width: int  # of a word embedding
    device: torch.device
    temperature: float
    mask: Tensor | None  # (n, n), see `info_nce`
    languages: Tensor  # (2 n,) of all queries and all passages, counted from 0
    translated: Tensor  # rows (m,) of the texts of the role "translation"
    head: nn.Module | None = None

    def backward(
        self,
        loss: Callable[[Vectors], Tensor],
        *,
        shifts: Shifts | None = None,
        weight: float = 1.0,
        weights: bool = True,
    ) -> float:
        """Add the gradients of weight · loss to the weights and to the shifts, and give the loss.

        `shifts` has one shift for each chunk of some roles. Without `weights` only they get one.
        """
        shifts, factor = shifts or {}, self.share * weight
        chunks = {
            role: [partial(piece, shift) for piece, shift in zip(pieces, shifts[role], strict=True)]
            if role in shifts
            else pieces
            for role, pieces in self.chunks.items()
        }
        into = None if weights else shifts
        return backward(chunks, lambda v: factor * loss(v), self.gather, into) / factor

    def shifts(self, side: Side, make: Callable[[Piece], Tensor]) -> dict[str, list[Tensor]]:
        """Make a shift for each chunk of one side or both; each will take a gradient."""
        roles = [r for name, of in SIDES.items() if side in (name, "both") for r in of]
        return {
            role: [make(piece).requires_grad_() for piece in self.chunks[role]]
            for role in roles
            if role in self.chunks
        }

    def zero(self, piece: Piece) -> Tensor:
        """Return the shift that changes nothing."""
        longest = max(piece.lengths, default=0)
        return torch.zeros(len(piece.lengths), longest, self.width, device=self.device)

    def drawn(self, piece: Piece, draw: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
        """Draw a number for each number of the word embeddings, the same for a text every time."""
        return adversary.by_text(draw, piece.lengths, piece.seeds, self.width, self.device)


class Head(NamedTuple):
    """Weights that are trained beside the encoder's and do not belong to it."""

    module: nn.Module
    learning_rate: float  # the highest, as the encoder's


@dataclass(frozen=True)
class Plain:
    """The contrastive loss as it is."""

    settings: Settings

    translates = False  # whether passages are encoded in another language too

    def backward(self, step: Step) -> Parts:
        """Add the gradients of a batch; give its loss and what that is made of."""
        return {"loss": step.backward(step.contrast)}

    def alter(self, batch: Batch, has: np.ndarray, seed: int) -> Batch:
        """Choose other texts for a batch; `has` (n, languages) says what its rows have."""
        del has, seed
        return batch

    def head(self, width: int, languages: int) -> Head | None:
        """Make the weights that the objective has of its own, from torch's random state."""
        del width, languages
        return None


@dataclass(frozen=True)
class Adversarial(Plain):
    """Adversarial training: L(E) + λ L(E + r), r the worst shift of the word embeddings E found.

    One step of ascent is FGM (arXiv 1605.07725), more are PGD (arXiv 1706.06083; for transfer
    between languages arXiv 2104.08645). With `average` every point on the way counts, not the last
    alone: λ/K Σ_t L(E + r_t), FreeLB's sum (arXiv 1909.11764, algorithm 1) beside the clean loss.
    The clean pass gives the first direction at no cost, so that from a zero start K steps take
    1 + K passes; a random start takes one more. A batch has one loss: r is the worst case of all
    its texts together. Dropout is the same in all passes of a batch.
    """

    settings: AdversarialSettings

    def backward(self, step: Step) -> Parts:
        """As `Plain.backward`."""
        radius = self.radius(step)
        size = radius * (self.settings.ascent_size or min(1.0, 2.5 / self.settings.ascent_steps))
        shifts = step.shifts(self.settings.perturbed, step.zero)
        clean = step.backward(step.contrast, shifts=shifts)
        random = self.settings.start == "random"
        counted = self.settings.ascent_steps + random if self.settings.average else 1
        found = []
        for number in range(0 if random else 1, self.settings.ascent_steps + 1):
            if number == 0:
                shifts = step.shifts(self.settings.perturbed, partial(self._start, step, radius))
            else:
                shifts = {
                    r: [self._higher(s, size, radius) for s in of] for r, of in shifts.items()
                }
            counts = self.settings.average or number == self.settings.ascent_steps
            weight = self.settings.weight / counted
            value = step.backward(step.contrast, shifts=shifts, weight=weight, weights=counts)
            if counts:
                found.append(value)
        raised = sum(found) / counted
        return {
            "loss": clean + self.settings.weight * raised,
            "clean": clean,
            "adversarial": raised,
        }

    def radius(self, step: Step) -> float:
        """Return the radius of a ball: ε times the size of a word embedding, or of its numbers."""
        size = step.words if self.settings.norm == "l2" else step.words / math.sqrt(step.width)
        return self.settings.epsilon * size

    def _start(self, step: Step, radius: float, piece: Piece) -> Tensor:
        drawn = step.drawn(piece, adversary.uniform)
        return adversary.random_start(drawn, piece.lengths, radius, self.settings.norm)

    def _higher(self, shift: Tensor, size: float, radius: float) -> Tensor:
        if shift.grad is None:  # no texts
            return shift
        higher = adversary.ascend(shift.detach(), shift.grad, size, radius, self.settings.norm)
        return higher.requires_grad_()


@dataclass(frozen=True)
class Smoothing(Plain):
    """Randomised smoothing: E_r L(E + r), one r a text and step.

    r is normal noise on the word embeddings E, of the length σ times that of a word embedding for
    each token (Cohen et al., arXiv 1902.02918; for transfer between languages arXiv 2104.08645).
    With `swap`, texts are also augmented: each is swapped, with this probability, for the text of
    its row in another language. arXiv 2104.08645 swaps single words for synonyms instead, which
    needs a dictionary; a translation is the synonym of a whole text.
    """

    settings: SmoothingSettings

    def backward(self, step: Step) -> Parts:
        """As `Plain.backward`."""
        deviation = self.settings.sigma * step.words / math.sqrt(step.width)
        if deviation == 0:
            return {"loss": step.backward(step.contrast)}
        shifts = step.shifts(
            self.settings.perturbed, lambda piece: deviation * step.drawn(piece, adversary.normal)
        )
        return {"loss": step.backward(step.contrast, shifts=shifts)}

    def alter(self, batch: Batch, has: np.ndarray, seed: int) -> Batch:
        """Swap texts."""
        queries, passages = (self.settings.perturbed in (side, "both") for side in SIDES)
        return swapped(batch, has, self.settings.swap, seed, queries=queries, passages=passages)


@dataclass(frozen=True)
class LanguageAdversarial(Plain):
    """A classifier learns to tell the languages of vectors, the encoder to leave it nothing to see.

    L + L_l, L_l the `language_loss` of all queries and passages behind a reversal of strength
    λ · λ_p, with `ramp` λ_p as in `reversal_strength`, else 1 (Ganin & Lempitsky et al., arXiv
    1505.07818). The classifier has one hidden layer as wide as a vector.
    """

    settings: LanguageAdversarialSettings

    def backward(self, step: Step) -> Parts:
        """As `Plain.backward`."""
        assert step.head is not None
        classify = step.head
        strength = self.settings.weight * (
            reversal_strength(step.progress) if self.settings.ramp else 1.0
        )
        parts: Parts = {}

        def loss(vectors: Vectors) -> Tensor:
            clean = step.contrast(vectors)
            both = torch.cat([vectors["query"], vectors["passage"]])
            language = language_loss(both, step.languages, classify, strength)
            parts.update(clean=float(clean.detach()), language=float(language.detach()))
            return clean + language

        return {"loss": step.backward(loss), **parts, "reversal": strength}

    def head(self, width: int, languages: int) -> Head:
        """Make the classifier. Raises UserError where there is but one language."""
        if languages < 2:
            raise UserError("--objective language-adversarial needs two languages or more")
        layers = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, languages)
        return Head(nn.Sequential(*layers), self.settings.classifier_learning_rate)


@dataclass(frozen=True)
class LanguageContrastive(Plain):
    """L + w_s L_s + w_l L_l: parallel passages come close, and equally near to all other passages.

    L_s is the `semantic_contrast` and L_l the `language_contrast` of the batch's passages, their
    translations (one a row, in another of the row's languages) and the passages of other rows
    (Hu et al., Findings of ACL 2023, arXiv 2210.06633). Rows without another language, and
    passages of the same group, stand back.
    """

    settings: LanguageContrastiveSettings

    translates = True

    def backward(self, step: Step) -> Parts:
        """As `Plain.backward`."""
        parts: Parts = {}

        def loss(vectors: Vectors) -> Tensor:
            clean = step.contrast(vectors)
            others, rows = vectors["passage"], step.translated
            same = torch.zeros(len(others), len(others), dtype=torch.bool, device=others.device)
            if step.mask is not None:
                same = step.mask.clone()
            semantic = semantic_contrast(
                others[rows],
                vectors["translation"],
                mask=same[rows][:, rows],
                temperature=step.temperature,
            )
            counted = ~same.fill_diagonal_(True)[rows]
            language = language_contrast(
                others[rows], vectors["translation"], others, counted, temperature=step.temperature
            )
            terms = {"clean": clean, "semantic": semantic, "language": language}
            parts.update({name: float(term.detach()) for name, term in terms.items()})
            return (
                clean + self.settings.weight * semantic + self.settings.language_weight * language
            )

        return {"loss": step.backward(loss), **parts}


def translated(batch: Batch, has: np.ndarray, seed: int) -> tuple[np.ndarray, Batch]:
    """Return the rows (m,) whose passages have a translation, and a batch of these in its language.

    `has` (n, languages) is of the batch's rows.
    """
    other = translations(batch, has, seed)
    rows = np.flatnonzero(other != batch.passage_language)
    return rows, batch._replace(
        rows=batch.rows[rows],
        query_language=batch.query_language[rows],
        passage_language=other[rows],
    )
