"""Robustness: what a metric drops when queries are perturbed, beside the clean value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hbr.compare.evidence import Evidence
from hbr.compare.table import Cell, Table, name
from hbr.compare.tables import compare
from hbr.core.target import Measure
from hbr.data.perturb import perturbation

SHARES = "a drop in brackets is a share of the clean value: who finds little has little to lose"


def beside_clean(
    evidence: Sequence[Evidence],
) -> tuple[list[Evidence], list[tuple[Evidence, list[Evidence]]]]:
    """Set results on perturbed queries beside those on the clean ones, where there are any.

    Returns the evidence that stands alone, and clean evidence with that of its perturbed queries.
    """
    clean = {one.target.dataset: one for one in evidence if not one.target.perturbation}
    perturbed: dict[str, list[Evidence]] = {}
    alone = []
    for one in evidence:
        if one.target.perturbation and one.target.dataset in clean:
            perturbed.setdefault(one.target.dataset, []).append(one)
        else:
            alone.append(one)
    return alone, [(clean[dataset], several) for dataset, several in perturbed.items()]


def robustness(
    clean: Evidence, perturbed: Sequence[Evidence], metrics: Sequence[str] | None, **options: Any
) -> list[Table]:
    """Return a table a setting: a metric of clean queries, and its drop under each perturbation.

    The metric is the first of `metrics` that has drops, or mAP, or the first that has; `options`
    are those of `compare`. Nothing is marked: a low drop is no merit of who finds little.
    """
    drop = _drop(perturbed[0], metrics or ())
    if drop is None:
        return []
    metric = str(replace(drop, drop=False))
    columns = [(clean, metric), *((one, str(drop)) for one in perturbed)]
    tables = [compare(evidence, (name,), **options) for evidence, name in columns]
    notes = [note for table in tables for note in table.notes if not note.startswith("†")]
    notes = list(dict.fromkeys([SHARES, _queries_changed(perturbed), *notes]))
    return [
        replace(
            _joined(setting, columns, tables),
            title=f"{clean.dataset}: {setting} {name(metric)}, and its drop when queries are "
            "perturbed",
            notes=tuple(notes),
        )
        for setting, _ in tables[0].columns
    ]


def _drop(perturbed: Evidence, metrics: Sequence[str]) -> Measure | None:
    """Return the drop that is shown, if there is any."""
    settings = perturbed.results[0].metrics["settings"].values()
    measures = [Measure.parse(metric) for values in settings for metric in values]
    drops = {str(replace(m, drop=False)): m for m in measures if m.drop}
    return next((drops[metric] for metric in (*metrics, "map", *drops) if metric in drops), None)


def _joined(
    setting: str, columns: Sequence[tuple[Evidence, str]], tables: Sequence[Table]
) -> Table:
    """Return one table of the columns that several have in a setting."""
    heads, sources, cells = [], [], []
    for (evidence, metric), table in zip(columns, tables, strict=True):
        if (setting, metric) in table.columns:
            place = table.columns.index((setting, metric))
            heads.append((evidence.target.perturbation or "clean", metric))
            sources.append((evidence.dataset, setting, metric))
            cells.append({(row.label, row.group): row.cells[place] for row in table.rows})
    rows = [
        replace(row, cells=tuple(_beside(cells, (row.label, row.group)))) for row in tables[0].rows
    ]
    return replace(tables[0], columns=tuple(heads), rows=tuple(rows), of=tuple(sources))


def _beside(columns: Sequence[Mapping[Any, Cell]], row: Any) -> Iterator[Cell]:
    """Yield a row's cells of several tables, unmarked, drops with their share of the first."""
    clean, *drops = (column.get(row, Cell(math.nan)) for column in columns)
    yield replace(clean, place=None, dagger=False)
    for cell in drops:
        share = cell.mean / clean.mean if clean.mean else math.nan
        yield replace(cell, place=None, dagger=False, share=share)


def _queries_changed(perturbed: Sequence[Evidence]) -> str:
    """Return what share of the queries each perturbation changes at all."""
    abouts = [
        (one.target.perturbation, one.results[0].metrics["perturbation"]) for one in perturbed
    ]
    shares = [
        f"{name} {about['changed']:.0%}"
        for name, about in abouts
        if not perturbation(about["name"]).needs_encoder
    ]
    return f"queries changed: {', '.join(shares)}" if shares else ""
