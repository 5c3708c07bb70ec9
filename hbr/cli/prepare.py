"""`hbr prepare`."""

import json
import logging
from pathlib import Path
from typing import Annotated

from typer import Context, Option

from hbr.cli import options
from hbr.cli.resolve import config_of
from hbr.cli.screen import console
from hbr.core import stopping
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)


EXAMPLES = (
    "hbr prepare",
    "hbr prepare --dataset xquad-r --source DIR",
    "hbr prepare --data pairs.jsonl",
    "hbr prepare --data mmarco --source DIR --set data.languages=en,de,hi",
    "hbr prepare --list",
    "hbr prepare --bundle study.tar --study experiments/embedded.yaml",
    "hbr prepare --from-bundle study.tar",
)

Data = Annotated[
    list[str] | None,
    Option(metavar="NAME", help="Training data: a name, FILE.jsonl or hf:HUB_ID. Repeatable."),
]
Listed = Annotated[
    bool, Option("--list", help="List all data sets, and which of them are prepared.")
]
Bundle = Annotated[
    Path | None,
    Option(metavar="FILE", help="Pack what --study reads, encoders too, into a tar."),
]
Study = Annotated[Path | None, Option(metavar="FILE", help="The study of --bundle.")]
FromBundle = Annotated[
    Path | None,
    Option(metavar="FILE", help="Unpack such a tar; its study then needs no network."),
]


@stopping.listening()
def prepare(
    ctx: Context,
    dataset: options.OptionalDataset = None,
    source: options.Source = None,
    data: Data = None,
    listed: Listed = False,
    bundle: Bundle = None,
    study: Study = None,
    from_bundle: FromBundle = None,
    config: options.Files = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Prepare data sets for training and evaluation. Default: the embedded ones."""
    from hbr.data import prepare as stage

    if listed:
        options.only(ctx, "--list", "listed", "dataset", "data", "output_dir", "as_json")
        _list_datasets(output_dir, dataset, data, as_json)
        return
    if from_bundle:
        options.only(ctx, "--from-bundle", "from_bundle", "output_dir")
        _unpack(from_bundle, output_dir)
        return
    if bundle or study:
        options.only(ctx, "--bundle", "bundle", "study", "settings", "output_dir")
        _pack(bundle, study, settings, output_dir)
        return
    resolved = config_of(config, settings, {"data.train": data} if data else None)
    folders = {}
    if dataset is not None or data is None:
        read = resolved.evaluate
        store, task = stage.task(
            output_dir, dataset or "embedded", source, read.passage, limit=read.limit, force=force
        )
        folders[task.name] = store.path
    if data is not None or dataset is None:
        where = source if dataset is None else None
        for store, rows in stage.training_rows(
            resolved.data, output_dir, source=where, force=force
        ):
            folders[f"{rows.name} (training)"] = store.path
    for label, path in folders.items():
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


def _unpack(bundle: Path, output_dir: Path) -> None:
    from hbr.experiments.study_bundle import unpack

    folders = unpack(bundle, output_dir)
    for folder in folders:
        print(output_dir / folder)
    logger.info(f"{len(folders)} unpacked; a sweep of its study needs no network now")


def _pack(
    bundle: Path | None, study: Path | None, settings: list[str] | None, output_dir: Path
) -> None:
    from hbr.core.config import parse_set
    from hbr.experiments.study_bundle import pack

    if not bundle or not study:
        raise UserError("--bundle FILE.tar packs what --study FILE.yaml reads: give both")
    files = pack(bundle, study, output_dir, parse_set(settings or []))
    logger.info(f"{files:,} files; unpack them with `hbr prepare --from-bundle {bundle.name}`")
    print(bundle)
