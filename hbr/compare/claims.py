"""Claims: sentences about results in a form that figures can confirm, refute or leave open.

    {id: hybrid-best, metric: map, setting: multi, greater: hybrid, than: [monolingual, untrained]}
    {id: less-bias, metric: rank_distance, setting: multi, less: hybrid, than: monolingual, by: 10%}
    {id: no-worse, metric: map, setting: mono, greater: hybrid, than: monolingual, by: -.005}
    {id: keeps-up, metric: map, setting: mono, equal: hybrid, to: [monolingual, cross-lingual],
     margin: .005}
    {id: rises, metric: map, setting: mono, trend: up, over: alpha}
    {id: matters-less, metric: map, setting: mono, less: {hard_negatives: mined},
     than: {hard_negatives: given}, gap: [monolingual, cross-lingual]}

A claim speaks of every cell that its words name: it holds only if it holds for each pair of them
that agrees in the settings `within` (without it, in all that the study varies). `equal` with
several baselines means the best of them.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hbr.core import languages, registry
from hbr.core.inference import Over
from hbr.core.registry import near
from hbr.core.target import EvaluationTarget, Measure

RELATIONS = {  # the words that mean something with each
    "greater": {"than", "by"},
    "less": {"than", "by"},
    "equal": {"to", "margin"},
    "trend": {"over", "by", "margin"},
}
# what a claim speaks of, and what is random in its tests
EVIDENCE: dict[str, Over] = {"methods": "seeds and concepts", "these-encoders": "concepts"}


def _selector(value: Any) -> Any:
    """Read what names cells: a sampler, or settings, spelled as configs may spell them."""
    if isinstance(value, str):
        value = {"sampler": value}
    if not isinstance(value, Mapping):
        return value
    return {str(k).replace("-", "_"): _setting(str(k), v) for k, v in value.items()}


def _setting(key: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_setting(key, item) for item in value]
    if key == "sampler" and isinstance(value, str):
        return registry.canonical("sampler", value)
    try:
        return float(value) if isinstance(value, str) else value  # YAML reads 1e-3 as text
    except ValueError:
        return value


def listed(value: Any) -> Any:
    """Return what may be one value or several as several."""
    return value if isinstance(value, list | tuple) else (value,)


class Amount(NamedTuple):
    """A difference, absolute or as a share of the baseline."""

    value: float
    relative: bool


def _amount(value: Any) -> Any:
    if isinstance(value, list | tuple):  # as it was written out
        return value
    text = str(value).strip()
    number = float(text.removesuffix("%"))
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no amount")
    return Amount(number / 100, True) if text.endswith("%") else Amount(number, False)


Selector = Annotated[dict[str, Any], BeforeValidator(_selector)]
Selectors = Annotated[tuple[Selector, ...], BeforeValidator(listed), Field(min_length=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(listed)]
Size = Annotated[Amount, BeforeValidator(_amount)]


def doubled_id(claims: Iterable["Claim"]) -> str:
    """Return the first id that several claims have, "" for none."""
    ids = [claim.id for claim in claims]
    return min((id for id in ids if ids.count(id) > 1), default="")


class Claim(BaseModel):
    """One claim, as a study writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    says: str = ""  # the sentence, for readers
    dataset: Words | None = None  # without it, every data set of the study
    metric: Annotated[str, AfterValidator(lambda text: str(Measure.parse(text)))]
    setting: Literal["mono", "cross", "multi"]
    greater: Selector | None = None
    less: Selector | None = None
    equal: Selector | None = None
    trend: Literal["up", "down", "flat"] | None = None
    than: Selectors | None = None  # of greater and less
    to: Selectors | None = None  # of equal
    over: str = "alpha"  # of trend
    by: Size = Amount(0.0, False)  # of greater, less, up and down: at least so much
    margin: Size | None = None  # of equal and flat: less than so much either way
    gap: Annotated[Selectors, Field(min_length=2, max_length=2)] | None = None  # its two ends
    within: Words | None = None
    evidence: Literal["methods", "these-encoders"] = "methods"  # what it speaks of
    where: Selector = {}  # speak of these cells alone
    among: dict[str, str] = {}  # and of these languages alone: {resource: low}

    @model_validator(mode="after")
    def _is_one_relation(self) -> Self:
        relations = [name for name in RELATIONS if getattr(self, name)]
        if len(relations) != 1:
            raise ValueError(f"claim {self.id!r}: say one of {', '.join(RELATIONS)}")
        (relation,) = relations
        words = RELATIONS[relation]
        if self.trend:
            words = words - {"by" if self.trend == "flat" else "margin"}
        if self.gap and not (self.greater or self.less):
            raise ValueError(f"claim {self.id!r}: gap goes with greater or less")
        idle = self.model_fields_set & (set().union(*RELATIONS.values()) - words)
        if idle:
            raise ValueError(f"claim {self.id!r}: {relation} has no {min(idle)!r}")
        needed = words & {"than", "to"}
        if any(getattr(self, name) is None for name in needed):
            raise ValueError(f"claim {self.id!r}: {relation} needs {min(needed)!r}")
        if self.is_equivalence and (not self.margin or self.margin.value <= 0):
            raise ValueError(f"claim {self.id!r}: equal and flat need a positive margin")
        return self

    @model_validator(mode="after")
    def _has_known_languages(self) -> Self:
        for by, label in self.among.items():
            if by not in languages.BY:
                ways = ", ".join(languages.BY)
                raise ValueError(f"claim {self.id!r}: among groups by {ways}, not by {by!r}")
            labels = languages.known_labels(by)
            for part in label.split("→"):
                if part not in labels:
                    raise ValueError(f"claim {self.id!r}: no {by} is {part!r}{near(part, labels)}")
        return self

    @property
    def over_concepts(self) -> Over:
        """What is random in the tests: training too, or the concepts alone."""
        return EVIDENCE[self.evidence]

    @property
    def is_relative(self) -> bool:
        """Whether a bound is a share of the baseline."""
        return self.by.relative or bool(self.margin and self.margin.relative)

    @property
    def measure(self) -> Measure:
        """The metric with its cut-off."""
        return Measure.parse(self.metric)

    @property
    def is_equivalence(self) -> bool:
        """Whether a difference must lie between two bounds, not beyond one."""
        return bool(self.equal) or self.trend == "flat"

    @property
    def side(self) -> int:
        """1 where a difference must lie above its bound, -1 below it, 0 between two."""
        if self.is_equivalence:
            return 0
        return 1 if self.greater or self.trend == "up" else -1

    @property
    def sides(self) -> tuple[dict[str, Any], ...]:
        """What names the cells that are compared, the claim's subject first."""
        subject = self.greater or self.less or self.equal
        return (*((subject,) if subject else ()), *(self.than or ()), *(self.to or ()))

    @property
    def keys(self) -> set[str]:
        """The settings that the claim names."""
        named = {key for side in (*self.sides, *(self.gap or ()), self.where) for key in side}
        return named | set(self.within or ()) | ({self.over} if self.trend else set())

    @property
    def sentence(self) -> str:
        """What the claim says: in its words, or its form in words."""
        if self.says:
            return self.says
        what = f"{self.setting} {self.metric}"
        gap = [f"the gap of {' to '.join(map(words_of, self.gap))}"] if self.gap else []
        where = [f"where {words_of(self.where)}"] if self.where else []
        among = [f"among {words_of(self.among)}"] if self.among else []
        about = "".join(f", {words}" for words in (*gap, *where, *among))
        if self.trend:
            return f"{what}: {self.trend} over {self.over}{about}"
        relation = "greater than" if self.greater else "less than" if self.less else "equal to"
        side, *others = map(words_of, self.sides)
        best = "the best of " if self.equal and len(others) > 1 else ""
        return f"{what}: {side} {relation} {best}{' and '.join(others)}{about}"

    def concerns(self, target: EvaluationTarget, dataset: str | None = None) -> bool:
        """Return whether the claim speaks of a target; of those of one `dataset`, if it is named.

        A claim about a drop speaks of perturbed queries, any other of clean ones. It speaks of the
        data sets that it names, or of all: `xquad-r` of whole vectors, `xquad-r~64d` of cut ones.
        """
        names = (dataset,) if dataset else self.dataset
        if bool(target.perturbation) != self.measure.drop:
            return False
        whole = target.dataset if target.compression is None else str(target)
        return names is None or str(target) in names or whole in names


def matches(cell: Mapping[str, Any], selector: Mapping[str, Any]) -> bool:
    """Return whether a selector names a cell, which is its settings by name."""
    return all(
        (key in cell and (cell[key] == values or cell[key] in listed(values)))
        or (key == "encoder" and cell.get("encoder.name") in listed(values))  # its name in full
        for key, values in selector.items()
    )


def words_of(selector: Mapping[str, Any]) -> str:
    """Write a selector: its values, the sampler first."""
    sampler = [str(selector["sampler"])] if "sampler" in selector else []
    others = [f"{key} {value}" for key, value in selector.items() if key != "sampler"]
    return " ".join([*sampler, *others])
