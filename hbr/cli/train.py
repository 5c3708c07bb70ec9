"""`hbr train`."""

import json
import logging
from typing import Annotated, Any

import typer

from hbr.cli.options import (
    DEFAULT_RUNS,
    Alpha,
    BatchSize,
    Device,
    Encoders,
    Files,
    Force,
    Json,
    Print,
    Runs,
    Samplers,
    Seed,
    Sets,
    Steps,
    Train,
    alpha_of,
)
from hbr.cli.runs import config_of, point_latest
from hbr.core import distributed

logger = logging.getLogger(__name__)


EXAMPLES = (
    "hbr train --sampler hybrid",
    "hbr train --sampler hybrid --alpha 0.8,0.2 --data pairs.jsonl --encoder xlm-r",
    "torchrun --nproc-per-node 2 -m hbr train --sampler cross-lingual",
)


def train(
    sampler: Samplers = None,
    alpha: Alpha = None,
    encoder: Encoders = None,
    data: Train = None,
    seed: Seed = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with what a kill left.")
    ] = True,
    print_config: Print = False,
    as_json: Json = False,
) -> None:
    """Train an encoder; a run that was killed goes on where it stopped."""
    from hbr.experiments import stages
    from hbr.experiments.building import update
    from hbr.experiments.run_data import RunData
    from hbr.experiments.run_spec import RunSpec, complete

    named = {
        "sampler.name": sampler,
        "sampler.alpha": alpha_of(alpha),
        "encoder.name": encoder,
        "data.train": data,
        "seed": seed,
        "train.max_steps": steps,
        "train.batch_size": batch_size,
        "train.learning_rate": lr,
    }
    resolved = complete(config_of(config, settings, named))
    if print_config:
        print(resolved.to_yaml(), end="")
        return
    run = RunSpec(resolved, output_dir, device)
    built = update([stages.train(RunData(run))], {"train"} if force else (), fresh=not resume)
    if distributed.rank() == 0:
        point_latest(output_dir, run.path)
        _report_training(run.store, "train" in built, as_json)


def _report_training(run: Any, built: bool, as_json: bool) -> None:

    entry = run.entries()["train"]
    if as_json:
        print(json.dumps({"run": str(run.path), "built": built, **entry}))
        return
    if not built:
        logger.info("up to date; --force trains again")
    elif entry["steps"]:
        loss = entry["validation_loss"]
        best = f", validation loss {loss:.4f} at step {entry['best_step']:,}" if loss else ""
        logger.info(f"trained on {entry['pairs']:,} pairs in {entry['seconds']:.0f} s{best}")
    logger.info("next: hbr evaluate")
    print(run.path)
