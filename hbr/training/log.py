"""The training log: `log.jsonl`, and the same for the trackers that the settings name."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from hbr.core.files import partial_of, replace_synced
from hbr.core.settings import Config
from hbr.training.trackers import Place, Writer, open_writers

CHECKPOINT = "checkpoint-last"  # the folder beside the log that training resumes from
BEST = "best.safetensors"  # the best weights so far, beside it


class Log:
    """The log of a run in a folder. A resumed run first cuts off the steps it will do again.

    `size` is the bytes and `step` the step of the checkpoint that the run resumes from. A log
    without a folder, such as that of another rank than 0, writes nothing.
    """

    def __init__(self, folder: Path | None, config: Config, size: int = 0, step: int = 0) -> None:
        self.file, self.stack, self.writers = None, ExitStack(), list[Writer]()
        if folder is None:
            return
        path = folder / "log.jsonl"
        if path.exists():  # a process that stood still and was replaced may hold it open
            partial = partial_of(path)
            partial.write_bytes(path.read_bytes()[:size])
            replace_synced(partial, path)
        self.file = self.stack.enter_context(path.open("ab"))
        settings = config.model_dump(mode="json")
        place = Place(folder.parent.resolve().name, settings, folder, step)
        for writer in open_writers(config.train.report_to, place):
            self.writers.append(self.stack.enter_context(closing(writer)))

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def synced_size(self) -> int:
        """Return the bytes written so far, which are safe on disk then."""
        if not self.file:
            return 0
        os.fsync(self.file.fileno())  # before a checkpoint counts on them
        return self.file.tell()

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a record; its floats also go to the trackers."""
        if not self.file:
            return
        self.file.write(json.dumps(record).encode() + b"\n")
        self.file.flush()
        if self.writers:
            scalars = {name: value for name, value in record.items() if isinstance(value, float)}
            if "mode" in record:
                scalars["monolingual"] = float(record["mode"] == "monolingual")
            for writer in self.writers:
                writer.log(scalars, record["step"])
