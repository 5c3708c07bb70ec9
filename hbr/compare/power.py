"""Power: how many seeds a study needs before its claims can be decided."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from hbr.compare.claims import Claim
from hbr.compare.comparisons import comparisons
from hbr.compare.evidence import Evidence
from hbr.compare.verdicts import LEVEL, cases
from hbr.core import inference
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget


class Need(NamedTuple):
    """What one comparison of a claim needs: seeds a cell for an effect, None for more than 100."""

    claim: str
    comparison: str
    dataset: str
    seeds: int  # there are
    deviation: float  # over seeds, of the difference of one run of each method
    needed: int | None
    comparisons: int  # that share the level of .05


def needs(claims: Sequence[Claim], evidence: Sequence[Evidence], effect: float) -> list[Need]:
    """Return what each comparison needs to find an effect with 80 % power.

    The level is .05 over the number of comparisons, which is the strictest that Holm asks for.
    Comparisons with one run a cell are left out: nothing is known of their seeds.
    """
    compared = [case for claim in claims for case in cases(claim, evidence) if case.seeds]
    number = len({case.key for case in compared})  # several claims may rest on one
    level = LEVEL / max(number, 1)
    lines = []
    for case in compared:
        estimate = case.evidence.estimate(case.column, case.comparison.effect)
        if estimate.is_known and estimate.seeds > 0:
            variance = estimate.seeds * case.seeds
            trained = sum(cell.config.is_trained for cell in case.cells)
            about = (effect, variance, estimate.concepts, level)
            needed = inference.seeds_needed(*about, trained=trained)
            where = case.claim.id, case.comparison.label, case.evidence.dataset
            lines.append(Need(*where, case.seeds, math.sqrt(variance), needed, number))
    return lines


def outlook(
    claims: Sequence[Claim], configs: Sequence[Config], targets: Sequence[EvaluationTarget]
) -> str:
    """Return what a study can decide before it is run: seeds, comparisons, the least effect."""
    planned = Evidence((), tuple(configs))
    trained = [cell for cell in planned.cells if cell.config.is_trained]
    seeds = min((cell.expected for cell in trained), default=0)
    if not claims or not trained:
        return ""
    if seeds < 2:
        return "one seed a cell: claims about methods stay open; give the grid two seeds or more"
    settings = [cell.settings for cell in planned.cells]
    number = sum(
        len(list(comparisons(claim, settings, [0.0] * len(settings), {"encoder", *planned.varied})))
        for claim in claims
        for target in dict.fromkeys(target.tabled for target in targets)
        if claim.concerns(target)
    )
    effect = inference.least_effect(seeds, LEVEL / max(number, 1))
    compared = f"{number} comparison{'s' * (number != 1)}"
    return (
        f"{seeds} seeds a cell, {compared}: a difference is found with 80 % power where it is "
        f"{effect:.1f} times the standard deviation over seeds, or more"
    )
