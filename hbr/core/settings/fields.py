"""What settings are made of: a section, and the types of values with their bounds and units."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

LEAST, MOST = 1e-12, 1e6  # no setting is meant to be a smaller or larger number, but 0


def _no_trace(value: float) -> float:
    if 0 < value < LEAST:
        raise ValueError(f"input should be 0 or at least {LEAST:g}")
    return value


Seed = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
Positive = Annotated[int, Field(ge=1, le=10**9, strict=True)]
NonNegative = Annotated[int, Field(ge=0, le=10**9, strict=True)]
PositiveFloat = Annotated[float, Field(ge=LEAST, le=MOST, strict=True)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=MOST, strict=True), AfterValidator(_no_trace)]
Share = Annotated[float, Field(ge=0, le=1, strict=True), AfterValidator(_no_trace)]
Tokens = Annotated[Positive, "tokens"]  # a text among a type's annotations is its unit
Steps = Annotated[Positive, Field(le=10**7), "steps"]
Pairs = Annotated[int, Field(ge=2, le=10**6, strict=True), "pairs"]
MiB = Annotated[Positive, "MiB"]
Rows = Annotated[Positive, "rows per language"]
Precision = Literal["fp32", "bf16"]
Pooling = Literal[
    "mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens", "dense"
]


class Section(BaseModel):
    """A group of settings: frozen, and unknown names are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def changed(self) -> dict[str, Any]:
        """Return the settings that are not at their defaults, as plain values."""
        default = type(self)().model_dump(mode="json")
        return {n: v for n, v in self.model_dump(mode="json").items() if v != default[n]}


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} stands in it twice")
    return names


AnyNames = Annotated[tuple[str, ...], BeforeValidator(_several), AfterValidator(_each_once)]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    AfterValidator(_each_once),
]
