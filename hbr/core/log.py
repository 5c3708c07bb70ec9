"""The command line's logging: short lines on stderr. Results go to stdout."""

import logging
import os
import shutil
import sys
import textwrap
import warnings

from hbr.core.errors import printable

COMMAND = "hbr "


class _StderrHandler(logging.Handler):
    """Writes to the `sys.stderr` of the moment: a rich progress bar puts its own there.

    Rich's log handler would break lines at 80 columns where stderr is a file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        text = printable(self.format(record))
        if sys.stderr.isatty() and COMMAND not in text:  # a command is copied as one line
            text = _folded(text, shutil.get_terminal_size().columns)
        print(text, file=sys.stderr, flush=True)


def _folded(text: str, width: int) -> str:
    """Break lines between words where they are too long for a terminal."""
    wrapper = textwrap.TextWrapper(width, subsequent_indent="    ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return "\n".join("\n".join(wrapper.wrap(line)) for line in text.split("\n"))


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
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # on kernels that nobody asked for
