"""Verdicts: what results make of a study's claims."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hbr.compare.claims import Claim
from hbr.compare.comparisons import Comparison, Condition, Weights, absent, comparisons
from hbr.compare.evidence import Evidence, StudyCell
from hbr.compare.fairness import contamination
from hbr.compare.model import (
    FAILS_HERE,
    HOLDS_HERE,
    MEANS_AGREE,
    MEANS_DISAGREE,
    OPEN,
    REFUTED,
    SUPPORTED,
    Finding,
    Status,
    Verdict,
)
from hbr.compare.results import Result
from hbr.core import statistics
from hbr.core.inference import Estimate
from hbr.core.target import EvaluationTarget

LEVEL = 0.05
ROUNDING = 1e-9  # printed figures that lie on a bound do so but for this
NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True)
class Case:
    """One comparison of one claim, on one data set."""

    claim: Claim
    evidence: Evidence
    comparison: Comparison

    @property
    def column(self) -> tuple[str, str, Mapping[str, str]]:
        """The setting, the metric and the languages that the claim speaks of."""
        return self.claim.setting, self.claim.metric, self.claim.among

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two comparisons the same one."""
        conditions = (self.comparison.conditions, self.comparison.vetoes)
        over, where = self.claim.evidence, (self.evidence.dataset, self.evidence.protocol)
        return tuple(map(str, (*where, *self.column, over, *conditions)))

    @property
    def cells(self) -> list[StudyCell]:
        """The cells that the comparison rests on."""
        return [self.evidence.cells[i] for i in self.comparison.cells]

    @property
    def results(self) -> list[Result]:
        """The results that the comparison rests on."""
        return [result for cell in self.cells for result in self.evidence.members(cell)]

    def names(self, sign: int) -> tuple[str, ...]:
        """Return the runs whose mean counts for the effect, or with -1 against it.

        Those whose vectors were centred are marked: their values are others.
        """
        cells = (self.evidence.cells[i] for i, w in self.comparison.effect.items() if w * sign > 0)
        results = (result for cell in cells for result in self.evidence.members(cell))
        return tuple(r.name + "~center" * r.target.center_languages for r in results)

    @property
    def seeds(self) -> int:
        """The fewest seeds of a trained cell; 0 for printed figures, which do not say."""
        seeds = [len(cell.members) for cell in self.cells if cell.config.is_trained]
        return min(seeds, default=0) if self.evidence.has_queries else 0

    def mean(self, weights: Weights) -> float:
        """Sum the weighted cells, means over their seeds."""
        values = self.evidence.values(*self.column)
        cells = self.evidence.cells
        return float(sum(w * values[list(cells[i].members)].mean() for i, w in weights.items()))

    @property
    def bounds(self) -> tuple[float, ...]:
        """What the difference that is shown must lie beyond, or between; a share is of the base."""
        signs: tuple[int, ...]
        if self.claim.is_equivalence:
            assert self.claim.margin is not None
            amount, signs = self.claim.margin, (-1, 1)
        else:
            amount, signs = self.claim.by, (self.claim.side,)
        share = self.mean(self.comparison.base) if amount.relative else 1.0
        return tuple(sign * amount.value * share for sign in signs)

    @cached_property
    def why_open(self) -> str:
        """What keeps the comparison from being judged; "" for nothing."""
        if self.comparison.missing:
            return self.comparison.missing
        if self.evidence.has_queries:
            if not all(result.has_values(self.claim.metric) for result in self.results):
                return f"{self.claim.metric} has no values by query to test"
            if why := next((e.why for e, _ in (*self.estimates, *self.vetoes) if e.why), ""):
                return why
        if self.claim.is_relative and not self.mean(self.comparison.base) > 0:
            return "a share of a baseline that is not positive says nothing"
        return ""

    @cached_property
    def estimates(self) -> list[tuple[Estimate, int]]:
        """How far each condition's value lies above its bound, and the side it must lie on."""
        return [self._estimate(condition) for condition in self.comparison.conditions]

    @cached_property
    def vetoes(self) -> list[tuple[Estimate, int]]:
        """The same of what must not be violated."""
        return [self._estimate(condition) for condition in self.comparison.vetoes]

    def _estimate(self, condition: Condition) -> tuple[Estimate, int]:
        over = self.claim.over_concepts
        estimate = self.evidence.estimate(self.column, condition.weights, over)
        return estimate.beyond(condition.bound), condition.side

    @cached_property
    def p(self) -> float:
        """The p of the comparison, NaN where nothing is tested.

        Of one condition, the two-sided p. Of several, which must all hold: the largest one-sided p
        where no value lies beyond its bound (two one-sided tests, Schuirmann 1987); else the least
        p of a violation, times their number (Bonferroni). A veto that is violated goes first.
        """
        if self.why_open or not self.evidence.has_queries:
            return math.nan
        if self._is_vetoed:
            return _violation(self.vetoes)
        if len(self.estimates) == 1:
            return self.estimates[0][0].p()
        if any(side * estimate.value < 0 for estimate, side in self.estimates):
            return _violation(self.estimates)
        return max(_one_sided(estimate, side) for estimate, side in self.estimates)

    @property
    def _is_vetoed(self) -> bool:
        return bool(self.vetoes) and _violation(self.vetoes) < LEVEL

    def status(self, adjusted: float) -> Status:
        """Return the verdict on the comparison; `adjusted` is its p after Holm's correction."""
        if self.why_open:
            return OPEN
        if not self.evidence.has_queries:
            conditions = (*self.comparison.conditions, *self.comparison.vetoes)
            distances = [c.side * (self.mean(c.weights) - c.bound) for c in conditions]
            return {True: MEANS_AGREE, False: MEANS_DISAGREE, None: OPEN}[judge_means(distances)]
        intervals = [tuple(side * end for end in e.interval()) for e, side in self.estimates]
        here = self.claim.over_concepts == "concepts"
        holds, fails = (HOLDS_HERE, FAILS_HERE) if here else (SUPPORTED, REFUTED)
        verdict = judge(intervals, adjusted, is_vetoed=self._is_vetoed)
        return {True: holds, False: fails, None: OPEN}[verdict]


