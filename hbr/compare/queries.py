"""Queries of runs on one data set: the worst, the best, the most changed, those that all fail."""

import heapq
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hbr.compare.model import Finding, Verdict
from hbr.compare.results import Result
from hbr.core.digests import fingerprint
from hbr.core.errors import UserError
from hbr.core.target import Measure

KEYS = ("setting", "concept", "query", "query_language", "passage_language")
FOUND = (("recall@10", 0.0), ("mrr", 0.1))  # a query fails that does not exceed it
MOST = 0.5  # share of its pairs of languages in which a concept must fail


class QueryLine(NamedTuple):
    """A query and the language of the passages, None for all, with a metric's values."""

    concept: int
    query: str
    query_language: str
    passage_language: str | None
    value: float
    other: float | None = None

    @property
    def change(self) -> float:
        """How much higher the value is than the other's."""
        return self.value - (self.value if self.other is None else self.other)


class FailedConcept(NamedTuple):
    """A concept that every run fails in `failed` of its `pairs` of languages, with one of these.

    That is one of an English query, if there is any.
    """

    concept: int
    query: str
    query_language: str
    passage_language: str | None
    failed: int
    pairs: int


def query_lines(
    results: Sequence[Result], setting: str, metric: str, language: str | None = None
) -> list[QueryLine]:
    """Return all queries of a setting with the first result's values and those of the second.

    With `language`, those of one query language. Raises UserError where there are none, or where
    the results are of other queries.
    """
    tables = [_table(result, setting, metric) for result in results[:2]]
    if len(tables) > 1 and not tables[0].select(KEYS).equals(tables[1].select(KEYS)):
        raise UserError("the runs were evaluated on other queries; evaluate both again")
    rows = tables[0].to_pylist()
    others = tables[1][metric].to_pylist() if len(tables) > 1 else [None] * len(rows)
    lines = [
        QueryLine(**{key: row[key] for key in KEYS[1:]}, value=row[metric], other=other)
        for row, other in zip(rows, others, strict=True)
        if language in (None, row["query_language"]) and _is_known(row[metric], other)
    ]
    if not lines:
        of = f" in {language}" if language else ""
        raise UserError(f"there are no queries{of} in the {setting} setting")
    return lines


def _is_known(value: float | None, other: float | None) -> bool:
    """Return whether a metric is defined of a query, and of another run's where there is one."""
    return value is not None and math.isfinite(value) and (other is None or math.isfinite(other))


def extremes(lines: Sequence[QueryLine], metric: str, number: int) -> dict[str, list[QueryLine]]:
    """Return the worst, the best and, where there are two runs, the most changed queries."""
    sign = -1 if Measure.parse(metric).lower_is_better else 1
    ordered = sorted(lines, key=lambda line: sign * line.value)
    found = {"worst": ordered[:number], "best": ordered[::-1][:number]}
    if lines and lines[0].other is not None:
        moved = sorted(lines, key=lambda line: -abs(line.change))[:number]
        found["most changed"] = [line for line in moved if line.change]
    return found


def moved(
    above: Sequence[Result],
    below: Sequence[Result],
    setting: str,
    metric: str,
    keep: Callable[[str, str | None], bool],
    number: int,
) -> list[QueryLine]:
    """Return the queries in which two sides differ most, each a mean over its runs.

    `keep` says which languages of query and passage count.
    """
    tables = [[_table(result, setting, metric) for result in side] for side in (above, below)]
    values, others = (
        np.mean([table[metric].to_numpy() for table in side], axis=0) for side in tables
    )
    rows = tables[0][0].select(KEYS[1:]).to_pylist()
    lines = [
        QueryLine(**row, value=float(value), other=float(other))
        for row, value, other in zip(rows, values, others, strict=True)
        if keep(row["query_language"], row["passage_language"]) and value != other
    ]
    return heapq.nlargest(number, lines, key=lambda line: abs(line.change))


def moved_key(verdict: Verdict, finding: Finding) -> str:
    """Return the name of what a comparison looks at: equal ones of several claims share it."""
    about = (finding.dataset, finding.sides, verdict.setting, verdict.metric, verdict.among)
    return f"moved-{fingerprint(about, 8)}"


def failed_by_all(results: Sequence[Result], setting: str, number: int) -> list[FailedConcept]:
    """Return the concepts that every run fails in half of their pairs of languages or more.

    A query fails where none of its passages is among the first ten. Most failures first: what no
    run finds in any language is often judged wrongly.
    """
    metric, least = next(
        (f for f in FOUND if all(r.has_values(f[0]) for r in results)), (None, 0.0)
    )
    if metric is None:
        return []
    tables = [_table(result, setting, metric) for result in results]
    failed = np.all([table[metric].to_numpy() <= least for table in tables], axis=0)
    language = np.asarray(tables[0]["query_language"].to_pylist())
    order = np.lexsort((language != "en", ~failed))  # what is shown of a concept comes first
    concepts, first, which = np.unique(
        tables[0]["concept"].to_numpy()[order], return_index=True, return_inverse=True
    )
    pairs, counts = np.bincount(which), np.bincount(which, failed[order]).astype(int)
    shown = tables[0].select(["query", "query_language", "passage_language"])
    lines = [
        FailedConcept(int(c), **row, failed=int(n), pairs=int(p))
        for c, row, n, p in zip(
            concepts, shown.take(order[first]).to_pylist(), counts, pairs, strict=True
        )
        if n >= max(1, MOST * p)
    ]
    return sorted(lines, key=lambda line: (-line.failed / line.pairs, line.concept))[:number]


def _table(result: Result, setting: str, metric: str) -> pa.Table:
    if not result.has_values(metric):
        raise UserError(f"{result.name} has no {metric} by query on {result.target}")
    table = result.columns([*KEYS, metric])
    chosen = np.asarray(table["setting"]) == setting
    if not chosen.any():
        raise UserError(f"{result.target} has no {setting} setting")
    return table.filter(pa.array(chosen))


def line_values(line: QueryLine) -> dict[str, Any]:
    """Return a line as JSON-like values."""
    change = {} if line.other is None else {"change": line.change}
    return line._asdict() | change
