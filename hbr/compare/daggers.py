"""Daggers: which cells of a table differ significantly."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hbr.compare.evidence import Evidence
from hbr.compare.results import CENTER
from hbr.compare.table import Table
from hbr.compare.verdicts import LEVEL
from hbr.core import statistics


def with_daggers(evidence: Evidence, table: Table, baseline: str | None) -> tuple[Table, list[str]]:
    """Mark what differs from the baseline, or a best that differs from the second; say how.

    `†` speaks of training the methods again, `§` over concepts alone of these encoders.
    """
    if not evidence.has_queries or len(evidence.cells) < 2:
        return table, []
    lines = [i for i, row in enumerate(table.rows) if row.group is None]  # one a cell
    pairs = [
        (column, a, b)
        for column, (_, metric) in enumerate(table.columns)
        for a, b in _rivals(evidence, table, lines, column, baseline)
        if all(r.has_values(metric) for i in (a, b) for r in evidence.members(evidence.cells[i]))
    ]
    estimates = [
        evidence.estimate((*table.columns[column], {}), {a: 1.0, b: -1.0}) for column, a, b in pairs
    ]
    ps = np.array([estimate.p() for estimate in estimates])
    tests = int(np.isfinite(ps).sum())
    untested = sorted({f"not tested: {e.why}" for e in estimates if e.why})
    if not tests:
        return table, untested
    significant = {
        (lines[a], column)
        for (column, a, _), p in zip(pairs, statistics.holm(ps), strict=True)
        if p < LEVEL
    }
    sign = "†" if evidence.over == "seeds and concepts" else "§"
    table = table.changed(lambda i, j, cell: replace(cell, dagger=sign * ((i, j) in significant)))
    than = baseline or "the second best of its encoder"
    return table, [
        f"{sign} differs from {than}: t test over {evidence.over}, p < .05 after Holm over "
        f"{tests} tests",
        *untested,
    ]


def _rivals(
    evidence: Evidence, table: Table, lines: Sequence[int], column: int, baseline: str | None
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of cells of a column that are tested against each other."""
    groups: dict[str, list[int]] = {}
    for cell, row in enumerate(table.rows[i] for i in lines):
        if not math.isnan(row.cells[column].mean):
            groups.setdefault(row.label[0], []).append(cell)
    for members in groups.values():
        if baseline:
            bases = [b for b in members if evidence.cells[b].config.method == baseline]
            for cell in members:
                agreeing = [b for b in bases if b != cell and _agree(evidence, b, cell)]
                yield from ((cell, base) for base in agreeing[:1])
            continue
        place_of = {cell: table.rows[lines[cell]].cells[column].place for cell in members}
        first, second = ([c for c, place in place_of.items() if place == n] for n in (0, 1))
        yield from itertools.product(first, second[:1])


def _agree(evidence: Evidence, a: int, b: int) -> bool:
    """Return whether cells have the same of the settings that vary, as far as both have them.

    An untrained encoder has none of training, and each sampler an α of its own.
    """
    one, other = (evidence.cells[i] for i in (a, b))
    trained = one.config.is_trained and other.config.is_trained
    keys = set(evidence.varied) if trained else {CENTER}
    keys -= {"sampler.alpha"} if one.config.method != other.config.method else set()
    return all(
        one.settings[key] == other.settings[key]
        for key in keys
        if key in one.settings and key in other.settings
    )
