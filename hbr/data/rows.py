"""Training rows: every text stored once, tokenised once, the language pair chosen later.

A row is one concept in several languages: a query, a passage, and given negatives. Their texts
are *items*, and an item's text in one language is a *cell*. Cells lie item by item, languages in
order, so that item i in language l is the cell `start[i] + (languages of i before l)`: N rows in L
languages cost at most N·L texts a role, and rows that share a passage may refer to one item.
"""

import hashlib
import json
import shutil
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError

LAYOUT = 3  # raise it when the files below change
CHUNK = 10_000  # rows or items written at a time
ROLES = ("query", "passage")  # given negatives are passages too
CELLS = pa.schema([("text", pa.large_string())])
IDS = pa.schema([("id", pa.large_string())])
T = TypeVar("T")


class Tokenize(Protocol):
    """Texts of one role to lists of token ids, special tokens and truncation included."""

    def __call__(self, role: str, texts: list[str]) -> list[list[int]]: ...


class Linked(NamedTuple):
    """Rows that refer to texts by id, for data that have more rows than texts.

    `queries` and `passages` yield (id, {language: text}), `rows` yields (query id, passage id, ids
    of negatives); ids of one kind are unique. Rows that share a passage are a group.
    """

    queries: Iterable[tuple[str, Mapping[str, str]]]
    passages: Iterable[tuple[str, Mapping[str, str]]]
    rows: Iterable[tuple[str, str, Sequence[str]]]

    def first(self, count: int) -> "Linked":
        """Return the first rows alone, and the texts that they refer to."""
        rows = list(islice(self.rows, count))
        asked = {query for query, _, _ in rows}
        told = {text for _, passage, negatives in rows for text in (passage, *negatives)}
        return Linked(
            (item for item in self.queries if item[0] in asked),
            (item for item in self.passages if item[0] in told),
            rows,
        )


