"""Validation by retrieval: a metric of a small task while an encoder is being trained."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import RetrievalGoal
from hbr.data.rows import Rows
from hbr.data.tasks import Task
from hbr.data.tokens import Tokens
from hbr.evaluation.ranking import rank_exactly
from hbr.evaluation.scoring import average, score_languages, score_settings
from hbr.models.encoder import token_batches
from hbr.training.batch import TextEncoder
from hbr.training.validation import Measured

PROTOCOL = "validation rows"


class RetrievalValidation:
    """Measures a goal on a task, all ranks together; `queries` and `passages` are token ids.

    `folder` is one that all ranks see; nothing is kept there.
    """

    def __init__(
        self,
        goal: RetrievalGoal,
        task: Task,
        queries: Sequence[np.ndarray],
        passages: Sequence[np.ndarray],
        config: Config,
        folder: Path,
    ) -> None:
        if task.mining or goal.setting not in task.settings:
            raise UserError(f"metric_for_best_model: {task.name} has no setting {goal.setting}")
        self.goal, self.task, self.config, self.folder = goal, task, config, folder
        self.texts = {"queries": queries, "passages": passages}
        self.name, self.lower_is_better = str(goal), goal.measure.lower_is_better

    @property
    def token_ids(self) -> list[np.ndarray]:
        """The token ids of all texts: they occur in the data."""
        return [np.concatenate(texts) for texts in self.texts.values()]

    @torch.no_grad()
    def __call__(self, encode: TextEncoder) -> Measured:
        """Return the value of the goal and those by query language, the same on all ranks."""
        encode.encoder.eval()
        vectors = [self._vectors(encode, texts) for texts in self.texts.values()]
        encode.encoder.train()
        return distributed.broadcast(self._measure(vectors, encode.device))

    def _vectors(self, encode: TextEncoder, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Encode texts, each rank a share of their batches: (texts, width)."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        batches = list(token_batches(lengths, self.config.encode.token_budget))
        shares = [batches[r :: distributed.world_size()] for r in range(distributed.world_size())]

        @torch.no_grad()
        def vectors_of(batch: np.ndarray) -> torch.Tensor:
            return encode([texts[i] for i in batch]).float()

        each = encode.encoder.map if distributed.world_size() == 1 else map  # or FSDP's hooks meet
        mine = list(each(vectors_of, shares[distributed.rank()]))
        width = encode.encoder.embedding_dimension
        own = torch.cat(mine) if mine else torch.zeros(0, width, device=encode.device)
        vectors = np.empty((len(texts), width), dtype=np.float32)
        order = np.concatenate([batch for share in shares for batch in share])
        vectors[order] = distributed.all_gather(own)[0].cpu().numpy()
        return vectors

    def _measure(self, vectors: Sequence[np.ndarray], device: torch.device) -> Measured | None:
        """Rank on all ranks, and measure on rank 0."""
        measure, setting = self.goal.measure, self.goal.setting
        top = (measure.cutoff or 1) if measure.metric.reads == "pool" else 0
        queries, passages = vectors
        name = distributed.broadcast(f".ranking-{uuid.uuid4().hex}")  # counts of this time alone
        (self.folder / name).mkdir(exist_ok=True)
        both, settings = (queries, passages), self.config.evaluate
        ranks = rank_exactly(self.task, both, settings, device, top, self.folder / name)
        if ranks is None:
            return None
        shutil.rmtree(self.folder / name)
        by_language = score_languages(self.task, ranks, [measure])
        scores = score_settings(self.task, ranks, [measure], by_language)
        averages = average(self.task, scores)
        value = averages["settings"].get(setting, {}).get(str(measure))
        if value is None:
            raise UserError(
                f"metric_for_best_model: {self.name} is not defined on {self.task.name}"
            )
        languages = averages["by_query_language"][setting].items()
        return Measured(value, {code: values[str(measure)] for code, values in languages})


def from_rows(
    goal: RetrievalGoal,
    rows: Rows,
    tokens: Tokens,
    languages: Sequence[str],
    config: Config,
    folder: Path,
) -> RetrievalValidation:
    """Return the validation on rows: their queries find the passages of their group.

    The first `eval_limit` rows of each of `languages` count.
    """
    codes = [rows.languages.index(language) for language in sorted(languages)]
    has, most = np.asarray(rows.has)[:, codes], config.train.eval_limit or len(rows)
    chosen = np.flatnonzero((has & (np.cumsum(has, axis=0) <= most)).any(1))
    group = np.asarray(rows.group)
    items, first = np.unique(np.asarray(rows.passage_of)[chosen], return_index=True)
    sides: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {"q": [], "p": []}
    for number, code in enumerate(codes):
        some = chosen[np.asarray(rows.has)[chosen, code]]
        cells = rows.query_cells(some, np.full(len(some), code))
        sides["q"].append((cells, np.full(len(some), number), group[some]))
        here = np.flatnonzero(np.asarray(rows.passages.has)[items, code])
        cells = rows.passages.cells(items[here], np.full(len(here), code))
        sides["p"].append((cells, np.full(len(here), number), group[chosen[first[here]]]))
    q, p = ([np.concatenate(part) for part in zip(*s, strict=True)] for s in sides.values())
    groups, concept = np.unique(q[2], return_inverse=True)
    order = np.argsort(p[2], kind="stable")
    relevant = order[np.isin(p[2][order], groups)]
    indptr = np.append(np.searchsorted(p[2][relevant], groups), len(relevant))
    settings = ("mono", "cross", "multi") if len(codes) > 1 else ("mono",)
    task = Task(
        name=rows.name,
        id="",
        folder=Path(),
        protocol=PROTOCOL,
        settings=settings,
        languages=tuple(sorted(languages)),
        query_language=q[1].astype(np.int16),
        passage_language=p[1].astype(np.int16),
        concept=concept,
        indptr=indptr,
        relevant=relevant,
        gain=np.ones(len(relevant)),
        excluded=np.full(len(groups), -1),
    )
    texts = tokens.texts("query", q[0]), tokens.texts("passage", p[0])
    return RetrievalValidation(goal, task, *texts, config, folder)


def from_task(
    goal: RetrievalGoal, task: Task, encoder: Any, config: Config, folder: Path
) -> RetrievalValidation:
    """Return the validation on an evaluation set, whose texts are tokenized here."""
    queries, passages = (
        _tokens(task, role, table, encoder, config)
        for role, table in (("query", task.queries), ("passage", task.passages))
    )
    encoder.log_clipped(task.name)
    return RetrievalValidation(goal, task, queries, passages, config, folder)


def _tokens(task: Task, role: str, table: Any, encoder: Any, config: Config) -> list[np.ndarray]:
    prompt, longest = config.encoder.inputs(role)
    texts = [prompt + text for text in table["text"].to_pylist()]
    token_ids = encoder.tokenize(texts, longest)
    if not all(token_ids):
        raise UserError(f"{task.name}: a {role} has no tokens in this encoder")
    return [np.array(ids) for ids in token_ids]
