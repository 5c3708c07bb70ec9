"""`hbr serve`."""

import logging
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from hbr.cli import options
from hbr.cli.resolve import open_run_spec
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)

EXAMPLES = ("hbr serve", "hbr serve runs/RUN runs/OTHER_RUN --dataset xquad-r")


def serve(
    runs: Annotated[
        list[Path] | None, Argument(metavar="[RUN]...", help="Runs. Default: the last hbr train.")
    ] = None,
    dataset: options.OptionalDataset = None,
    source: options.Source = None,
    host: Annotated[
        str, Option(metavar="HOST", help="Where to listen; the default is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
) -> None:
    """Serve a page on which questions are put to runs, until Ctrl-C."""
    try:
        import uvicorn

        from hbr.experiments.serve import application
    except ImportError as error:
        raise UserError(f"hbr serve needs {error.name}: pip install 'hbr[serve]'") from error
    from hbr.experiments.search import Desk

    specs = [open_run_spec(run, output_dir, device, None, settings) for run in runs or (None,)]
    desk = Desk(specs, dataset, source)
    server = uvicorn.Server(
        uvicorn.Config(application(desk, host), host=host, port=port, log_level="warning")
    )
    socket = server.config.bind_socket()
    socket.listen()  # before the address is shown
    name = f"[{host}]" if ":" in host else host
    print(f"http://{name}:{socket.getsockname()[1]}", flush=True)
    logger.info("Ctrl-C ends it")
    server.run([socket])
