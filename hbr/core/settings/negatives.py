"""Settings of mined negatives and of teachers: both belong to rows, whatever their languages."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hbr.core.settings.fields import NonNegative, Positive, Section, Seed

BM25, FILE = "bm25", ".jsonl"  # a miner of words, and what the name of a file ends in
RULES = {"max_score", "min_score", "absolute_margin", "relative_margin"}


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number), Field(ge=-1e6, le=1e6, strict=True)]


class Mine(Section):
    """Hard negatives mined for training rows; names and meanings as in sentence-transformers."""

    miner: str | None = Field(
        None,
        description="What finds them: `bm25`, a run, a preset, a hub id, a folder, or `FILE.jsonl` "
        "with negatives; null: the encoder that training starts from.",
    )
    pool: Literal["own", "pivot", "all"] = Field(
        "own",
        description="A query meets the passages of its own language, in each that its row has "
        "(`own`) or in the pivot alone (`pivot`), or the passages of all languages (`all`).",
    )
    num_negatives: Annotated[Positive, "negatives per row"] = Field(
        3, le=10_000, description="Negatives kept of each row, at most."
    )
    range_min: Annotated[NonNegative, "candidates"] = Field(
        0, description="Best candidates that are passed over."
    )
    range_max: Annotated[Positive, "candidates"] | None = Field(
        None,
        description="Best candidates that are looked at; null: `range_min` and `num_negatives`, "
        "the latter times ten where a margin or a bound may pass some over.",
    )
    max_score: Number | None = Field(None, description="Highest score of a negative.")
    min_score: Number | None = Field(None, description="Lowest score of a negative.")
    absolute_margin: Number | None = Field(
        None, description="A negative scores lower than the row's passage by this."
    )
    relative_margin: Number | None = Field(
        None, description="A negative scores lower than the row's passage by this share of it."
    )
    sampling_strategy: Literal["top", "random"] = Field(
        "top", description="The best of the candidates, or some drawn at random."
    )
    index: Literal["exact", "flat", "ivf", "hnsw", "pq"] = Field(
        "exact", description="`exact` search of all passages, or a kind of faiss index."
    )
    seed: Seed = Field(0, description="Seed of random sampling.")

    @property
    def candidates(self) -> int:
        """The candidates that are looked at."""
        factor = 10 if any(getattr(self, rule) is not None for rule in RULES) else 1
        return self.range_max or self.range_min + factor * self.num_negatives

    @property
    def uses_vectors(self) -> bool:
        """Whether the miner is an encoder: neither BM25 nor a file of negatives."""
        return self.miner != BM25 and not (self.miner or "").endswith(FILE)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.num_negatives > self.candidates - self.range_min:
            raise ValueError(
                f"num_negatives {self.num_negatives} do not fit between range_min {self.range_min} "
                f"and range_max {self.range_max}"
            )
        return self


class Teacher(Section):
    """A teacher, whose scores and vectors of texts hold for all their translations."""

    name: str | None = Field(
        None,
        description="A cross-encoder or an encoder: a preset, a hub id, a folder, a run; or "
        "`FILE.jsonl` with scores; null: the encoder that training starts from.",
    )
    revision: str | None = Field(None, description="Branch, tag or commit on the hub.")
    reads: Literal["pivot", "all"] = Field(
        "pivot",
        description="Texts in the pivot language, or in all languages, over which it takes the "
        "mean.",
    )
    truncate: bool = Field(
        False, description="Texts longer than the teacher can read are cut; else they are a fault."
    )
