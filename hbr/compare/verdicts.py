"""Verdicts on a study's claims."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hbr.compare.claims import (
    OPEN,
    Claim,
    Comparison,
    Finding,
    Outcome,
    Test,
    Verdict,
    absent,
    comparisons,
    judge,
    overall,
)
from hbr.compare.evidence import Evidence, Result, has_values
from hbr.compare.tables import is_contaminated
from hbr.core import statistics
from hbr.core.target import EvaluationTarget

NO_QUERIES = "no per-query data"
NOT_EVALUATED = "not evaluated"


class _Job(NamedTuple):
    """One comparison of one claim, on one data set."""

    claim: Claim
    evidence: Evidence
    comparison: Comparison

    @property
    def where(self) -> tuple[str, str, Mapping[str, str]]:
        return self.claim.setting, self.claim.metric, self.claim.among

    def column(self, values: np.ndarray, weights: Mapping[int, float]) -> np.ndarray:
        """Sum the weighted cells, means over seeds, of values (…, results): (…,)."""
        cells = (
            (weight, list(self.evidence.cells[cell].members)) for cell, weight in weights.items()
        )
        return np.sum([weight * values[..., own].mean(-1) for weight, own in cells], axis=0)

    @property
    def results(self) -> list[Result]:
        """The results that the comparison rests on."""
        cells = sorted({cell for test in self.comparison.tests for cell in test.weights})
        return [self.evidence.results[i] for c in cells for i in self.evidence.cells[c].members]

    @property
    def has_values(self) -> bool:
        """Whether all of these have the metric by query."""
        return all(has_values(result, self.claim.metric) for result in self.results)

    @property
    def seeds(self) -> int:
        """The fewest seeds of a trained cell; printed figures tell none."""
        cells = {cell for test in self.comparison.tests for cell in test.weights}
        trained = [c for c in map(self.evidence.cells.__getitem__, cells) if c.is_trained]
        return min((len(c.members) for c in trained), default=0) if self.evidence.has_queries else 0

    def draws(self, weights: Mapping[int, float]) -> np.ndarray:
        """Draw the weighted sum of cells over seeds and concepts: (resamples,)."""
        own, every = self.evidence, self.evidence.draws(*self.where)
        drawn = [weight * own.drawn(own.cells[cell], every) for cell, weight in weights.items()]
        return np.sum(drawn, axis=0)


def verdicts(
    claims: Sequence[Claim], evidence: Sequence[Evidence], datasets: Sequence[str] = ()
) -> list[Verdict]:
    """Judge claims on the data sets that each speaks of; p is adjusted over all comparisons.

    A claim that names no data set speaks of all `datasets`, also of those without results.
    """
    jobs = [job for claim in claims for job in _jobs(claim, evidence)]
    p = _p_values(jobs)
    adjusted = statistics.holm(p)
    findings: dict[str, list[Finding]] = {claim.id: [] for claim in claims}
    for job, own, together in zip(jobs, p, adjusted, strict=True):
        findings[job.claim.id].append(_finding(job, float(own), float(together)))
    there = {own.dataset for own in evidence}
    for claim in claims:
        named = [name for name in datasets if _concerns(claim, name)] or claim.dataset or []
        for name in sorted({n for n in named if not any(_concerns(claim, t, n) for t in there)}):
            findings[claim.id].append(
                Finding(name, NOT_EVALUATED, OPEN, note=NOT_EVALUATED, missing=True)
            )
    return [_verdict(claim, findings[claim.id]) for claim in claims]


def _jobs(claim: Claim, evidence: Sequence[Evidence]) -> Iterator[_Job]:
    for own in evidence:
        if not _concerns(claim, own.dataset):
            continue
        figures = own.figures(claim.setting, claim.metric, claim.among)
        if not np.isfinite(figures).any():
            why = f"{claim.setting} {claim.metric} was not measured"
            yield _Job(claim, own, absent(f"{why} among {claim.among}" if claim.among else why))
            continue
        means = [own.mean(cell, figures) for cell in own.cells]
        varied = {"encoder", *own.varied}
        for comparison in comparisons(claim, [c.settings for c in own.cells], means, varied):
            yield _Job(claim, own, comparison)


def _concerns(claim: Claim, dataset: str, named: str | None = None) -> bool:
    """Return whether a claim speaks of a data set: of all that it names, or of all clean ones.

    One about a drop speaks of the perturbed ones, of a data set that it names, of all of these.
    """
    target = EvaluationTarget.parse(dataset)
    clean, change = target.dataset, target.perturbation
    of_drops = claim.metric.startswith("drop_")
    names = [named] if named else claim.dataset
    if names is None or bool(change) != of_drops:
        return bool(change) == of_drops
    return dataset in names or clean in names


def _p_values(jobs: Sequence[_Job]) -> np.ndarray:
    """Return the p of every comparison, (jobs,); those of one setting come from the same draws.

    Of one test, the two-sided p. Of two one-sided tests, the larger p where the difference lies
    between the bounds, else twice that of its lying beyond the one it exceeds. NaN without values
    by query.
    """
    batches: dict[tuple[int, str, str, statistics.Side], list[tuple[int, float, np.ndarray]]] = {}
    for number, job in enumerate(jobs):
        if job.comparison.missing or not job.has_values:
            continue
        parts = job.evidence.parts(*job.where)
        unit = job.evidence.unit(job.claim.setting, job.claim.among)
        columns = [
            (test, job.column(parts, test.weights) - test.bound * unit)
            for test in job.comparison.tests
        ]
        exceeded = [(t, c) for t, c in columns if t.side * c.sum() < 0]
        for test, column in exceeded or columns:
            side, factor = _question(job, test, bool(exceeded))
            key = (id(job.evidence), job.claim.setting, str(job.claim.among), side)
            batches.setdefault(key, []).append((number, factor, column))
    p = np.full(len(jobs), np.nan)
    for (*_, side), members in batches.items():
        differences = np.stack([column for *_, column in members], axis=1)
        chance = jobs[members[0][0]].evidence.chance
        found = statistics.randomisation_test(differences, *chance, side=side)
        for (number, factor, _), value in zip(members, found, strict=True):
            p[number] = np.fmax(p[number], min(factor * value, 1))
    return p


def _question(job: _Job, test: Test, exceeded: bool) -> tuple[statistics.Side, float]:
    """Return which side of a test's bound is asked for, and what its p is multiplied by."""
    if len(job.comparison.tests) == 1:
        return "both", 1.0
    above = (test.side > 0) != exceeded
    return "greater" if above else "less", 2.0 if exceeded else 1.0


