"""Claims: sentences about results in a form that figures can confirm, refute or leave open.

    {id: hybrid-best, metric: map, setting: multi, greater: hybrid, than: [monolingual, untrained]}
    {id: less-bias, metric: rank_distance, setting: multi, less: hybrid, than: monolingual, by: 10%}
    {id: no-worse, metric: map, setting: mono, greater: hybrid, than: monolingual, by: -.005}
    {id: keeps-up, metric: map, setting: mono, equal: hybrid, to: [monolingual, cross-lingual],
     margin: .005}
    {id: rises, metric: map, setting: mono, trend: up, over: alpha}

A claim speaks of every cell that its words name: it holds only if it holds for each pair of them
that agrees in the settings `within` (without it, in all that the study varies). `equal` with
several baselines means the best of them.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hbr.core import languages
from hbr.core.registry import near
from hbr.core.target import Measure

LEVEL = 0.05
ROUNDING = 1e-9  # printed figures that lie on a bound do so but for this
FREE = frozenset({"sampler", "alpha"})  # go together: a side that names one may differ in both
RELATIONS = {  # the words that mean something with each
    "greater": {"than", "by"},
    "less": {"than", "by"},
    "equal": {"to", "margin"},
    "trend": {"over", "by", "margin"},
}
SUPPORTED, REFUTED, OPEN = "supported", "refuted", "open"


def lower_is_better(metric: str) -> bool:
    """Return whether the lower value of a metric is the better one."""
    return Measure.parse(metric).lower_is_better


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
        return value.replace("_", "-")
    try:
        return float(value) if isinstance(value, str) else value  # YAML reads 1e-3 as text
    except ValueError:
        return value


def _listed(value: Any) -> Any:
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


Cells = Annotated[dict[str, Any], BeforeValidator(_selector)]
Several = Annotated[tuple[Cells, ...], BeforeValidator(_listed), Field(min_length=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Size = Annotated[Amount, BeforeValidator(_amount)]


class Claim(BaseModel):
    """One claim, as a study writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    says: str = ""  # the sentence, for readers
    dataset: Words | None = None  # without it, every data set of the study
    metric: str
    setting: Literal["mono", "cross", "multi"]
    greater: Cells | None = None
    less: Cells | None = None
    equal: Cells | None = None
    trend: Literal["up", "down", "flat"] | None = None
    than: Several | None = None  # of greater and less
    to: Several | None = None  # of equal
    over: str = "alpha"  # of trend
    by: Size = Amount(0.0, False)  # of greater, less, up and down: at least so much
    margin: Size | None = None  # of equal and flat: less than so much either way
    within: Words | None = None
    where: Cells = {}  # speak of these cells alone
    among: dict[str, str] = {}  # and of these languages alone: {resource: low}

    @model_validator(mode="after")
    def _is_one_relation(self) -> Self:
        said = [name for name in RELATIONS if getattr(self, name)]
        if len(said) != 1:
            raise ValueError(f"claim {self.id!r}: say one of {', '.join(RELATIONS)}")
        means = RELATIONS[said[0]]
        if self.trend:
            means = means - {"by" if self.trend == "flat" else "margin"}
        idle = self.model_fields_set & (set().union(*RELATIONS.values()) - means)
        if idle:
            raise ValueError(f"claim {self.id!r}: {said[0]} has no {sorted(idle)[0]!r}")
        needed = means & {"than", "to"}
        if any(getattr(self, name) is None for name in needed):
            raise ValueError(f"claim {self.id!r}: {said[0]} needs {min(needed)!r}")
        if (self.equal or self.trend == "flat") and (not self.margin or self.margin.value <= 0):
            raise ValueError(f"claim {self.id!r}: equal and flat need a positive margin")
        for by, label in self.among.items():
            if by not in languages.BY:
                ways = ", ".join(languages.BY)
                raise ValueError(f"claim {self.id!r}: among groups by {ways}, not by {by!r}")
            for part in label.split("→"):
                if part not in (known := languages.known_labels(by)):
                    raise ValueError(f"claim {self.id!r}: no {by} is {part!r}{near(part, known)}")
        return self

    @property
    def sides(self) -> tuple[dict[str, Any], ...]:
        """The cells that are compared, what the claim is of first."""
        first = self.greater or self.less or self.equal
        return (*((first,) if first else ()), *(self.than or ()), *(self.to or ()))

    @property
    def keys(self) -> set[str]:
        """The settings that the claim names."""
        over = {self.over} if self.trend else set()
        return {
            *(key for side in self.sides for key in side),
            *self.where,
            *(self.within or ()),
            *over,
        }

    @property
    def sentence(self) -> str:
        """What the claim says: its own words, or its form in words."""
        if self.says:
            return self.says
        what = f"{self.setting} {self.metric}"
        if self.trend:
            return f"{what}: {self.trend} over {self.over}"
        relation = "greater than" if self.greater else "less than" if self.less else "equal to"
        side, *others = map(named, self.sides)
        return f"{what}: {side} {relation} {' and '.join(others)}"


