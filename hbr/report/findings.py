"""Claims, verdicts and comparisons in words and numbers, as all formats show them."""

import math

from hbr.compare.model import Finding, Verdict
from hbr.compare.table import digits, plain, signed

FAR = {True: 10.0, False: 1e7}  # by whether a metric has decimals: no value is so large
HEADS = ("claim", "verdict", "effect [95 %]", "bound", "adj. p", "d", "seeds")


def sentence(verdict: Verdict) -> str:
    """Return what a claim says, and the note on its verdict."""
    return f"{verdict.sentence} – {verdict.note}" if verdict.note else verdict.sentence


def comparison(finding: Finding, verdict: Verdict) -> str:
    """Return what was compared, with its data set where there are several, and its note.

    A note that all comparisons share stands with the claim alone.
    """
    several = len({other.dataset for other in verdict.findings}) > 1
    label = f"{finding.dataset}, {finding.label}" if several else finding.label
    common = finding.note in verdict.note and len({f.note for f in verdict.findings}) == 1
    return label if common or finding.note in ("", finding.label) else f"{label} ({finding.note})"


def numbers(finding: Finding, metric: str) -> tuple[str, ...]:
    """Return the effect with its interval, its bound, adjusted p, Cohen's d and the seeds."""
    d = "–" if math.isnan(finding.d) else signed(finding.d, 2)
    bounds = f"{effect(finding, metric)} {interval(finding, metric)}".strip()
    return bounds, bound(finding, metric), p_text(finding.adjusted), d, str(finding.seeds or "–")


def effect(finding: Finding, metric: str) -> str:
    """Return an effect, a dash where there is none."""
    return "–" if math.isnan(finding.effect) else signed(finding.effect, digits(metric))


def bound(finding: Finding, metric: str) -> str:
    """Return where a claim wants an effect: `> −.020`, `< 0`, `± .005`; nothing where unknown."""
    if not finding.bounds:
        return ""
    value = finding.bounds[-1]
    text = signed(value, digits(metric)) if value and finding.side else plain(value, digits(metric))
    return f"{ {1: '>', -1: '<', 0: '±'}[finding.side] } {text if value else '0'}"


def interval(finding: Finding, metric: str) -> str:
    """Return the 95 % interval of an effect, `[+.008, +.016]`, nothing where there is none."""
    bounds = (_limit(value, digits(metric)) for value in (finding.low, finding.high))
    return "" if math.isnan(finding.low + finding.high) else f"[{', '.join(bounds)}]"


def _limit(value: float, digits: int) -> str:
    """Write an end of an interval; without any degrees of freedom it lies far off the scale."""
    if abs(value) > FAR[digits > 0]:
        return "+∞" if value > 0 else "−∞"
    return signed(value, digits)


def p_text(p: float) -> str:
    """Return a p-value, small ones as a bound."""
    return "–" if math.isnan(p) else "< .001" if p < 0.001 else plain(p, 3)
