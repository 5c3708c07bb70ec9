"""Train: fit an encoder to rows under a batch plan; resumable at any step, on any number of ranks.

Everything random is a function of the seed and the step: batches come from the plan, dropout is
seeded for each chunk. A checkpoint therefore holds weights, optimiser state and counters, and a
run that was killed and started again ends in the same bytes as one that was not.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hbr.core import distributed, registry
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.core.settings import Train as TrainConfig
from hbr.core.store import replace_synced, tree_digest
from hbr.data.rows import Rows
from hbr.data.tokens import Tokens
from hbr.models.dropout import set_dropout
from hbr.models.encoder import Encoder
from hbr.models.loading import save
from hbr.models.precision import autocast, warn_slow_bf16
from hbr.models.vocabulary import TrimmedVocabulary, used_tokens
from hbr.training.allocator import keep_freed
from hbr.training.losses import symmetric
from hbr.training.objectives.recipes import Head, Parts, Piece, Step, Vectors, translated
from hbr.training.schedule import Batch, BatchSchedule, same_group, schedule_hash

logger = logging.getLogger(__name__)

HASHED = 1000  # batches whose hash the manifest keeps
NOISE = 1  # tells the seeds of texts from those of dropout


class Source(NamedTuple):
    """Training rows with their tokens."""

    rows: Rows
    tokens: Tokens


class Validation(NamedTuple):
    """Validation rows with their tokens, and the languages to validate in."""

    rows: Rows
    tokens: Tokens
    languages: tuple[str, ...]


@dataclass
class Counters:
    """What a checkpoint remembers besides tensors."""

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    since_best: int = 0
    log_bytes: int = 0


def train(
    folder: Path,
    config: Config,
    encoder: Encoder,
    schedule: BatchSchedule | None,
    sources: list[Source],
    validation: Validation | None,
    device: torch.device,
) -> dict[str, Any]:
    """Fill a folder with a log, checkpoints and `model/`, going on from where it stands.

    With several ranks all of them call this on one folder, and rank 0 alone writes. Without
    a plan the encoder is saved as it is. Raises UserError (exit code 1) where training diverges.
    """
    if schedule is None:
        save_model(encoder, config, folder / "model")
        return {"id": tree_digest(folder / "model"), "steps": 0, "pairs": 0}
    return Trainer(folder, config, encoder, schedule, sources, validation, device).run()


def save_model(encoder: Encoder, config: Config, folder: Path) -> None:
    """Write an encoder with the prefixes and lengths of a config."""
    prefixes = {"query": config.encoder.query_prompt, "passage": config.encoder.passage_prompt}
    save(encoder, folder, prefixes, config.encoder.passage_max_seq_length)


class Trainer:
    """One training run in a folder; `run()` takes it from wherever it stands to its end."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        encoder: Encoder,
        schedule: BatchSchedule,
        sources: list[Source],
        validation: Validation | None,
        device: torch.device,
    ) -> None:
        self.folder, self.config, self.device, self.schedule = folder, config, device, schedule
        self.settings: TrainConfig = config.train
        self.sources, self.validation = sources, validation
        self.words = float(encoder.token_embeddings.detach().norm(dim=1).mean())
        self.trimmed = self._trim(encoder)
        self.encoder = encoder.to(device).train()
        warn_slow_bf16(device, config.train.precision)
        if device.type == "cpu":
            keep_freed()
        set_dropout(encoder.backbone, config.train)
        self.unpadded = encoder.use_unpadded(
            config.train.unpadded and not config.train.torch_compile
        )
        self.objective = config.objective
        objective = registry.get("objective", self.objective.name)
        self.recipe, loss = objective.make_recipe(self.objective), objective.make_loss()
        self.loss = symmetric(loss) if self.objective.symmetric else loss
        known = {language for data in schedule.datasets for language in data.languages}
        self.languages = sorted(config.data.languages or known)
        self.head = self._head()
        self.optimizer = _optimizer(encoder, config.train, self.head)
        self.counters = Counters()
        self.saved_at = 0  # step of the last checkpoint
        self.writes = distributed.rank() == 0
        if config.train.torch_compile:
            encoder.backbone.compile(dynamic=True)

    def run(self) -> dict[str, Any]:
        """Train to the last step, or until validation stops improving; write the best encoder."""
        distributed.broadcast(None)  # rank 0 has made the folder
        self._resume()
        counters, settings = self.counters, self.settings
        with self._open_log() as log, self._progress() as progress:
            while counters.step < settings.max_steps and not self._is_patience_over():
                record = self._step(counters.step)
                counters.step += 1
                if (
                    counters.step % settings.logging_steps == 0
                    or counters.step == settings.max_steps
                ):
                    log.write(record)
                progress.advance(
                    settings.batch_size * settings.gradient_accumulation_steps,
                    f"loss {record['loss']:.3f}",
                )
                if self._is_time_for(settings.eval_steps):
                    self._validate(log)
                if self._is_time_for(settings.save_steps):
                    counters.log_bytes = log.size
                    self._checkpoint()
        if not self.writes:
            return {}
        self._load_best()
        if self.trimmed:
            self.trimmed.restore(self._shrunk())
        save_model(self.encoder, self.config, self.folder / "model")
        hashed = min(HASHED, self.schedule.steps)
        return {
            "id": tree_digest(self.folder / "model"),
            "steps": counters.step,
            "pairs": counters.step * settings.gradient_accumulation_steps * settings.batch_size,
            "best_step": counters.best_step if self.validation else counters.step,
            "validation_loss": counters.best if self.validation else None,
            "plan": {
                "batches": hashed,
                "hash": schedule_hash(self.schedule.batch(step) for step in range(hashed)),
            },
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "ranks": distributed.world_size(),
            "unpadded": self.unpadded,
            "words": len(self.trimmed.kept) if self.trimmed else len(self.encoder.token_embeddings),
        }

    def _trim(self, encoder: Encoder) -> TrimmedVocabulary | None:
        """Leave the words out that occur in no data."""
        words = encoder.backbone.get_input_embeddings()
        if not self.settings.trim_vocabulary or type(words) is not nn.Embedding:
            return None
        tokens = [source.tokens for source in self.sources]
        tokens += [self.validation.tokens] if self.validation else []
        flat = (part for some in tokens for part in some.flat.values())
        return TrimmedVocabulary(encoder, used_tokens(flat, len(words.weight)))

    def _shrunk(self) -> float:
        """What weight decay leaves of a word that never occurs, in the encoder that is kept."""
        steps = self.counters.best_step if self.validation else self.counters.step
        decay = self.settings.weight_decay
        return math.prod(1 - learning_rate(self.settings, step) * decay for step in range(steps))

    def _is_time_for(self, every: int) -> bool:
        return self.counters.step % every == 0 or self.counters.step == self.settings.max_steps

    def _is_patience_over(self) -> bool:
        patience = self.settings.early_stopping_patience
        return patience is not None and self.counters.since_best >= patience

    def _step(self, step: int) -> dict[str, Any]:
        """One optimiser step; gives what the log says of it."""
        settings, started = self.settings, time.monotonic()
        batches = [
            self.schedule.batch(step * settings.gradient_accumulation_steps + i)
            for i in range(settings.gradient_accumulation_steps)
        ]
        self.optimizer.zero_grad(set_to_none=True)
        results = [self._backward(batch) for batch in batches]
        own = list(self.head.module.parameters()) if self.head else []
        for parameter in own:  # every rank has their whole gradient
            assert parameter.grad is not None
            parameter.grad /= distributed.world_size()
        distributed.all_reduce_gradients([*self.encoder.parameters(), *own])
        norm = float(
            torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), settings.max_grad_norm)
        )
        torch.nn.utils.clip_grad_norm_(own, settings.max_grad_norm)
        parts = {name: sum(p[name] for p, _ in results) / len(results) for name in results[0][0]}
        loss = parts.pop("loss")
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._diverged(step, batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(settings, step) * group["times"]
        self.optimizer.step()
        return {
            "step": step + 1,
            "loss": loss,
            **parts,
            "lr": learning_rate(settings, step),
            "norm": norm,
            "mode": "+".join(sorted({batch.mode for batch in batches})),
            "masked": sum(masked for _, masked in results) / len(results),
            "pairs_per_s": settings.batch_size * len(batches) / (time.monotonic() - started),
        }

    def _backward(self, batch: Batch) -> tuple[Parts, float]:
        """Add the gradients of one global batch; gives its loss, in parts, and the masked share."""
        has = np.asarray(self.schedule.datasets[batch.dataset].has[batch.rows])
        batch = self.recipe.alter(batch, has, self.config.seed)
        mask = self._mask(np.asarray(self.sources[batch.dataset].rows.group)[batch.rows])
        rows, other = np.zeros(0, dtype=np.int64), None
        if self.recipe.translates:
            rows, other = translated(batch, has, self.config.seed)
        parts = self.recipe.backward(
            Step(
                chunks=self._chunks(batch, other),
                contrast=self._contrast(mask),
                gather=distributed.all_gather,
                share=1 / self.settings.gradient_accumulation_steps,
                progress=batch.step / max(self.schedule.steps - 1, 1),
                words=self.words,
                width=self.encoder.token_embeddings.shape[1],
                device=self.device,
                temperature=self.objective.temperature,
                mask=mask,
                languages=self._classes(batch),
                translated=torch.from_numpy(rows).to(self.device),
                head=self.head and self.head.module,
            )
        )
        pairs = len(batch.rows) * (len(batch.rows) - 1)
        return parts, 0.0 if mask is None else float(mask.sum()) / pairs

    def _contrast(self, mask: Tensor | None) -> Callable[[Vectors], Tensor]:
        """The contrastive loss of vectors by role."""

        def loss(vectors: Vectors) -> Tensor:
            return self.loss(
                vectors["query"],
                vectors["passage"],
                vectors.get("negatives"),
                mask=mask,
                temperature=self.objective.temperature,
            )

        return loss

    def _mask(self, group: np.ndarray) -> Tensor | None:
        """Return which passages of a batch may not be negatives of which queries."""
        if self.objective.mask == "none":
            return None
        return torch.from_numpy(same_group(group)).to(self.device)

    def _classes(self, batch: Batch) -> Tensor:
        """Number the languages of all queries and all passages over all data sets."""
        names = np.array(self.sources[batch.dataset].rows.languages)
        drawn = names[np.concatenate([batch.query_language, batch.passage_language])]
        return torch.from_numpy(np.searchsorted(self.languages, drawn)).to(self.device)

    def _head(self) -> Head | None:
        """Make what the objective trains beside the encoder, the same on every rank."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            head = self.recipe.head(self.encoder.embedding_dimension, len(self.languages))
        if head:
            head.module.to(self.device)
        return head

    def _chunks(self, batch: Batch, other: Batch | None) -> dict[str, list[Piece]]:
        """The pieces of this rank's part of a batch, each encoding the same way every time.

        `other` has the translations of passages, where they are wanted.
        """
        cells = self._cells(batch.part(distributed.rank(), distributed.world_size()))
        before = sum(
            len(batch.part(rank, distributed.world_size()).rows)
            for rank in range(distributed.rank())
        )
        if other:
            own = self._cells(other.part(distributed.rank(), distributed.world_size()))
            cells["translation"] = own["passage"]
        tokens = self.sources[batch.dataset].tokens
        chunks: dict[str, list[Piece]] = {}
        for number, (role, of) in enumerate(cells.items()):
            texts = tokens.texts("query" if role == "query" else "passage", of)
            size = self.settings.mini_batch_size or max(len(texts), 1)
            chunks[role] = [
                Texts(
                    self._encode,
                    texts[at : at + size],
                    self._seed(batch.step, number, before + at),
                    partial(self._noise_seeds, batch.step, number, of[at : at + size]),
                )
                for at in range(0, max(len(texts), 1), size)
            ]
        return chunks

    def _seed(self, *place: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, *place]).generate_state(1)[0])

    def _noise_seeds(self, step: int, role: int, cells: np.ndarray) -> list[int]:
        return [self._seed(step, role, int(cell), NOISE) for cell in cells]

    def _encode(self, texts: list[np.ndarray], seed: int, shift: Tensor | None) -> Tensor:
        if not texts:  # no row of this rank has a given negative
            return torch.zeros(
                0, self.encoder.embedding_dimension, device=self.device, requires_grad=True
            )
        # dropout; for GPUs that are not there torch.manual_seed writes down the stack, every time
        cpu = self.device.type == "cpu"
        (torch.default_generator.manual_seed if cpu else torch.manual_seed)(seed)
        with autocast(self.device, self.settings.precision):
            return self.encoder.encode(texts, self.device, shift, unpadded=self.unpadded)

    def _cells(self, batch: Batch) -> dict[str, np.ndarray]:
        """The cells of a batch's texts by role; all but those of queries are passages' cells."""
        rows = self.sources[batch.dataset].rows
        cells = {
            "query": rows.query_cells(batch.rows, batch.query_language),
            "passage": rows.passage_cells(batch.rows, batch.passage_language),
        }
        if self.objective.num_negatives and len(rows.negative):
            most = self.objective.num_negatives
            cells["negatives"] = rows.negative_cells(batch.rows, batch.passage_language, most)
        return cells

    @torch.no_grad()
    def _validate(self, log: "Log") -> None:
        if self.validation is None:
            return
        value = self._validation_loss() if self.writes else 0.0
        value = distributed.broadcast(value)
        counters = self.counters
        better = value < counters.best
        if better:
            counters.best, counters.best_step, counters.since_best = value, counters.step, 0
            if self.writes:
                self._write({"model": self.encoder.state_dict()}, "best.safetensors")
        else:
            counters.since_best += 1
        log.write({"step": counters.step, "validation_loss": value, "best": better})

    def _validation_loss(self) -> float:
        """Mean contrastive loss of the validation rows in fixed batches, language by language."""
        assert self.validation is not None
        rows, tokens, languages = self.validation
        self.encoder.eval()
        total, count = 0.0, 0
        for language in languages:
            code = rows.languages.index(language)
            having = np.flatnonzero(rows.has[:, code])
            for at in range(0, len(having), self.settings.batch_size):
                some = having[at : at + self.settings.batch_size]
                codes = np.full(len(some), code)
                cells = rows.query_cells(some, codes), rows.passage_cells(some, codes)
                mask = self._mask(np.asarray(rows.group)[some])
                with autocast(self.device, self.settings.precision):
                    queries, passages = (
                        self.encoder.encode(
                            tokens.texts(role, own), self.device, unpadded=self.unpadded
                        )
                        for role, own in zip(("query", "passage"), cells, strict=True)
                    )
                temperature = self.objective.temperature
                loss = self.loss(queries, passages, mask=mask, temperature=temperature)
                total, count = total + float(loss) * len(some), count + len(some)
        self.encoder.train()
        return total / count

    def _diverged(self, step: int, batches: list[Batch]) -> None:
        ids = [
            str(self.sources[batch.dataset].rows.ids[int(row)])
            for batch in batches
            for row in batch.rows
        ]
        shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        kept = self.folder / "checkpoint-last"
        state = (
            f"the checkpoint of step {self.saved_at} is kept in {kept}"
            if self.saved_at
            else "there was no checkpoint yet"
        )
        raise UserError(
            f"the loss or its gradient is not finite at step {step + 1}, in rows {shown}; {state}; "
            "try a lower --lr, or --set train.precision=fp32",
            exit_code=1,
        )

    def _checkpoint(self) -> None:
        """Write weights, optimiser state and counters in one file that replaces the last."""
        self.saved_at = self.counters.step
        if not self.writes:
            return
        names = {id(p): name for name, p in self._parameters().items()}
        state = {
            f"{names[id(p)]}|{key}": value
            for p, values in self.optimizer.state.items()
            for key, value in values.items()
        }
        (self.folder / "checkpoint-last").mkdir(exist_ok=True)
        head = self.head.module.state_dict() if self.head else {}
        tensors = {"model": self.encoder.state_dict(), "optimizer": state, "head": head}
        self._write(tensors, "checkpoint-last/state.safetensors")

    def _write(self, tensors: Mapping[str, Mapping[str, Tensor]], name: str) -> None:
        flat = {
            f"{kind}/{key}": value.detach().cpu().contiguous()
            for kind, named in tensors.items()
            for key, value in named.items()
        }
        path = self.folder / name
        partial = path.with_name(f".{path.name}.partial")
        save_file(flat, partial, {"counters": json.dumps(asdict(self.counters))})
        replace_synced(partial, path)

    def _resume(self) -> None:
        path = self.folder / "checkpoint-last" / "state.safetensors"
        if not path.exists():
            return
        tensors, counters = _read(path)
        self.counters = Counters(**counters)
        self.saved_at = self.counters.step
        _load_weights(self.encoder, tensors["model"], path)
        if self.head:
            _load_weights(self.head.module, tensors["head"], path)
        parameters = self._parameters()
        for key, value in tensors["optimizer"].items():
            name, _, field = key.partition("|")
            self.optimizer.state[parameters[name]][field] = value.to(self.device)
        if self.writes:
            logger.info(f"goes on from step {self.counters.step:,}")

    def _parameters(self) -> dict[str, torch.nn.Parameter]:
        """All that is trained, by name."""
        own = self.head.module.named_parameters() if self.head else ()
        return dict(self.encoder.named_parameters()) | {f"head.{name}": p for name, p in own}

    def _load_best(self) -> None:
        path = self.folder / "best.safetensors"
        if self.validation and path.exists():
            _load_weights(self.encoder, _read(path)[0]["model"], path)

    def _open_log(self) -> "Log":
        return Log(self.folder, self.counters, self.settings.tensorboard, enabled=self.writes)

    def _progress(self) -> Progress:
        settings = self.settings
        pairs = settings.batch_size * settings.gradient_accumulation_steps  # a step
        return Progress("training", settings.max_steps * pairs, "pairs", self.counters.step * pairs)


class Texts(NamedTuple):
    """Some texts of one role, a `hbr.training.objectives.Piece`."""

    encode: Callable[[list[np.ndarray], int, Tensor | None], Tensor]
    tokens: list[np.ndarray]
    dropout: int  # a seed
    noise: Callable[[], list[int]]

    @property
    def seeds(self) -> list[int]:
        """One of each text, whatever its chunk and rank."""
        return self.noise()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(text) for text in self.tokens]

    def __call__(self, shift: Tensor | None = None) -> Tensor:
        return self.encode(self.tokens, self.dropout, shift)


class Log:
    """`log.jsonl` and TensorBoard events of a run; a resumed run cuts off what it will redo."""

    def __init__(self, folder: Path, counters: Counters, tensorboard: bool, enabled: bool) -> None:
        self.file, self.events = None, None
        if not enabled:
            return
        self.file = (folder / "log.jsonl").open("ab")
        self.file.truncate(counters.log_bytes)
        self.file.seek(0, 2)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            place = str(folder / "tensorboard")
            self.events = SummaryWriter(place, purge_step=counters.step + 1)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            self.file.close()
        if self.events:
            self.events.close()

    @property
    def size(self) -> int:
        """Bytes written so far, and safe."""
        if not self.file:
            return 0
        os.fsync(self.file.fileno())  # before a checkpoint counts on them
        return self.file.tell()

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a record; numbers also become TensorBoard scalars."""
        if not self.file:
            return
        self.file.write(json.dumps(record).encode() + b"\n")
        self.file.flush()
        if self.events:
            for name, value in record.items():
                if name != "step" and isinstance(value, float):
                    self.events.add_scalar(name, value, record["step"])
            if "mode" in record:
                share = float(record["mode"] == "monolingual")
                self.events.add_scalar("monolingual", share, record["step"])


def learning_rate(settings: TrainConfig, step: int) -> float:
    """Rise linearly over the warm-up, then fall linearly to zero after the last step."""
    assert settings.learning_rate is not None
    warmup = round(settings.warmup_ratio * settings.max_steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return (
        settings.learning_rate * (settings.max_steps - step) / max(settings.max_steps - warmup, 1)
    )


def _optimizer(encoder: Encoder, settings: TrainConfig, head: Head | None) -> torch.optim.AdamW:
    """AdamW without decay on biases and norms; a head's rate has the encoder's course."""
    assert settings.learning_rate is not None
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in own if (p.ndim > 1) == decays],
            "weight_decay": decay,
            "times": times,
        }
        for own, times in (
            (parameters, 1.0),
            *(
                [(list(head.module.parameters()), head.learning_rate / settings.learning_rate)]
                if head
                else []
            ),
        )
        for decays, decay in ((True, settings.weight_decay), (False, 0.0))
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return the tensors of a checkpoint by kind and name, and its counters."""
    tensors: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "head": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                kind, _, name = key.partition("/")
                tensors[kind][name] = file.get_tensor(key)
            return tensors, json.loads(file.metadata()["counters"])
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); start again with --no-resume") from error


def _load_weights(encoder: torch.nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{path} is the checkpoint of another encoder, or of an older hbr; "
            "start again with --no-resume"
        ) from error
