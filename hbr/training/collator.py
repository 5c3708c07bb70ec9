"""From a batch of the schedule to the batch that an objective sees.

Dropout and noise have seeds that depend on the run's seed, the step and the text's place alone: a
run that is resumed, or that encodes a chunk twice for the gradient cache, repeats itself.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hbr.core import distributed
from hbr.core.settings import Config
from hbr.data.rows import DrawnNegatives, Rows
from hbr.data.teacher_vectors import TeacherVectors
from hbr.data.tokens import Tokens
from hbr.training.batch import (
    Chunk,
    Owned,
    TeacherTexts,
    TextEncoder,
    TrainingBatch,
    group_mask,
)
from hbr.training.distillation import guide_mask
from hbr.training.losses import Loss
from hbr.training.objectives import Recipe
from hbr.training.parallel import ALONE, Alone
from hbr.training.schedule import NEGATIVES, Batch, BatchSchedule, translation_batch

NOISE = 1  # makes the seeds of noise differ from those of dropout


class Source(NamedTuple):
    """Training rows with their tokens, and a teacher's vectors where the objective needs them."""

    rows: Rows
    tokens: Tokens
    teacher: TeacherVectors | None = None


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
    parallel: Alone = ALONE

    def __call__(self, batch: Batch) -> TrainingBatch:
        """Return the texts of a batch, with everything that an objective needs beside them."""
        config, device, rows = self.config, self.encode.device, self.sources[batch.dataset].rows
        has = np.asarray(self.schedule.datasets[batch.dataset].has[batch.rows])
        batch = self.recipe.augment(batch, has, config.seed)
        translated_rows, translations = np.zeros(0, dtype=np.int64), None
        if self.recipe.needs_translations:
            translated_rows, translations = translation_batch(batch, has, config.seed)
        negatives = self._negatives(batch)
        group = np.asarray(rows.group)[batch.rows]
        teacher = self._teacher(batch, negatives)
        mask = group_mask(group, config.objective.mask, device, rows.passage_group[negatives.item])
        return TrainingBatch(
            chunks=self._chunks(batch, translations, negatives),
            loss=self.loss,
            gather=distributed.all_gather,
            scale=1 / config.train.gradient_accumulation_steps,
            progress=batch.step / max(self.schedule.steps - 1, 1),
            embedding_norm=self.embedding_norm,
            embedding_width=self.encode.encoder.token_embeddings.shape[1],
            device=device,
            temperature=config.objective.temperature,
            mask=self._guided(mask, teacher),
            languages=self._languages(batch),
            translated_rows=torch.from_numpy(translated_rows).to(device),
            head=self.head,
            negatives=self._owned(batch, negatives),
            teacher=teacher,
            parallel=self.parallel,
        )

    def _languages(self, batch: Batch) -> Tensor:
        """Return the numbers of the languages of all queries, then of all passages: (2n,)."""
        names = np.array(self.sources[batch.dataset].rows.languages)
        of_texts = names[np.concatenate([batch.query_language, batch.passage_language])]
        return torch.from_numpy(np.searchsorted(self.languages, of_texts)).to(self.encode.device)

    def _negatives(self, batch: Batch) -> DrawnNegatives:
        """Return the negatives of a batch, in the languages that the settings say."""
        rows, settings = self.sources[batch.dataset].rows, self.config.objective
        most, u = self.recipe.num_negatives, None
        if settings.negative_language == "any":
            rng = np.random.default_rng([self.config.seed, NEGATIVES, batch.step])
            counts = rows.negatives_of[batch.rows + 1] - rows.negatives_of[batch.rows]
            languages = np.tile(np.isin(rows.languages, self.languages), (len(batch.rows), 1))
            u = rng.random(int(counts.sum()))
        else:
            of = {"passage": batch.passage_language, "query": batch.query_language}
            own = of[settings.negative_language]
            languages = np.arange(len(rows.languages)) == own[:, None]
        return rows.negatives_in(batch.rows, languages, most, u)

    def _teacher(self, batch: Batch, negatives: DrawnNegatives) -> TeacherTexts | None:
        """Return the teacher's vectors of the texts of a batch, whatever their languages."""
        rows, _, teacher = self.sources[batch.dataset]
        if teacher is None:
            return None
        parts = (
            teacher.query[rows.query_of[batch.rows]],
            teacher.passage[rows.passage_of[batch.rows]],
            teacher.passage[negatives.item],
        )
        return TeacherTexts(*(torch.from_numpy(part).to(self.encode.device) for part in parts))

    def _guided(self, mask: Tensor | None, teacher: TeacherTexts | None) -> Tensor | None:
        """Add the texts that the teacher takes for answers to a mask, where the settings say so."""
        settings = self.config.objective
        if settings.guide == "none" or teacher is None:
            return mask
        texts = torch.cat([teacher.passage, teacher.negatives])
        found = guide_mask(teacher.query, texts, settings.guide, settings.guide_margin)
        return found if mask is None else mask | found

    def _owned(self, batch: Batch, negatives: DrawnNegatives) -> Owned:
        """Return whose the negatives are, with the scores of the rows' teacher."""
        rows, device = self.sources[batch.dataset].rows, self.encode.device
        owner = torch.from_numpy(negatives.owner).to(device)
        if rows.positive_score is None or rows.negative_score is None:
            return Owned(owner)
        of = rows.positive_score[batch.rows], rows.negative_score[negatives.place]
        return Owned(owner, *(torch.from_numpy(np.asarray(score)).to(device) for score in of))

    def _chunks(
        self, batch: Batch, translations: Batch | None, negatives: DrawnNegatives
    ) -> dict[str, list[Chunk]]:
        """Return the chunks of each role, for the rows of this rank."""
        world_size = distributed.world_size()
        parts = [batch.part(rank, world_size) for rank in range(world_size)]
        starts = np.cumsum([0, *(len(part.rows) for part in parts)])
        rows = self.sources[batch.dataset].rows
        cells = {  # of each rank
            "query": [rows.query_cells(p.rows, p.query_language) for p in parts],
            "passage": [rows.passage_cells(p.rows, p.passage_language) for p in parts],
        }
        if self.recipe.num_negatives and len(rows.negative):
            cells["negatives"] = [negatives.of(slice(*some)).cell for some in pairwise(starts)]
        if translations:
            parts = [translations.part(rank, world_size) for rank in range(world_size)]
            cells["translation"] = [rows.passage_cells(p.rows, p.passage_language) for p in parts]
        tokens, filler = self.sources[batch.dataset].tokens, self._filler(batch)
        chunks: dict[str, list[Chunk]] = {}
        for number, (role, of_ranks) in enumerate(cells.items()):
            before = sum(map(len, of_ranks[: distributed.rank()]))
            of_role = of_ranks[distributed.rank()]
            texts = tokens.texts("query" if role == "query" else "passage", of_role)
            most = max(1, *map(len, of_ranks))  # every rank has as many chunks
            size = self.config.train.mini_batch_size or most
            chunks[role] = [
                Chunk(
                    self.encode,
                    texts[at : at + size],
                    self._seed(batch.step, number, before + at),
                    partial(self._noise_seeds, batch.step, number, of_role[at : at + size]),
                    filler,
                )
                for at in range(0, most, size)
            ]
        return chunks

    def empty_chunk(self, batch: Batch) -> Chunk:
        """Return a chunk without texts."""
        return Chunk(self.encode, [], 0, list, self._filler(batch))

    def _filler(self, batch: Batch) -> np.ndarray | None:
        """Return a text that stands in where a rank has none, if there are several ranks."""
        if distributed.world_size() == 1:
            return None
        rows, tokens, _ = self.sources[batch.dataset]
        cells = rows.query_cells(batch.rows[:1], batch.query_language[:1])
        return tokens.texts("query", cells)[0]

    def _seed(self, *place: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, *place]).generate_state(1)[0])

    def _noise_seeds(self, step: int, role: int, cells: np.ndarray) -> list[int]:
        return [self._seed(step, role, int(cell), NOISE) for cell in cells]
