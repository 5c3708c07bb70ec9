"""One small file per upstream layout: it turns files into rows or a task; nothing else knows it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hbr.data.fetch import Remote
from hbr.data.tasks import Draft


class RowsReader(NamedTuple):
    """Training rows: `read(source)` yields dicts of `id, group, query, passage, negatives`."""

    read: Callable[[Path | None], Iterable[dict[str, Any]]]
    pivot: str = "en"  # the language of the `english` sampler
    validation: str | None = None  # the data set that comes along for validation
    version: int = 1  # raise it when the rows change


class TaskReader(NamedTuple):
    """An evaluation task: `read(source, passage)` gives a Draft.

    `remote` are the upstream's files by name, where it may be downloaded.
    """

    read: Callable[[Path | None, str], Draft]
    remote: Mapping[str, Remote] = {}
    needs_source: bool = True
    version: int = 1
