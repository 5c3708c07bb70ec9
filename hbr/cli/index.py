"""`hbr index`."""

import json
from typing import Annotated

import typer

from hbr.cli.options import (
    DEFAULT_RUNS,
    Dataset,
    Device,
    Files,
    Force,
    Json,
    RunDir,
    Runs,
    Sets,
    Source,
)
from hbr.cli.runs import open_pipeline
from hbr.cli.screen import show_state

EXAMPLES = (
    "hbr index --dataset xquad-r --kind hnsw",
    "hbr index --kind ivf --set index.nlist=256 --set index.nprobe=16",
)


def index(
    dataset: Dataset = "embedded",
    source: Source = None,
    kind: Annotated[str | None, typer.Option(help="flat, ivf, hnsw or pq.")] = None,
    run: RunDir = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Build a faiss index and say how much of exact search it finds."""
    named = {"index.kind": kind}
    pipeline = open_pipeline(run, output_dir, device, config, settings, named, force and "index")
    built = pipeline.index(dataset, source)
    if not pipeline.is_main:
        return
    stage = pipeline.index_stage(dataset)
    entry, path = pipeline.run.entries()[stage], pipeline.run.path / stage
    kind, recall = entry["settings"]["kind"], entry["recall@10_of_exact"]
    if as_json:
        print(json.dumps({"index": str(path), "kind": kind, "recall@10_of_exact": recall}))
        return
    show_state(built, path)
    print(f"{kind} over {entry['passages']:,} passages finds {recall:.4f} of the exact ten nearest")
