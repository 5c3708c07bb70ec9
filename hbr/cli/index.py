"""`hbr index`."""

import json

from hbr.cli import options
from hbr.cli.resolve import open_run_spec
from hbr.cli.screen import show_state
from hbr.core import distributed
from hbr.core.target import EvaluationTarget

EXAMPLES = (
    "hbr index --dataset xquad-r --kind hnsw",
    "hbr index --kind ivf --nlist 256 --nprobe 16",
)


def index(
    dataset: options.Dataset = "embedded",
    source: options.Source = None,
    run: options.RunDir = None,
    config: options.Files = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Build a faiss index and measure its recall against exact search."""
    from hbr.experiments import stages
    from hbr.experiments.building import update
    from hbr.experiments.run_data import RunData

    spec = open_run_spec(run, output_dir, device, config, settings)
    target = EvaluationTarget.parse(dataset).indexed(spec.config.index.kind)
    stage = stages.index(RunData(spec, {target.dataset: source}), target)
    built = update([stage], {"index"} if force else ())
    if distributed.rank() != 0:
        return
    entry, path = spec.store.entries()[stage.name], stage.folder
    kind, recall = entry["settings"]["kind"], entry["recall@10_of_exact"]
    if as_json:
        print(json.dumps({"index": str(path), "kind": kind, "recall@10_of_exact": recall}))
        return
    show_state(stage.name in built, path)
    print(f"{kind} over {entry['passages']:,} passages finds {recall:.4f} of the exact ten nearest")
