"""Records of files: all JSON, JSON Lines and tab-separated input is read and checked here.

A reader declares what a record is, as a class of typed fields; what is not so is a UserError that
names file, line and field. Files may be gzipped; pipes and devices are refused.
"""

import codecs
import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Generic, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from hbr.core.errors import UserError

LONGEST = 2**28  # bytes of a line, or characters of an item of an array
CUT = 16  # an error so near to the end of what was read may go away with more
PACKED = {  # other compressions, by the first bytes of a file
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
}
SAID = {  # of a field, by what pydantic calls the mistake
    "missing": "is missing",
    "string_type": "is no text",
    "string_too_short": "is blank",
    "int_type": "is no integer",
    "list_type": "is no list",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "is no object"),
}
BLANKS = re.compile(r"[ \t\r\n]*")


class Record(BaseModel):
    """A JSON object with fields of the declared types; fields that are not declared are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)
    remedy: ClassVar[str] = "get the file again"


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, StringConstraints(min_length=1), BeforeValidator(_id)]  # text or integer
Text = Annotated[str, StringConstraints(strip_whitespace=True)]  # perhaps blank
FullText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
OptionalText = Annotated[Text, BeforeValidator(lambda value: "" if value is None else value)]
Texts = Annotated[  # by language; null where a column format had to fill in a language
    dict[Annotated[str, StringConstraints(pattern=r"^[\w-]+$")], FullText | None],
    AfterValidator(lambda texts: {k: text for k, text in texts.items() if text is not None}),
]
R = TypeVar("R", bound=Record)


def open_binary(path: Path) -> IO[bytes]:
    """Open a file to read what it holds, unpacked where it is gzipped.

    Raises UserError where there is none, and for a folder, a pipe, a device or another compression.
    """
    try:
        if not path.is_file():
            what = "is no plain file" if path.exists() else "there is no such file"
            raise UserError(f"{path}: {what}")
        with path.open("rb") as file:
            first = file.read(6)
        if kind := next((kind for start, kind in PACKED.items() if first.startswith(start)), None):
            raise UserError(f"{path}: is packed by {kind}; unpack it")
        is_gzip = first.startswith(b"\x1f\x8b")
        return cast(IO[bytes], gzip.GzipFile(path)) if is_gzip else path.open("rb")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _raw_lines(path: Path, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        while raw := file.readline(LONGEST):
            number += 1
            if len(raw) == LONGEST:
                raise UserError(f"{path}:{number}: is longer than {LONGEST >> 20} MiB")
            yield number, raw
    except (OSError, EOFError, zlib.error) as error:
        said = f"{path}:{number + 1}: not readable; get the file again: {error}"
        raise UserError(said) from error


def _decoded(path: Path, number: int, raw: bytes) -> str:
    try:
        return raw.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: not UTF-8: {error.reason}") from error


def lines(path: Path, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the number and text of every line, or every one not blank; a newline ends a line."""
    with open_binary(path) as file:
        for number, raw in _raw_lines(path, file):
            text = _decoded(path, number, raw)
            if blank or text.strip():
                yield number, text


def table(path: Path, *columns: str) -> Iterator[tuple[str, list[str]]]:
    """Yield `FILE:LINE` and the cells of every line, split at tabs; the last one may hold more."""
    for number, line in lines(path):
        where, cells = f"{path}:{number}", line.split("\t", len(columns) - 1)
        if len(cells) != len(columns) or not all(cell.strip() for cell in cells[:-1]):
            raise UserError(f"{where}: needs {' and '.join(columns)}, with a tab between them")
        yield where, cells


def records(path: Path, kind: type[R]) -> Iterator[tuple[str, R]]:
    """Yield `FILE:LINE` and the record of every JSON line."""
    for number, line in lines(path):
        yield (where := f"{path}:{number}"), _parsed(kind, line, where)


def _parsed(kind: type[R], line: str, where: str) -> R:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise _mistake(kind, error, where) from error


