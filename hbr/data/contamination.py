"""Which texts of an evaluation were trained on: by hash of the normalised text."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hbr.core.store import Store
from hbr.data.arrays import load_array
from hbr.data.rows import Rows
from hbr.data.tasks import Task

CHUNK = 2**20  # hashes looked up at a time
VERSION = 1  # raise it when the normalisation changes


def normalise(text: str) -> str:
    """Return a text as it counts here: NFKC, without case, with single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())  # folding may decompose


def text_hashes(texts: list[str]) -> np.ndarray:
    """Return 64 bits of BLAKE2b of each normalised text: (texts,)."""
    digests = (hashlib.blake2b(normalise(t).encode(), digest_size=8).digest() for t in texts)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def write_hashes(folder: Path, roles: Mapping[str, pa.ChunkedArray]) -> None:
    """Write the hashes of each role's texts, in their order."""
    for role, column in roles.items():
        chunks = [text_hashes(chunk.to_pylist()) for chunk in column.chunks]
        np.save(folder / f"{role}.npy", np.concatenate([np.zeros(0, np.uint64), *chunks]))


def open_hashes(folder: Path, role: str) -> np.ndarray:
    """Memory-map the hashes of a role."""
    return load_array(folder / f"{role}.npy")


def occurring(texts: np.ndarray, trained: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """Return which of some texts (n,) are among those trained on (m,), of which `used` (m,) count.

    Memory is that of the first, however many were trained on.
    """
    known, which = np.unique(texts, return_inverse=True)
    hit = np.zeros(len(known), dtype=bool)
    for chunk in _chunks(trained, used) if len(known) else ():
        at = np.minimum(np.searchsorted(known, chunk), len(known) - 1)
        hit[at[known[at] == chunk]] = True
    return hit[which]


def row_hashes(store: Store, data: Rows) -> Path:
    """Hash the texts of some rows once, the negatives among the passages."""
    columns = {"query": data.queries.column, "passage": data.passages.column}
    return _hashes(store, columns, {"rows": store.completion("rows")})


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
        wait=True,
    )
    return store.path / "hashes"


def overlap(
    sources: list[tuple[Store, Rows]], evaluated: tuple[Store, Task], *, negatives: bool = True
) -> dict[str, Any]:
    """Return the rows of each language trained on, and the texts of a task that occur in training.

    Counted are the queries that are also training queries, and the passages that are also training
    passages or, with `negatives`, negatives, in the languages trained on.
    """
    texts = task_hashes(*evaluated)
    task_queries, task_passages = (open_hashes(texts, role) for role in ("query", "passage"))
    seen_queries, seen_passages = (
        np.zeros(len(task_queries), bool),
        np.zeros(len(task_passages), bool),
    )
    languages: dict[str, int] = {}
    for store, data in sources:
        trained = row_hashes(store, data)
        for language, count in zip(data.languages, data.has.sum(0), strict=True):
            if count:
                languages[language] = languages.get(language, 0) + int(count)
        drawn = np.asarray(data.has.any(0))  # (languages,)
        answers = np.zeros(len(data.passages.has), dtype=bool)
        answers[data.passage_of] = True
        if negatives:
            answers[data.negative] = True
        queries, passages = (open_hashes(trained, role) for role in ("query", "passage"))
        seen_queries |= occurring(task_queries, queries, _cells(data.queries.has, drawn))
        used = _cells(data.passages.has, drawn, answers)
        seen_passages |= occurring(task_passages, passages, used)
    seen = {"queries": int(seen_queries.sum()), "passages": int(seen_passages.sum())}
    return {"languages": dict(sorted(languages.items())), "contamination": seen}


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
