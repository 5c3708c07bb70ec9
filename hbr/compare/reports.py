"""The whole of a comparison: tables, verdicts, warnings, and what they rest on."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hbr.compare.claims import Claim, Verdict
from hbr.compare.evidence import USUAL, Chance, Evidence, Result, gather
from hbr.compare.model import Report
from hbr.compare.references import Reference, reference
from hbr.compare.table import Table
from hbr.compare.tables import (
    columns_of,
    compare,
    diagnostics,
    few_seeds,
    provenance,
    robustness,
    series,
    too_few_draws,
    unfair,
)
from hbr.compare.verdicts import verdicts
from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.languages import BY
from hbr.core.registry import canonical, near
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget


class Options(NamedTuple):
    """How to compare: columns, groups of languages, what daggers mean, and how strictly."""

    metrics: tuple[str, ...] | None = None
    by: str | None = None
    baseline: str | None = None
    chance: Chance = USUAL
    strict: bool = False
    reference: str | None = None


class Material(NamedTuple):
    """What is compared: results, and what a study expects and claims of them.

    `varied` are the settings that differ on purpose, `datasets` those that a study evaluates on.
    """

    title: str
    results: Sequence[Result]
    expected: Sequence[Config] = ()
    claims: Sequence[Claim] = ()
    varied: Collection[str] = ()
    datasets: Sequence[str] = ()


def assemble(material: Material, options: Options) -> Report:
    """Compare all that is there; printed figures stand beside it, in tables of their own.

    Raises UserError where there is nothing, and with `strict` where runs differ in anything but
    what is varied on purpose.
    """
    title, results, expected, claims, varied, datasets = material
    if options.by and options.by not in BY:
        raise UserError(f"--by {options.by!r}: one of {', '.join(BY)}")
    evidence = gather(results, expected, options.chance)
    shared = {own.dataset for own in evidence}
    printed = _printed(options.reference) if options.reference else []
    printed = [own for own in printed if own.dataset in shared] or printed
    if not evidence and not printed:
        raise UserError("there is nothing to compare")
    _check(options, (*evidence, *printed))
    differing = _protocols(evidence)
    if told := [*differing, *(line for own in evidence for line in unfair(own, varied))]:
        _refuse(told, options.strict)
    how: dict[str, Any] = {
        "by": options.by,
        "baseline": canonical("sampler", options.baseline) if options.baseline else None,
        "varied": varied,
    }
    whole, perturbed = _parted(evidence)
    tables = [
        compare(
            own, options.metrics, title=f"{title}: {own.dataset}" if title else own.dataset, **how
        )
        for own in (*whole, *printed)
        if columns_of(own, options.metrics)
    ]
    tables += [table for own in whole for table in diagnostics(own)]
    for clean, changed in perturbed:
        tables += robustness(clean, changed, options.metrics, **how)
    if options.reference:
        tables = [_with_notes(table, reference(options.reference)) for table in tables]
    notes = [note for table in tables for note in table.notes if not note.startswith("†")]
    judged = verdicts(claims, evidence, datasets) if evidence else []
    if options.reference:
        known = reference(options.reference)
        judged += [
            replace(v, id=f"{v.id} ({known.name})", note=f"{known.name}: {v.note}")
            for v in verdicts(known.claims, _printed(known.name))
        ]
    return Report(
        title or options.reference or "",
        tables,
        judged,
        list(dict.fromkeys([*differing, *notes, *_few_draws(options.chance, judged)])),
        [line for own in whole for line in series(own)],
        provenance(result for own in evidence for result in own.results),
        _statistics(options.chance, evidence) if evidence else "",
        [line for _, changed in perturbed for own in changed for line in series(own)],
    )


def _parted(
    evidence: Sequence[Evidence],
) -> tuple[list[Evidence], list[tuple[Evidence, list[Evidence]]]]:
    """Set what is known of perturbed queries beside that of the clean ones, where it is there."""
    clean = {
        own.dataset: own for own in evidence if not EvaluationTarget.parse(own.dataset).perturbation
    }
    beside: dict[str, list[Evidence]] = {}
    whole = []
    for own in evidence:
        target = EvaluationTarget.parse(own.dataset)
        dataset, change = target.dataset, target.perturbation
        if change and dataset in clean:
            beside.setdefault(dataset, []).append(own)
        else:
            whole.append(own)
    return whole, [(clean[dataset], changed) for dataset, changed in beside.items()]


def _check(options: Options, evidence: Sequence[Evidence]) -> None:
    """Raise UserError for metrics and samplers that nothing has."""
    every = [
        values for own in evidence for r in own.results for values in r.metrics["settings"].values()
    ]
    computed = {name for values in every for name in values}
    for metric in options.metrics or ():
        if metric not in computed:
            raise UserError(f"--metrics: {metric!r} was not computed{near(metric, computed)}")
    samplers = {cell.config.method for own in evidence for cell in own.cells}
    if options.baseline and canonical("sampler", options.baseline) not in samplers:
        like = near(options.baseline, samplers)
        raise UserError(f"--baseline: there is no cell of {options.baseline!r}{like}")


def _protocols(evidence: Sequence[Evidence]) -> list[str]:
    """Name the data sets that were measured in more than one way."""
    ways: dict[str, list[str]] = {}
    for own in evidence:
        ways.setdefault(own.dataset, []).append(own.protocol)
    return [
        f"{dataset} was measured under different protocols: {' | '.join(every)}"
        for dataset, every in ways.items()
        if len(every) > 1
    ]


def _refuse(told: Sequence[str], strict: bool) -> None:
    if strict:
        raise UserError("\n".join(["--strict: the comparison is not fair", *dict.fromkeys(told)]))


def _with_notes(table: Table, known: Reference) -> Table:
    """Add to a table of printed figures what must be known of them."""
    if table.protocol != f"as printed in {known.source}":
        return table
    notes = [note for dataset, note in known.notes if dataset in (None, table.dataset)]
    return replace(table, notes=(*table.notes, *notes))


def _printed(name: str) -> list[Evidence]:
    """Return a paper's figures as evidence."""
    return gather(
        Result(resolve_config({"encoder": p.encoder, "sampler": p.sampler}), p.metrics)
        for p in reference(name).results
    )


def _few_draws(chance: Chance, judged: Sequence[Verdict]) -> list[str]:
    tests = sum(not math.isnan(f.p) for verdict in judged for f in verdict.findings)
    return too_few_draws(chance.resamples, tests)


def _statistics(chance: Chance, evidence: Sequence[Evidence]) -> str:
    seeds = [few_seeds(own) for own in evidence]
    return (
        f"p: paired randomisation over concepts (a question in all its languages), "
        f"{chance.resamples:,} draws, Holm over all comparisons of the claims; intervals: 95 %, "
        f"bootstrap over seeds and concepts, {chance.resamples:,} draws; seed {chance.seed}."
        + (" Verdicts speak of these trained encoders: seeds are too few." if any(seeds) else "")
    )
