"""Writes training rows to a folder, chunk by chunk: see `hbr.data.rows` for what lies there."""

import hashlib
import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError
from hbr.data.arrays import chunks, write_arrow
from hbr.data.hashes import normalise, text_hash
from hbr.data.rows import Linked, Texts, negative_items

CHUNK = 10_000  # rows or items written at a time
NO_NEGATIVE = "negatives that are the passage of their row, dropped"
SAME_QUERY = "rows whose query another row has with another passage, negatives of each other"
NO_GROUP = "rows without a group beside rows with one, which they never join"
CELLS = pa.schema([("text", pa.large_string())])


class _TextWriter:
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
        """Add an item and return its number."""
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
        """Finish; return which languages each item has: (items, languages)."""
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


def write_rows(
    folder: Path, name: str, rows: Iterable[dict[str, Any]], pivot: str | None
) -> dict[str, Any]:
    """Write rows `{id, group, query: {language: text}, passage: …, negatives: [{…}], scores}`.

    `scores` are a teacher's, of the passage and then of each negative. Memory stays flat in the
    number of rows but for their language sets and groups. `pivot` is the language that the
    `english` sampler uses, kept where a row has it. Returns counts.
    """
    queries, passages = _TextWriter(folder, "query"), _TextWriter(folder, "passage")
    passage_of, negative, ends = array("i"), array("i"), array("q", [0])
    positive_score, negative_score = array("f"), array("f")
    passage_keys, query_keys = _Keys(), _Keys()
    notes: Counter[str] = Counter()
    differ = alone = 0

    def ids() -> Iterator[str]:
        nonlocal differ, alone
        for row in rows:
            differ += row["query"] != row["passage"]
            queries.add(row["query"])
            passage_of.append(passages.add(row["passage"]))
            scores = row.get("scores")
            positive_score.append(scores[0] if scores else np.nan)
            for score, texts in _negatives(row, notes):
                negative.append(passages.add(texts))
                negative_score.append(score)
            ends.append(len(negative))
            if row.get("group") is None:
                alone += 1
                passage_keys.add(_normalised(row["passage"]), pivot)
            else:
                passage_keys.add({f"group of {name}": str(row["group"])})
            query_keys.add(_normalised(row["query"]))
            yield row["id"]

    write_arrow(folder / "rows.arrow", ["id"], ((id,) for id in ids()), CHUNK)
    groups = passage_keys.groups()
    if alone < len(groups):
        notes[NO_GROUP] += alone
    if differ:
        notes[SAME_QUERY] += query_keys.shared(groups)
    arrays = {
        "query_of": np.arange(len(groups), dtype=np.int32),
        "passage_of": np.array(passage_of),
        "negative": np.array(negative),
        "negatives_of": np.array(ends),
        "group": groups,
    }
    if not np.isnan(positive_score).all():
        arrays["positive_score"] = np.array(positive_score)
        arrays["negative_score"] = np.array(negative_score)
    about = {"name": name, "pivot": pivot, "translations": not differ}
    counts = _finish(folder, about, queries, passages, arrays)
    if negative:
        np.save(folder / "passage_group.npy", _passage_groups(folder, arrays))
    return counts | {"notes": dict(+notes)}


def _negatives(
    row: Mapping[str, Any], notes: Counter[str]
) -> Iterator[tuple[float, Mapping[str, str]]]:
    """Yield a row's negatives with their scores, NaN where there are none.

    One that says in some language what the row's passage says is dropped, in all, and counted.
    """
    passage, given = _normalised(row["passage"]), negative_items(row.get("negatives"))
    scores = (row.get("scores") or [])[1:] or [math.nan] * len(given)
    for texts, score in zip(given, scores, strict=True):
        if any(passage.get(language) == text for language, text in _normalised(texts).items()):
            notes[NO_NEGATIVE] += 1
        else:
            yield score, texts


