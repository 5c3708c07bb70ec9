"""Where a run's numbers go besides its own log: TensorBoard, trackio, Weights & Biases, MLflow.

None is imported unless `train.report_to` names it. Servers, keys and offline modes are theirs, by
their own environment variables; a project is called `hbr` unless these say otherwise.
"""

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hbr.core import registry
from hbr.core.config import flat
from hbr.core.errors import UserError

PROJECT = "hbr"


class Writer(Protocol):
    """An open run of a tracker."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers of a step."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class Place(NamedTuple):
    """A run to report: its name, its settings, the folder of its log, the step it goes on from."""

    name: str
    settings: Mapping[str, Any]
    folder: Path | None = None
    step: int = 0


@dataclass(frozen=True)
class Tracker:
    """A tracker: the package it needs, and how a run is opened there, by its name again."""

    name: str
    package: str
    open: Callable[[Place], Writer]
    needs_folder: bool = False  # it writes beside the log, and takes no results


def check(names: Iterable[str]) -> None:
    """Raise UserError where the package of a tracker is not installed."""
    for name in names:
        package = registry.get("tracker", name).package
        if importlib.util.find_spec(package.partition(".")[0]) is None:
            raise UserError(f"train.report_to={name} needs {package}: pip install 'hbr[{name}]'")


def open_writers(names: Sequence[str], place: Place) -> list[Writer]:
    """Open a run at every tracker; those that need a folder are left out where there is none."""
    check(names)
    trackers: list[Tracker] = [registry.get("tracker", name) for name in names]
    return [one.open(place) for one in trackers if place.folder or not one.needs_folder]


def report(names: Sequence[str], place: Place, values: Mapping[str, float], step: int = 0) -> None:
    """Add numbers to a run that is not being trained: results, verdicts."""
    for writer in open_writers(names, place):
        writer.log(values, step)
        writer.close()


class _TensorBoard:
    def __init__(self, place: Place) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = str(place.folder / "tensorboard") if place.folder else None
        self.events = SummaryWriter(folder, purge_step=place.step + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.events.add_scalar(name, value, step)

    def close(self) -> None:
        self.events.close()


class _Wandb:
    def __init__(self, place: Place) -> None:
        import wandb

        project = os.environ.get("WANDB_PROJECT", PROJECT)
        settings = dict(place.settings)
        self.run = wandb.init(
            project=project, name=place.name, id=place.name, resume="allow", config=settings
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log({**values, "step": step})

    def close(self) -> None:
        self.run.finish()


class _Trackio:
    def __init__(self, place: Place) -> None:
        import trackio

        self.trackio, project = trackio, os.environ.get("TRACKIO_PROJECT", PROJECT)
        settings = dict(place.settings)
        trackio.init(project, name=place.name, config=settings, resume="allow", embed=False)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.trackio.log(dict(values), step=step)

    def close(self) -> None:
        self.trackio.finish()


class _MLflow:
    def __init__(self, place: Place) -> None:
        import mlflow

        self.mlflow = mlflow
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
        query = f"tags.mlflow.runName = '{place.name}'"
        found = mlflow.search_runs(filter_string=query, output_format="list", max_results=1)
        if found:
            mlflow.start_run(found[0].info.run_id)
        else:
            mlflow.start_run(run_name=place.name)
            mlflow.log_params({name: str(v) for name, v in flat(place.settings).items()})

    def log(self, values: Mapping[str, float], step: int) -> None:
        words = {name: name.replace("@", "_at_").replace("->", "_to_") for name in values}
        names = {name: re.sub(r"[^\w./ :-]", "_", word) for name, word in words.items()}
        self.mlflow.log_metrics({names[name]: v for name, v in values.items()}, step=step)

    def close(self) -> None:
        self.mlflow.end_run()


TENSORBOARD = Tracker("tensorboard", "tensorboard", _TensorBoard, needs_folder=True)
TRACKIO = Tracker("trackio", "trackio", _Trackio)
WANDB = Tracker("wandb", "wandb", _Wandb)
MLFLOW = Tracker("mlflow", "mlflow", _MLflow)
