"""Training rows: every text stored once, tokenised once, the language pair chosen later.

A row is one concept in several languages. Its text in one language is a *cell*: a query, a
passage, and given negatives. Cells lie row by row, languages in order, so that row r in language
l is the cell `start[r] + (languages of r before l)`: N rows in L languages cost N·L texts.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute

from hbr.errors import UserError

CELLS = pa.schema(
    [
        ("query", pa.large_string()),
        ("passage", pa.large_string()),
        ("negatives", pa.large_list(pa.large_string())),
    ]
)
CHUNK = 10_000  # rows written at a time
ROLES = ("query", "passage", "negatives")


class Tokenize(Protocol):
    """Texts of one role to lists of token ids, special tokens and truncation included."""

    def __call__(self, role: str, texts: list[str]) -> list[list[int]]: ...


@dataclass(frozen=True)
class Rows:
    """Prepared rows, memory-mapped from a folder.

    `stored` (rows, languages) says which languages a row has, `has` which of them may be drawn;
    `group` (rows,) is equal for rows that share a passage, and for no others, over all data sets.
    """

    name: str
    folder: Path
    languages: tuple[str, ...]
    pivot: str | None
    stored: np.ndarray
    has: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def start(self) -> np.ndarray:
        """First cell of every row, and the number of cells: (rows + 1,)."""
        return np.concatenate([[0], np.cumsum(self.stored.sum(1, dtype=np.int64))])

    def cells(self, rows: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Give the cell of each row in each language, both (n,); the row must have it."""
        has = self.stored[rows]
        before = np.arange(len(self.languages)) < languages[:, None]
        assert has[np.arange(len(rows)), languages].all(), "a row was drawn in a language it lacks"
        return self.start[rows] + (has & before).sum(1)

    def only(self, languages: Sequence[str]) -> "Rows":
        """Give the same rows with these languages alone to draw from; others need not be there."""
        wanted = np.isin(self.languages, list(languages))
        return replace(self, has=self.stored & wanted)

    @cached_property
    def table(self) -> pa.Table:
        """The texts, one line per cell."""
        return read_arrow(self.folder / "cells.arrow")

    @cached_property
    def ids(self) -> pa.ChunkedArray:
        """The id of every row."""
        return read_arrow(self.folder / "rows.arrow")["id"]


def read_arrow(path: Path) -> pa.Table:
    """Memory-map an Arrow file. A missing or damaged one is a UserError that says what to do."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is missing or damaged; delete {path.parent} and run the command again"
    )


def load_array(path: Path) -> np.ndarray:
    """Memory-map a NumPy file. A missing or damaged one is a UserError that says what to do."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path) from error


def open_rows(folder: Path) -> Rows:
    """Open what `write_rows` wrote."""
    about = json.loads((folder / "rows.json").read_text())
    has = load_array(folder / "has.npy")
    return Rows(
        name=about["name"],
        folder=folder,
        languages=tuple(about["languages"]),
        pivot=about["pivot"],
        stored=has,
        has=has,
        group=load_array(folder / "group.npy"),
    )


def write_rows(
    folder: Path, name: str, rows: Iterable[dict[str, Any]], pivot: str | None
) -> dict[str, Any]:
    """Write rows `{id, group, query: {language: text}, passage: …, negatives: …}` to a folder.

    Memory stays flat in the number of rows but for their language sets and groups. `pivot` is
    the language that the `english` sampler uses, kept where a row has it. Returns counts.
    """
    languages: dict[str, int] = {}
    present: list[np.ndarray] = []
    groups: list[np.ndarray] = []
    cells = pa.OSFile(str(folder / "cells.arrow"), "wb")
    ids = pa.OSFile(str(folder / "rows.arrow"), "wb")
    id_schema = pa.schema([("id", pa.large_string())])
    with (
        pa.ipc.new_file(cells, CELLS) as cell_writer,
        pa.ipc.new_file(ids, id_schema) as id_writer,
    ):
        for chunk in _chunks(rows, CHUNK):
            for row in chunk:
                for language in row["query"]:
                    languages.setdefault(language, len(languages))
            order = list(languages)
            present.append(np.array([[lang in row["query"] for lang in order] for row in chunk]))
            groups.append(np.array([group_id(name, row, pivot) for row in chunk], dtype=np.int64))
            cell_writer.write(_cell_batch(chunk, sorted(languages)))
            id_writer.write(pa.record_batch([pa.array([r["id"] for r in chunk])], id_schema))
    if not present:
        raise UserError(f"{name}: holds no rows")
    has = _join_present(present, languages)
    group = np.concatenate(groups)
    np.save(folder / "has.npy", has)
    np.save(folder / "group.npy", group)
    names = sorted(languages)
    about = {"name": name, "languages": names, "pivot": pivot if pivot in languages else None}
    (folder / "rows.json").write_text(json.dumps(about))
    counts = {lang: int(n) for lang, n in zip(names, has.sum(0), strict=True)}
    return {"rows": len(group), "groups": len(np.unique(group)), "rows_by_language": counts}


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _cell_batch(chunk: list[dict[str, Any]], languages: list[str]) -> pa.RecordBatch:
    cells = [(row, lang) for row in chunk for lang in languages if lang in row["query"]]
    columns = [
        pa.array([row["query"][lang] for row, lang in cells], pa.large_string()),
        pa.array([row["passage"][lang] for row, lang in cells], pa.large_string()),
        pa.array(
            [(row.get("negatives") or {}).get(lang, []) for row, lang in cells],
            pa.large_list(pa.large_string()),
        ),
    ]
    return pa.record_batch(columns, CELLS)


