"""Runs and their settings, as the command line names them."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError

logger = logging.getLogger(__name__)


def config_of(files: list[Path] | None, sets: list[str] | None, named: Mapping[str, Any]) -> Any:
    """Layer defaults, files, --set and the flags that were given."""
    from hbr.core.config import parse_set, read_yaml, resolve_config

    flags = {key: value for key, value in named.items() if value is not None}
    layers = [read_yaml(path) for path in files or []]
    return resolve_config(*layers, parse_set(sets or []), flags)


def open_run_spec(
    run: Path | None,
    runs: Path,
    device: str,
    files: list[Path] | None,
    sets: list[str] | None,
    named: Mapping[str, Any],
) -> Any:
    """Open a run, with settings for what comes after training laid over its own."""
    from hbr.core.config import merge, nested, parse_set, read_yaml, resolve_config
    from hbr.experiments.run_spec import RunSpec, open_run

    path = run or _latest(runs)
    if run is None:
        logger.info(f"run: {path}")
    _, own = open_run(path)
    flags = {key: value for key, value in named.items() if value is not None}
    layers = [read_yaml(file) for file in files or []] + [parse_set(sets or []), flags]
    above: dict[str, Any] = {}
    for layer in layers:
        above = merge(above, nested(layer))
    if wrong := sorted(set(above) & {"seed", "sampler", "encoder", "data", "train"}):
        raise UserError(
            f"{', '.join(wrong)}: a trained run keeps these settings; change them with `hbr train`"
        )
    resolved = resolve_config(own.model_dump(mode="json"), above)
    return RunSpec(resolved, runs, device, path)


def _latest(runs: Path) -> Path:
    latest = runs / "latest"
    if not latest.exists():
        raise UserError(f"{runs} has no run yet; `hbr train` makes one, or name one with --run")
    return runs / latest.resolve().name


def point_latest(runs: Path, run: Path) -> None:
    link = runs / f".latest.{os.getpid()}"
    link.symlink_to(run.name)
    link.replace(runs / "latest")
