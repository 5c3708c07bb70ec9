"""Which texts of an evaluation were trained on: by hash of the normalised text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hbr.core.store import Store
from hbr.data.arrays import load_array
from hbr.data.hashes import normalise, text_hash
from hbr.data.rows import ROLES, Rows
from hbr.data.sentences import split
from hbr.data.tasks import Task

Source = tuple[Store, Rows]
PERMUTATIONS, BANDS = 128, 32  # of MinHash: similar by .5, two are looked at in 87 % of cases
CHUNK = 2**20  # hashes looked up at a time
VERSION = 2  # raise it when the normalisation changes


def text_hashes(texts: list[str]) -> np.ndarray:
    """Return the hash of each text, normalised: (texts,)."""
    return np.fromiter(map(text_hash, map(normalise, texts)), np.int64, len(texts))


def write_hashes(folder: Path, roles: Mapping[str, pa.ChunkedArray]) -> None:
    """Write the hashes of each role's texts, in their order."""
    for role, column in roles.items():
        chunks = [text_hashes(chunk.to_pylist()) for chunk in column.chunks]
        np.save(folder / f"{role}.npy", np.concatenate([np.zeros(0, np.int64), *chunks]))


def open_hashes(folder: Path, role: str) -> np.ndarray:
    """Memory-map the hashes of a role."""
    return load_array(folder / f"{role}.npy")