Interval = Sequence[float]  # its two ends


def judge(
    intervals: Sequence[Interval], adjusted: float, *, is_vetoed: bool = False
) -> bool | None:
    """Return whether a comparison holds, None where that is open.

    `intervals` are those of how far each value lies on the claimed side of its bound. It holds
    where all of them do, and fails where one of them lies wholly on the other side, or where p is
    that of a veto, if the adjusted p is below .05.
    """
    if not adjusted < LEVEL:
        return None
    if is_vetoed or any(max(interval) < 0 for interval in intervals):
        return False
    return True if all(min(interval) > 0 for interval in intervals) else None


def judge_means(distances: Sequence[float]) -> bool | None:
    """Return whether means alone agree with a comparison, None where one lies on its bound."""
    least = min(distances)
    return True if least > ROUNDING else False if least < -ROUNDING else None


def _one_sided(estimate: Estimate, side: int) -> float:
    return estimate.p(side="greater" if side > 0 else "less")


def _violation(estimates: Sequence[tuple[Estimate, int]]) -> float:
    """Return the p of at least one value lying on the wrong side."""
    return min(1.0, len(estimates) * min(_one_sided(e, -side) for e, side in estimates))


def verdicts(
    claims: Sequence[Claim], evidence: Sequence[Evidence], datasets: Sequence[str] = ()
) -> list[Verdict]:
    """Judge claims on the data sets that each speaks of; p is adjusted over all comparisons.

    A comparison that several claims rest on counts once. A claim that names no data set speaks of
    all `datasets`, also of those without results.
    """
    judged = [case for claim in claims for case in cases(claim, evidence)]
    first: dict[tuple[str, ...], Case] = {}
    for case in judged:
        first.setdefault(case.key, case)
    adjusted = statistics.holm(np.array([case.p for case in first.values()]))
    by_key = dict(zip(first, adjusted, strict=True))
    findings: dict[str, list[Finding]] = {claim.id: [] for claim in claims}
    for case in judged:
        finding = _finding(case, float(by_key[case.key]))
        twin = first[case.key].claim.id
        if twin != case.claim.id and not finding.missing:
            note = "; ".join(filter(None, (finding.note, f"the comparison of {twin}")))
            finding = replace(finding, note=note)
        findings[case.claim.id].append(finding)
    for claim in claims:
        findings[claim.id] += [
            Finding(name, NOT_EVALUATED, OPEN, note=NOT_EVALUATED, missing=True)
            for name in _not_evaluated(claim, evidence, datasets)
        ]
    return [_verdict(claim, findings[claim.id]) for claim in claims]


