"""Verdicts: what results make of a study's claims."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hbr.compare.claims import Claim
from hbr.compare.comparisons import Comparison, Condition, Weights, absent, comparisons
from hbr.compare.evidence import Difference, Evidence, StudyCell, p_values
from hbr.compare.fairness import contamination
from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding, Verdict
from hbr.compare.results import Result
from hbr.core import statistics
from hbr.core.target import EvaluationTarget

LEVEL = 0.05
ROUNDING = 1e-9  # printed figures that lie on a bound do so but for this
NO_QUERIES = "no per-query data"
NOT_EVALUATED = "not evaluated"


class Estimate(NamedTuple):
    """The value of one condition, relative to its bound.

    `low` and `high` are its 95 % interval, `p` that of the comparison; NaN where only means are
    known.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


class _Case(NamedTuple):
    """One comparison of one claim, on one data set."""

    claim: Claim
    evidence: Evidence
    comparison: Comparison

    @property
    def column(self) -> tuple[str, str, Mapping[str, str]]:
        """The setting, the metric and the languages that the claim speaks of."""
        return self.claim.setting, self.claim.metric, self.claim.among

    @property
    def cells(self) -> list[StudyCell]:
        """The cells that the comparison rests on."""
        return [self.evidence.cells[i] for i in self.comparison.cells]

    @property
    def results(self) -> list[Result]:
        """The results that the comparison rests on."""
        return [result for cell in self.cells for result in self.evidence.members(cell)]

    @property
    def has_values(self) -> bool:
        """Whether all of these have the metric by query."""
        return all(result.has_values(self.claim.metric) for result in self.results)

    @property
    def seeds(self) -> int:
        """The fewest seeds of a trained cell; 0 for printed figures, which do not say."""
        seeds = [len(cell.members) for cell in self.cells if cell.config.is_trained]
        return min(seeds, default=0) if self.evidence.has_queries else 0

    def sum(self, values: np.ndarray, weights: Weights) -> np.ndarray:
        """Sum the weighted cells, means over seeds, of values (…, results): (…,)."""
        cells = self.evidence.cells
        terms = [w * values[..., list(cells[i].members)].mean(-1) for i, w in weights.items()]
        return np.sum(terms, axis=0)

    def draws(self, weights: Weights) -> np.ndarray:
        """Draw the weighted sum of cells over seeds and concepts: (resamples,)."""
        evidence, draws = self.evidence, self.evidence.bootstrap(*self.column)
        terms = [w * evidence.over_seeds(evidence.cells[i], draws) for i, w in weights.items()]
        return np.sum(terms, axis=0)

    def estimate(self, condition: Condition, p: float) -> Estimate:
        """Return what the results say of a condition."""
        values = self.evidence.values(*self.column)
        value = float(self.sum(values, condition.weights)) - condition.bound
        if not self.evidence.has_queries:
            return Estimate(value)
        interval = statistics.interval(self.draws(condition.weights) - condition.bound)
        return Estimate(value, *interval, p)


def verdicts(
    claims: Sequence[Claim], evidence: Sequence[Evidence], datasets: Sequence[str] = ()
) -> list[Verdict]:
    """Judge claims on the data sets that each speaks of; p is adjusted over all comparisons.

    A claim that names no data set speaks of all `datasets`, also of those without results.
    """
    cases = [case for claim in claims for case in _cases(claim, evidence)]
    ps = _p_values(cases)
    findings: dict[str, list[Finding]] = {claim.id: [] for claim in claims}
    for case, p, adjusted in zip(cases, ps, statistics.holm(ps), strict=True):
        findings[case.claim.id].append(_finding(case, float(p), float(adjusted)))
    for claim in claims:
        findings[claim.id] += [
            Finding(name, NOT_EVALUATED, OPEN, note=NOT_EVALUATED, missing=True)
            for name in _not_evaluated(claim, evidence, datasets)
        ]
    return [_verdict(claim, findings[claim.id]) for claim in claims]


def judge(conditions: Sequence[Condition], estimates: Sequence[Estimate], adjusted: float) -> str:
    """Return what a comparison's estimates make of it.

    Supported: each value, and its interval, lies on the claimed side of its bound, and the
    adjusted p is below .05. Refuted: one lies wholly on the other side, likewise. Where intervals
    and p are unknown, the means decide, and a mean on the bound decides nothing.
    """
    sides = [condition.side for condition in conditions]
    if any(math.isnan(estimate.value) for estimate in estimates):
        return OPEN
    if all(math.isnan(estimate.p) for estimate in estimates):
        least = min(side * e.value for side, e in zip(sides, estimates, strict=True))
        return SUPPORTED if least > ROUNDING else REFUTED if least < -ROUNDING else OPEN
    if not adjusted < LEVEL:
        return OPEN
    bounds = [(side * e.low, side * e.high) for side, e in zip(sides, estimates, strict=True)]
    if all(min(bound) > 0 for bound in bounds):
        return SUPPORTED
    return REFUTED if any(max(bound) < 0 for bound in bounds) else OPEN


