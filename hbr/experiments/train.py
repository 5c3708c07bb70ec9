"""Training within a run: its rows tokenized, its encoder, schedule and validation put together."""

import logging
from pathlib import Path
from typing import Any

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import RetrievalGoal
from hbr.experiments.run_data import RunData, batch_schedule, validation_languages
from hbr.models.sources import adapter_base, encoder_id

logger = logging.getLogger(__name__)


def _check_width(data: RunData, encoder: Any) -> None:
    """Raise UserError where an encoder cannot take the vectors of its teacher for its own."""
    objective, width = data.run.config.objective, encoder.embedding_dimension
    for teacher in data.teacher_vectors:
        if teacher and objective.name == "embedding-mse" and teacher.query.shape[1] != width:
            raise UserError(
                f"--objective {objective.name}: the teacher's vectors have "
                f"{teacher.query.shape[1]} numbers, the encoder's {width}; name another teacher"
            )


def _check(data: RunData) -> None:
    """Raise UserError for settings of a training that would do nothing in it."""
    config = data.run.config
    objective, train = config.objective, config.train
    if not config.is_trained:
        return
    _warn_of_idle(config)
    if train.early_stopping_patience and not (data.training.validation or data.goal):
        raise UserError(
            "train.early_stopping_patience: nothing is validated; set data.validation, or "
            "metric_for_best_model with a data set"
        )
    idle = {
        "train.matryoshka_dims": train.matryoshka_dims is not None,
        "objective.symmetric": objective.symmetric,
        "objective.guide": objective.guide != "none",
    }
    if getattr(objective, "infonce_weight", 1) == 0 and any(idle.values()):
        name = next(name for name, chosen in idle.items() if chosen)
        raise UserError(
            f"{name} acts on InfoNCE, which {objective.name} has not; set objective.infonce_weight"
        )


def _warn_of_idle(config: Config) -> None:
    """Log settings that are not at their defaults and do nothing in a training."""
    used = config.sources_of_supervision | ({"adapter"} if config.adapter.name else set())
    wanted = {
        "adapter": "adapter=lora",
        "mine": "train.hard_negatives=mined",
        "teacher": "an objective that asks a teacher, or objective.guide",
    }
    for section in sorted(wanted.keys() - used):
        if changed := getattr(config, section).changed():
            names = ", ".join(f"{section}.{name}" for name in changed)
            logger.warning(f"without effect: {names}; that needs {wanted[section]}")


def tokenized(data: RunData, encoder: Any) -> tuple[list[Any], Any]:
    """Return the training rows and the validation rows with their tokens for an encoder."""
    from hbr.models.tokenization import tokenize_rows
    from hbr.training.trainer import Source, Validation

    config, sources = data.run.config, data.rows_with_negatives
    validation = data.training.validation
    train = [
        Source(rows, tokenize_rows(store, rows, encoder, config.encoder), teacher)
        for (store, rows), teacher in zip(sources, data.teacher_vectors, strict=True)
    ]
    if validation is None:
        return train, None
    store, rows = validation
    tokens = tokenize_rows(store, rows, encoder, config.encoder)
    languages = validation_languages(config, rows, [data for _, data in sources])
    return train, Validation(rows, tokens, languages)


def train_encoder(data: RunData, folder: Path) -> dict[str, Any]:
    """Fill the folder of a run's training, on all ranks; return what the manifest says of it."""
    from hbr.training import trainer

    run, config, initial = data.run, data.run.config, data.training.encoder
    _check(data)
    sources = data.rows_with_negatives
    if distributed.rank() == 0:
        run.write_config()  # first, so that a killed run can be continued from it
    encoder = initial.load()
    _check_width(data, encoder)
    schedule = batch_schedule(config, [rows for _, rows in sources]) if sources else None
    rows, validation = tokenized(data, encoder)
    device = run.torch_device()
    facts: dict[str, Any] = {"steps": 0, "pairs": 0}
    if schedule is None:
        facts["id"] = trainer.save_model(encoder, config, folder / "model")
    else:
        parts = (folder, config, encoder, schedule, rows, validation, device)
        facts = trainer.Trainer(*parts, _retrieval(data, encoder, validation, folder)).run()
    if base := adapter_base(folder / "model"):
        facts["base"] = encoder_id(base)
    # a hub snapshot's folder names its commit
    return {**facts, "started_from": str(initial.folder)}


def _retrieval(data: RunData, encoder: Any, validation: Any, folder: Path) -> Any:
    """Return what measures `metric_for_best_model`, where the settings name it."""
    from hbr.evaluation import validation as by_retrieval

    config = data.run.config
    if config.train.metric_for_best_model is None:
        return None
    goal = RetrievalGoal.parse(config.train.metric_for_best_model)
    if data.goal:
        return by_retrieval.from_task(goal, data.goal[1], encoder, config, folder)
    if validation is None:
        raise UserError("metric_for_best_model: there are no validation rows; name a data set")
    rows, tokens = validation.rows, validation.tokens
    return by_retrieval.from_rows(goal, rows, tokens, validation.languages, config, folder)
