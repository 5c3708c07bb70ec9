"""What a run depends on, section by section.

Each setting is declared with its type, unit, default and description; `hbr.core.values` reads them.
"""

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
)

from hbr.core import registry
from hbr.core.adapter import Adapter
from hbr.core.datasets import Data
from hbr.core.fields import (
    AnyNames,
    MiB,
    Names,
    NonNegative,
    NonNegativeFloat,
    Pairs,
    Pooling,
    Positive,
    PositiveFloat,
    Precision,
    Rows,
    Section,
    Seed,
    Share,
    Steps,
    Tokens,
)
from hbr.core.negatives import Mine, Teacher
from hbr.core.target import EvaluationTarget, Measure, RetrievalGoal
from hbr.core.vectors import Encode, Index
from hbr.core.yaml_files import dump


def _metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    mistakes = []
    for name in names:
        try:
            measure = known_measure(name)
            if measure.drop or measure.metric.reads == "derived":
                of = "map" if not measure.drop else name.removeprefix("drop_")
                mistakes.append(f"{name} comes with {of}")
            elif measure.metric.reads == "mteb":
                mistakes.append(f"{name} comes with data sets of mteb:")
        except ValueError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return names


def known_measure(name: str) -> Measure:
    """Return the measure of a name, one that has values by query.

    Raises ValueError where there is none.
    """
    measure = Measure.parse(name)
    if not measure.metric.by_query:
        raise ValueError(f"{name} has no values by query; name another metric, such as recall")
    if measure.metric.needs_cutoff and not measure.cutoff:
        raise ValueError(f"{name} needs a cut-off, such as {name}@10")
    if measure.drop and measure.metric.reads != "ranks":
        raise ValueError(f"{name}: what {measure.name} loses is not measured")
    return measure


def _goal(text: str) -> str:
    goal = RetrievalGoal.parse(text)
    if known_measure(str(goal.measure)).drop or goal.measure.metric.reads in ("derived", "mteb"):
        raise ValueError(f"{goal.measure} cannot be measured in training")
    if goal.measure.metric.reads == "pool" and goal.setting != "multi":
        raise ValueError(f"{goal.measure} is measured in the setting multi")
    return str(goal)