def overall(findings: Sequence[Finding]) -> Status:
    """Return what findings make of the claim that all of them hold; open while one is missing."""
    statuses = [finding.status for finding in findings]
    if any(finding.missing for finding in findings):
        return OPEN
    if failed := next((status for status in statuses if status.holds is False), None):
        return failed
    return statuses[0] if statuses and all(status.holds for status in statuses) else OPEN


def cases(claim: Claim, evidence: Sequence[Evidence]) -> Iterator[Case]:
    """Yield the comparisons of a claim on the data sets that it speaks of."""
    for one in evidence:
        if not claim.concerns(one.target):
            continue
        values = one.values(claim.setting, claim.metric, claim.among)
        if not np.isfinite(values).any():
            why = f"{claim.setting} {claim.metric} was not measured"
            yield Case(claim, one, absent(f"{why} among {claim.among}" if claim.among else why))
            continue
        means = [one.mean(cell, values) for cell in one.cells]
        settings = [cell.settings for cell in one.cells]
        for comparison in comparisons(claim, settings, means, {"encoder", *one.varied}):
            yield Case(claim, one, comparison)


def _not_evaluated(
    claim: Claim, evidence: Sequence[Evidence], datasets: Sequence[str]
) -> list[str]:
    """Return the data sets that a claim speaks of and that there are no results on."""
    expected = [name for name in datasets if claim.concerns(EvaluationTarget.parse(name))]
    names = {*expected, *(claim.dataset or ())}
    return sorted(n for n in names if not any(claim.concerns(e.target, n) for e in evidence))


def _finding(case: Case, adjusted: float) -> Finding:
    finding = Finding(case.evidence.dataset, case.comparison.label, OPEN)
    if case.comparison.missing:
        return replace(finding, note=case.comparison.missing, missing=True)
    effect, base = (case.mean(w) for w in (case.comparison.effect, case.comparison.base))
    notes = [case.why_open] if case.why_open else []
    if not case.evidence.has_queries:
        notes.append("no per-query data")
    elif any(contamination(result.metrics) for result in case.results):
        notes.append("‡ contaminated")
    finding = replace(
        finding,
        effect=effect,
        bounds=case.bounds,
        side=case.claim.side,
        relative=effect / base if base > 0 else math.nan,
        p=case.p,
        adjusted=adjusted,
        seeds=case.seeds,
        cells=tuple(result.name for result in case.results),
        sides=(case.names(1), case.names(-1)),
        note="; ".join(notes),
        status=case.status(adjusted),
    )
    if not case.evidence.has_queries or not case.estimates:
        return finding
    estimate = case.evidence.estimate(case.column, case.comparison.effect, case.claim.over_concepts)
    low, high = estimate.interval()
    d, concepts = estimate.effect_size, estimate.number
    return replace(finding, low=low, high=high, d=d, concepts=concepts)


def _verdict(claim: Claim, findings: Sequence[Finding]) -> Verdict:
    return Verdict(
        claim.id,
        claim.sentence,
        claim.metric,
        claim.setting,
        overall(findings),
        tuple(findings),
        "; ".join(dict.fromkeys(finding.note for finding in findings if finding.note)),
        dict(claim.among),
    )