def _finding(job: _Job, p: float, adjusted: float) -> Finding:
    own, comparison = job.evidence, job.comparison
    found = Finding(own.dataset, comparison.label, OPEN)
    if comparison.missing:
        return replace(found, note=comparison.missing, missing=True)
    figures = own.figures(*job.where)
    effect, base = (float(job.column(figures, w)) for w in (comparison.effect, comparison.base))
    found = replace(
        found,
        effect=effect,
        relative=effect / base if base else math.nan,
        p=p,
        adjusted=adjusted,
        seeds=job.seeds,
        cells=tuple(result.name for result in job.results),
    )
    values = [float(job.column(figures, t.weights)) - t.bound for t in comparison.tests]
    if not own.has_queries:
        status = judge(comparison.tests, [Outcome(value) for value in values], adjusted)
        return replace(found, status=status, note=NO_QUERIES)
    if not job.has_values:
        return replace(found, note=f"{job.claim.metric} has no values by query to test")
    bounds = [statistics.interval(job.draws(t.weights) - t.bound) for t in comparison.tests]
    outcomes = [Outcome(v, *bound, p) for v, bound in zip(values, bounds, strict=True)]
    parts = job.column(own.parts(*job.where), comparison.effect)
    low, high = statistics.interval(job.draws(comparison.effect))
    return replace(
        found,
        status=judge(comparison.tests, outcomes, adjusted),
        low=low,
        high=high,
        d=float(statistics.effect_size(parts[:, None])[0]),
        concepts=len(parts),
        note="‡ contaminated" if any(map(is_contaminated, job.results)) else "",
    )


def _verdict(claim: Claim, found: Sequence[Finding]) -> Verdict:
    note = "; ".join(dict.fromkeys(finding.note for finding in found if finding.note))
    status = overall(found)
    return Verdict(
        claim.id, claim.sentence, claim.metric, claim.setting, status, tuple(found), note
    )
