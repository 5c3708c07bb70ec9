"""`hbr score`."""

import json
from typing import Any

from hbr.cli import options
from hbr.cli.resolve import training_config
from hbr.cli.screen import console, show_written
from hbr.core import distributed, stopping
from hbr.core.errors import UserError

EXAMPLES = (
    "hbr score --teacher org/cross-encoder --set hard_negatives=mined",
    "hbr score --teacher FOLDER --reads all --data pairs.jsonl",
    "hbr train --objective distill-kl --set teacher=FOLDER --set hard_negatives=mined",
)


@stopping.listening()
def score(
    config: options.Files = None,
    settings: options.Sets = None,
    output: options.OfRows = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Score training rows and their negatives by a teacher, for all their languages at once."""
    from hbr.data.negatives_file import write
    from hbr.experiments.run_data import RunData
    from hbr.experiments.run_spec import RunSpec
    from hbr.report.terminal.negatives import scored_table, spread

    resolved = training_config(config, settings, output_dir)
    rows = RunData(RunSpec(resolved, output_dir, device)).scored_rows
    if distributed.rank():
        return
    if output and len(rows) > 1:
        raise UserError("--output takes the rows of one data set: name one with --data")
    found: dict[str, Any] = {data.name: spread(data) for data in rows}
    if output:
        write(output, rows[0])
        show_written([output])
    if as_json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        console().print(scored_table(name, values))