def _trackers(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(registry.known("tracker", name) for name in names if name != "none")


class Sampler(Section):
    """How the languages of a training batch are chosen."""

    name: Annotated[str, AfterValidator(partial(registry.known, "sampler"))] = Field(
        "hybrid", description="Batch sampler, or `package.module:attribute`."
    )
    alpha: Share | tuple[Share, Share] = Field(
        0.5,
        description="Probability that a batch is monolingual (hybrid sampler); `[start, end]` "
        "changes it linearly over training.",
    )


class Encoder(Section):
    """The encoder that training starts from; one set of weights encodes queries and passages."""

    name: Annotated[str, AfterValidator(partial(registry.canonical, "encoder"))] = Field(
        "xlm-r-tiny", description="Preset, Hugging Face hub id, or folder."
    )
    revision: str | None = Field(None, description="Branch, tag or commit on the hub.")
    pooling: Pooling | None = Field(
        None,
        description="Pooling of token embeddings, `dense` being cls and a dense layer; null: as "
        "the encoder's files say.",
    )
    normalize: bool | None = Field(
        None, description="Scale embeddings to unit length; null: as the encoder's files say."
    )
    query_prompt: str | None = Field(
        None,
        description="Text put before every query; null: as the encoder's files say, else as the "
        "preset says, else `Query: `.",
    )
    passage_prompt: str | None = Field(
        None, description="Text put before every passage; null: as for queries, or `Passage: `."
    )
    query_max_seq_length: Tokens | None = Field(
        None,
        description="Longest query, prompt and special tokens included; null: as the preset says "
        "(64), else the encoder's files.",
    )
    passage_max_seq_length: Tokens | None = Field(
        None,
        description="Longest passage, likewise; null: as the preset says (256), else the files.",
    )

    def inputs(self, role: str) -> tuple[str, int]:
        """Return the prompt and the most tokens of a `query` or `passage`, of complete settings."""
        prompt, longest = getattr(self, f"{role}_prompt"), getattr(self, f"{role}_max_seq_length")
        assert prompt is not None, "the config is not complete"
        assert longest is not None, "the config is not complete"
        return prompt, longest

    def __str__(self) -> str:
        (query, most), (passage, longest) = map(self.inputs, ("query", "passage"))
        return (
            f"prompts: {query!r} for queries, {passage!r} for passages; "
            f"at most {most} and {longest} tokens"
        )


class Objective(Section):
    """The training loss. Settings of other objectives than InfoNCE are in their own section."""

    name: Annotated[str, AfterValidator(partial(registry.known, "objective"))] = Field(
        "infonce", description="Training objective, or `package.module:attribute`."
    )
    temperature: PositiveFloat = Field(0.05, description="Divides cosine similarities.")
    mask: Literal["group", "none"] = Field(
        "group", description="`group`: rows that share a passage are no negatives of each other."
    )
    num_negatives: Annotated[NonNegative, "negatives per row"] = Field(
        1, description="Negatives used per row, the first that it has, where it has any."
    )
    negative_language: Literal["passage", "query", "any"] = Field(
        "passage",
        description="Language of a row's negatives: that of its passage or its query in the batch, "
        "or any that the negative has, drawn for each.",
    )
    guide: Literal["none", "absolute", "relative"] = Field(
        "none",
        description="A text that the teacher scores higher than the row's passage less a margin, "
        "absolute or a share of it, is no negative (GISTEmbed).",
    )
    guide_margin: Annotated[float, Field(ge=-2, le=2, strict=True)] = Field(
        0.0, description="That margin; Qwen3-Embedding has -0.1."
    )
    symmetric: bool = Field(
        False, description="Also rank queries for passages; the loss is the mean of both."
    )


def _objective(value: Any) -> Any:
    """Return the settings of the objective that a mapping names, checked by its own section."""
    if not isinstance(value, dict):
        return value
    name = value.get("name", "infonce")
    if not isinstance(name, str):
        return value
    return objective_section(name).model_validate(value)


def objective_section(name: str) -> type[Objective]:
    """Return the section of an objective's settings. Raises ValueError where there is none."""
    return registry.get("objective", registry.known("objective", name)).settings


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
        None, description="Peak learning rate; null: the encoder's own (3e-5; tiny: 3e-3)."
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
        True, description="On a CPU, draw dropout from 16 random bits a number; faster."
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


RANKING, MINING = {"metrics", "passage"}, {"margin", "n_neighbors"}  # what results depend on


class Evaluate(Section):
    """What is measured."""

    metrics: Annotated[Names, AfterValidator(_metrics)] = Field(
        (
            *("map", "map@20", "ndcg@10", "recall@1", "recall@5", "recall@10", "recall@100"),
            *("mrr", "rank_distance", "peer@20", "same_language@10"),
        ),
        description="Metrics, with `@` and a cut-off where they take one.",
    )
    passage: Literal["sentence", "sentence+context"] = Field(
        "sentence", description="LAReQA's candidates: a sentence, or with its paragraph."
    )
    center_languages: bool = Field(
        False, description="Take the mean of each language off its vectors; a baseline."
    )
    block_mb: MiB = Field(64, description="Memory of one block of scores.")
    memory_mb: MiB = Field(
        4096, description="A corpus whose vectors need more memory is streamed from disk."
    )
    margin: Literal["absolute", "ratio", "distance"] = Field(
        "absolute", description="Bitext mining: score of a pair (arXiv 1811.01136)."
    )
    n_neighbors: Annotated[Positive, "sentences"] = Field(
        4, description="Bitext mining: neighbours of each sentence."
    )
    limit: Rows | None = Field(
        None, description="Concepts kept of each language, for a trial; null: all."
    )
    seed: Seed = Field(0, description="Seed of query perturbations.")
    near_duplicates: Annotated[float, Field(ge=0.5, le=1, strict=True)] | None = Field(
        None,
        description="Contamination: count texts of this Jaccard similarity too; null: equal ones.",
    )


UNTRAINED = "untrained"  # what tables and claims call runs whose encoder is as it came
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


class Config(Section):
    """Everything a run depends on. `hbr train -C config.yaml` makes the same run again."""

    seed: Seed = Field(0, description="Seed of everything random in training.")
    sampler: Sampler = Sampler()
    encoder: Encoder = Encoder()
    data: Data = Data()
    objective: SerializeAsAny[Objective] = Objective()
    adapter: Adapter = Adapter()
    train: Train = Train()
    mine: Mine = Mine()
    teacher: Teacher = Teacher()
    encode: Encode = Encode()
    index: Index = Index()
    evaluate: Evaluate = Evaluate()

    _objective = field_validator("objective", mode="before")(_objective)

    @property
    def is_trained(self) -> bool:
        """Whether the run trains its encoder; else it takes the encoder as it is."""
        return self.train.max_steps > 0

    @property
    def method(self) -> str:
        """What tables call the way the encoder was trained: its sampler, or `untrained`."""
        return self.sampler.name if self.is_trained else UNTRAINED

    def to_yaml(self) -> str:
        """Return the whole config as YAML; reading it back gives an equal one."""
        return dump(self.model_dump(mode="json"))

    def identity(self) -> dict[str, Any]:
        """Return the part that decides the trained weights, as plain values.

        A run keeps its identity where only the log changes, and where only rounding and the draws
        of dropout do, as they do between one rank and two.
        """
        parts = {"seed", "sampler", "encoder", "data", "objective"}
        parts |= {"mine"} if self.train.hard_negatives == "mined" else set()
        objective = registry.get("objective", self.objective.name)
        parts |= {"teacher"} if objective.uses_teacher(self.objective) else set()
        chosen = self.model_dump(mode="json", include=parts)
        if not self.is_trained:
            return {"encoder": chosen["encoder"], "trained": False}
        if not registry.get("sampler", self.sampler.name).uses_alpha:
            chosen["sampler"].pop("alpha")
        if self.adapter.name:
            chosen["adapter"] = self.adapter.model_dump(mode="json")
        for kind in ("sampler", "objective"):
            chosen[kind] |= registry.source(kind, chosen[kind]["name"])
        train = self.train.model_dump(mode="json", exclude=LOG_ONLY | SAME_RESULT)
        idle = {name for name, default in LATER.items() if train[name] == default}
        return chosen | {"train": {k: v for k, v in train.items() if k not in idle}}

    def at(self, target: EvaluationTarget) -> "Config":
        """Return the settings that a target is evaluated with."""
        center = {"center_languages": target.center_languages}
        kind = {"kind": target.index} if target.index else {}
        return self.model_copy(
            update={
                "evaluate": self.evaluate.model_copy(update=center),
                "index": self.index.model_copy(update=kind),
            }
        )


SECTIONS: dict[str, Any] = {
    name: type(field.default)
    for name, field in Config.model_fields.items()
    if isinstance(field.default, Section)
}
