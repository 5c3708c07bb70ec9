"""Names with parts, parsed here and nowhere else: evaluation targets and measures."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hbr.core import registry

MTEB = "mteb:"  # before the name of a task of MTEB, which MTEB itself evaluates


@dataclass(frozen=True, order=True)
class Compression:
    """Vectors cut to their first numbers, passages quantized, or both: `64d`, `int8`, `64d+binary`.

    `str()` gives that back.
    """

    dimensions: int | None = None
    quantize: str | None = None  # `int8` or `binary`

    @classmethod
    def parse(cls, text: str) -> "Compression | None":
        """Return the compression that a text names, or None where it names none."""
        found = re.fullmatch(r"(?:([1-9]\d{0,5})d)?(?:(?:^|(?<=d)\+)(int8|binary))?", text)
        if not text or not found:
            return None
        return cls(int(found[1]) if found[1] else None, found[2])

    def __str__(self) -> str:
        parts = [f"{self.dimensions}d" if self.dimensions else "", self.quantize or ""]
        return "+".join(filter(None, parts))


@dataclass(frozen=True)
class EvaluationTarget:
    """A data set, perhaps with perturbed queries, an index, or vectors centred or compressed.

    Written `xquad-r`, `xquad-r~typo:0.1`, `beir/scifact@hnsw`, `xquad-r~center`, or
    `xquad-r~64d+int8`; `str()` gives that back.
    """

    dataset: str  # as the table of data sets spells it: `beir/scifact`, `beir/scifact:dev`
    perturbation: str = ""  # as `hbr.data.perturb` spells it: `typo:0.1`; "" for clean queries
    index: str = ""  # kind of the index; "" for exact search
    center_languages: bool = False  # each language's mean is taken off its vectors
    compression: Compression | None = None  # of vectors, once they are encoded

    def __lt__(self, other: "EvaluationTarget") -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[Any, ...]:
        packed = self.compression or Compression()
        plain = (self.dataset, self.perturbation, self.index, self.center_languages)
        return *plain, packed.dimensions or 0, packed.quantize or ""

    @classmethod
    def parse(cls, text: str) -> "EvaluationTarget":
        """Return the target that a text names; the data set need not be known."""
        rest, _, index = text.partition("@") if "~" not in text else (text, "", "")
        dataset, _, variant = rest.partition("~")
        center, compression = variant == "center", Compression.parse(variant)
        perturbation = "" if center or compression else variant
        return cls(canonical_dataset(dataset), perturbation, index, center, compression)

    def __str__(self) -> str:
        perturbation = f"~{self.perturbation}" if self.perturbation else ""
        center = "~center" if self.center_languages else ""
        center += f"~{self.compression}" if self.compression else ""
        return self.dataset + perturbation + center + (f"@{self.index}" if self.index else "")

    @property
    def is_mteb(self) -> bool:
        """Whether MTEB itself evaluates it."""
        return self.dataset.startswith(MTEB)

    @property
    def clean(self) -> "EvaluationTarget":
        """The same data set with its queries as they are, searched exactly."""
        return EvaluationTarget(self.dataset)

    @property
    def encoded(self) -> "EvaluationTarget":
        """The same queries, as the encoder has them, searched exactly."""
        return replace(self, index="", center_languages=False, compression=None)

    @property
    def tabled(self) -> "EvaluationTarget":
        """The target whose results share a table with this one's."""
        return replace(self, index="", center_languages=False)

    @property
    def exact(self) -> "EvaluationTarget":
        """The same queries, searched exactly."""
        return replace(self, index="")

    @property
    def folder(self) -> str:
        """The name of the target's folder: `beir/scifact~typo:0.1` is `beir-scifact~typo-0.1`."""
        return folder_name(str(self))

    def perturbed(self, perturbation: str) -> "EvaluationTarget":
        """Return the same data set with perturbed queries."""
        return replace(self, perturbation=perturbation)

    def indexed(self, index: str) -> "EvaluationTarget":
        """Return the same data set searched through an index."""
        return replace(self, index=index)

    def compressed(self, compression: Compression) -> "EvaluationTarget":
        """Return the same with compressed vectors."""
        return replace(self, compression=compression)

    def centered(self) -> "EvaluationTarget":
        """Return the same with vectors that are centred by language."""
        return replace(self, center_languages=True)


