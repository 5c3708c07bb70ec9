"""The command line, called in this process: quick, and with its exit code."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from hbr.cli import main


class Said(NamedTuple):
    code: int
    out: str
    err: str


def hbr(*words: object) -> Said:
    """Type `hbr` and some words; give the exit code and what was said."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["hbr", *map(str, words)]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def log_of(run: Path) -> list[dict[str, Any]]:
    """Read a training log, without the one field that is a time."""
    lines = (run / "train" / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k != "pairs_per_s"} for x in lines]


def only_run(folder: Path) -> Path:
    """Give the one run in a folder of runs."""
    (config,) = (path for path in folder.glob("*/config.yaml") if path.parent.name != "latest")
    return config.parent


def beside(world: Path, folder: Path) -> Path:
    """Make a folder of runs that shares prepared data and tiny encoders with another."""
    folder.mkdir(parents=True, exist_ok=True)
    for shared in ("data", "encoders"):
        (world / shared).mkdir(exist_ok=True)
        if not (folder / shared).exists():
            (folder / shared).symlink_to((world / shared).resolve())
    return folder
