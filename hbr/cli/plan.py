"""`hbr plan`."""

from typing import Annotated

import typer

from hbr.cli.options import (
    DEFAULT_RUNS,
    Alpha,
    BatchSize,
    Files,
    Json,
    Runs,
    Samplers,
    Seed,
    Sets,
    Steps,
    Train,
    alpha_of,
)
from hbr.cli.runs import config_of
from hbr.core.errors import UserError

EXAMPLES = (
    "hbr plan --sampler hybrid",
    "hbr plan --sampler hybrid --alpha 0.3 --data pairs.jsonl --batches 1000",
    "hbr plan --sampler hybrid --step 1234",
)


def plan(
    sampler: Samplers = None,
    alpha: Alpha = None,
    data: Train = None,
    seed: Seed = None,
    batch_size: BatchSize = None,
    steps: Steps = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches to look at; without it, all of the run.")
    ] = None,
    step: Annotated[
        int | None, typer.Option(min=0, help="Show the batch of this step, from 0.")
    ] = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Show what the batches will hold, without a GPU and without loading torch."""
    from hbr.data import prepare as stage
    from hbr.experiments.run_data import batch_schedule
    from hbr.experiments.run_spec import complete
    from hbr.report.plan import show_batch, show_summary
    from hbr.training.summary import summarise

    named = {
        "sampler.name": sampler,
        "sampler.alpha": alpha_of(alpha),
        "data.train": data,
        "seed": seed,
        "train.batch_size": batch_size,
        "train.max_steps": steps,
    }
    resolved = complete(config_of(config, settings, named))
    if not resolved.is_trained:
        raise UserError("an untrained encoder sees no batches; name another --sampler")
    about = resolved.data
    rows = [
        stage.rows(output_dir, name, languages=about.languages, limit=about.limit)[1]
        for name in about.train
    ]
    made = batch_schedule(resolved, rows)
    if step is not None:
        show_batch(made.batch(step), rows, as_json)
    else:
        show_summary(summarise(made, batches or made.steps), as_json)
