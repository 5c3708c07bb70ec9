"""Bitext as rows: two line-parallel files as Moses and OPUS lay them out, or two columns.

`NAME.<l1>-<l2>.<l1>` beside `NAME.<l1>-<l2>.<l2>`, or `NAME.<l1>-<l2>.tsv`; plain or `.gz`.

A row has the same languages in query and passage, so a sentence is both in each. Drawn
cross-lingually it finds its translation. Drawn monolingually it would find itself, so bitext
serves cross-lingual batches alone, beside data sets that serve the others.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, TrainingData
from hbr.data.readers.files import present
from hbr.data.records import lines

NAME = re.compile(r"(?P<stem>(.+\.)?(?P<one>\w+)-(?P<two>\w+))\.(?P<end>\w+?)(\.gz)?")
LAYOUT = "NAME.<l1>-<l2>.<l1> beside NAME.<l1>-<l2>.<l2>, or NAME.<l1>-<l2>.tsv"


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read every bitext of a folder, or the one that a file belongs to; skip empty lines."""
    if source is None or not source.exists():
        raise UserError(f"{source}: there is no such file or folder; bitext is {LAYOUT}")
    stems: dict[str, tuple[Path, str, str]] = {}
    for file in sorted(source.iterdir()) if source.is_dir() else [source]:
        match = None if file.name.startswith(".") else NAME.fullmatch(file.name)
        if match and match["end"] in (match["one"], match["two"], "tsv"):
            stems.setdefault(match["stem"], (file, match["one"], match["two"]))
    if not stems:
        raise UserError(f"{source}: is not laid out as bitext is: {LAYOUT}")
    for stem, (file, one, two) in stems.items():
        columns = ".tsv" in file.name.removeprefix(stem)
        pairs = _columns(file) if columns else _files(file.parent, stem, one, two)
        for number, first, second in pairs:
            if first.strip() and second.strip():
                texts = {one: first.strip(), two: second.strip()}
                yield {"id": f"{stem}:{number}", "group": None, "query": texts, "passage": texts}


def _other_side(source: Path) -> list[Path]:
    """Return the files that belong to one of a bitext."""
    match = NAME.fullmatch(source.name)
    if source.is_dir() or not match:
        return []
    ends = (match["one"], match["two"])
    files = (present(source.with_name(f"{match['stem']}.{end}")) for end in ends)
    return [file for file in files if file and file != source]


def _columns(file: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in lines(file):
        if line.count("\t") != 1:
            raise UserError(f"{file}:{number}: has not two columns with a tab between")
        first, second = line.split("\t")
        yield number, first, second


def _files(folder: Path, stem: str, *languages: str) -> Iterator[tuple[int, str, str]]:
    plain = [folder / f"{stem}.{lang}" for lang in languages]
    paths = [present(path) or path for path in plain]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: is missing; bitext is {LAYOUT}")
    sides = zip_longest(*(lines(path, blank=True) for path in paths))
    for number, (one, two) in enumerate(sides, start=1):
        if one is None or two is None:
            short = paths[0 if one is None else 1]
            raise UserError(f"{short}: ends before line {number}, the other file does not")
        yield number, one[1], two[1]


BITEXT = TrainingData(
    "bitext", read, "line-parallel files, as Moses has them", "any", licence=YOUR_FILES,
    protocol="translation", version=2, beside=_other_side,
)  # fmt: skip
