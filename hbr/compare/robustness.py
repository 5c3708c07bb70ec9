"""Robustness: what a metric drops when queries are perturbed, beside the clean value."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from hbr.compare.evidence import Evidence
from hbr.compare.fairness import warnings
from hbr.compare.table import Cell, Table, name
from hbr.compare.tables import Column, columns_of, tabulate
from hbr.core.target import EvaluationTarget, Measure
from hbr.data.perturb import perturbation

SHARES = "a drop in brackets is a share of the clean value: who finds little has little to lose"


def beside(
    evidence: Sequence[Evidence], plain: Callable[[EvaluationTarget], EvaluationTarget]
) -> tuple[list[Evidence], list[tuple[Evidence, list[Evidence]]]]:
    """Set results beside those on their targets' `plain` forms, such as on clean queries.

    Returns the evidence that stands alone, and plain evidence with all that stands beside it.
    """
    by_target = {one.target: one for one in evidence}
    pairs: dict[EvaluationTarget, list[Evidence]] = {}
    alone = []
    for one in evidence:
        target = plain(one.target)
        if target != one.target and target in by_target:
            pairs.setdefault(target, []).append(one)
        else:
            alone.append(one)
    return alone, [(by_target[target], several) for target, several in pairs.items()]


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
        heads = [c.evidence.target.perturbation or "clean" for c in columns]
        tables.append(with_shares(columns, heads, title, by, notes))
    return tables


def with_shares(
    columns: Sequence[Column],
    heads: Sequence[str],
    title: str,
    by: str | None,
    notes: Sequence[str],
) -> Table:
    """Return a table of columns under these heads, with each value's share of the first one's."""
    table = tabulate(columns, title, by)

    def share(row: int, column: int, cell: Cell) -> Cell:
        first = table.rows[row].cells[0].mean
        return replace(cell, share=cell.mean / first) if column and first else cell

    return replace(
        table.changed(share),
        columns=tuple((head, c.metric) for head, c in zip(heads, columns, strict=True)),
        notes=tuple(dict.fromkeys(filter(None, notes))),
        of=tuple((c.evidence.dataset, c.setting, c.metric) for c in columns),
    )


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
