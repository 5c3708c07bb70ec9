"""`hbr prepare`."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from hbr.cli.options import (
    DEFAULT_RUNS,
    Files,
    Force,
    Json,
    OptionalDataset,
    Runs,
    Sets,
    Source,
)
from hbr.cli.runs import config_of
from hbr.cli.screen import console
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)


EXAMPLES = (
    "hbr prepare",
    "hbr prepare --dataset xquad-r --source DIR",
    "hbr prepare --data pairs.jsonl",
    "hbr prepare --data mmarco --source DIR --set data.languages=[en,de,hi]",
    "hbr prepare --list",
    "hbr prepare --bundle study.tar --study experiments/embedded.yaml",
    "hbr prepare --from-bundle study.tar",
)


def prepare(
    dataset: OptionalDataset = None,
    source: Source = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Training data: a name, FILE.jsonl or hf:HUB_ID. Repeatable."),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show all data sets, and which are here.")
    ] = False,
    bundle: Annotated[
        Path | None, typer.Option(help="Pack what --study reads, encoders too, into a tar.")
    ] = None,
    study: Annotated[Path | None, typer.Option(help="The study of --bundle.")] = None,
    from_bundle: Annotated[
        Path | None, typer.Option(help="Unpack such a tar; its study then needs no network.")
    ] = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn data sets into memory-mapped files; without options, the embedded ones."""
    from hbr.data import prepare as stage

    if listed:
        _list_datasets(output_dir, dataset, data, as_json)
        return
    if bundle or study or from_bundle:
        _carry(bundle, study, from_bundle, settings, output_dir)
        return
    resolved = config_of(config, settings, {"data.train": data} if data else None)
    done = {}
    if dataset is not None or data is None:
        chosen = resolved.evaluate
        store, task = stage.task(
            output_dir,
            dataset or "embedded",
            source,
            chosen.passage,
            limit=chosen.limit,
            force=force,
        )
        done[task.name] = store.path
    if data is not None or dataset is None:
        place = source if dataset is None else None
        for name in resolved.data.train:
            about = resolved.data
            store, rows = stage.rows(
                output_dir,
                name,
                source=place,
                languages=about.languages,
                limit=about.limit,
                force=force,
            )
            done[f"{rows.name} (training)"] = store.path
    for label, path in done.items():
        print(json.dumps({"data": label, "path": str(path)}) if as_json else f"{label}: {path}")


def _list_datasets(runs: Path, dataset: str | None, data: list[str] | None, as_json: bool) -> None:
    """Show all data sets, with those from outside that are named."""
    from hbr.data.location import here
    from hbr.report.terminal import datasets

    more = {"evaluate": [dataset] if dataset else [], "train": data or []}
    states = here(runs, more)
    if as_json:
        print(json.dumps(datasets.plain(states, more), ensure_ascii=False))
    else:
        console().print(datasets.listing(states, more))


def _carry(
    bundle: Path | None,
    study: Path | None,
    from_bundle: Path | None,
    settings: list[str] | None,
    output_dir: Path,
) -> None:
    """Pack what a study reads, or unpack it."""
    from hbr.core.config import parse_set
    from hbr.experiments.study_bundle import pack, unpack

    if from_bundle:
        if bundle or study:
            raise UserError("--from-bundle unpacks; leave out --bundle and --study")
        put = unpack(from_bundle, output_dir)
        for place in put:
            print(output_dir / place)
        logger.info(f"{len(put)} put there; a sweep of its study needs no network now")
        return
    if not bundle or not study:
        raise UserError("--bundle FILE.tar packs what --study FILE.yaml reads: say both")
    files = pack(bundle, study, output_dir, parse_set(settings or []))
    logger.info(f"{files:,} files; unpack them with `hbr prepare --from-bundle {bundle.name}`")
    print(bundle)
