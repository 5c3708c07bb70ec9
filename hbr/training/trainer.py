"""Train an encoder on the batches of a schedule; resumable at any step, on any number of ranks.

Everything random is a function of the seed and the step: batches come from the schedule, dropout
is seeded for each chunk of texts. A run that was killed and started again ends in the same bytes
as one that was not.
"""

import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from hbr.core import distributed, registry, stopping
from hbr.core.digests import tree_digest
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.models.adapter import LowRankAdapter
from hbr.models.dropout import set_dropout
from hbr.models.encoder import Encoder
from hbr.models.loading import save
from hbr.models.precision import warn_slow_bf16
from hbr.models.vocabulary import TrimmedVocabulary, used_tokens
from hbr.training.allocator import keep_freed
from hbr.training.batch import AuxiliaryHead, TextEncoder
from hbr.training.checkpoint import Checkpoints, TrainerState
from hbr.training.collator import Collator, Source
from hbr.training.log import Log
from hbr.training.losses import Loss
from hbr.training.matryoshka import matryoshka
from hbr.training.objectives import LossTerms, Objective, Recipe
from hbr.training.optimizer import adamw, learning_rate, remaining_weight, set_learning_rate
from hbr.training.schedule import Batch, BatchSchedule, schedule_hash
from hbr.training.shards import choose, distribute, whole
from hbr.training.validation import Validate, Validation, ValidationLoss

logger = logging.getLogger(__name__)

MEMORY = 0.95  # of the running mean of the loss, from step to step
HASHED = 1000  # batches whose hash the manifest keeps


def save_model(encoder: Encoder, config: Config, folder: Path) -> str:
    """Write an encoder with the prompts and lengths of a config; return a digest of the files."""
    inputs = {role: config.encoder.inputs(role) for role in ("query", "passage")}
    prompts = {role: prompt for role, (prompt, _) in inputs.items()}
    if encoder.adapter and config.adapter.merge:
        encoder.adapter.merge(encoder)
    save(encoder, folder, prompts, *(longest for _, longest in inputs.values()))
    return tree_digest(folder)


