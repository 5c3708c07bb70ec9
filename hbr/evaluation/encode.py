"""Encode: the queries and passages of a task to vectors, in shards that outlive a kill."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch

from hbr.core import distributed
from hbr.core.digests import file_digest
from hbr.core.errors import UserError
from hbr.core.files import write_atomic
from hbr.core.prefetch import prefetch
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.data.arrays import load_array
from hbr.data.tasks import CHUNK
from hbr.evaluation.retriever import EmptyText, Retriever
from hbr.retrieval.vectors import ShardedVectors

logger = logging.getLogger(__name__)

SHARDS = "shards.json"
ROLES = {"queries": "query", "passages": "passage"}
MARK = ".{}.sha256"  # says of a shard that it is whole, until all are


class Shard(NamedTuple):
    """A file with the vectors of some queries or passages."""

    side: str  # "queries" or "passages"
    start: int
    stop: int
    name: str


class Texts(Protocol):
    """Queries and passages with their ids and languages, as a `Task` has them."""

    @property
    def name(self) -> str: ...
    @property
    def languages(self) -> Sequence[str]: ...
    @property
    def query_language(self) -> np.ndarray: ...
    @property
    def passage_language(self) -> np.ndarray: ...
    @property
    def queries(self) -> Any: ...
    @property
    def passages(self) -> Any: ...


def encode(
    folder: Path,
    model: Path,
    config: Config,
    task: Texts,
    device: torch.device,
    queries: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Fill a folder with the vectors of a task by the encoder in `model`.

    With `queries`, texts in place of those of the task, only these are encoded. With several
    ranks all of them call this on one folder, and the shards are dealt out among them.
    """
    return write_vectors(folder, Retriever.open(model, config, device), task, queries)


def write_vectors(
    folder: Path, retriever: Retriever, task: Texts, queries: Sequence[str] | None = None
) -> dict[str, Any]:
    """Fill a folder with vectors on all ranks, going on where a killed attempt stopped.

    Raises UserError (exit code 1) where the encoder gives a vector that is not finite.
    """
    config = retriever.config
    texts = {"queries": task.queries["text"], "passages": task.passages["text"]}
    if queries:
        texts = {"queries": pa.array(queries)}
    size = config.encode.shard_size
    shards = [s for side, column in texts.items() for s in _shards(side, len(column), size)]
    mine = distributed.dealt(shards)
    todo = [shard for shard in mine if not _is_whole(folder, shard.name)]
    total, left = (sum(stop - start for _, start, stop, _ in some) for some in (mine, todo))
    if left and distributed.rank() == 0:
        counts = ", ".join(f"{len(column):,} {side}" for side, column in texts.items())
        logger.info(f"encoding {task.name} on {retriever.device}: {counts}")
    with Progress(f"encoding {task.name}", total, "texts", total - left) as progress:
        # at a time: tokens of the next shard, vectors of this one, files of the last
        tokens = prefetch(lambda shard: _tokenize(retriever, task, shard, texts[shard.side]), todo)
        made = (
            (shard, retriever.vectors(ids, progress))
            for shard, ids in zip(todo, tokens, strict=True)
        )
        for _ in prefetch(lambda one: _write_shard(folder, task, *one, config.encode.dtype), made):
            pass
    retriever.encoder.log_clipped(task.name)
    distributed.barrier()
    if distributed.rank() == 0:
        _finish(folder, task, shards)
    total, width = sum(map(len, texts.values())), retriever.encoder.embedding_dimension
    return {"texts": total, "width": width, "device": str(retriever.device)}


def write_queries(folder: Path, config: Config, task: Texts, vectors: np.ndarray) -> None:
    """Write vectors of all queries that were made elsewhere, as `encode` would."""
    shards = _shards("queries", len(vectors), config.encode.shard_size)
    for shard in shards:
        some = vectors[shard.start : shard.stop]
        _write_shard(folder, task, shard, some, config.encode.dtype)
    _finish(folder, task, shards)


