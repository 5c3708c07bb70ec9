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

from hbr.data.arrays import load_array, ranges, read_arrow

LAYOUT = 4  # raise it when the files below change
ROLES = ("query", "passage")  # negatives are passages too
_ARRAYS = ("query_of", "passage_of", "negative", "negatives_of", "stored", "group")
_SCORES = ("positive_score", "negative_score")


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


class DrawnNegatives(NamedTuple):
    """Negatives of some rows, all (m,), row by row and the first of each row first."""

    owner: np.ndarray  # the place of its row among those rows
    place: np.ndarray  # in `Rows.negative`
    item: np.ndarray  # of the passages
    language: np.ndarray
    cell: np.ndarray

    def of(self, rows: slice) -> "DrawnNegatives":
        """Return the negatives of some of the rows."""
        mine = slice(*np.searchsorted(self.owner, [rows.start, rows.stop]))
        return DrawnNegatives(*(values[mine] for values in self))


@dataclass(frozen=True)
class Rows:
    """Prepared rows, memory-mapped from a folder.

    `query_of` and `passage_of` (rows,) are items; row r has the negatives
    `negative[negatives_of[r]:negatives_of[r + 1]]`, items of passages. Where a teacher has scored
    them, `negative_score` has its scores and `positive_score` (rows,) those of the passages, NaN
    where one is not known. `stored` (rows, languages)
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
    positive_score: np.ndarray | None = None
    negative_score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.group)

    @property
    def owner(self) -> np.ndarray:
        """The row of each negative: (negatives,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.negatives_of))

    @property
    def unscored(self) -> np.ndarray:
        """The rows whose passage, or one of whose negatives, has no finite score; ascending."""
        assert self.positive_score is not None
        assert self.negative_score is not None
        passages = np.flatnonzero(~np.isfinite(self.positive_score))
        return np.union1d(passages, self.owner[~np.isfinite(self.negative_score)])

    def query_cells(self, rows: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Return the cell of each row's query in each language, both (n,); the row must have it."""
        return self.queries.cells(self.query_of[rows], languages)

    def passage_cells(self, rows: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Return the cell of each row's passage in each language, both (n,)."""
        return self.passages.cells(self.passage_of[rows], languages)

    def negatives_in(
        self, rows: np.ndarray, languages: np.ndarray, most: int, u: np.ndarray | None = None
    ) -> "DrawnNegatives":
        """Return the first `most` negatives of each row (n,) that it has in one of its languages.

        `languages` (n, languages) says which these are. Of several that a negative has, it takes
        the first, or with `u`, uniform in [0, 1), one for each negative of the rows, any of them.
        """
        counts = (self.negatives_of[rows + 1] - self.negatives_of[rows]) * (most > 0)
        owner = np.repeat(np.arange(len(rows)), counts)
        starts = np.cumsum(counts) - counts
        place = ranges(self.negatives_of[rows], counts)
        item = np.asarray(self.negative[place])
        fits = np.asarray(self.passages.has[item]) & languages[owner]
        has = fits.any(1)
        before = np.cumsum(has) - has  # those of earlier places, over all rows
        kept = has & (before - np.append(before, 0)[starts][owner] < most)
        wanted = np.zeros(int(kept.sum()), dtype=np.int64)
        if u is not None:
            wanted = (u[: len(owner)][kept] * fits[kept].sum(1)).astype(np.int64)
        language = (np.cumsum(fits[kept], axis=1) > wanted[:, None]).argmax(1)
        cells = self.passages.cells(item[kept], language)
        return DrawnNegatives(owner[kept], place[kept], item[kept], language, cells)

    @cached_property
    def passage_group(self) -> np.ndarray:
        """The group of the rows whose passage an item is, or says the same as; 0 for none."""
        path = self.folder / "passage_group.npy"
        if path.exists():  # of data whose negatives are texts, not references
            return load_array(path)
        groups = np.zeros(len(self.passages.has), np.int64)
        groups[self.passage_of] = self.group
        return groups

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
    scores = _SCORES if (folder / f"{_SCORES[0]}.npy").exists() else ()
    arrays = {name: load_array(folder / f"{name}.npy") for name in (*_ARRAYS, *scores)}
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


def negative_items(
    negatives: Mapping[str, Sequence[str] | None] | Sequence[Mapping[str, Any]] | None,
) -> Sequence[Mapping[str, str]]:
    """Return a row's negatives one by one, from a list of them or from lists by language.

    Texts at one place of such lists are one negative in several languages.
    """
    if not isinstance(negatives, Mapping):
        return negatives or []
    given = {language: texts for language, texts in negatives.items() if texts}
    return [
        {language: texts[i] for language, texts in given.items() if i < len(texts)}
        for i in range(max(map(len, given.values()), default=0))
    ]
