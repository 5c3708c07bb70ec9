"""The command line's logging: short lines on stderr. Results go to stdout."""

import logging
import os
import sys

from hbr.core.errors import printable


class _StderrHandler(logging.Handler):
    """Writes to the `sys.stderr` of the moment: a rich progress bar puts its own there.

    Rich's log handler would break lines at 80 columns where stderr is a file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr, flush=True)


def configure(*, quiet: bool = False, verbose: bool = False) -> None:
    """Write the log of `hbr` to stderr for the rest of the process, a plain line per message.

    Only the command line calls this: elsewhere, such as in a notebook, logging is the user's own.
    """
    logger = logging.getLogger("hbr")
    logger.handlers = [_StderrHandler()]
    logger.propagate = False
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)


def calm_libraries() -> None:
    """Keep libraries' own bars and warnings off the screen, unless their variables are set."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