def _passage_groups(folder: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the group of the rows whose passage an item is or says the same as: (items,)."""
    has = np.load(folder / "passage.has.npy")
    item, language = np.nonzero(has)
    names = json.loads((folder / "rows.json").read_text("utf-8"))["languages"]
    texts = (t for chunk in Texts(folder / "passage.arrow", has).column.chunks for t in chunk)
    hashed = (
        text_hash(normalise(t.as_py()), names[i]) for t, i in zip(texts, language, strict=True)
    )
    hashes = np.fromiter(hashed, np.int64, len(item))
    groups = np.zeros(len(has), np.int64)
    groups[arrays["passage_of"]] = arrays["group"]
    of_passages = groups[item] != 0
    known, first = np.unique(hashes[of_passages], return_index=True)
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    same = ~of_passages & (known[at] == hashes)
    groups[item[same]] = groups[item[of_passages][first]][at[same]]
    return groups


def _normalised(texts: Mapping[str, str]) -> dict[str, str]:
    return {language: normalise(text) for language, text in texts.items()}


class _Keys:
    """Hashes of the texts of one role, row by row, by which rows are the same."""

    def __init__(self) -> None:
        self.keys, self.row, self.leads = array("q"), array("q"), array("b")
        self.rows = 0

    def add(self, texts: Mapping[str, str], pivot: str | None = None) -> None:
        """Add a row's texts by language."""
        for language, text in texts.items():
            self.keys.append(text_hash(text, language))
            self.row.append(self.rows)
            self.leads.append(language == pivot)
        self.rows += 1

    def groups(self) -> np.ndarray:
        """Return the groups of rows that share a text, perhaps by way of other rows: (rows,).

        A group is the least hash of its texts in the pivot language, or of all where it has none,
        so that it is the same in every data set.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        keys, row = np.array(self.keys, np.int64), np.array(self.row, np.int64)
        _, text = np.unique(keys, return_inverse=True)
        links = np.ones(len(keys), np.int8), (row, self.rows + text)
        nodes = self.rows + int(text.max(initial=-1)) + 1
        graph = coo_array(links, shape=(nodes, nodes))
        group = connected_components(graph, directed=False)[1][row]
        order = np.lexsort((keys, np.array(self.leads) == 0, group))
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        least = keys[order][starts][np.unique(group, return_inverse=True)[1]]
        return least[np.flatnonzero(np.diff(row, prepend=-1))]

    def shared(self, groups: np.ndarray) -> int:
        """Return how many rows have a text that a row of another group has too."""
        keys, row = np.array(self.keys, np.int64), np.array(self.row, np.int64)
        pairs = np.unique(np.stack([keys, groups[row]]), axis=1)
        several, counts = np.unique(pairs[0], return_counts=True)
        return len(np.unique(row[np.isin(keys, several[counts > 1])]))


def write_linked(folder: Path, name: str, linked: Linked, pivot: str | None) -> dict[str, Any]:
    """Write rows that refer to texts by id; else as `write_rows`.

    Memory is that of the ids, 16 bytes an item, and of the references, 4 bytes each. Raises
    UserError for an id that no text has.
    """
    queries, passages = _TextWriter(folder, "query"), _TextWriter(folder, "passage")
    query_numbers = _Numbers(name, "query", (_add(queries, item) for item in linked.queries))
    passage_numbers = _Numbers(name, "passage", (_add(passages, item) for item in linked.passages))
    query_of, passage_of, negative, ends = [], [], [], array("q", [0])
    notes: Counter[str] = Counter()

    def ids() -> Iterator[str]:
        for chunk in chunks(linked.rows, CHUNK):
            query_of.append(query_numbers.of([query for query, _, _ in chunk]))
            passage_of.append(passage_numbers.of([passage for _, passage, _ in chunk]))
            named: list[str] = []
            for query, passage, negatives in chunk:
                others = [n for n in negatives if n != passage]
                notes[NO_NEGATIVE] += len(negatives) - len(others)
                named += others
                ends.append(ends[-1] + len(others))
                yield f"{query}-{passage}"
            negative.append(passage_numbers.of(named))

    write_arrow(folder / "rows.arrow", ["id"], ((id,) for id in ids()), CHUNK)
    places = _joined(passage_of)
    arrays = {
        "query_of": _joined(query_of),
        "passage_of": places,
        "negative": _joined(negative),
        "negatives_of": np.array(ends),
        "group": _scattered(name, places),
    }
    about = {"name": name, "pivot": pivot, "translations": False}
    return _finish(folder, about, queries, passages, arrays) | {"notes": dict(+notes)}


def _add(writer: "_TextWriter", item: tuple[str, Mapping[str, str]]) -> str:
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


def _finish(
    folder: Path,
    about: dict[str, Any],
    queries: _TextWriter,
    passages: _TextWriter,
    arrays: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Write what holds for all rows; return the counts."""
    names = sorted({*queries.seen(), *passages.seen()})
    queries_have, passages_have = queries.close(names), passages.close(names)
    if not len(arrays["group"]):
        raise UserError(f"{about['name']}: holds no rows")
    for key, values in arrays.items():
        np.save(folder / f"{key}.npy", values)
    total = _write_stored(folder / "stored.npy", queries_have, passages_have, arrays)
    counts = {lang: int(n) for lang, n in zip(names, total, strict=True)}
    pivot = about["pivot"] if counts.get(about["pivot"] or "") else None
    (folder / "rows.json").write_text(
        json.dumps(about | {"languages": names, "pivot": pivot}), "utf-8"
    )
    groups = len(np.unique(arrays["group"]))
    return {"rows": len(arrays["group"]), "groups": groups, "rows_by_language": counts}


def _write_stored(
    path: Path,
    queries_have: np.ndarray,
    passages_have: np.ndarray,
    arrays: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Write the languages that each row has in both roles; count the rows of each."""
    shape = (len(arrays["group"]), queries_have.shape[1])
    stored = np.lib.format.open_memmap(path, "w+", bool, shape)
    total = np.zeros(shape[1], dtype=np.int64)
    for at in range(0, shape[0], 100 * CHUNK):
        some = slice(at, at + 100 * CHUNK)
        stored[some] = (
            queries_have[arrays["query_of"][some]] & passages_have[arrays["passage_of"][some]]
        )
        total += stored[some].sum(0)
    stored.flush()
    return total
