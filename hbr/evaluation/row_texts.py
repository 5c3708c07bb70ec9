"""The texts of training rows as something to encode or to search: language by language."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from hbr.data.rows import Rows
from hbr.data.rows import Texts as RowTexts


class Column:
    """A column that is read where it is sliced: `read(places)` returns its values."""

    def __init__(self, size: int, read: Callable[[np.ndarray], Sequence[Any]]) -> None:
        self.size, self.read = size, read

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: slice | int) -> Any:
        if isinstance(key, slice):
            return pa.array(self.read(np.arange(self.size)[key]))
        return self.read(np.array([key]))[0]


@dataclass(frozen=True)
class Side:
    """The cells of one role in some languages, by language and then item; all (cells,)."""

    texts: RowTexts
    cell: np.ndarray
    item: np.ndarray
    language: np.ndarray

    @property
    def columns(self) -> Mapping[str, Column]:
        """Ids, which are numbers of items, and texts."""
        return {
            "id": Column(len(self.cell), lambda at: [f"text {n}" for n in self.item[at]]),
            "text": Column(len(self.cell), self.read),
        }

    def read(self, places: np.ndarray) -> list[str]:
        """Return the texts at some places."""
        return self.texts.column.take(pa.array(self.cell[places])).to_pylist()

    def in_language(self, language: int) -> slice:
        """Return the places of a language."""
        return slice(*np.searchsorted(self.language, [language, language + 1]).tolist())

    @cached_property
    def place_of(self) -> np.ndarray:
        """The place of every cell of the role, -1 for those that are not among them."""
        places = np.full(int(self.texts.start[-1]), -1, np.int64)
        places[self.cell] = np.arange(len(self.cell))
        return places


@dataclass(frozen=True)
class TextsOfRows:
    """Queries and passages of rows in some languages, as `write_vectors` takes them."""

    rows: Rows
    codes: tuple[int, ...]  # the languages, as positions in those of the rows
    first_alone: bool = False  # of each item, only the text in the first of these that it has

    @property
    def name(self) -> str:
        """The name of the rows."""
        return self.rows.name

    @property
    def languages(self) -> Sequence[str]:
        """The languages of the rows."""
        return self.rows.languages

    @cached_property
    def query_side(self) -> Side:
        """The queries."""
        return _side(self.rows.queries, self.codes, self.first_alone)

    @cached_property
    def passage_side(self) -> Side:
        """The passages, negatives that the data give among them."""
        return _side(self.rows.passages, self.codes, self.first_alone)

    @property
    def query_language(self) -> np.ndarray:
        """The language of every query."""
        return self.query_side.language

    @property
    def passage_language(self) -> np.ndarray:
        """The language of every passage."""
        return self.passage_side.language

    @property
    def queries(self) -> Mapping[str, Column]:
        """Ids and texts of the queries."""
        return self.query_side.columns

    @property
    def passages(self) -> Mapping[str, Column]:
        """Ids and texts of the passages."""
        return self.passage_side.columns


def _side(texts: RowTexts, codes: Sequence[int], first_alone: bool) -> Side:
    has = np.array(texts.has)
    if first_alone:
        first = np.array(codes)[has[:, list(codes)].argmax(1)]
        has &= np.arange(has.shape[1]) == first[:, None]
    codes = sorted(codes)
    items = [np.flatnonzero(has[:, code]) for code in codes]
    languages = [np.full(len(some), code) for some, code in zip(items, codes, strict=True)]
    item, language = np.concatenate(items), np.concatenate(languages)
    return Side(texts, texts.cells(item, language), item, language)
