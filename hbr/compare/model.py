"""What a report shows, as plain values: compare fills these, plots and pages read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hbr.compare.claims import Verdict
from hbr.compare.table import Table


@dataclass(frozen=True)
class Series:
    """All that plots need of one cell on one data set; means over its seeds."""

    dataset: str
    encoder: str
    sampler: str
    name: str  # the sampler and whatever else tells the cells of an encoder apart
    alpha: float | None  # probability of a monolingual batch; monolingual 1, cross-lingual 0
    settings: Mapping[str, Mapping[str, float]]  # setting -> metric -> value
    by_language: Mapping[str, Mapping[str, float]]  # setting -> query language -> mAP
    mean_rank: Mapping[str, Mapping[str, float]]  # query language -> passage language -> rank
    losses: Sequence[Sequence[tuple[int, float]]] = ()  # a line a seed: (step, training loss)
    validation: Sequence[Sequence[tuple[int, float]]] = ()


@dataclass(frozen=True)
class Report:
    """Everything that `compare` found out."""

    title: str
    tables: Sequence[Table]
    verdicts: Sequence[Verdict]
    warnings: Sequence[str]
    series: Sequence[Series]
    provenance: Sequence[Mapping[str, str]] = field(default=())  # a line a run
    statistics: str = ""  # one sentence: resamples, seed, family
    perturbed: Sequence[Series] = ()  # as `series`, of perturbed queries