@dataclass(frozen=True)
class Texts:
    """The items of one role, memory-mapped; `has` (items, languages) says which cells there are."""

    path: Path
    has: np.ndarray

    @cached_property
    def start(self) -> np.ndarray:
        """First cell of every item, and the number of cells: (items + 1,)."""
        return np.concatenate([[0], np.cumsum(self.has.sum(1, dtype=np.int64))])

    def cells(self, items: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Return the cell of each item in each language, both (n,); the item must have it."""
        has = self.has[items]
        before = np.arange(has.shape[1]) < languages[:, None]
        assert has[np.arange(len(items)), languages].all(), "a text was drawn that there is not"
        return self.start[items] + (has & before).sum(1)

    @cached_property
    def column(self) -> pa.ChunkedArray:
        """The texts, one a cell."""
        return read_arrow(self.path)["text"]


@dataclass(frozen=True)
class Rows:
    """Prepared rows, memory-mapped from a folder.

    `query_of` and `passage_of` (rows,) are items; row r has the negatives
    `negative[negatives_of[r]:negatives_of[r + 1]]`, items of passages. `stored` (rows, languages)
    says which languages a row has, `has` which of them may be drawn; `group` (rows,) is equal for
    rows that share a passage, and for no others, over all data sets. `translations` says that every
    query is its own passage: only in another language is there something to find.
    """

    name: str
    folder: Path
    languages: tuple[str, ...]
    pivot: str | None
    queries: Texts
    passages: Texts
    query_of: np.ndarray
    passage_of: np.ndarray
    negative: np.ndarray
    negatives_of: np.ndarray
    stored: np.ndarray
    has: np.ndarray
    group: np.ndarray
    translations: bool = False

    def __len__(self) -> int:
        return len(self.group)

    def query_cells(self, rows: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Return the cell of each row's query in each language, both (n,); the row must have it."""
        return self.queries.cells(self.query_of[rows], languages)

    def passage_cells(self, rows: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Return the cell of each row's passage in each language, both (n,)."""
        return self.passages.cells(self.passage_of[rows], languages)

    def negative_cells(self, rows: np.ndarray, languages: np.ndarray, most: int) -> np.ndarray:
        """Return the cells of the first `most` negatives that each row has in each language."""
        found = [np.zeros(0, dtype=np.int64)]
        for row, language in zip(rows, languages, strict=True) if most else ():
            items = self.negative[self.negatives_of[row] : self.negatives_of[row + 1]]
            items = items[self.passages.has[items, language]][:most]
            found.append(self.passages.cells(items, np.full(len(items), language)))
        return np.concatenate(found)

    def only(self, languages: Sequence[str]) -> "Rows":
        """Return the same rows with these languages alone to draw from; others need not be there."""
        wanted = np.isin(self.languages, list(languages))
        return replace(self, has=self.stored & wanted)

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
    arrays = {name: load_array(folder / f"{name}.npy") for name in _ARRAYS}
    texts = {
        role: Texts(folder / f"{role}.arrow", load_array(folder / f"{role}.has.npy"))
        for role in ROLES
    }
    return Rows(
        name=about["name"],
        folder=folder,
        languages=tuple(about["languages"]),
        pivot=about["pivot"],
        queries=texts["query"],
        passages=texts["passage"],
        has=arrays["stored"],
        translations=about.get("translations", False),
        **arrays,
    )


_ARRAYS = ("query_of", "passage_of", "negative", "negatives_of", "stored", "group")


class _Writer:
    """Writes the items of one role, chunk by chunk; memory grows by their language sets alone."""

    def __init__(self, folder: Path, role: str) -> None:
        self.folder, self.role = folder, role
        self.file = pa.OSFile(str(folder / f"{role}.arrow"), "wb")
        self.arrow = pa.ipc.new_file(self.file, CELLS)
        self.languages: dict[str, int] = {}
        self.present: list[np.ndarray] = []
        self.pending: list[Mapping[str, str]] = []
        self.count = 0

    def add(self, texts: Mapping[str, str]) -> int:
        """Add an item and give its number."""
        self.pending.append(texts)
        self.count += 1
        if len(self.pending) == CHUNK:
            self._flush()
        return self.count - 1

    def _flush(self) -> None:
        for language in (language for texts in self.pending for language in texts):
            self.languages.setdefault(language, len(self.languages))
        order = list(self.languages)
        has = [[language in texts for language in order] for texts in self.pending]
        self.present.append(np.array(has, dtype=bool).reshape(len(has), len(order)))
        cells = [texts[language] for texts in self.pending for language in sorted(texts)]
        batch = [pa.array(cells, pa.large_string())]
        self.arrow.write(pa.record_batch(batch, CELLS))
        self.pending = []

    def seen(self) -> set[str]:
        """The languages of all items so far."""
        return {*self.languages, *(language for texts in self.pending for language in texts)}

    def close(self, languages: Sequence[str]) -> np.ndarray:
        """Finish, and give which languages each item has: (items, languages)."""
        if self.pending:
            self._flush()
        self.arrow.close()
        self.file.close()
        has = np.zeros((self.count, len(languages)), dtype=bool)
        columns = np.array([languages.index(language) for language in self.languages], dtype=int)
        end = 0
        for part in self.present:
            has[end : end + len(part), columns[: part.shape[1]]] = part
            end += len(part)
        np.save(self.folder / f"{self.role}.has.npy", has)
        return has


def first_rows(rows: Iterable[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """Yield so many rows of every language; a row that has several counts for each."""
    counts: Counter[str] = Counter()
    for row in rows:
        languages = row["query"].keys() & row["passage"].keys()
        if any(counts[language] < count for language in languages):
            counts.update(languages)
            yield row


def write_rows(
    folder: Path, name: str, rows: Iterable[dict[str, Any]], pivot: str | None
) -> dict[str, Any]:
    """Write rows `{id, group, query: {language: text}, passage: …, negatives: …}` to a folder.

    Memory stays flat in the number of rows but for their language sets and groups. `pivot` is
    the language that the `english` sampler uses, kept where a row has it. Returns counts.
    """
    queries, passages = _Writer(folder, "query"), _Writer(folder, "passage")
    passage_of, negative, ends, groups = array("i"), array("i"), array("q", [0]), array("q")
    differ = 0

    def ids() -> Iterator[str]:
        nonlocal differ
        for row in rows:
            differ += row["query"] != row["passage"]
            queries.add(row["query"])
            passage_of.append(passages.add(row["passage"]))
            negative.extend(map(passages.add, _given(row)))
            ends.append(len(negative))
            groups.append(group_id(name, row, pivot))
            yield row["id"]

    _write_ids(folder, ids())
    arrays = {
        "query_of": np.arange(len(groups), dtype=np.int32),
        "passage_of": np.array(passage_of),
        "negative": np.array(negative),
        "negatives_of": np.array(ends),
        "group": np.array(groups),
    }
    about = {"name": name, "pivot": pivot, "translations": not differ}
    return _finish(folder, about, queries, passages, arrays)


def _given(row: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield a row's negatives as items: the first of every language, the second, …"""
    given = row.get("negatives") or {}
    for number in range(max(map(len, given.values()), default=0)):
        yield {lang: told[number] for lang, told in given.items() if number < len(told)}


def write_linked(folder: Path, name: str, linked: Linked, pivot: str | None) -> dict[str, Any]:
    """Write rows that refer to texts by id; else as `write_rows`.

    Memory is that of the ids, 16 bytes an item, and of the references, 4 bytes each. Raises
    UserError for an id that no text has.
    """
    queries, passages = _Writer(folder, "query"), _Writer(folder, "passage")
    asked = _Numbers(name, "query", (_add(queries, item) for item in linked.queries))
    told = _Numbers(name, "passage", (_add(passages, item) for item in linked.passages))
    query_of, passage_of, negative, ends = [], [], [], array("q", [0])

    def ids() -> Iterator[str]:
        for chunk in _chunks(linked.rows, CHUNK):
            query_of.append(asked.of([query for query, _, _ in chunk]))
            passage_of.append(told.of([passage for _, passage, _ in chunk]))
            negative.append(told.of([n for _, _, negatives in chunk for n in negatives]))
            for query, passage, negatives in chunk:
                ends.append(ends[-1] + len(negatives))
                yield f"{query}-{passage}"

    _write_ids(folder, ids())
    places = _joined(passage_of)
    arrays = {
        "query_of": _joined(query_of),
        "passage_of": places,
        "negative": _joined(negative),
        "negatives_of": np.array(ends),
        "group": _scattered(name, places),
    }
    about = {"name": name, "pivot": pivot, "translations": False}
    return _finish(folder, about, queries, passages, arrays)


def _add(writer: "_Writer", item: tuple[str, Mapping[str, str]]) -> str:
    writer.add(item[1])
    return item[0]


class _Numbers:
    """Finds the number of an item by its id, from 64-bit hashes of the ids."""

    def __init__(self, name: str, role: str, ids: Iterable[str]) -> None:
        self.name, self.role = name, role
        hashes = np.fromiter(map(hash, ids), np.int64)
        self.order = np.argsort(hashes).astype(np.int32)
        self.hashes = hashes[self.order]
        if (self.hashes[1:] == self.hashes[:-1]).any():
            raise UserError(f"{name}: two {role} texts have the same id")

    def of(self, ids: Sequence[str]) -> np.ndarray:
        """Return the numbers of some items."""
        wanted = np.fromiter(map(hash, ids), np.int64, len(ids))
        at = np.minimum(np.searchsorted(self.hashes, wanted), max(len(self.hashes) - 1, 0))
        missing = self.hashes[at] != wanted if len(self.hashes) else np.ones(len(ids), bool)
        if missing.any():
            first = ids[int(missing.argmax())]
            raise UserError(f"{self.name}: a row names the {self.role} {first}, which is not there")
        return self.order[at]


def _scattered(name: str, places: np.ndarray) -> np.ndarray:
    """Return 64-bit groups of rows by their passage, none of another data set: (rows,)."""
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    mixed = places.astype(np.uint64) + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int32), *parts])


def _write_ids(folder: Path, ids: Iterable[str]) -> None:
    with (
        pa.OSFile(str(folder / "rows.arrow"), "wb") as file,
        pa.ipc.new_file(file, IDS) as arrow,
    ):
        for chunk in _chunks(ids, CHUNK):
            arrow.write(pa.record_batch([pa.array(chunk, pa.large_string())], IDS))


def _finish(
    folder: Path,
    about: dict[str, Any],
    queries: _Writer,
    passages: _Writer,
    arrays: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Write what is known of all rows, and count it."""
    names = sorted({*queries.seen(), *passages.seen()})
    asked, told = queries.close(names), passages.close(names)
    if not len(arrays["group"]):
        raise UserError(f"{about['name']}: holds no rows")
    for key, values in arrays.items():
        np.save(folder / f"{key}.npy", values)
    total = _write_stored(folder / "stored.npy", asked, told, arrays)
    counts = {lang: int(n) for lang, n in zip(names, total, strict=True)}
    pivot = about["pivot"] if counts.get(about["pivot"] or "") else None
    (folder / "rows.json").write_text(json.dumps(about | {"languages": names, "pivot": pivot}))
    groups = len(np.unique(arrays["group"]))
    return {"rows": len(arrays["group"]), "groups": groups, "rows_by_language": counts}


def _write_stored(
    path: Path, asked: np.ndarray, told: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Write the languages that each row has in both roles; count the rows of each."""
    shape = (len(arrays["group"]), asked.shape[1])
    stored = np.lib.format.open_memmap(path, "w+", bool, shape)
    total = np.zeros(shape[1], dtype=np.int64)
    for at in range(0, shape[0], 100 * CHUNK):
        some = slice(at, at + 100 * CHUNK)
        stored[some] = asked[arrays["query_of"][some]] & told[arrays["passage_of"][some]]
        total += stored[some].sum(0)
    stored.flush()
    return total


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def group_id(name: str, row: dict[str, Any], pivot: str | None = None) -> int:
    """Return the 64-bit id of a row's group: of its `group` within the data set, if it has one.

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
    """The tokens of all cells, flat: cell i of a role is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: dict[str, np.ndarray]
    offsets: dict[str, np.ndarray]

    def texts(self, role: str, cells: Iterable[int]) -> list[np.ndarray]:
        """Return the token ids of some cells of a role."""
        # plain arrays over the maps: a slice of a map takes several times as long
        flat, offsets = np.asarray(self.flat[role]), np.asarray(self.offsets[role])
        return [flat[offsets[i] : offsets[i + 1]] for i in cells]


def write_tokens(folder: Path, rows: Rows, tokenize: Tokenize) -> dict[str, Any]:
    """Tokenise every cell of some rows once, chunk by chunk. Returns token counts.

    What a killed attempt left in the folder is gone on with.
    """
    counts = {}
    for role, texts in zip(ROLES, (rows.queries, rows.passages), strict=True):
        whole = folder / f"{role}.npy"
        if not whole.exists():
            chunks = enumerate(texts.column.chunks)
            lengths = [_write_chunk(folder, role, n, chunk, tokenize) for n, chunk in chunks]
            offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
            _join_chunks(folder, role, len(lengths))
            np.save(partial := whole.with_suffix(".partial.npy"), offsets)
            partial.replace(whole)
        counts[role] = int(load_array(whole)[-1])
    return {"tokens": counts}


def _write_chunk(
    folder: Path, role: str, number: int, chunk: pa.Array, tokenize: Tokenize
) -> np.ndarray:
    """Tokenise a chunk, unless that was done; give the number of tokens of each cell."""
    place, sizes = folder / f"{role}-{number}.tokens", folder / f"{role}-{number}.npy"
    if not sizes.exists():
        tokens = tokenize(role, chunk.to_pylist())
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        np.fromiter(chain.from_iterable(tokens), np.int32, int(lengths.sum())).tofile(place)
        np.save(partial := sizes.with_suffix(".partial.npy"), lengths)
        partial.replace(sizes)  # last: the chunk is whole
    return np.load(sizes)


def _join_chunks(folder: Path, role: str, number: int) -> None:
    """Put the chunks of a role into one file, and remove them."""
    parts = [folder / f"{role}-{n}.tokens" for n in range(number)]
    with (folder / f"{role}.tokens").open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
    for part in parts:
        part.unlink()
        part.with_suffix(".npy").unlink()


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
    return Tokens(flat, offsets)
