"""`hbr inspect`."""

import json
from pathlib import Path
from typing import Annotated, Literal, get_args

from typer import Option

from hbr.cli import options
from hbr.cli.resolve import open_run_spec
from hbr.cli.screen import console

EXAMPLES = (
    "hbr inspect",
    "hbr inspect runs/RUN --dataset xquad-r --against runs/OTHER_RUN --setting mono",
)

Setting = Literal["multi", "mono", "cross"]  # the first that there is, by default


def inspect(
    run: options.RunArgument = None,
    against: Annotated[
        list[Path] | None,
        Option(metavar="RUN", help="Another run: the first shows what changed. Repeatable."),
    ] = None,
    dataset: options.OptionalDataset = None,
    source: options.Source = None,
    setting: Annotated[
        Setting | None,
        Option(help="Default: the pool of all languages; where there is none mono, or cross."),
    ] = None,
    metric: Annotated[str, Option(metavar="NAME", help="By which queries are sorted.")] = "map",
    language: Annotated[
        str | None, Option(metavar="CODE", help="Only this query language.")
    ] = None,
    number: Annotated[int, Option("-n", min=1, max=1000, help="Queries in each list.")] = 5,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    as_json: options.Json = False,
) -> None:
    """Show the worst, the best and the most changed queries, and those that every run fails."""
    from hbr.experiments.inspection import Inspector
    from hbr.report.terminal.inspection import inspection_view

    specs = [open_run_spec(one, output_dir) for one in (run, *(against or []))]
    inspector = Inspector(specs, dataset, source)
    settings = inspector.results[0].metrics["settings"]
    chosen: str = setting or next(name for name in get_args(Setting) if name in settings)
    found = inspector.values(chosen, metric, language, number)
    print(json.dumps(found, ensure_ascii=False)) if as_json else console().print(
        inspection_view(found)
    )