def overall(findings: Sequence[Finding]) -> str:
    """Return whether all findings hold; open while one is missing."""
    statuses = {finding.status for finding in findings}
    if any(finding.missing for finding in findings):
        return OPEN
    if REFUTED in statuses:
        return REFUTED
    return SUPPORTED if statuses == {SUPPORTED} else OPEN


def _cases(claim: Claim, evidence: Sequence[Evidence]) -> Iterator[_Case]:
    for one in evidence:
        if not claim.concerns(one.target):
            continue
        values = one.values(claim.setting, claim.metric, claim.among)
        if not np.isfinite(values).any():
            why = f"{claim.setting} {claim.metric} was not measured"
            yield _Case(claim, one, absent(f"{why} among {claim.among}" if claim.among else why))
            continue
        means = [one.mean(cell, values) for cell in one.cells]
        settings = [cell.settings for cell in one.cells]
        for comparison in comparisons(claim, settings, means, {"encoder", *one.varied}):
            yield _Case(claim, one, comparison)


def _not_evaluated(
    claim: Claim, evidence: Sequence[Evidence], datasets: Sequence[str]
) -> list[str]:
    """Return the data sets that a claim speaks of and that there are no results on."""
    expected = [name for name in datasets if claim.concerns(EvaluationTarget.parse(name))]
    names = set(expected or claim.dataset or ())
    return sorted(n for n in names if not any(claim.concerns(e.target, n) for e in evidence))


def _p_values(cases: Sequence[_Case]) -> np.ndarray:
    """Return the p of every comparison: (cases,); NaN without values by query.

    Of one condition, the two-sided p. Of two one-sided ones, the larger p where the difference lies
    between the bounds, else twice that of its lying beyond the one it exceeds.
    """
    tests: list[tuple[int, float, Difference]] = []  # case, what p is multiplied by
    for number, case in enumerate(cases):
        if not case.comparison.missing and case.has_values:
            tests += [(number, *test) for test in _tests(case)]
    p = np.full(len(cases), np.nan)
    values = p_values([difference for *_, difference in tests])
    for (number, factor, _), value in zip(tests, values, strict=True):
        p[number] = np.fmax(p[number], min(factor * value, 1))
    return p


def _tests(case: _Case) -> Iterator[tuple[float, Difference]]:
    """Yield the tests of a comparison, with what their p is multiplied by."""
    setting, _, among = case.column
    contributions = case.evidence.contributions(*case.column)
    unit = case.evidence.unit(setting, among)
    conditions = [
        (c.side, case.sum(contributions, c.weights) - c.bound * unit)
        for c in case.comparison.conditions
    ]
    exceeded = [(side, values) for side, values in conditions if side * values.sum() < 0]
    for side, values in exceeded or conditions:
        difference = Difference(case.evidence, setting, among, values)
        if len(conditions) == 1:
            yield 1.0, difference
        elif exceeded:
            yield 2.0, difference._replace(side="less" if side > 0 else "greater")
        else:
            yield 1.0, difference._replace(side="greater" if side > 0 else "less")


def _finding(case: _Case, p: float, adjusted: float) -> Finding:
    evidence, comparison = case.evidence, case.comparison
    finding = Finding(evidence.dataset, comparison.label, OPEN)
    if comparison.missing:
        return replace(finding, note=comparison.missing, missing=True)
    values = evidence.values(*case.column)
    effect, base = (float(case.sum(values, w)) for w in (comparison.effect, comparison.base))
    finding = replace(
        finding,
        effect=effect,
        relative=effect / base if base else math.nan,
        p=p,
        adjusted=adjusted,
        seeds=case.seeds,
        cells=tuple(result.name for result in case.results),
    )
    if evidence.has_queries and not case.has_values:
        return replace(finding, note=f"{case.claim.metric} has no values by query to test")
    estimates = [case.estimate(condition, p) for condition in comparison.conditions]
    status = judge(comparison.conditions, estimates, adjusted)
    if not evidence.has_queries:
        return replace(finding, status=status, note=NO_QUERIES)
    differences = case.sum(evidence.contributions(*case.column), comparison.effect)
    low, high = statistics.interval(case.draws(comparison.effect))
    return replace(
        finding,
        status=status,
        low=low,
        high=high,
        d=float(statistics.effect_size(differences[:, None])[0]),
        concepts=len(differences),
        note="‡ contaminated" if any(contamination(r.metrics) for r in case.results) else "",
    )


def _verdict(claim: Claim, findings: Sequence[Finding]) -> Verdict:
    return Verdict(
        claim.id,
        claim.sentence,
        claim.metric,
        claim.setting,
        overall(findings),
        tuple(findings),
        "; ".join(dict.fromkeys(finding.note for finding in findings if finding.note)),
    )
