"""A table of results as plain values: cells, rows and columns; `hbr.report` writes it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hbr.core.target import Measure

SUMMARY = (  # the metrics that one line about a run shows, where it has them
    *("map", "ndcg@10", "recall@1", "recall@10", "recall@100", "rank_distance"),
    *("f1", "precision", "recall", "mteb.main_score"),
)


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, its deviation, its 95 % interval, and its place (0 best, 1 second)."""

    mean: float
    sd: float | None = None
    place: int | None = None
    low: float = math.nan
    high: float = math.nan
    dagger: str = ""  # † or § where it differs from what the table's note says
    share: float = math.nan  # of what it is a part of

    def text(self, metric: str) -> str:
        """Write it the way papers do: `.812 ± .004`, distances without decimals."""
        if math.isnan(self.mean):
            return "–"
        spread = "" if self.sd is None else f" ± {plain(self.sd, digits(metric))}"
        mean = plain(self.mean, digits(metric))
        return mean + spread + self.part + self.dagger

    @property
    def part(self) -> str:
        """What share of something it is: ` (12 %)`, or nothing."""
        return "" if math.isnan(self.share) else f" ({round(100 * self.share)} %)"


@dataclass(frozen=True)
class Row:
    """One cell of a study, or one group of its languages.

    `seeds` of `expected` were run; a `marked` row is one that the table's notes warn of.
    """

    label: tuple[str, ...]
    group: str | None
    seeds: int
    cells: tuple[Cell, ...]
    expected: int = 0
    marked: bool = False

    @property
    def seeds_text(self) -> str:
        """How many seeds: `2`, `1 of 2` where some are missing, a dash where there are none."""
        if self.seeds < self.expected:
            return f"{self.seeds} of {self.expected}"
        return str(self.seeds or "–")


@dataclass(frozen=True)
class Table:
    """Rows by (setting, metric) columns; `protocol` says how the values were measured.

    `group_head` names what the groups are; `notes` stand below the table. `of` says of which data
    set, setting and metric each column is, where that is not what its head says.
    """

    title: str
    heads: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    protocol: str
    notes: tuple[str, ...] = ()
    group_head: str = "language"
    dataset: str = ""
    of: tuple[tuple[str, str, str], ...] = ()

    def changed(self, change: Callable[[int, int, Cell], Cell]) -> "Table":
        """Return the table with other cells: `change` takes row, column and cell."""
        rows = [
            replace(row, cells=tuple(change(i, j, cell) for j, cell in enumerate(row.cells)))
            for i, row in enumerate(self.rows)
        ]
        return replace(self, rows=tuple(rows))

    def with_places(self) -> "Table":
        """Return the table with best and second marked among the rows of one encoder."""
        groups: dict[tuple[str, str | None], list[int]] = {}
        for i, row in enumerate(self.rows):
            groups.setdefault((row.label[0], row.group), []).append(i)
        places: dict[tuple[int, int], int] = {}
        for column, (_, metric) in enumerate(self.columns):
            sign = 1 if lower_is_better(metric) else -1
            for members in groups.values():
                means = {i: round(sign * self.rows[i].cells[column].mean, 12) for i in members}
                best = sorted({mean for mean in means.values() if not math.isnan(mean)})[:2]
                for i, mean in means.items() if len(members) > 1 else ():
                    if mean in best:
                        places[i, column] = best.index(mean)
        return self.changed(lambda i, j, cell: replace(cell, place=places.get((i, j))))

    def with_columns(self, places: Sequence[int]) -> "Table":
        """Return the table with the columns at these places, in this order."""
        rows = (replace(row, cells=tuple(row.cells[i] for i in places)) for row in self.rows)
        columns = tuple(self.columns[i] for i in places)
        return replace(self, columns=columns, rows=tuple(rows))

    @property
    def has_groups(self) -> bool:
        """Whether some rows stand for a group of languages."""
        return any(row.group for row in self.rows)

    def lines(self) -> list[list[str]]:
        """Return heads and body as text, unmarked."""
        heads = [*self.heads, *([self.group_head] if self.has_groups else []), "seeds"]
        body = [[*heads, *(f"{setting} {name(metric)}" for setting, metric in self.columns)]]
        for row in self.rows:
            group = [row.group or "all"] if self.has_groups else []
            label = list(row.label)
            label[1] += "‡" if row.marked else ""  # the sampler
            texts = [c.text(m) for c, (_, m) in zip(row.cells, self.columns, strict=True)]
            body.append([*label, *group, row.seeds_text, *texts])
        return body


def name(metric: str) -> str:
    """Write a metric's name the way papers do: `recall@10` is R@10; a diagnostic's as it is."""
    measure = _measure(metric)
    return measure.label if measure else metric


def digits(metric: str) -> int:
    """Return how many decimals a metric is written with: ranks have none."""
    measure = _measure(metric)
    return measure.decimals if measure else 3


def lower_is_better(metric: str) -> bool:
    """Return whether the lower value of a metric is the better one."""
    measure = _measure(metric)
    return measure is not None and measure.lower_is_better


def _measure(metric: str) -> Measure | None:
    """Return what a column's metric is; None for a diagnostic of vectors, which is no metric."""
    try:
        return Measure.parse(metric)
    except ValueError:
        return None


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign, but none where it rounds to zero."""
    text = plain(abs(value), digits)
    return text if not text.strip("0.,") else ("+" if value > 0 else "−") + text


def plain(value: float, digits: int) -> str:
    """Write a number without the zero before its point, and without a sign where it rounds to 0."""
    text = f"{value:z,.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