def load_vectors(folder: Path, side: str) -> ShardedVectors:
    """Return the vectors of `queries` or `passages`, memory-mapped: (texts, width), as on disk.

    Raises UserError where they are not there, and for a shard that is missing or damaged.
    """
    if not (folder / SHARDS).exists():
        raise UserError(f"{folder}: the vectors are not here; `hbr encode` makes them")
    names = json.loads((folder / SHARDS).read_text("utf-8"))
    mine = sorted((name for name in names if name.startswith(side)), key=lambda n: (len(n), n))
    return ShardedVectors([load_array(folder / name) for name in mine])


def _shards(side: str, texts: int, size: int) -> list[Shard]:
    starts = range(0, texts, size)
    return [Shard(side, at, min(at + size, texts), f"{side}-{at // size:05d}.npy") for at in starts]


def _tokenize(
    retriever: Retriever, task: Texts, shard: Shard, column: pa.Array | pa.ChunkedArray
) -> list[list[int]]:
    """Return the token ids of a shard's texts. Raises UserError for a text without any."""
    try:
        return retriever.tokenize(ROLES[shard.side], column[shard.start : shard.stop].to_pylist())
    except EmptyText as error:
        id = _texts(task, shard.side)[1]["id"][shard.start + error.place]
        raise UserError(f"{task.name}: {id} has no tokens in this encoder: leave it out") from error


def _write_shard(folder: Path, task: Texts, shard: Shard, vectors: np.ndarray, dtype: str) -> None:
    """Write a shard and its mark. Raises UserError for a vector that is not finite."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        first = _texts(task, shard.side)[1]["id"][shard.start + int(bad[0])]
        raise UserError(
            f"the encoder gives no finite vector for {len(bad)} of the {shard.side} of "
            f"{task.name}, the first being {first}; its weights are damaged: train it again with "
            "--force",
            exit_code=1,
        )
    np.save(folder / shard.name, vectors.astype(dtype))
    write_atomic(folder / MARK.format(shard.name), file_digest(folder / shard.name))


def _is_whole(folder: Path, name: str) -> bool:
    """Return whether a killed attempt left a shard whole."""
    path = folder / name
    return path.exists() and _digests(folder).get(name) == file_digest(path)


def _digests(folder: Path) -> dict[str, str]:
    """Return the digest of each shard, noted when it was written."""
    listed = folder / SHARDS
    digests = json.loads(listed.read_text("utf-8")) if listed.exists() else {}
    before, after = MARK.split("{}")
    for mark in folder.glob(MARK.format("*")):
        digests[mark.name.removeprefix(before).removesuffix(after)] = mark.read_text("utf-8")
    return digests


def _finish(folder: Path, task: Texts, shards: Sequence[Shard]) -> None:
    """Write the ids of the texts, and the list of the shards in place of their marks."""
    digests, names = _digests(folder), sorted(shard.name for shard in shards)
    if missing := [name for name in names if name not in digests]:
        raise UserError(f"{folder}: {missing[0]} was not encoded; run it again", exit_code=1)
    for side in {shard.side for shard in shards}:
        codes, texts = _texts(task, side)
        with (folder / f"{side}.tsv").open("w", encoding="utf-8") as file:
            for at in range(0, len(codes), CHUNK):
                ids = texts["id"][at : at + CHUNK].to_pylist()
                lines = zip(codes[at : at + CHUNK], ids, strict=True)
                file.writelines(f"{task.languages[code]}\t{id}\n" for code, id in lines)
    write_atomic(folder / SHARDS, json.dumps({name: digests[name] for name in names}, indent=1))
    for mark in folder.glob(MARK.format("*")):
        mark.unlink()


def _texts(task: Texts, side: str) -> tuple[np.ndarray, pa.Table]:
    """Return the languages, and the ids and texts, of the queries or passages."""
    if side == "queries":
        return task.query_language, task.queries
    return task.passage_language, task.passages
