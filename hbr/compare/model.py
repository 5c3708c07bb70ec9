"""What a report shows, as plain values: compare fills these, plots and pages read them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from hbr.compare.table import Table


class Status(str):
    """What became of a claim: a word, with its sign and looks."""

    sign: str
    holds: bool | None  # None: open
    style: str  # of rich
    colour: str  # in figures
    marker: str  # in figures, as matplotlib names it

    def __new__(
        cls, word: str, sign: str, holds: bool | None, style: str, colour: str, marker: str
    ) -> Self:
        """Return the status of a word."""
        status = super().__new__(cls, word)
        status.sign, status.holds, status.style = sign, holds, style
        status.colour, status.marker = colour, marker
        return status

    def __deepcopy__(self, _: object) -> Self:
        return self


SUPPORTED = Status("supported", "✓", True, "green", "#009E73", "o")
REFUTED = Status("refuted", "✗", False, "red", "#D55E00", "X")
OPEN = Status("open", "?", None, "yellow", "#767676", "D")
HOLDS_HERE = Status("holds for these encoders", "◆", True, "cyan", "#0072B2", "s")
FAILS_HERE = Status("fails for these encoders", "◇", False, "magenta", "#CC79A7", "P")
MEANS_AGREE = Status("means agree", "≈", True, "cyan", "#56B4E9", "^")
MEANS_DISAGREE = Status("means disagree", "≉", False, "magenta", "#E69F00", "v")
STATUSES = (SUPPORTED, REFUTED, OPEN, HOLDS_HERE, FAILS_HERE, MEANS_AGREE, MEANS_DISAGREE)


@dataclass(frozen=True)
class Finding:
    """One comparison and what came of it. `p` is adjusted over the claims of the study."""

    dataset: str
    label: str
    status: Status
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
    bounds: tuple[float, ...] = ()  # that the effect must lie beyond, or between
    sides: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # runs that count for and against
    side: int = 0  # 1: above the bound, -1: below it, 0: between two


@dataclass(frozen=True)
class Verdict:
    """A claim, its verdict, and the findings that it rests on."""

    id: str
    sentence: str
    metric: str
    setting: str
    status: Status
    findings: tuple[Finding, ...]
    note: str = ""
    among: Mapping[str, str] = field(default_factory=dict)  # a group of languages


class Moved(NamedTuple):
    """The queries that two sides of a comparison differ in most, as `hbr inspect` has them."""

    label: str
    setting: str
    metric: str
    queries: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Series:
    """All that plots need of one cell on one data set; means over its seeds.

    Deviations over seeds are empty where there is one.
    """

    dataset: str
    encoder: str
    sampler: str
    name: str  # the sampler and whatever else tells the cells of an encoder apart
    alpha: float | None  # probability of a monolingual batch; monolingual 1, cross-lingual 0
    settings: Mapping[str, Mapping[str, float]]  # setting -> metric -> value
    by_language: Mapping[str, Mapping[str, float]]  # setting -> query language -> mAP
    mean_rank: Mapping[str, Mapping[str, float]]  # query language -> passage language -> rank
    compression: str = ""  # of its vectors
    is_centred: bool = False  # whether each language's mean is taken off them
    bytes_per_vector: int = 0
    losses: Sequence[Sequence[tuple[int, float]]] = ()  # a line a seed: (step, training loss)
    validation: Sequence[Sequence[tuple[int, float]]] = ()
    deviations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # as `settings`
    by_language_deviations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Everything that `hbr compare` shows."""

    title: str
    tables: Sequence[Table]
    verdicts: Sequence[Verdict]
    warnings: Sequence[str]
    series: Sequence[Series]
    provenance: Sequence[Mapping[str, str]] = ()  # a line a run
    statistics: str = ""  # how p and intervals were got, in a sentence or two
    perturbed: Sequence[Series] = ()  # as `series`, of perturbed queries
    compressed: Sequence[Series] = ()  # of compressed vectors, and of the whole ones beside them
    languages: Sequence[Mapping[str, str]] = ()  # what is known of each, a line a language
    moved: Callable[[], Mapping[str, Moved]] = dict  # by `hbr.compare.queries.moved_key`
