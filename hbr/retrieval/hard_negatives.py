"""Hard negatives: of what queries find, that which does not answer them.

Names and meanings of the rules are those of sentence-transformers' `mine_hard_negatives`; here they
hold for concepts: a row has its queries in several languages, and so has an item its texts, and the
score of an item for a row is the highest of any two of their texts that meet.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hbr.data.arrays import ranges
from hbr.retrieval.search import Search


class Pool(NamedTuple):
    """A search, and what its texts are of; queries lie by ascending row, and rows may share one."""

    search: Search
    row: np.ndarray  # (queries,)
    query: np.ndarray  # (queries,) its number in the search
    query_language: np.ndarray  # (queries,)
    item: np.ndarray  # (passages,)
    passage_language: np.ndarray  # (passages,)
    texts_of_item: int  # at most


class Candidates(NamedTuple):
    """Items that rows have found, all (candidates,): by row, the best of each first."""

    row: np.ndarray
    item: np.ndarray
    score: np.ndarray
    query_language: np.ndarray
    passage_language: np.ndarray

    def keep(self, chosen: np.ndarray) -> "Candidates":
        """Return some of them."""
        return Candidates(*(values[chosen] for values in self))

    @property
    def rank(self) -> np.ndarray:
        """The place of each among those of its row, from 0."""
        starts = np.searchsorted(self.row, self.row)
        return np.arange(len(self.row)) - starts


def find(
    pools: Sequence[Pool],
    rows: range,
    passage_of: np.ndarray,
    same: tuple[np.ndarray, np.ndarray],
    count: int,
) -> tuple[Candidates, np.ndarray]:
    """Return the `count` best items of some rows that say another thing, and their own scores.

    `passage_of` (all rows,) are the rows' own items, whose scores are (len(rows),), NaN where no
    pool has both query and passage. `same` has labels of rows and items, equal for those that are
    never negatives.
    """
    row_label, item_label = same
    labels = row_label[rows.start : rows.stop]
    alike = np.bincount(item_label)[labels].max(initial=0)  # items that are passed over, at most
    parts: list[Candidates] = []
    own = np.full(len(rows), -np.inf, np.float32)
    for pool in pools:
        queries = np.arange(*np.searchsorted(pool.row, [rows.start, rows.stop]))
        if not len(queries) or not len(pool.item):
            continue
        k = min((count + int(alike)) * pool.texts_of_item, len(pool.item))
        score, position = pool.search.top(pool.query[queries], k)
        query, place = np.repeat(queries, k), position.ravel()
        found = Candidates(
            pool.row[query],
            pool.item[place],
            score.ravel(),
            pool.query_language[query],
            pool.passage_language[place],
        )
        parts.append(found.keep((place >= 0) & (row_label[found.row] != item_label[found.item])))
        _take_own(own, pool, queries, rows, passage_of)
    none = Candidates(*(np.zeros(0, t) for t in (int, int, np.float32, int, int)))
    merged = Candidates(*(np.concatenate(values) for values in zip(none, *parts, strict=True)))
    merged = _best_of_each(merged)
    return merged.keep(merged.rank < count), np.where(np.isfinite(own), own, np.nan)


def _take_own(
    own: np.ndarray, pool: Pool, queries: np.ndarray, rows: range, passage_of: np.ndarray
) -> None:
    """Raise the scores of rows' own items to those of the texts in a pool."""
    order = np.argsort(pool.item, kind="stable")
    wanted = passage_of[pool.row[queries]]
    items = pool.item[order]
    first, end = np.searchsorted(items, wanted), np.searchsorted(items, wanted, side="right")
    query = np.repeat(queries, end - first)  # each meets all texts of its item
    place = order[ranges(first, end - first)]
    np.maximum.at(own, pool.row[query] - rows.start, pool.search.scores(pool.query[query], place))


def _best_of_each(found: Candidates) -> Candidates:
    """Return each item of a row once, with its highest score; the best first, then the lower."""
    found = found.keep(np.lexsort((-found.score, found.item, found.row)))
    first = np.r_[True, (np.diff(found.row) != 0) | (np.diff(found.item) != 0)][: len(found.row)]
    found = found.keep(first)
    return found.keep(np.lexsort((found.item, -found.score, found.row)))


def choose(
    found: Candidates,
    own: np.ndarray,
    *,
    num_negatives: int,
    range_min: int = 0,
    max_score: float | None = None,
    min_score: float | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[Candidates, dict[str, int]]:
    """Return the negatives of rows, and how many candidates each rule has passed over.

    `own` (candidates,) is the score of the row's passage, NaN where there is none: no margin is
    kept then. Of what the rules leave, the best `range_min` are passed over. With `rng` the rest
    is drawn from, else its best are taken.
    """
    left = np.ones(len(found.row), bool)
    skipped: dict[str, int] = {}

    def skip(rule: str, bad: np.ndarray) -> None:
        skipped[rule] = int((left & bad).sum())
        left[bad] = False

    if absolute_margin is not None:
        skip("absolute_margin", found.score + absolute_margin > own)
    if relative_margin is not None:
        skip("relative_margin", found.score > own - np.abs(own) * relative_margin)
    if max_score is not None:
        skip("max_score", found.score > max_score)
    if min_score is not None:
        skip("min_score", found.score < min_score)
    found = found.keep(left)
    found = found.keep(found.rank >= range_min)
    chosen = found.rank < num_negatives
    if rng is not None:
        shuffled = np.lexsort((rng.random(len(found.row)), found.row))
        first, chosen = chosen, np.zeros_like(chosen)
        chosen[shuffled[first]] = True
    return found.keep(chosen), skipped
