"""Training rows: every text stored once, tokenised once, the language pair chosen later.

A row is one concept in several languages: a query, a passage, and negatives. Their texts
are *items*, and an item's text in one language is a *cell*. Cells lie item by item, languages in
order, so that item i in language l is the cell `start[i] + (languages of i before l)`: N rows in L
languages cost at most N·L texts a role, and rows that share a passage may refer to one item.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hbr.data.arrays import load_array, read_arrow

LAYOUT = 4  # raise it when the files below change
ROLES = ("query", "passage")  # negatives are passages too
_ARRAYS = ("query_of", "passage_of", "negative", "negatives_of", "stored", "group")


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
        queries = {query for query, _, _ in rows}
        passages = {text for _, passage, negatives in rows for text in (passage, *negatives)}
        return Linked(
            (item for item in self.queries if item[0] in queries),
            (item for item in self.passages if item[0] in passages),
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
        cells = [np.zeros(0, dtype=np.int64)]
        for row, language in zip(rows, languages, strict=True) if most else ():
            items = self.negative[self.negatives_of[row] : self.negatives_of[row + 1]]
            items = items[self.passages.has[items, language]][:most]
            cells.append(self.passages.cells(items, np.full(len(items), language)))
        return np.concatenate(cells)

    def only(self, languages: Sequence[str]) -> "Rows":
        """Return the same rows with only these languages to draw; they need not all be there."""
        wanted = np.isin(self.languages, list(languages))
        return replace(self, has=self.stored & wanted)

    @cached_property
    def ids(self) -> pa.ChunkedArray:
        """The id of every row."""
        return read_arrow(self.folder / "rows.arrow")["id"]


def open_rows(folder: Path) -> Rows:
    """Open what `write_rows` wrote."""
    about = json.loads((folder / "rows.json").read_text("utf-8"))
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


def first_rows(rows: Iterable[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """Yield so many rows of every language; a row that has several counts for each."""
    counts: Counter[str] = Counter()
    for row in rows:
        languages = row["query"].keys() & row["passage"].keys()
        if any(counts[language] < count for language in languages):
            counts.update(languages)
            yield row
