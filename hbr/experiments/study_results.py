"""What the runs of a study have computed so far."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, read_result
from hbr.core.errors import UserError
from hbr.core.target import EvaluationTarget
from hbr.experiments.cells import Cell
from hbr.experiments.moved import moved_queries
from hbr.experiments.mteb import collect, facts
from hbr.experiments.study import Study
from hbr.report import mteb
from hbr.report.formats import write_all


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
                result = read_result(cell.run.store, cell.config, target)
                if other := _made_otherwise(result, cell):
                    missing.append(f"{cell.run.name}: evaluated on {target} with {other}")
                else:
                    results.append(result)
            except UserError as error:
                missing.append(str(error))
    expected = [cell.config for cell in cells]
    names = list(dict.fromkeys(str(target.tabled) for target in targets))
    title = study.title or study.name
    about = (title, results, expected, study.claims, study.varied, names)
    return StudyResults(*about, partial(moved_queries, results, cells)), missing


def _made_otherwise(result: Result, cell: Cell) -> str:
    """Return the settings of a result that are not the study's, such as `precision bf16`."""
    config = cell.config.at(result.target)
    wanted = {
        "encode": cell.run.encode_identity(),
        "evaluate": config.evaluate.model_dump(
            mode="json", include={"passage", "margin", "n_neighbors"}
        ),
    }
    found = []
    for kind, settings in wanted.items():
        made = result.stages.get(kind, {}).get("settings", {})
        found += [f"{k} {made[k]}" for k, v in settings.items() if made.get(k, v) != v]
    limited = re.search(r"LIMITED to (\d+)", result.metrics["protocol"])
    limit = int(limited[1]) if limited else None
    found += [f"limit {limit}"] if limit != config.evaluate.limit else []
    return ", ".join(found)


def write_report(
    study: Study, cells: Iterable[Cell], folder: Path
) -> tuple[Any | None, list[Path], list[str]]:
    """Write a study's report in all its forms; return it, where it is, and what is missing.

    Without any result there is none, and nothing is written.
    """
    results, missing = study_results(study, cells)
    if not results.results:
        return None, [], missing
    report = assemble(results, Options())
    return report, write_all(report, folder), missing


def write_mteb(study: StudyResults, folder: Path) -> list[Path]:
    """Write the results of every run as MTEB does; return the paths."""
    by_run: dict[str, list[Result]] = {}
    for result in study.results:
        by_run.setdefault(result.name, []).append(result)
    paths = []
    for name, results in by_run.items():
        model = facts(name, results[0].config, results[0].stages["train"])
        ours = [result.metrics for result in results if not result.target.is_mteb]
        paths += mteb.write(folder, model, ours) if ours else []
        paths += collect([result for result in results if result.target.is_mteb], folder)
    return list(dict.fromkeys(paths))
