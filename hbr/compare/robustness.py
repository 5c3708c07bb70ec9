"""Robustness: what a metric drops when queries are perturbed, beside the clean value."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from hbr.compare.evidence import Evidence
from hbr.compare.fairness import warnings
from hbr.compare.table import Cell, Table, name
from hbr.compare.tables import Column, columns_of, tabulate
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
    clean: Evidence,
    perturbed: Sequence[Evidence],
    metrics: Sequence[str] | None,
    *,
    by: str | None = None,
    varied: Collection[str] = (),
) -> list[Table]:
    """Return a table a setting: a metric of clean queries, and its drop under each perturbation.

    The metric is the first of `metrics` that has drops, or mAP, or the first that has. Nothing is
    marked: a low drop is no merit of who finds little.
    """
    drop = _drop(perturbed[0], metrics or ())
    if drop is None:
        return []
    metric = str(replace(drop, drop=False))
    notes = [SHARES, _queries_changed(perturbed)]
    notes += [line for one in (clean, *perturbed) for line in warnings(one, varied)]
    tables = []
    for setting, _ in columns_of(clean, [metric]):
        shown = [one for one in perturbed if (setting, str(drop)) in columns_of(one, [str(drop)])]
        columns = [Column(clean, setting, metric), *(Column(e, setting, str(drop)) for e in shown)]
        title = (
            f"{clean.dataset}: {setting} {name(metric)}, and its drop when queries are perturbed"
        )
        heads = [(c.evidence.target.perturbation or "clean", c.metric) for c in columns]
        table = replace(
            with_shares(tabulate(columns, title, by)),
            columns=tuple(heads),
            notes=tuple(dict.fromkeys(notes)),
            of=tuple((c.evidence.dataset, setting, c.metric) for c in columns),
        )
        tables.append(table)
    return tables


def with_shares(table: Table) -> Table:
    """Return the table with each value's share of that in the first column."""

    def share(row: int, column: int, cell: Cell) -> Cell:
        clean = table.rows[row].cells[0].mean
        return replace(cell, share=cell.mean / clean) if column and clean else cell

    return table.changed(share)


def _drop(perturbed: Evidence, metrics: Sequence[str]) -> Measure | None:
    """Return the drop that is shown, if there is any."""
    settings = perturbed.results[0].metrics["settings"].values()
    measures = [Measure.parse(metric) for values in settings for metric in values]
    drops = {str(replace(m, drop=False)): m for m in measures if m.drop}
    return next((drops[metric] for metric in (*metrics, "map", *drops) if metric in drops), None)


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
