"""Daggers: which cells of a table differ significantly, by randomisation tests."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hbr.compare.evidence import Difference, Evidence, p_values
from hbr.compare.table import Table
from hbr.compare.verdicts import LEVEL
from hbr.core import statistics


def with_daggers(evidence: Evidence, table: Table, baseline: str | None) -> tuple[Table, list[str]]:
    """Mark what differs from the baseline, or a best that differs from the second; say how."""
    if not evidence.has_queries or len(evidence.cells) < 2:
        return table, []
    lines = [i for i, row in enumerate(table.rows) if row.group is None]  # one a cell
    pairs = [
        (column, a, b)
        for column, (_, metric) in enumerate(table.columns)
        for a, b in _rivals(table, lines, column, baseline)
        if all(r.has_values(metric) for i in (a, b) for r in evidence.members(evidence.cells[i]))
    ]
    if not pairs:
        return table, []
    differences = [_difference(evidence, table.columns[column], a, b) for column, a, b in pairs]
    adjusted = statistics.holm(p_values(differences))
    significant = {
        (lines[a], column) for (column, a, _), p in zip(pairs, adjusted, strict=True) if p < LEVEL
    }
    table = table.changed(lambda i, j, cell: replace(cell, dagger=(i, j) in significant))
    than, draws = baseline or "the second best of its encoder", evidence.resampling.resamples
    note = (
        f"† differs from {than}: randomisation test over concepts, {draws:,} draws, p < .05 after "
        f"Holm over {len(pairs)} tests"
    )
    return table, [note, *too_few_draws(draws, len(pairs))]


def too_few_draws(draws: int, tests: int) -> list[str]:
    """Return a warning where no p can be small enough, however clear a difference is."""
    if tests / (draws + 1) < LEVEL:
        return []
    return [f"{draws:,} draws are too few to tell anything apart in {tests} tests (--resamples)"]


def _rivals(
    table: Table, lines: Sequence[int], column: int, baseline: str | None
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of cells of a column that are tested against each other."""
    groups: dict[str, list[int]] = {}
    for cell, row in enumerate(table.rows[i] for i in lines):
        if not math.isnan(row.cells[column].mean):
            groups.setdefault(row.label[0], []).append(cell)
    for members in groups.values():
        if baseline:
            labels = {cell: table.rows[lines[cell]].label for cell in members}
            for cell in members:
                bases = [b for b in members if labels[b][1] == baseline and b != cell]
                agreeing = [b for b in bases if _agree(labels[b][2:], labels[cell][2:])]
                yield from ((cell, base) for base in agreeing[:1])
            continue
        places = {table.rows[lines[cell]].cells[column].place: cell for cell in members}
        if 0 in places and 1 in places:
            yield places[0], places[1]


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether cells have the same settings, as far as both have them."""
    return all(a == b or "" in (a, b) for a, b in zip(one, other, strict=True))


def _difference(evidence: Evidence, column: tuple[str, str], a: int, b: int) -> Difference:
    """Return what each concept adds to the difference of two cells, means over their seeds."""
    setting, metric = column
    parts = evidence.contributions(setting, metric, {})
    first, second = (parts[:, list(evidence.cells[i].members)].mean(1) for i in (a, b))
    return Difference(evidence, setting, {}, first - second)
