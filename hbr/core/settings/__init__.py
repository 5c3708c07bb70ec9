"""What a run depends on, section by section.

Each setting is declared with its type, unit, default and description; `hbr.core.values` reads them.
"""

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    field_validator,
)

from hbr.core import registry
from hbr.core.settings.adapter import Adapter
from hbr.core.settings.data import Data
from hbr.core.settings.fields import (
    MiB,
    Names,
    NonNegative,
    Pooling,
    Positive,
    PositiveFloat,
    Rows,
    Section,
    Seed,
    Share,
    Tokens,
)
from hbr.core.settings.negatives import FILE, Mine, Teacher
from hbr.core.settings.train import LATER, LOG_ONLY, SAME_RESULT, Train
from hbr.core.settings.vectors import Encode, Index
from hbr.core.target import EvaluationTarget, known_measure
from hbr.core.yaml_files import dump

METRICS = (
    *("map", "map@20", "ndcg@10", "recall@1", "recall@5", "recall@10", "recall@100"),
    *("mrr", "rank_distance", "peer@20", "same_language@10"),
)


def _metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    mistakes = []
    for name in () if names == METRICS else names:  # a look at each loads numpy
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
        description="Longest query, prompt and special tokens included; null: as the preset says, "
        "else the encoder's files.",
    )
    passage_max_seq_length: Tokens | None = Field(
        None,
        description="Longest passage, likewise; null: as the preset says, else the files.",
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
        1, description="How many of a row's negatives are used, from the first on."
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


class Evaluate(Section):
    """What is measured."""

    metrics: Annotated[Names, AfterValidator(_metrics)] = Field(
        METRICS,
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

    @property
    def sources_of_supervision(self) -> set[str]:
        """The sections of mined negatives and of a teacher, where the training uses them."""
        found = {"mine"} if self.train.hard_negatives == "mined" else set()
        objective = registry.get("objective", self.objective.name)
        return found | ({"teacher"} if any(objective.needs(self.objective)) else set())

    def identity(self) -> dict[str, Any]:
        """Return the part that decides the trained weights, as plain values.

        A run keeps its identity where only the log changes, and where only rounding and the draws
        of dropout do, as they do between one rank and two.
        """
        parts = {"seed", "sampler", "encoder", "data", "objective"} | self.sources_of_supervision
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
        idle |= set() if self.train.metric_for_best_model else {"eval_limit"}
        if self.objective.guide == "none":
            chosen["objective"]["guide_margin"] = Objective().guide_margin
        if "mine" in chosen and self.mine.sampling_strategy == "top":
            chosen["mine"]["seed"] = Mine().seed
        chosen |= self._vectors(parts)
        return chosen | {"train": {k: v for k, v in train.items() if k not in idle}}

    def _vectors(self, parts: set[str]) -> dict[str, Any]:
        """Return how vectors that mine or teach are made and searched, where not by default."""
        mines = "mine" in parts and self.mine.uses_vectors
        teaches = "teacher" in parts and not (self.teacher.name or "").endswith(FILE)
        found: dict[str, Any] = {}
        if mines or teaches:
            found["encode"] = self.encode.decisive()
        if mines:
            found["index"] = self.index.decisive(self.mine.index)
        return {name: changed for name, changed in found.items() if changed}

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
