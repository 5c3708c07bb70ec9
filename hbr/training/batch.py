"""A training batch as an objective sees it: this rank's texts in chunks, and where gradients go.

A batch's texts have one of four *roles*: `query`, `passage`, `negatives` (passages that the data
give as negatives) and `translation` (passages in another language, where an objective wants them).
An *embedding shift* is added to the token embeddings of some texts: (texts, tokens, width).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hbr.models.encoder import Encoder
from hbr.models.precision import autocast
from hbr.training import adversary
from hbr.training.gradient_cache import Gather, backward
from hbr.training.losses import Loss
from hbr.training.parallel import ALONE, Alone
from hbr.training.schedule import same_group

Vectors = Mapping[str, Tensor]  # by role
EmbeddingShifts = Mapping[str, Sequence[Tensor]]  # by role, one for each chunk
ROLES = {"queries": ("query",), "passages": ("passage", "negatives")}
ROLES["both"] = ROLES["queries"] + ROLES["passages"]


@dataclass(frozen=True)
class TextEncoder:
    """An encoder on a device, with the precision and padding of a run."""

    encoder: Encoder
    device: torch.device
    precision: str
    unpadded: bool

    def __call__(self, texts: Sequence[np.ndarray], shift: Tensor | None = None) -> Tensor:
        """Encode token ids: (texts, width)."""
        with autocast(self.device, self.precision):
            return self.encoder.encode(texts, self.device, shift, unpadded=self.unpadded)


@dataclass(frozen=True)
class Chunk:
    """Some texts of one role, perhaps none. A call encodes them, the same way every time.

    Where there are none but a `filler`, that is encoded and left out, so that a backward pass goes
    through the encoder on every rank.
    """

    encode: TextEncoder
    texts: list[np.ndarray]
    dropout_seed: int
    noise_seeds: Callable[[], list[int]]  # called where an objective draws noise
    filler: np.ndarray | None = None

    @property
    def seeds(self) -> list[int]:
        """Seeds of each text's noise, whatever its chunk and rank."""
        return self.noise_seeds()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(text) for text in self.texts]

    def __call__(self, shift: Tensor | None = None) -> Tensor:
        device, width = self.encode.device, self.encode.encoder.embedding_dimension
        if not self.texts:
            if self.filler is None:
                return torch.zeros(0, width, device=device, requires_grad=True)
            if shift is not None:  # of no texts
                shift = shift.sum().expand(1, len(self.filler), shift.shape[-1])
            return self.encode([self.filler], shift)[:0]
        # without a GPU torch.manual_seed records the stack each time, which is slow
        cpu = device.type == "cpu"
        (torch.default_generator.manual_seed if cpu else torch.manual_seed)(self.dropout_seed)
        return self.encode(self.texts, shift)


class AuxiliaryHead(NamedTuple):
    """Weights that an objective trains beside the encoder and that are not saved with it."""

    module: nn.Module
    learning_rate: float  # peak; it follows the encoder's schedule


class Owned(NamedTuple):
    """Whose each of a batch's m negatives is, and a teacher's scores where the rows have some.

    A score that is not known is NaN.
    """

    row: Tensor  # (m,) place of its row in the batch, ascending
    positive_score: Tensor | None = None  # (n,) of the passages
    score: Tensor | None = None  # (m,)


class TeacherTexts(NamedTuple):
    """A teacher's vectors of a batch's texts."""

    query: Tensor  # (n, width)
    passage: Tensor  # (n, width)
    negatives: Tensor  # (m, width)


@dataclass(frozen=True)
class TrainingBatch:
    """One global batch of n rows, with the texts of this rank."""

    chunks: Mapping[str, Sequence[Chunk]]  # by role
    loss: Loss
    gather: Gather
    scale: float  # of its gradients: 1 / accumulation steps
    progress: float  # of the training, from 0 to 1
    embedding_norm: float  # mean L2 norm of a token embedding before training
    embedding_width: int
    device: torch.device
    temperature: float
    mask: Tensor | None  # (n, n + m) for n passages and m negatives, see `info_nce`
    languages: Tensor  # (2n,) numbers of the languages of all queries, then of all passages
    translated_rows: Tensor  # (m,) row of each text of the role "translation"
    head: nn.Module
    negatives: Owned
    teacher: TeacherTexts | None = None
    parallel: Alone = ALONE

    def contrastive_loss(self, vectors: Vectors) -> Tensor:
        """Return the loss of the vectors of all ranks."""
        return self.loss(
            vectors["query"],
            vectors["passage"],
            vectors.get("negatives"),
            mask=self.mask,
            temperature=self.temperature,
        )

    def backward(
        self,
        loss: Callable[[Vectors], Tensor],
        *,
        shifts: EmbeddingShifts | None = None,
        weight: float = 1.0,
        shifts_only: bool = False,
    ) -> float:
        """Add the gradients of weight · loss to the weights and the shifts; return the loss.

        With `shifts_only` the weights get no gradient. On several ranks the last gradients come at
        the end of the step, but those of shifts come here.
        """
        shifts, factor = shifts or {}, self.scale * weight
        chunks = {
            role: [partial(c, shift) for c, shift in zip(of_role, shifts[role], strict=True)]
            if role in shifts
            else of_role
            for role, of_role in self.chunks.items()
        }
        inputs = shifts if shifts_only else None
        self.parallel.flush()
        value = backward(
            chunks,
            lambda vectors: factor * loss(vectors),
            self.gather,
            inputs,
            self.parallel.backward,
        )
        if any(shift.requires_grad for of_role in shifts.values() for shift in of_role):
            self.parallel.flush()  # an objective wants their gradients
        return value / factor

    def shifts(
        self,
        side: Literal["queries", "passages", "both"],
        make: Callable[[Chunk], Tensor],
        *,
        fixed: bool = False,
    ) -> dict[str, list[Tensor]]:
        """Make a shift for each chunk of one side or of both; it takes a gradient unless fixed."""
        return {
            role: [make(chunk).requires_grad_(not fixed) for chunk in self.chunks[role]]
            for role in ROLES[side]
            if role in self.chunks
        }

    def zero_shift(self, chunk: Chunk) -> Tensor:
        """Return the shift that changes nothing."""
        longest = max(chunk.lengths, default=0)
        return torch.zeros(len(chunk.lengths), longest, self.embedding_width, device=self.device)

    def random_shift(self, chunk: Chunk, draw: adversary.Draw) -> Tensor:
        """Return a random shift, the same for a text whatever its chunk and rank."""
        return adversary.by_text(
            draw, chunk.lengths, chunk.seeds, self.embedding_width, self.device
        )


def group_mask(
    group: np.ndarray, mask: str, device: torch.device, negatives: np.ndarray | None = None
) -> Tensor | None:
    """Return which texts may not be negatives of which queries, or None with mask `none`.

    `group` (n,) is of the rows, `negatives` (m,) of given negatives; the mask is (n, n + m).
    """
    return None if mask == "none" else torch.from_numpy(same_group(group, negatives)).to(device)
