"""Runs and their settings, as the command line names them."""

import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError

logger = logging.getLogger(__name__)


def config_of(
    files: list[Path] | None, assignments: list[str] | None, above: Mapping[str, Any] | None = None
) -> Any:
    """Return the config of defaults, files, assignments and, above all, some settings."""
    from hbr.core.config import parse_set, resolve_config
    from hbr.core.yaml_files import read_yaml

    layers = [read_yaml(path) for path in files or []]
    return resolve_config(*layers, parse_set(assignments or []), above or {})


def training_config(
    files: list[Path] | None,
    assignments: list[str] | None,
    runs: Path,
    epochs: float | None = None,
    untrained: bool = False,
) -> Any:
    """Return the complete config of a run, with epochs as steps."""
    from hbr.data import prepare
    from hbr.experiments.run_spec import complete

    config = complete(config_of(files, assignments, {"max_steps": 0} if untrained else None), runs)
    if epochs is None:
        return config
    if not 0 < epochs < math.inf:
        raise UserError(f"--num-train-epochs: {epochs} is not a number above 0")
    keys = {item.partition("=")[0].replace("-", "_") for item in assignments or []}
    if untrained or keys & {"max_steps", "train.max_steps"}:
        raise UserError("--num-train-epochs sets the steps: leave out --max-steps and --untrained")
    steps = _steps(epochs, config, prepare.training_rows(config.data, runs))
    return complete(config_of(files, assignments, {"train.max_steps": steps}), runs)


def _steps(epochs: float, config: Any, rows: list[Any]) -> int:
    """Return the optimizer steps after which as many rows were drawn as `epochs` hold, rounded up.

    An epoch holds every row that the sampler can draw.
    """
    from hbr.experiments.run_data import batch_schedule

    count = batch_schedule(config, [data for _, data in rows]).eligible_rows
    size = config.train.batch_size * config.train.gradient_accumulation_steps
    steps = math.ceil(epochs * count / size)
    logger.info(f"{epochs:g} epochs of {count:,} rows, {size:,} a step: --max-steps {steps}")
    return steps


def open_run_spec(
    run: Path | None,
    runs: Path,
    device: str = "cpu",
    files: list[Path] | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Open a run, with settings for what comes after training laid over those it has."""
    from hbr.core.config import parse_set
    from hbr.core.yaml_files import read_yaml
    from hbr.experiments.run_spec import RunSpec, laid_over, open_run

    path = existing_run(run, runs)
    _, trained = open_run(path)
    layers = [*map(read_yaml, files or []), parse_set(assignments or [])]
    return RunSpec(laid_over(trained, *layers), runs, device, path)


def existing_run(run: Path | None, runs: Path) -> Path:
    """Return a run's folder, by default that of the last training, which is logged.

    Raises UserError where it holds no run.
    """
    from hbr.experiments.run_spec import check_run

    path = run or _latest(runs)
    if run is None:
        logger.info(f"run: {path}")
    check_run(path)
    return path


def _latest(runs: Path) -> Path:
    latest = runs / "latest"
    if not latest.exists():
        if any(runs.glob("*/config.yaml")):
            raise UserError(
                f"{runs}: `hbr train` made none of its runs; name one, as `hbr runs` lists them"
            )
        raise UserError(f"{runs} has no run yet; `hbr train` makes one, or name one")
    return runs / latest.resolve().name


def point_latest(runs: Path, run: Path) -> None:
    """Make `runs/latest` name a run, unless it does."""
    if (runs / "latest").is_symlink() and (runs / "latest").readlink() == Path(run.name):
        return
    link = runs / f".latest.{os.getpid()}"
    link.symlink_to(run.name)
    link.replace(runs / "latest")