class Test(NamedTuple):
    """A weighted sum of cells that must lie above (`side` 1) or below (-1) a bound."""

    weights: Mapping[int, float]
    bound: float
    side: int


class Comparison(NamedTuple):
    """One of the comparisons that a claim stands for; it holds if all of its tests do.

    `effect` are the weights of the difference that is shown, `base` those of what it is a share
    of. `missing` says what keeps it from being judged.
    """

    label: str
    effect: Mapping[int, float]
    base: Mapping[int, float]
    tests: tuple[Test, ...]
    missing: str = ""


class Outcome(NamedTuple):
    """What the data say of one test, relative to its bound; NaN where only means are known."""

    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


@dataclass(frozen=True)
class Finding:
    """One comparison and what came of it. `p` is adjusted over the claims of the study."""

    dataset: str
    label: str
    status: str
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    relative: float = math.nan  # the effect as a share of the baseline
    p: float = math.nan
    adjusted: float = math.nan
    d: float = math.nan  # Cohen's, over concepts
    seeds: int = 0
    concepts: int = 0
    cells: tuple[str, ...] = ()
    note: str = ""
    missing: bool = False  # what it is about was not run


@dataclass(frozen=True)
class Verdict:
    """A claim, its verdict, and the findings that it rests on."""

    id: str
    sentence: str
    metric: str
    setting: str
    status: str
    findings: tuple[Finding, ...]
    note: str = ""


def matches(cell: Mapping[str, Any], selector: Mapping[str, Any]) -> bool:
    """Return whether a cell, its settings by name, is one that a selector names."""
    wanted = {k: v if isinstance(v, list | tuple) else [v] for k, v in selector.items()}
    return all(
        (key in cell and cell[key] in values)
        or (key == "encoder" and cell.get("encoder.name") in values)  # its name in full
        for key, values in wanted.items()
    )


def named(selector: Mapping[str, Any]) -> str:
    """Write a selector: its values, the sampler first."""
    rest = [f"{key} {value}" for key, value in selector.items() if key != "sampler"]
    return " ".join([*([str(selector["sampler"])] if "sampler" in selector else []), *rest])


def comparisons(
    claim: Claim,
    cells: Sequence[Mapping[str, Any]],
    figures: Sequence[float],
    varied: Collection[str],
) -> Iterator[Comparison]:
    """Yield the comparisons that a claim stands for.

    `cells` are settings by name, `figures` their values of the metric (NaN where not run), and
    `varied` the settings in which the cells differ.
    """
    eligible = [i for i, cell in enumerate(cells) if matches(cell, claim.where)]
    differs = {_word(claim.over)} if claim.trend else {_word(k) for s in claim.sides for k in s}
    differs |= FREE if differs & FREE else set()
    within = set(varied) | {"sampler"} if claim.within is None else set(claim.within)
    within = {key for key in within if _word(key) not in differs}
    if claim.trend:
        yield from _trends(claim, cells, figures, eligible, within)
        return
    side, *baselines = claim.sides
    ours = [i for i in eligible if matches(cells[i], side)]
    if not ours:
        yield absent(f"no cell of {named(side)}")
    for i in ours:
        place = _place(cells[i], within)
        found = [(b, _partners(i, b, cells, eligible, within)) for b in baselines]
        for b in (b for b, partners in found if not partners):
            why = f"no cell of {named(b)}"
            yield absent(f"{why} in {place}" if place else why)
        partners = [j for _, several in found for j in several]
        if claim.equal and all(several for _, several in found):
            yield _checked(_pair(claim, cells, i, _best(partners, figures, claim), place), figures)
        elif not claim.equal:
            yield from (_checked(_pair(claim, cells, i, j, place), figures) for j in partners)


def judge(tests: Sequence[Test], outcomes: Sequence[Outcome], adjusted: float) -> str:
    """Return what a comparison's outcomes make of it.

    Supported: each value, and its interval, lies on the claimed side of its bound, and the
    adjusted p is below .05. Refuted: one lies wholly on the other side, likewise. Where intervals
    and p are unknown, the means decide, and a mean on the bound decides nothing.
    """
    sides = [test.side for test in tests]
    if any(math.isnan(o.value) for o in outcomes):
        return OPEN
    if all(math.isnan(o.p) for o in outcomes):
        values = [side * o.value for side, o in zip(sides, outcomes, strict=True)]
        return SUPPORTED if min(values) > ROUNDING else REFUTED if min(values) < -ROUNDING else OPEN
    bounds = [(s * o.low, s * o.high) for s, o in zip(sides, outcomes, strict=True)]
    if not adjusted < LEVEL:
        return OPEN
    if all(min(bound) > 0 for bound in bounds):
        return SUPPORTED
    return REFUTED if any(max(bound) < 0 for bound in bounds) else OPEN


def overall(findings: Sequence[Finding]) -> str:
    """Return what findings make of the claim that all of them hold: nothing while one is missing."""
    statuses = {finding.status for finding in findings}
    if any(finding.missing for finding in findings):
        return OPEN
    if REFUTED in statuses:
        return REFUTED
    return SUPPORTED if statuses == {SUPPORTED} else OPEN


