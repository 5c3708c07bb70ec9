"""`hbr train`."""

import json
import logging
from typing import Annotated, Any

import typer

from hbr.cli import options
from hbr.cli.resolve import point_latest, training_config
from hbr.core import distributed

logger = logging.getLogger(__name__)

EXAMPLES = (
    "hbr train --sampler hybrid",
    "hbr train --alpha 0.8,0.2 --data pairs.jsonl --encoder xlm-r",
    "hbr train --learning-rate 2e-5 --num-train-epochs 3",
    "hbr train --encoder labse --untrained",
    "torchrun --nproc-per-node 2 -m hbr train --sampler cross-lingual",
)


def train(
    epochs: options.Epochs = None,
    untrained: Annotated[
        bool,
        typer.Option(
            "--untrained",
            help="Take the encoder as it is, without training.",
            rich_help_panel="Optimization",
        ),
    ] = False,
    config: options.Files = None,
    settings: options.Sets = None,
    print_config: options.Print = False,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: options.Force = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Continue an interrupted training.", show_default=False
        ),
    ] = True,
    as_json: options.Json = False,
) -> None:
    """Train an encoder. An interrupted training continues where it stopped."""
    from hbr.experiments import stages
    from hbr.experiments.building import update
    from hbr.experiments.run_data import RunData
    from hbr.experiments.run_spec import RunSpec
    from hbr.models.presets import preset

    resolved = training_config(config, settings, output_dir, epochs, untrained)
    if print_config:
        print(resolved.to_yaml(), end="")
        return
    logger.info(str(resolved.encoder))
    if _is_real(resolved) and preset(resolved.encoder.name).source is None:
        logger.warning(
            f"{resolved.encoder.name} is a toy for the made-up languages and knows no other: name "
            "a real encoder, such as --encoder xlm-r"
        )
    run = RunSpec(resolved, output_dir, device)
    built = update([stages.train(RunData(run))], {"train"} if force else (), fresh=not resume)
    if distributed.rank() == 0:
        point_latest(output_dir, run.path)
        _show(run.store, "train" in built, as_json, _is_real(resolved))


def _is_real(config: Any) -> bool:
    """Return whether there are training data other than the made-up ones."""
    return config.is_trained and any(not name.startswith("embedded") for name in config.data.train)


def _show(run: Any, built: bool, as_json: bool, is_real: bool) -> None:
    entry = run.entries()["train"]
    if as_json:
        print(json.dumps({"run": str(run.path), "built": built, **entry}))
        return
    if not built:
        logger.info("up to date; --force trains again")
    elif entry["steps"]:
        _log_end(entry)
    real = " --dataset NAME (hbr prepare --list names them), such as xquad-r --source DIR"
    logger.info(f"next: hbr evaluate{real if is_real else ''}")
    print(run.path)


def _log_end(entry: Any) -> None:
    """Say what training came to: its loss, the best validation, rate and memory."""
    seconds, pairs = entry["seconds"], entry["pairs"]
    memory = f"{entry['peak_memory_mb'] / 1000:.1f} GB of memory at most"
    if entry["device"] != "cpu":
        memory += " (not the GPU's)"
    rate = f"{entry['pairs_per_s']:,.0f} pairs/s" if entry.get("pairs_per_s") else ""
    steps = f"trained {entry['steps']:,} steps of {pairs // entry['steps']:,} pairs"
    logger.info(", ".join(filter(None, (f"{steps} in {seconds:.0f} s", rate, memory))))
    named = ((name.replace("_", " "), value) for name, value in entry["best"].items())
    at = f"the best, at step {entry['best_step']:,}"
    best = [f"{name} {value:.4f}, {at}" for name, value in named]
    if entry.get("loss") is not None:  # not of runs before it was kept
        best.insert(0, f"loss {entry['loss']:.4f}, its running mean at the end")
    if best:
        logger.info("; ".join(best))
