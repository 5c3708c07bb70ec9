"""Large upstream files, plain or gzipped, one item at a time; what is wrong in them is named."""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ijson

from hbr.core.errors import UserError

NEGATIVES = 8  # kept of a row, the first ones: upstream lists up to a hundred


def find(source: Path | None, names: Sequence[str], origin: str) -> Path:
    """Return `source` if it is a file, else the first of `names` (or `NAME.gz`) in that folder."""
    wanted = " or ".join(names)
    if source is None or not source.exists():
        where = "no source is named" if source is None else f"{source}: there is no such file"
        raise UserError(f"{where}; get {wanted} from {origin}")
    tried = [source / f"{name}{end}" for name in names for end in ("", ".gz")]
    path = source if source.is_file() else next(filter(Path.is_file, tried), None)
    if path is None:
        raise UserError(f"{source}: holds no {wanted}; get it from {origin}")
    return path


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


def row(id: str, query: str, passage: str, negatives: Sequence[str] = ()) -> dict[str, Any]:
    """Make an English row; rows with the same passage are one group, whatever the data set."""
    kept = [text for text in negatives if text.strip()][:NEGATIVES]
    texts = {"query": {"en": query.strip()}, "passage": {"en": passage.strip()}}
    return {"id": id, "group": None, **texts, "negatives": {"en": kept} if kept else {}}


def json_lines(path: Path, *fields: str) -> Iterator[tuple[str, Any]]:
    """Yield `FILE:LINE` and the value of every JSON line; with `fields`, objects that have them."""
    for number, line in lines(path):
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON: {error.msg}; get the file again") from error
        if fields and not (isinstance(value, dict) and set(fields) <= value.keys()):
            needed = ", ".join(f'"{field}"' for field in fields)
            raise UserError(f"{where}: not in the layout that is read here: it needs {needed}")
        yield where, value


def json_items(path: Path, key: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield `FILE item N` and the value of every item of a JSON array, one in memory at a time.

    With `key`, the array is what the object in the file has under that key.
    """
    number = 0
    try:
        with _open(path) as file:
            if not _holds_array(file, key):
                what = f"object with an array {key!r}" if key else "array"
                raise UserError(f"{path}: holds no JSON {what}: another layout")
        with _open(path) as file:
            _skip_mark(file)
            items = ijson.items(file, f"{key}.item" if key else "item", use_float=True)
            for number, value in enumerate(items, start=1):
                yield f"{path} item {number}", value
    except ijson.JSONError as error:
        raise UserError(f"{path} item {number + 1}: not JSON: {_message(error)}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} item {number + 1}: not readable; get the file again: {error}"
        ) from error


def _holds_array(file: io.BufferedReader, key: str | None) -> bool:
    """Return whether a file is an array, or an object with an array under `key`."""
    _skip_mark(file)
    try:
        events = ((prefix, event) for prefix, event, _ in ijson.parse(file))
        if not key:
            return next(events) == ("", "start_array")
        return (key, "start_array") in events
    except ijson.JSONError:  # broken before the array
        return False


def _skip_mark(file: io.BufferedReader) -> None:
    if file.peek(3).startswith(codecs.BOM_UTF8):
        file.read(3)


def _message(error: Exception) -> str:
    """Return the first line of what ijson says, which may be bytes."""
    said = error.args[0] if error.args else ""
    return (said.decode(errors="replace") if isinstance(said, bytes) else str(said)).partition(
        "\n"
    )[0]


def _open(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(gzip.open(path)) if packed else path.open("rb")
