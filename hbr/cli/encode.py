"""`hbr encode`."""

from hbr.cli import options
from hbr.cli.resolve import open_run_spec
from hbr.cli.screen import show_state
from hbr.core import distributed
from hbr.core.target import EvaluationTarget

EXAMPLES = (
    "hbr encode --dataset xquad-r --source DIR",
    "hbr encode --dataset xquad-r --precision bf16 --dtype float16",
    "torchrun --nproc-per-node 8 -m hbr encode --dataset miracl",
)


def encode(
    dataset: options.Dataset = "embedded",
    source: options.Source = None,
    run: options.RunDir = None,
    config: options.Files = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Encode the queries and passages of an evaluation data set."""
    from hbr.experiments import stages
    from hbr.experiments.building import update
    from hbr.experiments.run_data import RunData

    target = EvaluationTarget.parse(dataset).encoded
    spec = open_run_spec(run, output_dir, device, config, settings)
    stage = stages.encode(RunData(spec, {target.dataset: source}), target)
    built = update([stage], {"encode"} if force else ())
    if distributed.rank() == 0:
        show_state(stage.name in built, stage.folder)
