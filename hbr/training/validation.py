"""Validation, by which the best checkpoint is chosen: a contrastive loss, or what else is given."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from hbr.core import distributed
from hbr.core.settings import Config
from hbr.data.rows import Rows
from hbr.data.tokens import Tokens
from hbr.training.batch import TextEncoder, group_mask
from hbr.training.losses import Loss


class Validation(NamedTuple):
    """Validation rows with their tokens, and the languages to validate in."""

    rows: Rows
    tokens: Tokens
    languages: tuple[str, ...]


class Measured(NamedTuple):
    """A value of validation, and those by language."""

    value: float
    by_language: Mapping[str, float]


class Validate(Protocol):
    """Measures an encoder in training, the same on all ranks."""

    name: str  # in the log
    lower_is_better: bool

    def __call__(self, encode: TextEncoder) -> Measured:
        """Return the value, without dropout."""

    @property
    def token_ids(self) -> list[np.ndarray]:
        """The token ids of all texts."""


class ValidationLoss:
    """The mean contrastive loss of monolingual batches, always the same ones."""

    name, lower_is_better = "validation_loss", True

    def __init__(self, validation: Validation, loss: Loss, config: Config) -> None:
        self.validation, self.loss, self.config = validation, loss, config

    @property
    def token_ids(self) -> list[np.ndarray]:
        """The token ids of all texts."""
        return list(self.validation.tokens.flat.values())

    @torch.no_grad()
    def __call__(self, encode: TextEncoder) -> Measured:
        """Return the loss; each rank computes a share of the batches."""
        encode.encoder.eval()
        batches = list(self._batches())
        mine = distributed.dealt(batches)
        losses = distributed.all_gather_objects([self._loss(encode, *batch) for batch in mine])
        encode.encoder.train()
        total, count = 0.0, 0
        for i, (_, rows) in enumerate(batches):  # in their order, whoever computed them
            number, rank = divmod(i, distributed.world_size())
            total, count = total + losses[rank][number] * len(rows), count + len(rows)
        return Measured(total / count, {})

    def _batches(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the code of a language and rows that have it."""
        rows, size = self.validation.rows, self.config.train.batch_size
        for language in self.validation.languages:
            code = rows.languages.index(language)
            eligible = np.flatnonzero(rows.has[:, code])
            for at in range(0, len(eligible), size):
                yield code, eligible[at : at + size]

    def _loss(self, encode: TextEncoder, code: int, batch: np.ndarray) -> float:
        rows, tokens, _ = self.validation
        objective, codes = self.config.objective, np.full(len(batch), code)
        size = self.config.train.mini_batch_size or len(batch)

        def vectors(role: str, cells: np.ndarray) -> Tensor:
            texts = tokens.texts(role, cells)
            return torch.cat([encode(texts[at : at + size]) for at in range(0, len(texts), size)])

        queries = vectors("query", rows.query_cells(batch, codes))
        passages = vectors("passage", rows.passage_cells(batch, codes))
        mask = group_mask(np.asarray(rows.group)[batch], objective.mask, encode.device)
        loss = self.loss(queries, passages, mask=mask, temperature=objective.temperature)
        return float(loss)
