"""Large upstream files, plain or gzipped, one item at a time; what is wrong in them is named."""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError

CHUNK = 1 << 20  # characters
NEGATIVES = 8  # given negatives kept of a row, the first ones: upstream lists up to a hundred


def find(source: Path | None, names: Sequence[str], origin: str) -> Path:
    """Return `source` if it is a file, else the first of `names` (or `NAME.gz`) in that folder."""
    wanted = " or ".join(names)
    if source is None or not source.exists():
        where = "no source was given" if source is None else f"{source}: there is no such file"
        raise UserError(f"{where}; get {wanted} from {origin}")
    tried = [source / f"{name}{end}" for name in names for end in ("", ".gz")]
    found = source if source.is_file() else next(filter(Path.is_file, tried), None)
    if found is None:
        raise UserError(f"{source}: holds no {wanted}; get it from {origin}")
    return found


def lines(path: Path, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the number and text of every line, or every one not blank; a newline ends a line."""
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                text = line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode()
                if blank or text.strip():
                    yield number, text.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: not UTF-8: {error.reason}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}:{number + 1}: not readable; get the file again: {error}"
        ) from error


def titled(title: str | None, text: str | None) -> str:
    """Put a passage's title before it, if it has one."""
    return f"{title or ''} {text or ''}".strip()


def row(own: str, query: str, passage: str, negatives: Sequence[str] = ()) -> dict[str, Any]:
    """Make an English row; rows with the same passage are one group, whatever the data set."""
    kept = [text for text in negatives if text.strip()][:NEGATIVES]
    texts = {"query": {"en": query.strip()}, "passage": {"en": passage.strip()}}
    return {"id": own, "group": None, **texts, "negatives": {"en": kept} if kept else {}}


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where it stands (`FILE:LINE`) and what it holds, for every JSON line."""
    for number, line in lines(path):
        try:
            yield f"{path}:{number}", json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not JSON: {error.msg}") from error


def json_items(path: Path, key: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield where it stands and what it holds, for every item of a file that is a JSON array.

    With `key`, of the array that the object in the file has under that key. No more than an item
    and a megabyte are in memory.
    """
    number = 0
    try:
        with _open(path) as file:
            cursor = _Cursor(io.TextIOWrapper(file, encoding="utf-8-sig"))
            if not _enter(cursor, key):
                what = f"object with an array {key!r}" if key else "array"
                raise UserError(f"{path}: holds no JSON {what}: another layout")
            while cursor.peek() != "]":
                number += 1
                yield f"{path} item {number}", cursor.value()
                if cursor.peek() != "]":
                    cursor.take(",")
    except json.JSONDecodeError as error:
        raise UserError(f"{path} item {max(number, 1)}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} item {number + 1}: not UTF-8: {error.reason}") from error
    except (OSError, EOFError, zlib.error) as error:
        said = f"{path} item {number + 1}: not readable; get the file again: {error}"
        raise UserError(said) from error


def _open(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(gzip.open(path)) if packed else path.open("rb")


def _enter(cursor: "_Cursor", key: str | None) -> bool:
    """Go to the first item of the array; say whether there is one."""
    if key is None:
        return cursor.skip("[")
    if not cursor.skip("{"):
        return False
    while cursor.peek() == '"':
        name = cursor.value()
        cursor.take(":")
        if name == key:
            return cursor.skip("[")
        cursor.value()
        cursor.skip(",")
    return False


class _Cursor:
    """A place in a JSON text of which only a part is in memory."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self.file, self.text, self.at, self.decoder = file, "", 0, json.JSONDecoder()

    def more(self) -> bool:
        """Read on, as much again as there is: a long item is decoded a few times, not often."""
        read = self.file.read(max(CHUNK, len(self.text) - self.at))
        if read:
            self.text, self.at = self.text[self.at :] + read, 0
        return bool(read)

    def peek(self) -> str:
        """Return the next character that is no blank, or nothing at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def skip(self, character: str) -> bool:
        """Go behind the next character if it is this one."""
        found = self.peek() == character
        self.at += found
        return found

    def take(self, character: str) -> None:
        """Go behind the next character, which must be this one."""
        if not self.skip(character):
            raise json.JSONDecodeError(f"Expecting {character!r}", self.text, self.at)

    def value(self) -> Any:
        """Return the next value; read on only where its end may be missing."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                if end > len(self.text) - 4 and self.more():
                    continue  # a number could go on, as in "3" + "e-5"
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - 8
                if cut and self.more():
                    continue
                raise
            self.at = end
            return value