@dataclass(frozen=True)
class Measure:
    """A metric with its cut-off, or its drop on perturbed queries.

    Written `map`, `recall@10`, `drop_map@20`; `str()` gives that back.
    """

    name: str
    cutoff: int | None = None
    drop: bool = False  # clean minus perturbed; the reverse where the lower value is better

    @classmethod
    def parse(cls, text: str) -> "Measure":
        """Return the measure that a text names. Raises ValueError for what names none."""
        plain = text.removeprefix("drop_")
        name, at, cutoff = plain.partition("@")
        if ":" not in name and name not in registry.names("metric"):
            likely = registry.near(name, registry.names("metric"))
            raise ValueError(f"there is no metric {name!r}{likely}")
        if at and not (cutoff.isdigit() and int(cutoff) > 0):
            raise ValueError(f"the cut-off of {text!r} is no positive number")
        return cls(name, int(cutoff) if at else None, plain != text)

    def __str__(self) -> str:
        at = f"@{self.cutoff}" if self.cutoff else ""
        return "drop_" * self.drop + self.name + at

    @property
    def metric(self) -> Any:
        """The entry of the metric: see `hbr.evaluation.metrics.Metric`."""
        return registry.get("metric", self.name)

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value is better: that of a drop always is."""
        return self.drop or not self.metric.higher_is_better

    @property
    def label(self) -> str:
        """The measure as papers write it: `recall@10` is R@10."""
        at = f"@{self.cutoff}" if self.cutoff else ""
        return "drop " * self.drop + self.metric.label + at

    @property
    def decimals(self) -> int:
        """The number of decimals to write."""
        return self.metric.decimals


@dataclass(frozen=True)
class RetrievalGoal:
    """A metric in a setting, on the validation rows or on a data set, by which training validates.

    Written `map@20 multi`, `mrr mono xquad-r:heldout`; `str()` gives that back.
    """

    measure: Measure
    setting: str
    dataset: str = ""  # "" for the validation rows

    @classmethod
    def parse(cls, text: str) -> "RetrievalGoal":
        """Return the goal that a text names. Raises ValueError for what names none."""
        metric, *rest = text.split() or [""]
        if not 1 <= len(rest) <= 2 or rest[0] not in ("mono", "cross", "multi"):
            raise ValueError("write it as METRIC SETTING [DATASET], such as map@20 multi")
        dataset = canonical_dataset(rest[1]) if rest[1:] else ""
        return cls(Measure.parse(metric), rest[0], dataset)

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.measure), self.setting, self.dataset)))


def layout_of(dataset: str) -> tuple[str, str, str]:
    """Return layout, collection and split: `beir/scifact:dev` is `beir`, `scifact`, `dev`.

    Where the name is none of a known layout, it is itself the layout.
    """
    name, _, split = dataset.partition(":")
    layout, _, collection = name.partition("/")
    layout = registry.canonical("dataset", layout)
    if layout in registry.names("dataset"):
        return layout, collection, split
    return registry.canonical("dataset", dataset), "", ""


def canonical_dataset(dataset: str) -> str:
    """Return a data set's name as the table spells it."""
    split = layout_of(dataset)[2]
    return whole_dataset(dataset) + (f":{split}" if split else "")


def whole_dataset(dataset: str) -> str:
    """Return the name of the data set that a split is of: `beir/scifact` of `beir/scifact:dev`."""
    layout, collection, _ = layout_of(dataset)
    return f"{layout}/{collection}" if collection else layout


def folder_name(name: str) -> str:
    """Return a name as one folder or file may be called.

    What could lead elsewhere, or is too long, is replaced, with a digest that tells it apart.
    """
    plain = re.sub(r"[/:]+", "-", name)
    safe = re.sub(r"^\.|[\x00-\x1f\x7f\\]", "_", plain)[:50]
    if plain and safe == plain[:50] and len(plain.encode()) <= 200:
        return plain
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def short_name(encoder: str) -> str:
    """Return the last telling word of an encoder's name: a folder called `model` tells nothing."""
    parts = [part for part in Path(encoder).parts if part != "model"]
    return parts[-1] if parts else encoder


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