def _pair(
    claim: Claim, cells: Sequence[Mapping[str, Any]], i: int, j: int, place: str
) -> Comparison:
    words = {key for side in claim.sides for key in side if key != "sampler"}
    label = f"{_name(cells[i], cells, words)} vs {_name(cells[j], cells, words)}"
    label = f"{place}: {label}" if place else label
    effect, base = {i: 1.0, j: -1.0}, {j: 1.0}
    if claim.equal:
        assert claim.margin is not None
        low, high = (_bounded(i, j, claim.margin, side, -side) for side in (1, -1))
        return Comparison(label, effect, base, (low, high))
    side = 1 if claim.greater else -1
    return Comparison(label, effect, base, (_bounded(i, j, claim.by, side, side),))


def _bounded(i: int, j: int, amount: Amount, side: int, sign: int) -> Test:
    """Test cell i against cell j plus or minus (`sign`) an amount."""
    if amount.relative:
        return Test({i: 1.0, j: -(1 + sign * amount.value)}, 0.0, side)
    return Test({i: 1.0, j: -1.0}, sign * amount.value, side)


def _trends(
    claim: Claim,
    cells: Sequence[Mapping[str, Any]],
    figures: Sequence[float],
    eligible: Sequence[int],
    within: Collection[str],
) -> Iterator[Comparison]:
    """Yield the change of the figure along a least-squares line over a setting's whole range."""
    groups: dict[str, list[int]] = {}
    for i in eligible:
        if isinstance(cells[i].get(claim.over), int | float):
            groups.setdefault(_place(cells[i], within), []).append(i)
    if not groups:
        yield absent(f"no cell has a number for {claim.over}")
    for place, members in groups.items():
        at = [float(cells[i][claim.over]) for i in members]
        if len(set(at)) < 3:
            yield absent(
                f"fewer than three values of {claim.over} {f'in {place}' if place else ''}"
            )
            continue
        middle, extent = sum(at) / len(at), max(at) - min(at)
        squares = sum((x - middle) ** 2 for x in at)
        line = {i: extent * (x - middle) / squares for i, x in zip(members, at, strict=True)}
        base = {i: 1 / len(members) for i in members}
        label = f"{claim.over} {min(at):g} to {max(at):g}"
        label = f"{place}: {label}" if place else label
        yield _checked(Comparison(label, line, base, _line_tests(claim, line, base)), figures)


def _line_tests(
    claim: Claim, line: Mapping[int, float], base: Mapping[int, float]
) -> tuple[Test, ...]:
    flat = claim.trend == "flat"
    amount = claim.margin if flat else claim.by
    assert amount is not None

    def test(side: int, sign: int) -> Test:
        if not amount.relative:
            return Test(line, sign * amount.value, side)
        return Test({i: w - sign * amount.value * base[i] for i, w in line.items()}, 0.0, side)

    if flat:
        return test(1, -1), test(-1, 1)
    side = 1 if claim.trend == "up" else -1
    return (test(side, side),)


def _checked(comparison: Comparison, figures: Sequence[float]) -> Comparison:
    cells = {i for test in comparison.tests for i in test.weights}
    if any(math.isnan(figures[i]) for i in cells):
        return comparison._replace(missing="not all of its cells were run")
    return comparison


def absent(why: str) -> Comparison:
    """Return the comparison that cannot be made, and why."""
    return Comparison(why, {}, {}, (), why)


def _partners(
    i: int,
    selector: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
    eligible: Sequence[int],
    within: Collection[str],
) -> list[int]:
    """Return the cells of a selector that agree with cell i in the settings that both have."""
    ours = cells[i]
    return [
        j
        for j in eligible
        if j != i
        and matches(cells[j], selector)
        and all(cells[j].get(k, ours.get(k)) == ours.get(k) for k in within if k in ours)
    ]


def _best(partners: Sequence[int], figures: Sequence[float], claim: Claim) -> int:
    """Return the best of several cells, or one that was not run, if there is one."""
    lower = lower_is_better(claim.metric)
    missing = [j for j in partners if math.isnan(figures[j])]
    return (missing or sorted(partners, key=lambda j: figures[j] if lower else -figures[j]))[0]


def _word(key: str) -> str:
    """Return the last word of a setting's name, by which a claim may name it too."""
    return key.rpartition(".")[2].replace("-", "_")


def _place(cell: Mapping[str, Any], within: Collection[str]) -> str:
    return ", ".join(str(cell[key]) for key in sorted(within) if key in cell)


def _name(
    cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], words: Collection[str]
) -> str:
    """Name a cell by its sampler, by α where the study has several, and by what a claim names."""
    same = [other for other in cells if other.get("sampler") == cell.get("sampler")]
    several = len({other.get("alpha") for other in same}) > 1
    sampler = f"{cell['sampler']} α={cell['alpha']}" if several else str(cell["sampler"])
    named = [str(v) for key, v in cell.items() if _word(key) in words and _word(key) != "encoder"]
    return " ".join([sampler, *(word for word in named if word not in sampler)])
