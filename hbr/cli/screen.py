"""What several commands show."""

import logging
import os
from pathlib import Path
from typing import Any

from hbr.core import registry
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)


def console() -> Any:
    """Return rich's console for results: a file is written 160 columns wide."""
    from rich.console import Console

    console = Console()
    wide = console.is_terminal or "COLUMNS" in os.environ
    return console if wide else Console(width=160)


def show_state(built: bool, path: Path) -> None:
    """Print a stage's folder, and say whether it was up to date."""
    if not built:
        logger.info("up to date; --force repeats it")
    print(path)


def show_written(paths: list[Path]) -> None:
    """Say which files were written."""
    for path in paths:
        logger.info(f"written: {path}")


def show_missing(missing: list[str]) -> None:
    """Say how many results a study lacks and, with -v, which."""
    if missing:
        logger.info(f"{len(missing)} results are missing (-v says which)")
    for line in missing:
        logger.debug(line)


def show_report(report: Any, format: str, output: Path | None) -> None:
    """Print a report in a format, or write it to a file."""
    from hbr.core.files import write_through
    from hbr.report import formats

    entry = registry.get("format", format)
    if output and not entry.suffix:
        names = [each.name for each in formats.file_formats()]
        raise UserError(f"--output needs --format, one of {', '.join(names)}")
    content = formats.write(report, format)
    if output:
        write_through(output, content)
        show_written([output])
    elif entry.suffix:
        print(content, end="")
    else:
        console().print(content)
