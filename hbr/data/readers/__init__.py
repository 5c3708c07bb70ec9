"""One small file per upstream layout: it turns files into rows or a task; nothing else knows it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hbr.data.fetch import Remote
from hbr.data.snapshot import Snapshot
from hbr.data.tasks import Draft


class RowsReader(NamedTuple):
    """Training rows: `read(source)` yields dicts of `id, group, query, passage, negatives`.

    One that is `linked` is read as `read(source, languages)` and gives rows that refer to texts by
    id, of the languages asked for (None: all there are). `hub` are the files of the hub that make
    a source.
    """

    read: Callable[..., Any]
    pivot: str = "en"  # the language of the `english` sampler
    validation: str | None = None  # the data set that comes along for validation
    version: int = 1  # raise it when the rows change
    needs_source: bool = False  # files that are somebody else's, named with --source
    linked: bool = False
    hub: tuple[Snapshot, ...] = ()


class TaskReader(NamedTuple):
    """An evaluation task: `read(source, passage)` gives a Draft.

    `remote` are the upstream's files by name, or `hub` those of the hub, where it may be
    downloaded. Of a layout that many data sets share, `named` gives the reader of one by its name.
    """

    read: Callable[[Path | None, str], Draft]
    remote: Mapping[str, Remote] = {}
    needs_source: bool = True
    version: int = 1
    hub: tuple[Snapshot, ...] = ()
    named: "Callable[[str], TaskReader] | None" = None