def _join_present(parts: list[np.ndarray], languages: dict[str, int]) -> np.ndarray:
    has = np.zeros((sum(map(len, parts)), len(languages)), dtype=bool)
    columns = np.array([sorted(languages).index(lang) for lang in languages])
    end = 0
    for part in parts:
        has[end : end + len(part), columns[: part.shape[1]]] = part
        end += len(part)
    return has


def group_id(name: str, row: dict[str, Any], pivot: str | None = None) -> int:
    """Give the 64-bit id of a row's group: of its `group` within the data set, if it has one.

    Else of its passage in the pivot language, or its first, over all data sets. Sixty-four bits
    of BLAKE2b: at 40 million groups two collide with probability 4e-5.
    """
    group, passage = row.get("group"), row["passage"]
    language = pivot if pivot in passage else min(passage)
    known = [name, str(group)] if group is not None else ["", language, passage[language]]
    text = json.dumps(known)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True)
class Tokens:
    """The tokens of all cells, flat: text i of a role is `flat[offsets[i]:offsets[i + 1]]`.

    `negatives_of` (cells + 1,) says which texts of the role `negatives` belong to a cell.
    """

    flat: dict[str, np.ndarray]
    offsets: dict[str, np.ndarray]
    negatives_of: np.ndarray

    def texts(self, role: str, indices: Iterable[int]) -> list[np.ndarray]:
        """Give the token ids of some texts of a role."""
        flat, offsets = self.flat[role], self.offsets[role]
        return [flat[offsets[i] : offsets[i + 1]] for i in indices]

    def negatives(self, cells: np.ndarray, most: int) -> list[int]:
        """Give the texts that are the first `most` given negatives of each cell, cell by cell."""
        first, end = self.negatives_of[cells], self.negatives_of[cells + 1]
        return [i for a, b in zip(first, end, strict=True) for i in range(a, min(b, a + most))]


def write_tokens(folder: Path, rows: Rows, tokenize: Tokenize) -> dict[str, Any]:
    """Tokenise every cell of some rows once, chunk by chunk. Returns token counts."""
    counts = {}
    lists = rows.table["negatives"]
    sizes = np.concatenate([pa.compute.list_value_length(c).to_numpy() for c in lists.chunks])
    np.save(folder / "negatives_of.npy", np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]))
    for role in ROLES:
        column = rows.table[role]
        chunks = [c.flatten() if role == "negatives" else c for c in column.chunks]
        lengths = []
        with (folder / f"{role}.tokens").open("wb") as file:
            for chunk in chunks:
                tokens = tokenize(role, chunk.to_pylist())
                lengths.append(np.fromiter(map(len, tokens), np.int64, len(tokens)))
                flat = [token for text in tokens for token in text]
                file.write(np.asarray(flat, dtype=np.int32).tobytes())
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
        np.save(folder / f"{role}.npy", offsets)
        counts[role] = int(offsets[-1])
    return {"tokens": counts}


def open_tokens(folder: Path) -> Tokens:
    """Open what `write_tokens` wrote; a file cut short is a UserError."""
    flat, offsets = {}, {}
    for role in ROLES:
        offsets[role] = load_array(folder / f"{role}.npy")
        path = folder / f"{role}.tokens"
        if path.stat().st_size != 4 * offsets[role][-1]:
            raise UserError(f"{path} is damaged; delete {path.parent} and run the command again")
        flat[role] = (
            np.memmap(path, np.int32, "r") if offsets[role][-1] else np.zeros(0, dtype=np.int32)
        )
    return Tokens(flat, offsets, load_array(folder / "negatives_of.npy"))
