"""A folder of monolingual files, `<language>.jsonl`, joined by id into parallel rows.

Each line is `{"id", "query", "passage"}` with plain texts, and optionally `group` and `negatives`
(a list of texts): one's own translations of a data set, as the in-house ones of arXiv 2408.10536.
A row has the languages whose files have its id.
"""

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, TrainingData

LAYOUT = '{"id", "query", "passage"}, each a text'


def read(source: Path | None, pivot: str = "en") -> Iterator[dict[str, Any]]:
    """Join every `<language>.jsonl` in a folder, in the order of the pivot's file."""
    if source is None or not source.is_dir():
        raise UserError(f"{source}: is no folder; give one with a <language>.jsonl per language")
    files = {file.stem: file for file in sorted(source.glob("*.jsonl"))}
    if not files:
        raise UserError(f"{source}: holds no <language>.jsonl; each line of one is {LAYOUT}")
    yield from join(files, pivot)


def join(files: Mapping[str, Path], pivot: str = "en") -> Iterator[dict[str, Any]]:
    """Yield the rows of monolingual files by language, by first appearance, the pivot's first.

    In memory are 17 bytes for every line, never the texts. An id that stands twice in a file is a
    UserError.
    """
    order = sorted(files, key=lambda language: (language != pivot, language))
    with ExitStack() as stack:
        opened = {language: stack.enter_context(files[language].open("rb")) for language in order}
        indexes = {language: _Index(file) for language, file in opened.items()}
        for place, language in enumerate(order):
            for offset in indexes[language].left():
                parts = {language: indexes[language].line(offset)}
                id = str(parts[language]["id"])
                for other in order[place + 1 :]:
                    if (line := indexes[other].take(id)) is not None:
                        parts[other] = line
                yield _row(id, parts)


def _row(id: str, parts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Make a row of one line per language; its group is the first one given."""
    groups = (part.get("group") for part in parts.values())
    return {
        "id": id,
        "group": next((str(group) for group in groups if group is not None), None),
        "query": {language: part["query"] for language, part in parts.items()},
        "passage": {language: part["passage"] for language, part in parts.items()},
        "negatives": {lang: p["negatives"] for lang, p in parts.items() if "negatives" in p},
    }


class _Index:
    """Where the line of each id starts in a file, found by the id's hash."""

    def __init__(self, file: IO[bytes]) -> None:
        keys, offsets, end = array("Q"), array("q"), 0
        self.file = file
        for number, line in enumerate(file, start=1):
            if line.strip():
                keys.append(_hash(_checked(line, f"{file.name}:{number}")))
                offsets.append(end)
            end += len(line)
        order = np.argsort(np.frombuffer(keys, np.uint64), kind="stable")
        self.keys = np.frombuffer(keys, np.uint64)[order]  # (lines,), ascending
        self.offsets = np.frombuffer(offsets, np.int64)[order]  # (lines,)
        self.used = np.zeros(len(order), dtype=bool)  # lines that are in a row already
        self._refuse_doubled()

    def left(self) -> np.ndarray:
        """Return the offsets of the lines that no row has yet, in the order of the file."""
        return np.sort(self.offsets[~self.used])

    def line(self, offset: int) -> dict[str, Any]:
        """Read one line."""
        self.file.seek(offset)
        return json.loads(self.file.readline())

    def take(self, id: str) -> dict[str, Any] | None:
        """Read the line with this id, if there is one, and mark it as used."""
        key = np.uint64(_hash(id))
        place = int(np.searchsorted(self.keys, key))
        while place < len(self.keys) and self.keys[place] == key:
            line = self.line(int(self.offsets[place]))
            if str(line["id"]) == id:
                self.used[place] = True
                return line
            place += 1  # another id with the same hash
        return None

    def _refuse_doubled(self) -> None:
        for place in np.flatnonzero(self.keys[1:] == self.keys[:-1]):
            one, two = (int(offset) for offset in self.offsets[place : place + 2])
            if (id := self.line(one)["id"]) == self.line(two)["id"]:
                self.file.seek(0)
                number = self.file.read(two).count(b"\n") + 1
                raise UserError(f"{self.file.name}:{number}: has the id {id!r} again")


def _hash(id: str) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little")


def _checked(line: bytes, where: str) -> str:
    """Return the id of a line that is as it must be."""
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict) or row.get("id") is None:
        raise UserError(f"{where}: has no id; a line is {LAYOUT}")
    for field in ("query", "passage"):
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise UserError(f"{where}: `{field}` is empty or no text; a line is {LAYOUT}")
    negatives = row.get("negatives", [])
    if not isinstance(negatives, list) or not all(
        isinstance(n, str) and n.strip() for n in negatives
    ):
        raise UserError(f"{where}: `negatives` must be a list of texts")
    return str(row["id"])


JOINED = TrainingData(
    "joined", read, "one file a language, joined by id", "any", licence=YOUR_FILES,
    protocol="passage",
)  # fmt: skip
