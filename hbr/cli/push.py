"""`hbr push`."""

from typing import Annotated

import typer

from hbr.cli import options
from hbr.cli.resolve import open_run_spec

EXAMPLES = (
    "hbr push --repo ORG/NAME --private",
    "hbr push runs/RUN --repo ORG/NAME",
)


def push(
    repo: Annotated[str, typer.Option(metavar="ORG/NAME", help="The hub's repository.")],
    run: options.RunArgument = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="A branch; without it, the main one.")
    ] = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
) -> None:
    """Upload a run's encoder and its card to the Hugging Face hub."""
    from hbr.experiments.model_card import write_card
    from hbr.experiments.push import push as upload

    spec = open_run_spec(run, output_dir)
    write_card(spec)
    print(upload(spec.store, repo, private=private, revision=revision))