class Trainer:
    """One training run, which fills a folder with a log, checkpoints and `model/`.

    With several ranks all of them make one for one folder, and rank 0 alone writes.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        encoder: Encoder,
        schedule: BatchSchedule,
        sources: list[Source],
        validation: Validation | None,
        device: torch.device,
        validate: Validate | None = None,
    ) -> None:
        self.folder, self.config, self.settings = folder, config, config.train
        self.schedule, self.sources = schedule, sources
        self.encoder, self.device = encoder, device
        objective: Objective = registry.get("objective", config.objective.name)
        self.loss = self._nested(objective.make_loss(config.objective))
        if validation and not validate:
            validate = ValidationLoss(validation, self.loss, config)
        self.validate = validate
        self.is_main = distributed.rank() == 0
        self.state = TrainerState()
        if config.adapter.name:
            LowRankAdapter(encoder, config.adapter, config.seed)
        embedding_norm = encoder.embedding_norm
        self.trimmed = self._trim_vocabulary()
        self.way = choose(encoder, config.train, device)
        self.encode = self._prepare_encoder()
        self.recipe = objective.recipe(config.objective)
        every = {language for data in schedule.datasets for language in data.languages}
        languages = sorted(config.data.languages or every)
        pivots = {data.pivot for data in schedule.datasets}
        alone = registry.get("sampler", config.sampler.name).pivot_only and len(pivots) == 1
        classes = 1 if alone else len(languages)
        self.head = make_head(self.recipe, encoder.embedding_dimension, classes, config.seed)
        self.head.module.to(device)
        self.parallel, self.masters = distribute(self.way, encoder, config.train, device)
        self.optimizer = adamw(self.masters.trained.values(), self.head, config.train)
        self.checkpoints = Checkpoints(
            folder, encoder, self.masters, self.head.module, self.optimizer
        )
        self.collate = Collator(
            config=config,
            schedule=schedule,
            sources=sources,
            languages=languages,
            encode=self.encode,
            recipe=self.recipe,
            loss=self.loss,
            head=self.head.module,
            embedding_norm=embedding_norm,
            parallel=self.parallel,
        )
        if config.train.torch_compile:
            encoder.backbone.compile(dynamic=True)

    def run(self) -> dict[str, Any]:
        """Train to the last step, or until validation stops improving; write the best encoder.

        Begins wherever the folder stands, and leaves when told, by an exception, once the next
        step is saved; returns facts for the manifest, on rank 0. Raises
        UserError (exit code 1) where training diverges.
        """
        self.state = state = self.checkpoints.resume()
        settings = self.settings
        pairs = settings.batch_size * settings.gradient_accumulation_steps  # in a step
        if self.is_main:
            self._log_start(pairs)
        folder = self.folder if self.is_main else None
        progress = Progress("training", settings.max_steps, "steps", state.step)
        log = Log(folder, self.config, state.log_bytes, state.step)
        started, first = time.monotonic(), state.step
        with stopping.at_safe_places(), log, progress:
            while state.step < settings.max_steps and not self._is_out_of_patience():
                with distributed.blamed():
                    record = self.training_step(state.step)
                state.step += 1
                if self._is_due(settings.logging_steps):
                    log.write(record)
                speed = f"{record['pairs_per_s']:,.0f} pairs/s"
                progress.advance(1, f"loss {record['loss_mean']:.3f}, {speed}")
                if self.validate and self._is_due(settings.eval_steps):
                    log.write(self._validate(self.validate))
                going = distributed.any_rank(stopping.told())
                if going or self._is_time_to_save():
                    state.log_bytes = log.synced_size()
                    self.checkpoints.save(state)
                if going:
                    stopping.leave(f"saved at step {state.step:,}")
            if distributed.any_rank(stopping.told()):  # while the last step was saved
                stopping.leave(f"saved at step {self.checkpoints.saved_step:,}")
        self.parallel.gather()
        if not self.is_main:
            return {}
        rate = pairs * (state.step - first) / max(time.monotonic() - started, 1e-9)
        return {**self._finish(pairs), "pairs_per_s": round(rate, 2)}

    def _log_start(self, pairs: int) -> None:
        """Say what is trained on, how long, and where."""
        named = zip(self.schedule.datasets, self.sources, strict=True)
        for data, source in named:
            logger.info(
                f"training rows: {source.rows.name}, {int(data.has.any(1).sum()):,} in "
                f"{int(data.has.any(0).sum())} languages"
            )
        ranks = distributed.world_size()
        where = f"{ranks} ranks ({self.way}), {self.device}" if ranks > 1 else str(self.device)
        measured = ", not validated: the last step is kept"
        if self.validate:
            measured = f", validated every {self.settings.eval_steps:,}"
        logger.info(
            f"training on {where} ({self.settings.precision}): {self.settings.max_steps:,} steps "
            f"of {pairs:,} pairs{measured}"
        )
        if self.state.step:
            logger.info(f"goes on from step {self.state.step:,}")

    def training_step(self, step: int) -> dict[str, Any]:
        """Take one optimizer step, counted from 0; return the record of it for the log."""
        settings, started = self.settings, time.monotonic()
        accumulated = settings.gradient_accumulation_steps
        batches = [self.schedule.batch(step * accumulated + i) for i in range(accumulated)]
        self.optimizer.zero_grad(set_to_none=True)
        results = [self._backward(batch) for batch in batches]
        terms, masked, tokens = zip(*results, strict=True)
        self.parallel.finish(self.collate.empty_chunk(batches[-1]))
        norm = self._clip_gradients()
        means = {name: sum(term[name] for term in terms) / len(terms) for name in terms[0]}
        loss = means.pop("loss")
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._raise_diverged(step, batches)
        rate = learning_rate(settings, step)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.masters.round()
        mode = "+".join(sorted({batch.mode for batch in batches}))
        seconds = time.monotonic() - started
        return {
            "step": step + 1,
            "loss": loss,
            **means,
            **self._running_means(loss, mode),
            "lr": rate,
            "norm": norm,
            "mode": mode,
            "masked": sum(masked) / len(masked),
            "pairs_per_s": settings.batch_size * len(batches) / seconds,
            "tokens_per_s": distributed.world_size() * sum(tokens) / seconds,  # all ranks alike
        }

    def _running_means(self, loss: float, mode: str) -> dict[str, float]:
        """Return the running mean of the loss, and that of batches in this mode."""
        means = self.state.means
        for name in ("loss_mean", f"loss_mean {mode}"):
            means[name] = loss + MEMORY * (means.get(name, loss) - loss)
        return {name: means[name] for name in ("loss_mean", f"loss_mean {mode}")}

    def _backward(self, scheduled: Batch) -> tuple[LossTerms, float, int]:
        """Add the gradients of one global batch; return loss terms, masked share, own tokens."""
        batch = self.collate(scheduled)
        terms, mask = self.recipe.backward(batch), batch.mask
        share = 0.0 if mask is None else float(mask.sum()) / (mask.numel() - len(scheduled.rows))
        chunks = (chunk for of_role in batch.chunks.values() for chunk in of_role)
        return terms, share, sum(sum(chunk.lengths) for chunk in chunks)

    def _clip_gradients(self) -> float:
        """Clip the gradients; return the norm of the encoder's before that."""
        head = list(self.head.module.parameters())
        for parameter in head:  # every rank has their whole gradient
            assert parameter.grad is not None
            parameter.grad /= distributed.world_size()
        distributed.all_reduce_gradients(head)
        self.masters.take_gradients()
        weights = self.masters.trained.values()
        norm = float(whole(clip_grad_norm_(weights, self.settings.max_grad_norm)))
        clip_grad_norm_(head, self.settings.max_grad_norm)
        return norm

    def _validate(self, validate: Validate) -> dict[str, Any]:
        """Validate, and keep the weights if they are the best so far; return the log's record."""
        with self.parallel.unsharded():
            state, (measured, by_language) = self.state, validate(self.encode)
        value = measured if validate.lower_is_better else -measured
        is_better = value < state.best
        if is_better:
            state.best, state.best_step, state.since_best = value, state.step, 0
            self.checkpoints.save_best(state)
        else:
            state.since_best += 1
        more = {f"{validate.name} {code}": value for code, value in by_language.items()}
        return {"step": state.step, validate.name: measured, **more, "best": is_better}

    def _finish(self, pairs: int) -> dict[str, Any]:
        """Write the best encoder; return facts about the run for the manifest."""
        state = self.state
        trained = sum(p.numel() for p in self.encoder.parameters() if p.requires_grad)
        self.checkpoints.load_best()
        self.masters.restore()
        best_step = state.best_step if self.validate else state.step
        lower = self.validate is None or self.validate.lower_is_better
        best = {self.validate.name: state.best if lower else -state.best} if self.validate else {}
        if self.trimmed:
            self.trimmed.restore(remaining_weight(self.settings, best_step))
        saved = save_model(self.encoder, self.config, self.folder / "model")
        hashed = min(HASHED, self.schedule.steps)
        digest = schedule_hash(self.schedule.batch(step) for step in range(hashed))
        return {
            "id": saved,
            "steps": state.step,
            "pairs": state.step * pairs,
            "best_step": best_step,
            "loss": state.means.get("loss_mean"),
            "validation_loss": best.get("validation_loss"),
            "best": best,
            "plan": {"batches": hashed, "hash": digest},
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "ranks": distributed.world_size(),
            "parallel": self.way or None,
            "unpadded": self.encode.unpadded,
            "trained": trained,
            "words": len(self.trimmed.kept) if self.trimmed else len(self.encoder.token_embeddings),
        }

    def _nested(self, loss: Loss) -> Loss:
        """Return a loss of cut vectors too, where the settings say so."""
        dims, width = self.settings.matryoshka_dims, self.encoder.embedding_dimension
        if dims is None:
            return loss
        if max(dims) > width:
            raise UserError(f"train.matryoshka_dims: {max(dims)} is more than the vectors' {width}")
        if width not in dims:
            raise UserError(f"train.matryoshka_dims: name the whole width, {width}, among them")
        weights = self.settings.matryoshka_weights or (1.0,) * len(dims)
        return matryoshka(loss, dims, weights, self.encoder.normalize)

    def _trim_vocabulary(self) -> TrimmedVocabulary | None:
        """Leave out the token embeddings that occur in no data."""
        embeddings = self.encoder.backbone.get_input_embeddings()
        trained = type(embeddings) is nn.Embedding and embeddings.weight.requires_grad
        if not (self.settings.trim_vocabulary and trained):
            return None
        flat = [part for source in self.sources for part in source.tokens.flat.values()]
        flat += self.validate.token_ids if self.validate else []
        return TrimmedVocabulary(self.encoder, used_tokens(flat, len(embeddings.weight)))

    def _prepare_encoder(self) -> TextEncoder:
        """Put the encoder on the device, in training mode."""
        settings, device = self.settings, self.device
        if self.way != "fsdp":  # a shard alone comes there
            self.encoder.to(device)
        self.encoder.train()
        warn_slow_bf16(device, settings.precision)
        if device.type == "cpu":
            keep_freed()
        set_dropout(self.encoder.backbone, settings)
        if settings.gradient_checkpointing:
            self.encoder.recompute_layers()
        unpadded = self.encoder.use_unpadded(settings.unpadded and not settings.torch_compile)
        return TextEncoder(self.encoder, device, settings.precision, unpadded)

    def _is_due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self.settings.max_steps

    def _is_time_to_save(self) -> bool:
        """Return whether a checkpoint is due, by steps or by the clock of this rank, or the last.

        The last one stands at the last step, so that a run in parts ends as one in one piece.
        All ranks write shards, once it is late on one.
        """
        minutes = self.settings.save_minutes
        late = minutes is not None and self.checkpoints.seconds_since_save() >= 60 * minutes
        if self.way == "fsdp":
            late = distributed.any_rank(late)
        return late or self._is_due(self.settings.save_steps) or self._is_out_of_patience()

    def _is_out_of_patience(self) -> bool:
        patience = self.settings.early_stopping_patience
        return patience is not None and self.state.since_best >= patience

    def _raise_diverged(self, step: int, batches: list[Batch]) -> None:
        rows = [(self.sources[batch.dataset].rows, row) for batch in batches for row in batch.rows]
        ids = ", ".join(str(data.ids[int(row)]) for data, row in rows[:5])
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        kept = "there was no checkpoint yet"
        if saved := self.checkpoints.saved_step:
            kept = f"the checkpoint of step {saved} is kept in {self.checkpoints.folder}"
        raise UserError(
            f"the loss or its gradient is not finite at step {step + 1}, in rows {ids}{more}; "
            f"{kept}; try a lower --learning-rate, or --set train.precision=fp32",
            exit_code=1,
        )


def make_head(recipe: Recipe, width: int, languages: int, seed: int) -> AuxiliaryHead:
    """Make what an objective trains beside the encoder, perhaps nothing, alike on every rank."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe.head(width, languages) or AuxiliaryHead(nn.Sequential(), 1.0)