def occurring(
    texts: np.ndarray, trained: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> np.ndarray:
    """Return which of some texts (n,) are among those trained on.

    These come in parts (m,), each with a mask (m,) of those that count, None where all do. Memory
    is that of the texts, however many were trained on.
    """
    known, which = np.unique(texts, return_inverse=True)
    hit = np.zeros(len(known), dtype=bool)
    for part, used in trained if len(known) else ():
        for chunk in _chunks(part, used):
            at = np.minimum(np.searchsorted(known, chunk), len(known) - 1)
            hit[at[known[at] == chunk]] = True
    return hit[which]


def row_hashes(store: Store, data: Rows) -> Path:
    """Hash the texts of some rows once, the negatives among the passages."""
    return _hashes(store, _row_texts(data), {"rows": store.completion("rows")})


def _row_texts(data: Rows) -> dict[str, pa.ChunkedArray]:
    return {"query": data.queries.column, "passage": data.passages.column}


def task_hashes(store: Store, data: Task) -> Path:
    """Hash the texts of a task once."""
    columns = {"query": data.queries["text"], "passage": data.passages["text"]}
    return _hashes(store, columns, {"task": store.completion("task")})


def _hashes(store: Store, columns: dict[str, pa.ChunkedArray], inputs: dict[str, str]) -> Path:
    settings = {"version": VERSION}
    store.build(
        "hashes",
        lambda folder: write_hashes(folder, columns),
        settings=settings,
        inputs=inputs,
    )
    return store.path / "hashes"


def overlap(
    sources: Sequence[Source],
    evaluated: tuple[Store, Task],
    *,
    negatives: bool = True,
    validation: Sequence[Source] = (),
    chosen_on: tuple[Store, Task] | None = None,
    near_duplicates: float | None = None,
) -> dict[str, Any]:
    """Return the rows of each language trained on, and the texts of a task that occur in training.

    Counted are the queries and the passages that are also training queries or passages or, with
    `negatives`, negatives, in the languages trained on; those that the validation rows have, or the
    task on which the checkpoint was chosen; and on request those that a training text is so similar
    to: see `near`.
    """
    texts = task_hashes(*evaluated)
    hashes = {role: open_hashes(texts, role) for role in ROLES}
    counts: defaultdict[Path, Counter[str]] = defaultdict(Counter)
    for store, data in sources:  # rows that were trained on twice count once
        rows = map(int, data.has.sum(0))
        counts[store.path] |= Counter(dict(zip(data.languages, rows, strict=True)))
    languages = sum(counts.values(), Counter[str]())
    seen: dict[str, Any] = {
        "languages": dict(sorted(languages.items())),
        "contamination": _counts(_occurring(hashes, sources, negatives)),
    }
    if validation:
        seen["validation"] = _counts(_occurring(hashes, validation, negatives))
    if chosen_on:
        other = task_hashes(*chosen_on)
        same = [(open_hashes(other, role), None) for role in ROLES]
        seen["validation"] = _counts({r: occurring(some, same) for r, some in hashes.items()})
    if near_duplicates is not None:
        task = {"query": evaluated[1].queries["text"], "passage": evaluated[1].passages["text"]}
        similar = near(
            {role: column.to_pylist() for role, column in task.items()},
            _used_texts(sources, negatives),
            near_duplicates,
        )
        seen["near_duplicates"] = _counts(similar)
    return seen


def _counts(seen: Mapping[str, np.ndarray]) -> dict[str, int]:
    return {"queries": int(seen["query"].sum()), "passages": int(seen["passage"].sum())}


def _occurring(
    hashes: Mapping[str, np.ndarray], sources: Sequence[Source], negatives: bool
) -> dict[str, np.ndarray]:
    """Return which texts of each role of a task are among the texts of some rows."""
    trained = [
        (open_hashes(row_hashes(store, data), role), used)
        for store, data in sources
        for role, used in _used(data, negatives).items()
    ]
    return {role: occurring(some, trained) for role, some in hashes.items()}


def _used(data: Rows, negatives: bool) -> dict[str, np.ndarray]:
    """Return which cells of each role may be drawn, (cells,)."""
    drawn = np.asarray(data.has.any(0))  # (languages,)
    answers = np.zeros(len(data.passages.has), dtype=bool)
    answers[data.passage_of] = True
    if negatives:
        answers[data.negative] = True
    return {
        "query": _cells(data.queries.has, drawn),
        "passage": _cells(data.passages.has, drawn, answers),
    }


def _used_texts(sources: Sequence[Source], negatives: bool) -> Iterator[str]:
    for _, data in sources:
        columns = _row_texts(data)
        for role, used in _used(data, negatives).items():
            at = 0
            for chunk in columns[role].chunks:
                yield from chunk.filter(pa.array(used[at : at + len(chunk)])).to_pylist()
                at += len(chunk)


def near(
    texts: Mapping[str, Sequence[str]], trained: Iterable[str], similarity: float
) -> dict[str, np.ndarray]:
    """Return which texts of each role, (texts,), a training text or a sentence in it is near to.

    Near is an estimated Jaccard similarity of their sets of five characters, after normalisation,
    by MinHash (Broder 1997); memory is that of the texts.
    """
    from rensa import RMinHash, RMinHashLSH

    def minhash(text: str) -> Any:
        shingles = RMinHash(num_perm=PERMUTATIONS, seed=1)
        shingles.update([text[at : at + 5] for at in range(max(1, len(text) - 4))])
        return shingles

    places: dict[str, list[tuple[str, int]]] = {}
    for role, some in texts.items():
        for place, text in enumerate(some):
            places.setdefault(normalise(text), []).append((role, place))
    known = [(minhash(text), where) for text, where in places.items()]
    lookup = RMinHashLSH(threshold=similarity, num_perm=PERMUTATIONS, num_bands=BANDS)
    for number, (signature, _) in enumerate(known):
        lookup.insert(number, signature)
    seen = {role: np.zeros(len(some), dtype=bool) for role, some in texts.items()}
    done: set[int] = set()
    for text in trained:
        for part in {normalise(piece) for piece in (text, *split(text))}:
            signature = minhash(part)
            for number in set(lookup.query(signature)) - done:
                if signature.jaccard(known[number][0]) >= similarity:
                    done.add(number)
                    for role, place in known[number][1]:
                        seen[role][place] = True
    return seen


def _cells(has: np.ndarray, languages: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
    """Return which cells (cells,) are in some languages and of some items, by masks."""
    parts = [np.zeros(0, dtype=bool)]
    for at in range(0, len(has), 2**18):
        item, language = np.nonzero(has[at : at + 2**18])
        chosen = languages[language]
        parts.append(chosen if items is None else chosen & items[at + item])
    return np.concatenate(parts)


def _chunks(trained: np.ndarray, used: np.ndarray | None) -> Iterator[np.ndarray]:
    for at in range(0, len(trained), CHUNK):
        chunk = np.asarray(trained[at : at + CHUNK])
        yield chunk if used is None else chunk[used[at : at + CHUNK]]
