"""The queries that a study's comparisons rest on most, with their texts, for its report."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hbr.compare.evidence import of_group
from hbr.compare.model import Finding, Moved, Verdict
from hbr.compare.queries import moved, moved_key
from hbr.compare.results import Result, training_languages
from hbr.core.errors import UserError
from hbr.core.target import EvaluationTarget
from hbr.experiments.cells import Cell

logger = logging.getLogger(__name__)

NUMBER = 20  # queries of a comparison
PASSAGES = 100_000  # of a larger data set no query is searched for again


def moved_queries(
    results: Sequence[Result], cells: Sequence[Cell], verdicts: Sequence[Verdict]
) -> dict[str, Moved]:
    """Return the queries that moved most in every comparison, by `moved_key`.

    Those of perturbed, compressed, centred and indexed vectors, of MTEB's tasks and of large data
    sets are left out, and, as the log says, those whose data or vectors are not here any more.
    Ranks and passages are those of the first run that counts for the effect.
    """
    by_name = {(result.name, str(result.target)): result for result in results}
    cell_of = {cell.run.path.resolve().name: cell for cell in cells}
    found: dict[str, Moved] = {}
    gone: dict[str, str] = {}  # by key, why
    for verdict in verdicts:
        for finding in verdict.findings:
            sides = [
                [
                    by_name[name, finding.dataset]
                    for name in side
                    if (name, finding.dataset) in by_name
                ]
                for side in finding.sides
            ]
            key = moved_key(verdict, finding)
            known = key in found or key in gone
            if known or not all(sides) or not _is_small(finding, sides[0][0]):
                continue
            try:
                found[key] = _moved(verdict, finding, sides, cell_of)
            except (UserError, OSError) as error:
                gone[key] = str(error)
    for reason, count in Counter(gone.values()).items():
        logger.warning(f"comparisons without their queries in the report: {count}; {reason}")
    return found


def _is_small(finding: Finding, result: Result) -> bool:
    target = EvaluationTarget.parse(finding.dataset)
    plain = target == target.clean and not target.is_mteb and result.metrics.get("by_pair")
    return bool(plain) and result.metrics["passages"] <= PASSAGES


def _moved(
    verdict: Verdict,
    finding: Finding,
    sides: Sequence[Sequence[Result]],
    cell_of: Mapping[str, Cell],
) -> Moved:
    from hbr.experiments.inspection import Inspector  # which loads torch

    trained = training_languages(result.metrics for side in sides for result in side)
    keep = of_group(verdict.among, trained)
    above, below = sides
    lines = moved(above, below, verdict.setting, verdict.metric, keep, NUMBER)
    cell = cell_of[sides[0][0].name]
    source: Path | None = cell.sources.get(finding.dataset)
    inspector = Inspector([cell.run], finding.dataset, source, ready=True)
    queries = [inspector.values_of(line) for line in lines]
    among = (f"{by}: {label}" for by, label in verdict.among.items())
    label = ", ".join((finding.label, finding.dataset, *among))
    return Moved(label, verdict.setting, verdict.metric, queries)
