"""A folder of monolingual files, `<language>.jsonl`, joined by id into parallel rows.

Each line is `{"id", "query", "passage"}` with plain texts, and optionally `group` and `negatives`
(a list of texts): one's own translations of a data set, as the in-house ones of arXiv 2408.10536.
A row has the languages whose files have its id.
"""

import hashlib
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, TrainingData
from hbr.data.readers.files import by_stem
from hbr.data.records import FullText, Id, Record, RecordFile


class Part(Record):
    remedy = 'a line is {"id", "query", "passage"}, each a text'
    id: Id
    group: Id | None = None
    query: FullText
    passage: FullText
    negatives: list[FullText] | None = None


def read(source: Path | None, pivot: str = "en") -> Iterator[dict[str, Any]]:
    """Join every `<language>.jsonl` in a folder, in the order of the pivot's file."""
    if source is None or not source.is_dir():
        raise UserError(f"{source}: is no folder; give one with a <language>.jsonl per language")
    files = by_stem(source, ".jsonl")
    if not files:
        raise UserError(f"{source}: holds no <language>.jsonl; {Part.remedy}")
    yield from join(files, pivot)


def join(files: Mapping[str, Path], pivot: str = "en") -> Iterator[dict[str, Any]]:
    """Yield the rows of monolingual files by language, by first appearance, the pivot's first.

    In memory are 17 bytes for every line, never the texts. An id that stands twice in a file is a
    UserError.
    """
    order = sorted(files, key=lambda language: (language != pivot, language))
    with ExitStack() as stack:
        opened = {
            language: stack.enter_context(RecordFile(files[language], Part)) for language in order
        }
        indexes = {language: _Index(file) for language, file in opened.items()}
        for place, language in enumerate(order):
            for offset in indexes[language].left():
                parts = {language: opened[language].at(offset)}
                id = parts[language].id
                for other in order[place + 1 :]:
                    if (part := indexes[other].take(id)) is not None:
                        parts[other] = part
                groups = (part.group for part in parts.values())
                yield {
                    "id": id,
                    "group": next((group for group in groups if group is not None), None),
                    "query": {lang: part.query for lang, part in parts.items()},
                    "passage": {lang: part.passage for lang, part in parts.items()},
                    "negatives": {lang: p.negatives for lang, p in parts.items() if p.negatives},
                }


class _Index:
    """Where the line of each id starts in a file, found by the id's hash."""

    def __init__(self, file: RecordFile[Part]) -> None:
        keys, offsets = array("Q"), array("q")
        self.file = file
        for offset, _, part in file:
            keys.append(_hash(part.id))
            offsets.append(offset)
        order = np.argsort(np.frombuffer(keys, np.uint64), kind="stable")
        self.keys = np.frombuffer(keys, np.uint64)[order]  # (lines,), ascending
        self.offsets = np.frombuffer(offsets, np.int64)[order]  # (lines,)
        self.used = np.zeros(len(order), dtype=bool)  # lines that are in a row already
        self._refuse_doubled()

    def left(self) -> np.ndarray:
        """Return the offsets of the lines that no row has yet, in the order of the file."""
        return np.sort(self.offsets[~self.used])

    def take(self, id: str) -> Part | None:
        """Return the line with this id, if there is one, and mark it as used."""
        key = np.uint64(_hash(id))
        place = int(np.searchsorted(self.keys, key))
        while place < len(self.keys) and self.keys[place] == key:
            part = self.file.at(int(self.offsets[place]))
            if part.id == id:
                self.used[place] = True
                return part
            place += 1  # another id with the same hash
        return None

    def _refuse_doubled(self) -> None:
        for place in np.flatnonzero(self.keys[1:] == self.keys[:-1]):
            one, two = (int(offset) for offset in self.offsets[place : place + 2])
            if (id := self.file.at(one).id) == self.file.at(two).id:
                raise UserError(f"{self.file.where(two)}: has the id {id!r} again")


def _hash(id: str) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little")


JOINED = TrainingData(
    "joined", read, "one file a language, joined by id", "any", licence=YOUR_FILES,
    protocol="passage",
)  # fmt: skip
