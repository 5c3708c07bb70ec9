"""What several commands show."""

import logging
import os
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError

logger = logging.getLogger(__name__)


def console() -> Any:
    from rich.console import Console

    console = Console()
    wide = console.is_terminal or "COLUMNS" in os.environ
    return console if wide else Console(width=160)


def show_state(built: bool, path: Path) -> None:

    if not built:
        logger.info("up to date; --force does it again")
    print(path)


def show_written(paths: list[Path]) -> None:

    for path in paths:
        logger.info(f"written: {path}")


def show_missing(missing: list[str]) -> None:

    if missing:
        logger.info(f"{len(missing)} results are missing (-v says which)")
    for line in missing:
        logger.debug(line)


def show_report(report: Any, format: str, output: Path | None) -> None:
    from hbr.core.store import write_atomic
    from hbr.report import formats

    if output and format == "table":
        raise UserError("--output: say --format markdown, latex, csv, json or html with it")
    if format == "table":
        formats.show(report, console())
        return
    text = formats.write(report, format)
    if output:
        write_atomic(output, text)
        show_written([output])
    else:
        print(text, end="")
