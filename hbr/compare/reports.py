"""The whole of a comparison: tables, verdicts, warnings, and what they rest on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from hbr.compare.claims import Claim
from hbr.compare.compression import compression
from hbr.compare.evidence import Evidence, gather
from hbr.compare.fairness import unfair
from hbr.compare.model import Moved, Report, Verdict
from hbr.compare.references import Reference, reference
from hbr.compare.results import Result, provenance
from hbr.compare.robustness import beside, robustness
from hbr.compare.series import series
from hbr.compare.table import Table
from hbr.compare.tables import columns_of, compare, diagnostics
from hbr.compare.verdicts import verdicts
from hbr.core import languages
from hbr.core.errors import UserError
from hbr.core.inference import Over
from hbr.core.registry import canonical, near
from hbr.core.settings import Config

STATISTICS = (
    "p and 95 % intervals: t, with concepts (a question in all its languages) and seeds both as "
    "random; p has no more degrees of freedom than the seeds, and is corrected by Holm over all "
    "comparisons of the claims."
)
OF_TABLES = " Tables (§): with concepts alone as random, of these encoders."


class Options(NamedTuple):
    """How to compare: columns, groups of languages, what daggers mean, and how strictly."""

    metrics: tuple[str, ...] | None = None
    by: str | None = None
    baseline: str | None = None
    evidence: Over = "seeds and concepts"  # what is random in tests of tables
    strict: bool = False
    reference: str | None = None


class StudyResults(NamedTuple):
    """Results to compare, and what a study expects and claims of them.

    `varied` are the settings that differ on purpose, `datasets` those that a study evaluates on.
    `moved` looks up the queries that the sides of comparisons differ in most.
    """

    title: str
    results: Sequence[Result]
    expected: Sequence[Config] = ()
    claims: Sequence[Claim] = ()
    varied: Collection[str] = ()
    datasets: Sequence[str] = ()
    moved: Callable[[Sequence[Verdict]], Mapping[str, Moved]] = lambda _: {}


def assemble(study: StudyResults, options: Options) -> Report:
    """Compare all results that there are; printed figures stand in tables of their own.

    Raises UserError where there are none, and with `strict` where runs differ in anything but what
    is varied on purpose.
    """
    evidence = gather(study.results, study.expected, options.evidence)
    paper = reference(options.reference) if options.reference else None
    printed = gather(paper.results) if paper else []
    datasets = {one.dataset for one in evidence}
    shared = [one for one in printed if one.dataset in datasets] or printed
    _check(options, (*evidence, *shared))
    protocols = _protocols(evidence)
    if options.strict:
        unequal = [*protocols, *(line for one in evidence for line in unfair(one, study.varied))]
        if unequal:
            lines = ["--strict: the comparison is not fair", *dict.fromkeys(unequal)]
            raise UserError("\n".join(lines))
    alone, perturbed = beside(evidence, lambda target: replace(target, perturbation=""))
    alone, compressed = beside(alone, lambda target: replace(target, compression=None))
    tables = _tables(study, options, [*alone, *shared], perturbed, compressed)
    judged = verdicts(study.claims, evidence, study.datasets) if evidence else []
    if paper:
        tables = [_with_notes(table, paper) for table in tables]
        judged += [
            replace(
                verdict, id=f"{verdict.id} ({paper.name})", note=f"{paper.name}: {verdict.note}"
            )
            for verdict in verdicts(paper.claims, printed)
        ]
    notes = [note for table in tables for note in table.notes if note[0] not in "†§"]
    return Report(
        study.title or options.reference or "",
        tables,
        judged,
        list(dict.fromkeys([*protocols, *notes])),
        [line for one in alone for line in series(one)],
        provenance(result for one in evidence for result in one.results),
        STATISTICS + OF_TABLES * (options.evidence == "concepts") if evidence else "",
        [line for _, several in perturbed for one in several for line in series(one)],
        [line for whole, some in compressed for one in (whole, *some) for line in series(one)],
        _languages(evidence),
        partial(study.moved, judged),
    )


def _languages(evidence: Sequence[Evidence]) -> list[dict[str, str]]:
    """Return what is known of each language of the data sets: name, family, seen or not."""
    codes = sorted(
        {code for one in evidence for r in one.results for code in r.metrics["languages"]}
    )
    trained = [language for one in evidence for language in one.training_languages or ()]
    return [_language(code, trained) for code in codes]


def _language(code: str, trained: Sequence[str]) -> dict[str, str]:
    known = languages.language(code)
    facts = ("name", "family", "script", "resource")
    about = {fact: str(getattr(known, fact, languages.UNKNOWN)) for fact in facts}
    seen = (languages.group("seen", code, None, trained) or "–") if trained else "–"
    return {"language": code, **about, "in training": seen}


def _tables(
    study: StudyResults,
    options: Options,
    evidence: Sequence[Evidence],
    perturbed: Sequence[tuple[Evidence, Sequence[Evidence]]],
    compressed: Sequence[tuple[Evidence, Sequence[Evidence]]],
) -> list[Table]:
    """Return the tables of metrics, of diagnostics, of perturbed queries, of compressed vectors."""
    baseline = canonical("sampler", options.baseline) if options.baseline else None
    how: dict[str, Any] = {"by": options.by, "varied": study.varied}
    prefix = f"{study.title}: " if study.title else ""
    tables = [
        compare(one, options.metrics, baseline=baseline, title=prefix + one.dataset, **how)
        for one in evidence
        if columns_of(one, options.metrics)
    ]
    tables += [table for one in evidence for table in diagnostics(one)]
    for clean, several in perturbed:
        tables += robustness(clean, several, options.metrics, **how)
    for whole, several in compressed:
        tables += compression(whole, several, options.metrics, **how)
    return tables


def _check(options: Options, evidence: Sequence[Evidence]) -> None:
    """Raise UserError where there are no results, and for metrics and samplers that none has."""
    if options.by and options.by not in languages.BY:
        raise UserError(f"--by {options.by!r}: one of {', '.join(languages.BY)}")
    if not evidence:
        raise UserError("there is nothing to compare")
    results = [result for one in evidence for result in one.results]
    settings = [values for r in results for values in r.metrics["settings"].values()]
    computed = {metric for values in settings for metric in values}
    for metric in options.metrics or ():
        if metric not in computed:
            raise UserError(f"--metrics: {metric!r} was not computed{near(metric, computed)}")
    samplers = {cell.config.method for one in evidence for cell in one.cells}
    if options.baseline and canonical("sampler", options.baseline) not in samplers:
        like = near(options.baseline, samplers)
        raise UserError(f"--baseline: there is no cell of {options.baseline!r}{like}")


def _protocols(evidence: Sequence[Evidence]) -> list[str]:
    """Name the data sets that were measured in more than one way."""
    protocols: dict[str, list[str]] = {}
    for one in evidence:
        protocols.setdefault(one.dataset, []).append(one.protocol)
    return [
        f"{dataset} was measured under different protocols: {' | '.join(several)}"
        for dataset, several in protocols.items()
        if len(several) > 1
    ]


def _with_notes(table: Table, paper: Reference) -> Table:
    """Add to a table of printed figures what must be known of them."""
    if table.protocol != f"as printed in {paper.source}":
        return table
    notes = [note for dataset, note in paper.notes if dataset in (None, table.dataset)]
    return replace(table, notes=(*table.notes, *notes))
