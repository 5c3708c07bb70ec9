"""Tables of study cells: their columns, their rows, and what is marked and noted."""

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any, NamedTuple

from hbr.compare.daggers import with_daggers
from hbr.compare.evidence import Evidence, StudyCell
from hbr.compare.fairness import contamination, warnings
from hbr.compare.results import Keep
from hbr.compare.table import Cell, Row, Table
from hbr.core import languages, registry
from hbr.core.target import Measure
from hbr.evaluation.diagnostics_file import summary


class Column(NamedTuple):
    """A column of a table: a metric of some evidence in one setting."""

    evidence: Evidence
    setting: str
    metric: str


def compare(
    evidence: Evidence,
    metrics: Sequence[str] | None = None,
    *,
    by: str | None = None,
    baseline: str | None = None,
    varied: Collection[str] = (),
    title: str = "",
) -> Table:
    """Return a table of cells by settings and metrics; what else may be said stands in its notes.

    Values are means over seeds. Best and second are marked within one encoder; a dagger marks what
    differs from the `baseline` sampler, or without one, a best that differs from the second. `by`
    adds groups of languages; `varied` are settings that differ on purpose.
    """
    columns = [Column(evidence, *column) for column in columns_of(evidence, metrics)]
    table = tabulate(columns, title, by).with_places()
    table, notes = with_daggers(evidence, table, baseline)
    return replace(table, notes=(*notes, *warnings(evidence, varied)))


def tabulate(columns: Sequence[Column], title: str, by: str | None) -> Table:
    """Return a table of the cells of the first column's evidence, unmarked and without notes."""
    evidence = columns[0].evidence
    rows = []
    for cell in evidence.cells:
        rows.append(_row(columns, cell))
        for group, keep in _groups(evidence, by):
            row = _row(columns, cell, group, keep)
            if any(not math.isnan(value.mean) for value in row.cells):
                rows.append(row)
    return Table(
        title,
        evidence.heads,
        tuple((setting, metric) for _, setting, metric in columns),
        tuple(rows),
        evidence.protocol,
        group_head=by or "language",
        dataset=evidence.dataset,
    )


def columns_of(evidence: Evidence, metrics: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """Return the columns of a table: of named metrics, or those that metrics show by default.

    Results without any of these show everything that they have.
    """
    settings: dict[str, dict[str, None]] = {}  # what any result has, in their order
    for result in evidence.results:
        for setting, values in result.metrics["settings"].items():
            settings.setdefault(setting, {}).update(dict.fromkeys(values))
    if metrics is not None:
        return tuple((s, m) for m in metrics for s in settings if m in settings[s])
    every = [(setting, metric) for setting, values in settings.items() for metric in values]
    places = {column: place for column in every if (place := _default_place(*column))}
    return tuple(sorted(places, key=places.__getitem__) or every)


def _default_place(setting: str, metric: str) -> tuple[int, str, int] | None:
    """Return the place of a column in tables whose metrics are not named; None where it has none.

    Metrics come in the order of the registry, those from outside last.
    """
    measure = Measure.parse(metric)
    columns = measure.metric.columns
    if measure.drop or (setting, measure.cutoff) not in columns:
        return None
    names = registry.names("metric")
    order = names.index(measure.name) if measure.name in names else len(names)
    return order, measure.name, columns.index((setting, measure.cutoff))


def _row(
    columns: Sequence[Column], cell: StudyCell, group: str | None = None, keep: Keep | None = None
) -> Row:
    evidence = columns[0].evidence
    results = evidence.members(cell)
    seeds, expected = len(results), cell.expected
    if results and not (cell.config.is_trained and evidence.has_queries):
        seeds = expected = 0  # nothing was drawn by seed, or the paper does not say
    contaminated = any(contamination(result.metrics) for result in results)
    cells = tuple(_cell(column, cell.key, keep) for column in columns)
    return Row(evidence.label(cell.config), group, seeds, cells, expected, contaminated)


def _cell(column: Column, key: str, keep: Keep | None) -> Cell:
    """Return the mean over a study cell's seeds, with an interval where it is of all languages."""
    evidence, setting, metric = column
    cell = evidence.by_key.get(key)
    results = evidence.members(cell) if cell else []
    low, high = math.nan, math.nan
    if cell and results and keep is None and all(r.has_values(metric) for r in results):
        low, high = evidence.estimate(
            (setting, metric, {}), {evidence.cells.index(cell): 1.0}
        ).interval()
    mean, sd = _over_seeds([result.value(setting, metric, keep) for result in results])
    return Cell(mean, sd, None, low, high)


def _over_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation; NaN and None where a value is not known."""
    mean = fmean(values) if values else math.nan
    return mean, stdev(values) if len(values) > 1 and not math.isnan(mean) else None


def _groups(evidence: Evidence, by: str | None) -> Iterator[tuple[str, Keep]]:
    """Yield the groups of languages, and which pairs are in each."""
    if by is None:
        return
    codes = sorted({code for r in evidence.results for code in r.metrics["languages"]})
    if by == "language":
        yield from ((code, lambda query, _, code=code: query == code) for code in codes)
        return
    pairs = [(query, passage) for query in codes for passage in (query, None, *codes)]
    groups = {languages.group(by, *pair, evidence.training_languages) for pair in pairs}
    for group in sorted((g for g in groups if g is not None), key=_group_order):
        yield group, evidence.keep({by: group})


def _group_order(group: str) -> tuple[Any, ...]:
    """Return the place of a group: single ones before pairs, in the order that their kind has."""
    ranked = [*("high", "mid", "low"), *("seen", "unseen"), *languages.DISTANCES]
    parts = group.split("→")
    return len(parts), [ranked.index(p) if p in ranked else len(ranked) for p in parts], group


def diagnostics(evidence: Evidence) -> list[Table]:
    """Return a table of what the vectors of each cell are like, where they were diagnosed."""
    summaries = {
        i: summary(json.loads(result.diagnostics.read_text("utf-8")))
        for i, result in enumerate(evidence.results)
        if result.diagnostics and not result.config.evaluate.center_languages
    }
    if not summaries:
        return []
    columns = tuple(next(iter(summaries.values())))
    rows = []
    for cell in evidence.cells:
        if cell.config.evaluate.center_languages:
            continue  # what is diagnosed are the vectors as they came
        diagnosed = [summaries[i] for i in cell.members if i in summaries]
        cells = []
        for column in columns:
            values = [math.nan if (value := one[column]) is None else value for one in diagnosed]
            cells.append(Cell(*_over_seeds(values)))
        seeds = len(diagnosed) if cell.config.is_trained else 0
        rows.append(Row(evidence.label(cell.config), None, seeds, tuple(cells)))
    return [
        Table(
            f"{evidence.dataset}: vectors",
            evidence.heads,
            columns,
            tuple(rows),
            "alignment: a distance, low is near; probe: how well a linear one tells the language, "
            "where 0 is chance",
            dataset=evidence.dataset,
        )
    ]
