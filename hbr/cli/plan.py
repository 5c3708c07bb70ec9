"""`hbr plan`."""

import json
from typing import Annotated, Any

import typer

from hbr.cli import options
from hbr.cli.resolve import training_config
from hbr.core.errors import UserError

EXAMPLES = (
    "hbr plan --sampler hybrid",
    "hbr plan --sampler hybrid --alpha 0.3 --data pairs.jsonl --batches 1000",
    "hbr plan --sampler hybrid --step 1234",
)


def plan(
    epochs: options.Epochs = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches to summarize. Default: all of the run.")
    ] = None,
    step: Annotated[
        int | None, typer.Option(min=0, help="Show the batch of this step, from 0.")
    ] = None,
    config: options.Files = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    as_json: options.Json = False,
) -> None:
    """Show what the training batches will hold, without a GPU."""
    from rich.console import Console

    from hbr.data import prepare
    from hbr.experiments.run_data import batch_schedule
    from hbr.report.terminal import batches as views
    from hbr.training.summary import summarise

    if step is not None and batches:
        raise UserError("--step shows one batch, --batches sums several up: say one of them")
    resolved = training_config(config, settings, output_dir, epochs)
    if not resolved.is_trained:
        raise UserError("an untrained encoder sees no batches; name a --sampler and --max-steps")
    rows = [data for _, data in prepare.training_rows(resolved.data, output_dir)]
    schedule = batch_schedule(resolved, rows)

    def show(values: dict[str, Any], view: Any) -> None:
        print(json.dumps(values, ensure_ascii=False)) if as_json else Console().print(view)

    if step is not None:
        batch = views.batch_values(schedule.batch(step), rows)
        show(batch, views.batch_table(batch))
    else:
        summary = summarise(schedule, batches or schedule.steps)
        show(views.summary_values(summary), views.summary_tables(summary))
