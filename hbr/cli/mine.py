"""`hbr mine`."""

import json
import logging

from hbr.cli import options
from hbr.cli.resolve import training_config
from hbr.cli.screen import console, show_written
from hbr.core import distributed, stopping
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)

EXAMPLES = (
    "hbr mine --data pairs.jsonl --miner bm25",
    "hbr mine --miner runs/hybrid-xlm-r-s0-1a2b3c --relative-margin 0.05",
    "hbr train --data pairs.jsonl --set hard_negatives=mined --set mine.miner=bm25",
)


@stopping.listening()
def mine(
    config: options.Files = None,
    settings: options.Sets = None,
    output: options.OfRows = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Mine hard negatives of training rows, for all their languages at once."""
    from hbr.data.negatives_file import write
    from hbr.experiments.negatives import Miner, mined_rows
    from hbr.experiments.run_data import RunData
    from hbr.experiments.run_spec import RunSpec
    from hbr.report.terminal.negatives import mined_table

    resolved = training_config(config, settings, output_dir)
    run = RunSpec(resolved, output_dir, device)
    prepared = RunData(run).rows
    if output and len(prepared) > 1:
        raise UserError("--output takes the rows of one data set: name one with --data")
    miner, entries = Miner(run), {}
    for store, rows in prepared:
        _, stage, built = miner.build(store, rows, force=force)
        if not built:
            logger.info(f"{rows.name}: up to date; --force repeats it")
        entries[rows.name] = store.entries()[stage] | {"folder": str(store.path / stage)}
        if output:
            found = mined_rows(run, store, rows)
            if distributed.rank() == 0:
                write(output, found)
            show_written([output])
    if distributed.rank():
        return
    if as_json:
        print(json.dumps(entries))
        return
    for name, entry in entries.items():
        console().print(mined_table(name, entry))
        print(entry["folder"])
