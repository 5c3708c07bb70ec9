"""The runs in a folder: what each is, how far it is, its score, age and size; no code is loaded."""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hbr.core.config import flat
from hbr.core.errors import UserError
from hbr.core.lease import in_use
from hbr.core.settings import UNTRAINED, Config
from hbr.core.store import Entries, Store
from hbr.core.target import EvaluationTarget
from hbr.core.yaml_files import read_yaml

Values = dict[str, Any]


def run_folders(runs: Path) -> list[Path]:
    """Return the folders of all runs in a folder; links such as `latest` are left out."""
    found = sorted(file.parent for file in runs.glob("*/config.yaml"))
    return [folder for folder in found if not folder.is_symlink()]


def run_values(run: Path, dataset: str | None = None) -> Values:
    """Return what a run is, as JSON-like values.

    `score` is that of `describe_score`, on `dataset` or on what was evaluated last. Raises
    UserError where the settings or the manifest are damaged.
    """
    config, stages = read_yaml(run / "config.yaml"), Store(run).entries()
    steps = setting(config, "train.max_steps")
    train = stages.get("train", {})
    sampler = setting(config, "sampler.name") if steps else UNTRAINED
    finished = max((entry.get("finished", "") for entry in stages.values()), default="")
    return {
        "run": str(run),
        "sampler": sampler,
        "alpha": setting(config, "sampler.alpha"),
        "encoder": setting(config, "encoder.name"),
        "seed": setting(config, "seed"),
        "steps": train.get("steps", _steps_made(run)),
        "max_steps": steps,
        "state": _state(run, stages),
        "best": train.get("best") or {},  # by what the checkpoint was chosen
        "score": describe_score(run, stages, dataset),
        "evaluated": [str(target) for target in exact_targets(stages)],
        "finished": finished or None,
        "age": round(time.time() - _finished(finished, run)),  # seconds
        "bytes": size(run),
    }


def setting(config: Mapping[str, Any], path: str) -> Any:
    """Return a setting of a config file, its default where the file has none."""
    section, _, leaf = path.partition(".")
    default = Config.model_fields[section].default
    if not leaf:
        return config.get(section, default)
    value = config.get(section)
    fallback = getattr(default, leaf)
    return value.get(leaf, fallback) if isinstance(value, Mapping) else fallback


def changed_settings(run: Path) -> list[Values]:
    """Return the settings of a run that are not the default, with it."""
    defaults = flat(Config().model_dump(mode="json"))
    return [
        {"setting": name, "value": value, "default": defaults.get(name)}
        for name, value in flat(read_yaml(run / "config.yaml")).items()
        if value != defaults.get(name)
    ]


def stage_values(run: Path) -> list[Values]:
    """Return every finished stage of a run: name, state, when, seconds, memory and size.

    A stage is `stale` where what it was made from has been made anew since.
    """
    stages = Store(run).entries()
    kept = ("finished", "seconds", "peak_memory_mb")
    return [
        {"stage": name, "state": "stale" if is_stale(name, stages) else "done"}
        | {key: entry.get(key) for key in kept}
        | {"bytes": size(run / name) + (size(run / "model") if name == "train" else 0)}
        for name, entry in stages.items()
    ]


def is_stale(stage: str, stages: Entries) -> bool:
    """Return whether a stage's inputs within the run are others than it was made from."""
    kind, _, folder = stage.partition("/")
    target = EvaluationTarget.parse(folder)
    sources = {
        "train": "train",
        "encode": f"encode/{target.encoded.folder}",
        "index": f"index/{folder}",
        "clean": f"{kind}/{target.clean.folder}",
    }
    inputs = stages[stage].get("inputs", {})
    of_run = {sources[name]: id for name, id in inputs.items() if name in sources}
    return any(
        stages.get(source, {}).get("id") != id or is_stale(source, stages)
        for source, id in of_run.items()
    )


def exact_targets(stages: Entries) -> dict[EvaluationTarget, str]:
    """Return what a run was evaluated on by exact search, with the names of the stages."""
    targets = {}
    for stage, entry in stages.items():
        kind, _, folder = stage.partition("/")
        if kind == "evaluate" and not EvaluationTarget.parse(folder).index:
            targets[EvaluationTarget.parse(entry.get("dataset", folder))] = stage
    return targets


def describe_score(run: Path, stages: Entries, dataset: str | None = None) -> Values | None:
    """Return the score of a run on a data set, or on what was evaluated last; None without one.

    It is mAP in the pool of all languages, of mono where there is no pool, and F1 of mining.
    """
    done = {
        target: stage
        for target, stage in exact_targets(stages).items()
        if target == target.clean and dataset in (None, target.dataset)
    }
    if not done:
        return None
    target, stage = max(done.items(), key=lambda pair: stages[pair[1]].get("finished", ""))
    settings = read_metrics(run / stage)["settings"]
    name = next((s for s in ("multi", "mono") if s in settings), next(iter(settings)))
    metric = "map" if "map" in settings[name] else next(iter(settings[name]))
    score = {"setting": name, "metric": metric, "value": settings[name][metric]}
    return {"dataset": str(target), **score}


def last_dataset(run: Path) -> str:
    """Return the data set that a run was evaluated on last, else the embedded one."""
    score = describe_score(run, Store(run).entries())
    return score["dataset"] if score else "embedded"


def scores(run: Path) -> list[Values]:
    """Return the metrics of a run by data set and setting."""
    return [
        {"dataset": str(target), "setting": setting, **values}
        for target, stage in exact_targets(Store(run).entries()).items()
        for setting, values in read_metrics(run / stage)["settings"].items()
    ]


def read_metrics(folder: Path) -> Values:
    """Read an evaluation's `metrics.json`. Raises UserError where it is missing or damaged."""
    try:
        return dict(json.loads((folder / "metrics.json").read_text("utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'metrics.json'} is missing or damaged") from error


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


def _state(run: Path, stages: Entries) -> str:
    """Return `running`, `unfinished` (to be gone on with), `trained` or `evaluated`."""
    if in_use(run):
        return "running"
    if "train" not in stages:
        return "unfinished"
    return "evaluated" if exact_targets(stages) else "trained"


def _steps_made(run: Path) -> int:
    """Return the last step in the log of a training that is not finished."""
    for log in run.glob(".train.*partial/log.jsonl"):
        lines = log.read_bytes().splitlines()
        for line in reversed(lines):
            try:
                return int(json.loads(line)["step"])
            except (ValueError, KeyError, TypeError):
                continue  # it is being written
    return 0


def _finished(text: str, run: Path) -> float:
    if text:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return run.stat().st_mtime