def checked(kind: type[R], value: Any, where: str) -> R:
    """Return a value as a record; `where` says in a UserError which it is."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _mistake(kind, error, where) from error


def _mistake(kind: type[Record], error: ValidationError, where: str) -> UserError:
    first = error.errors(include_url=False, include_context=False)[0]
    field, message = ".".join(map(str, first["loc"])), first["msg"]
    if first["type"] == "json_invalid":
        said = message.partition(": ")[2].replace("line 1 ", "")
        return UserError(f"{where}: not JSON: {said}; {kind.remedy}")
    said = SAID.get(first["type"], message.removeprefix("Value error, "))
    of = f'"{field}" ' if field else ""
    return UserError(f"{where}: {of}{said[:1].lower()}{said[1:]}; {kind.remedy}")


class RecordFile(Generic[R]):
    """The records of a file of JSON lines: all in order, and again each by its place."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path, self.kind = path, kind
        self.file = open_binary(path)
        if isinstance(self.file, gzip.GzipFile):  # going back in one takes as long as reading it
            with self.file as packed:
                self.file = tempfile.TemporaryFile()  # noqa: SIM115
                for _, raw in _raw_lines(path, packed):
                    self.file.write(raw)
            self.file.seek(0)

    def __iter__(self) -> Iterator[tuple[int, str, R]]:
        """Yield the place, `FILE:LINE` and the record of every line that is not blank."""
        end = 0
        for number, raw in _raw_lines(self.path, self.file):
            at, end = end, end + len(raw)
            if raw.strip():
                where = f"{self.path}:{number}"
                yield at, where, _parsed(self.kind, _decoded(self.path, number, raw), where)

    def at(self, place: int) -> R:
        """Return the record at a place."""
        self.file.seek(place)
        line = _decoded(self.path, 0 if place else 1, self.file.readline())
        return _parsed(self.kind, line, str(self.path))

    def where(self, place: int) -> str:
        """Return `FILE:LINE` of a place."""
        self.file.seek(0)
        number = self.file.read(place).count(b"\n") + 1
        return f"{self.path}:{number}"

    def __enter__(self) -> "RecordFile[R]":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def items(path: Path, kind: type[R], key: str | None = None) -> Iterator[tuple[str, R]]:
    """Yield `FILE item N` and the record of every item of a JSON array, one in memory at a time.

    With `key`, the array is what the object in the file has under that key.
    """
    number = 0
    try:
        with open_binary(path) as file:
            window = _Window(io.TextIOWrapper(file, "utf-8-sig"))
            if not window.enter(key):
                what = f"object with an array {key!r}" if key else "array"
                raise UserError(f"{path}: holds no JSON {what}: another layout")
            for number, value in enumerate(window.items(), start=1):
                yield f"{path} item {number}", _parsed(kind, value, f"{path} item {number}")
    except (OSError, EOFError, zlib.error) as error:
        said = f"{path} item {number + 1}: not readable; get the file again: {error}"
        raise UserError(said) from error
    except (ValueError, RecursionError) as error:  # of UTF-8, JSON, and integers too long to hold
        said = getattr(error, "msg", None) or getattr(error, "reason", None) or str(error)
        raise UserError(f"{path} item {number + 1}: not JSON in UTF-8: {said}") from error


class _Window:
    """Reads the JSON values of a text one after another, with few of them in memory."""

    def __init__(self, file: io.TextIOBase) -> None:
        self.file, self.text, self.at = file, "", 0
        self.decode = json.JSONDecoder().raw_decode

    def enter(self, key: str | None) -> bool:
        """Go into the array, or the one under a key; return whether there is one."""
        if key is None:
            return self._take("[")
        found = self._take("{")
        while found and self._peek() == '"':
            name = self._value()
            if not self._take(":"):
                return False
            if json.loads(name) == key:
                return self._take("[")
            self._value()
            found = self._take(",")
        return False

    def items(self) -> Iterator[str]:
        """Yield the items of the array, as they are written."""
        if self._take("]"):
            return
        yield self._value()
        while self._take(","):
            yield self._value()
        if not self._take("]"):
            raise json.JSONDecodeError("the array does not end", "", 0)

    def _value(self) -> str:
        self._peek()
        while True:
            try:
                end = self.decode(self.text, self.at)[1]
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or len(self.text) - error.pos < CUT
                if not cut or len(self.text) - self.at > LONGEST or not self._more():
                    raise
                continue
            if end < len(self.text) or not self._more():  # else a number may go on
                at, self.at = self.at, end
                return self.text[at:end]

    def _take(self, mark: str) -> bool:
        """Go behind a mark, if it is next."""
        is_next = self._peek() == mark
        self.at += is_next
        return is_next

    def _peek(self) -> str:
        """Return the next character that is not blank, or "" at the end."""
        while True:
            self.at = BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def _more(self) -> bool:
        rest = self.text[self.at :]
        more = self.file.read(max(2**16, len(rest)))
        self.text, self.at = rest + more, 0
        return bool(more)
