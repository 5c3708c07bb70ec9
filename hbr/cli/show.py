"""`hbr show`."""

import json

from hbr.cli import options
from hbr.cli.resolve import existing_run
from hbr.cli.screen import console

EXAMPLES = ("hbr show", "hbr show runs/RUN --json")


def show(
    run: options.RunArgument = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    as_json: options.Json = False,
) -> None:
    """Show a run: settings that are not the default, stages, scores, size."""
    from hbr.experiments import inventory
    from hbr.report.terminal.runs import run_view

    folder = existing_run(run, output_dir)
    about = inventory.run_values(folder)
    about["settings"] = inventory.changed_settings(folder)
    about["stages"] = inventory.stage_values(folder)
    about["scores"] = inventory.scores(folder)
    if as_json:
        print(json.dumps(about, ensure_ascii=False))
    else:
        console().print(run_view(about))
