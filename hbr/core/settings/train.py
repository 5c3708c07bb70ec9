"""Settings of training: optimisation, checkpoints, validation, what is logged."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from hbr.core import registry
from hbr.core.settings.fields import (
    AnyNames,
    NonNegative,
    NonNegativeFloat,
    Pairs,
    Positive,
    PositiveFloat,
    Precision,
    Rows,
    Section,
    Share,
    Steps,
)
from hbr.core.target import RetrievalGoal, known_measure


def _goal(text: str) -> str:
    goal = RetrievalGoal.parse(text)
    if known_measure(str(goal.measure)).drop or goal.measure.metric.reads in ("derived", "mteb"):
        raise ValueError(f"{goal.measure} cannot be measured in training")
    if goal.measure.metric.reads == "pool" and goal.setting != "multi":
        raise ValueError(f"{goal.measure} is measured in the setting multi")
    return str(goal)


def _trackers(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(registry.known("tracker", name) for name in names if name != "none")


class Train(Section):
    """Optimisation."""

    start_from: str | None = Field(
        None, description="Run whose trained encoder training starts from; null: the encoder."
    )
    round: Positive = Field(1, description="Which of a study's `rounds` this is.")
    hard_negatives: Literal["given", "mined"] = Field(
        "given", description="Negatives of the rows: those that the data give, or mined ones."
    )
    max_steps: Annotated[NonNegative, Field(le=10**7), "steps"] = Field(
        300, description="Optimizer steps; 0 takes the encoder as it is, untrained."
    )
    batch_size: Pairs = Field(
        64, description="Query–passage pairs in the global batch, over all ranks."
    )
    gradient_accumulation_steps: Annotated[Positive, Field(le=10**4), "batches"] = Field(
        1, description="Batches per optimizer step, each with negatives of its own."
    )
    mini_batch_size: Annotated[Positive, "pairs"] | None = Field(
        None, description="Gradient cache: pairs encoded at a time (exact); null: all at once."
    )
    learning_rate: PositiveFloat | None = Field(
        None, description="Peak learning rate; null: the encoder's own (1e-5 to 3e-5; tiny: 3e-3)."
    )
    weight_decay: NonNegativeFloat = Field(0.01, description="AdamW's weight decay.")
    warmup_ratio: Share = Field(0.1, description="Share of the steps with a rising rate.")
    max_grad_norm: PositiveFloat = Field(1.0, description="Gradients are clipped to this norm.")
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="`adamw_8bit` keeps its two moments in a byte a weight (bitsandbytes)."
    )
    precision: Literal[Precision, "bf16-weights"] = Field(
        "fp32",
        description="Of forward and backward pass; `bf16-weights` has weights and gradients in "
        "bf16 too, and trains float32 masters of them.",
    )
    parallel: Literal["auto", "ddp", "fsdp"] = Field(
        "auto",
        description="Several ranks: `ddp` has all of the encoder on each, `fsdp` shards weights, "
        "gradients and the optimizer's state; `auto` shards what takes more than half of a "
        "device's memory. Same result.",
    )
    torch_compile: bool = Field(False, description="Compile the encoder with torch.compile.")
    gradient_checkpointing: bool = Field(
        False,
        description="Keep the inputs of layers alone and compute the layers again for their "
        "gradients; less memory, a third slower, same result.",
    )
    unpadded: bool = Field(
        True, description="Encode texts without padding where the encoder can; same result."
    )
    attention_dropout: Share | None = Field(
        None, description="Dropout of attention weights; null: the encoder's own; 0 is faster."
    )
    quick_dropout: bool = Field(
        True,
        description="On a CPU, draw dropout from 16 random bits a number; faster. Attention "
        "without padding always does.",
    )
    trim_vocabulary: bool = Field(
        True, description="Train only the word embeddings that occur in the data; same result."
    )
    matryoshka_dims: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = Field(
        None, description="Lengths of cut vectors that are trained too, the whole one among them."
    )
    matryoshka_weights: tuple[PositiveFloat, ...] | None = Field(
        None, description="Weight of the loss of each length; null: 1."
    )
    logging_steps: Steps = Field(10, description="Steps between lines of the log.")
    eval_steps: Steps = Field(100, description="Steps between validations.")
    metric_for_best_model: Annotated[str, AfterValidator(_goal)] | None = Field(
        None,
        description="What validation measures: `METRIC SETTING [DATASET]`, such as `map@20 multi` "
        "of the validation rows or `mrr mono xquad-r`; null: the contrastive loss.",
    )
    eval_limit: Rows | None = Field(
        500, description="Concepts kept of each language for `metric_for_best_model`; null: all."
    )
    save_steps: Steps = Field(200, description="Steps between checkpoints.")
    save_minutes: Annotated[PositiveFloat, "minutes"] | None = Field(
        15.0, description="Minutes after which there is a checkpoint in any case; null: never."
    )
    keep_checkpoint: bool = Field(
        False, description="Keep the last checkpoint, with the optimizer's state, when finished."
    )
    early_stopping_patience: Annotated[Positive, "validations"] | None = Field(
        None, description="Validations without improvement before training stops; null: never."
    )
    report_to: Annotated[AnyNames, AfterValidator(_trackers)] = Field(
        ("tensorboard",),
        description="Where training and results are reported: tensorboard, trackio, wandb, "
        "mlflow; `none`: nowhere.",
    )

    @field_validator("matryoshka_weights")
    @classmethod
    def _one_each(cls, weights: Any, info: ValidationInfo) -> Any:
        dims = info.data.get("matryoshka_dims") or ()
        if weights is not None and len(weights) != len(dims):
            raise ValueError(f"{len(dims)} matryoshka_dims need as many weights")
        return weights


LATER = {  # settings of training that came later: at their defaults no part of a run's identity
    name: Train.model_fields[name].default
    for name in (
        *("matryoshka_dims", "matryoshka_weights", "metric_for_best_model", "eval_limit"),
        "optimizer",
    )
}
LOG_ONLY = {  # they change what is kept, not the weights
    *("logging_steps", "save_steps", "save_minutes", "keep_checkpoint", "report_to"),
}
SAME_RESULT = {
    "unpadded",
    "gradient_checkpointing",
    "quick_dropout",
    "trim_vocabulary",
    "parallel",
}  # but for rounding and dropout's draws
