"""What the runs of a study have computed so far."""

from collections.abc import Iterable
from pathlib import Path

from hbr.compare.reports import StudyResults
from hbr.compare.results import Result, read_result
from hbr.core.errors import UserError
from hbr.core.target import EvaluationTarget
from hbr.experiments.run_spec import base_model
from hbr.experiments.study import Study
from hbr.experiments.sweep import Cell
from hbr.report import mteb


def study_results(
    study: Study, cells: Iterable[Cell], targets: Iterable[EvaluationTarget] = ()
) -> tuple[StudyResults, list[str]]:
    """Return the results of a study, on all of its targets or some, and what is missing."""
    cells, targets = list(cells), list(targets or study.targets)
    results: list[Result] = []
    missing: list[str] = []
    for target in targets:
        for cell in cells:
            try:
                results.append(read_result(cell.run.store, cell.config, target))
            except UserError as error:
                missing.append(str(error))
    expected = [cell.config for cell in cells]
    names = list(dict.fromkeys(str(target.encoded) for target in targets))
    title = study.title or study.name
    return StudyResults(title, results, expected, study.claims, study.varied, names), missing


def write_mteb(study: StudyResults, folder: Path) -> list[Path]:
    """Write the results of every run as MTEB does; return the paths."""
    by_run: dict[str, list[Result]] = {}
    for result in study.results:
        by_run.setdefault(result.name, []).append(result)
    paths = []
    for name, results in by_run.items():
        train, config = results[0].stages["train"], results[0].config
        model = {
            "name": name,
            "revision": train["id"],
            "max_tokens": config.encoder.passage_max_seq_length,
            "adapted_from": base_model(config, train),
        }
        paths += mteb.write(folder, model, [result.metrics for result in results])
    return paths
