"""What trackers are told besides the training log: results by language, verdicts of studies."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hbr.compare.model import Verdict
from hbr.core.settings import Config
from hbr.training.trackers import Place, report


def track_results(config: Config, run: Path, folder: Path) -> None:
    """Report the metrics of an evaluation's folder, means and by query language, to a run.

    They are called `embedded/multi/map` and `embedded/multi/de/map`.
    """
    if config.train.report_to:
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
        place = Place(run.resolve().name, config.model_dump(mode="json"))
        report(config.train.report_to, place, result_values(metrics), config.train.max_steps)


def result_values(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a `metrics.json` by the names that trackers have."""
    dataset = metrics["dataset"]
    named = {f"{dataset}/{setting}": values for setting, values in metrics["settings"].items()}
    for setting, by_language in metrics["by_query_language"].items():
        named |= {f"{dataset}/{setting}/{code}": values for code, values in by_language.items()}
    return {
        f"{name}/{metric}": value
        for name, values in named.items()
        for metric, value in values.items()
        if value is not None
    }


def track_verdicts(name: str, config: Config, verdicts: Sequence[Verdict]) -> None:
    """Report a study's verdicts as a run of their own: 1 holds, -1 fails, 0 is open.

    `config` is that of one of the study's runs: it says where to report.
    """
    numbers = {True: 1.0, False: -1.0, None: 0.0}
    values = {f"claims/{verdict.id}": numbers[verdict.status.holds] for verdict in verdicts}
    if values:
        report(config.train.report_to, Place(f"study-{name}", {"study": name}), values)
