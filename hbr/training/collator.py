"""From a batch of the schedule to the batch that an objective sees.

Dropout and noise have seeds that depend on the run's seed, the step and the text's place alone: a
run that is resumed, or that encodes a chunk twice for the gradient cache, repeats itself.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hbr.core import distributed
from hbr.core.settings import Config
from hbr.data.rows import Rows
from hbr.data.tokens import Tokens
from hbr.training.batch import Chunk, TextEncoder, TrainingBatch, group_mask
from hbr.training.losses import Loss
from hbr.training.objectives import Recipe
from hbr.training.schedule import Batch, BatchSchedule, translation_batch

NOISE = 1  # makes the seeds of noise differ from those of dropout


class Source(NamedTuple):
    """Training rows with their tokens."""

    rows: Rows
    tokens: Tokens


@dataclass(frozen=True)
class Collator:
    """Makes a `TrainingBatch` of a batch of the schedule, with the texts of this rank."""

    config: Config
    schedule: BatchSchedule
    sources: list[Source]
    languages: list[str]  # of all data sets, sorted
    encode: TextEncoder
    recipe: Recipe
    loss: Loss
    head: nn.Module
    embedding_norm: float

    def __call__(self, batch: Batch) -> TrainingBatch:
        """Return the texts of a batch, with everything that an objective needs beside them."""
        config, device, rows = self.config, self.encode.device, self.sources[batch.dataset].rows
        has = np.asarray(self.schedule.datasets[batch.dataset].has[batch.rows])
        batch = self.recipe.augment(batch, has, config.seed)
        translated_rows, translations = np.zeros(0, dtype=np.int64), None
        if self.recipe.needs_translations:
            translated_rows, translations = translation_batch(batch, has, config.seed)
        return TrainingBatch(
            chunks=self._chunks(batch, translations),
            loss=self.loss,
            gather=distributed.all_gather,
            scale=1 / config.train.gradient_accumulation_steps,
            progress=batch.step / max(self.schedule.steps - 1, 1),
            embedding_norm=self.embedding_norm,
            embedding_width=self.encode.encoder.token_embeddings.shape[1],
            device=device,
            temperature=config.objective.temperature,
            mask=group_mask(np.asarray(rows.group)[batch.rows], config.objective.mask, device),
            languages=self._languages(batch),
            translated_rows=torch.from_numpy(translated_rows).to(device),
            head=self.head,
        )

    def _languages(self, batch: Batch) -> Tensor:
        """Return the numbers of the languages of all queries, then of all passages: (2n,)."""
        names = np.array(self.sources[batch.dataset].rows.languages)
        of_texts = names[np.concatenate([batch.query_language, batch.passage_language])]
        return torch.from_numpy(np.searchsorted(self.languages, of_texts)).to(self.encode.device)

    def _chunks(self, batch: Batch, translations: Batch | None) -> dict[str, list[Chunk]]:
        """Return the chunks of each role, for the rows of this rank."""
        rank, world_size = distributed.rank(), distributed.world_size()
        cells = self._cells(batch.part(rank, world_size))
        if translations:
            cells["translation"] = self._cells(translations.part(rank, world_size))["passage"]
        before = sum(len(batch.part(other, world_size).rows) for other in range(rank))
        tokens = self.sources[batch.dataset].tokens
        chunks: dict[str, list[Chunk]] = {}
        for number, (role, of_role) in enumerate(cells.items()):
            texts = tokens.texts("query" if role == "query" else "passage", of_role)
            size = self.config.train.mini_batch_size or max(len(texts), 1)
            chunks[role] = [
                Chunk(
                    self.encode,
                    texts[at : at + size],
                    self._seed(batch.step, number, before + at),
                    partial(self._noise_seeds, batch.step, number, of_role[at : at + size]),
                )
                for at in range(0, max(len(texts), 1), size)
            ]
        return chunks

    def _cells(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the cells of a batch's texts by role; all but `query` are cells of passages."""
        rows, most = self.sources[batch.dataset].rows, self.config.objective.num_negatives
        cells = {
            "query": rows.query_cells(batch.rows, batch.query_language),
            "passage": rows.passage_cells(batch.rows, batch.passage_language),
        }
        if most and len(rows.negative):
            cells["negatives"] = rows.negative_cells(batch.rows, batch.passage_language, most)
        return cells

    def _seed(self, *place: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, *place]).generate_state(1)[0])

    def _noise_seeds(self, step: int, role: int, cells: np.ndarray) -> list[int]:
        return [self._seed(step, role, int(cell), NOISE) for cell in cells]
