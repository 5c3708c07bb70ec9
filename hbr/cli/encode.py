"""`hbr encode`."""

from hbr.cli.options import DEFAULT_RUNS, Dataset, Device, Files, Force, RunDir, Runs, Sets, Source
from hbr.cli.runs import open_pipeline
from hbr.cli.screen import show_state

EXAMPLES = (
    "hbr encode --dataset xquad-r --source DIR",
    "torchrun --nproc-per-node 8 -m hbr encode --dataset miracl --set encode.dtype=float16",
)


def encode(
    dataset: Dataset = "embedded",
    source: Source = None,
    run: RunDir = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Encode the queries and passages of an evaluation set."""
    pipeline = open_pipeline(run, output_dir, device, config, settings, {}, force and "encode")
    built = pipeline.encode(dataset, source)
    if pipeline.is_main:
        show_state(built, pipeline.run.path / pipeline.encode_stage(dataset))
