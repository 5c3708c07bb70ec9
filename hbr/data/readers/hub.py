"""Parallel rows from a Hugging Face data set, by hub id or local folder: `hf:NAME[@REVISION]`.

Its split `train` has the columns of the JSON lines: `id`, `group`, `query`, `passage`,
`negatives`, the texts as structs by language.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError, first_line
from hbr.data.dataset import TrainingData
from hbr.data.readers.jsonl import Row
from hbr.data.records import checked

PREFIX = "hf:"


def reader(name: str) -> TrainingData:
    """Return the data set named `hf:NAME` or `hf:NAME@REVISION`."""
    return TrainingData(name, lambda _source: _read(name), needs_source=False)


def _read(name: str) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    path, revision = name.removeprefix(PREFIX), ""
    if not Path(path).exists():
        path, _, revision = path.partition("@")
    try:
        data = load_dataset(path, split="train", revision=revision or None)
    except Exception as error:  # the library raises many kinds; all mean that it is not there
        raise UserError(f"{name} cannot be loaded: {first_line(error)}") from error
    for number, row in enumerate(data, start=1):
        yield checked(Row, row, f"{name} row {number}").as_dict(number)
