"""Encode: the queries and passages of a task to vectors, in shards that outlive a kill."""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.core.settings import Encode as EncodeConfig
from hbr.core.store import file_digest, write_atomic
from hbr.data.tasks import CHUNK, Task
from hbr.models.encoder import Encoder, token_batches
from hbr.models.loading import load
from hbr.models.precision import autocast, warn_slow_bf16
from hbr.retrieval.vectors import ShardedVectors

SHARDS = "shards.json"
MARK = ".{}.sha256"  # says of a shard that it is whole, until all are


def encode(
    folder: Path,
    model: Path,
    config: Config,
    task: Task,
    device: torch.device,
    queries: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Fill a folder with the vectors of a task, going on where a killed attempt stopped.

    With `queries`, texts in place of those of the task, only these are encoded.
    With several ranks all of them call this on one folder, and the shards are dealt out among them.
    Raises UserError (exit code 1) where the encoder gives a vector that is not finite.
    """
    distributed.broadcast(None)  # rank 0 has made the folder
    encoder = load(model, normalize=config.encoder.normalize).to(device)
    encoder.use_unpadded(config.encode.unpadded)  # says so where it cannot
    warn_slow_bf16(device, config.encode.precision)
    asked = pa.table({"id": task.queries["id"], "text": queries}) if queries else task.queries
    sides = {
        "queries": (asked, config.encoder.query_prompt, config.encoder.query_max_seq_length),
        "passages": (
            task.passages,
            config.encoder.passage_prompt,
            config.encoder.passage_max_seq_length,
        ),
    }
    if queries:
        del sides["passages"]
    size = config.encode.shard_size
    shards = [
        (side, slice(at, at + size), f"{side}-{at // size:05d}.npy")
        for side, (table, _, _) in sides.items()
        for at in range(0, len(table), size)
    ]
    mine = shards[distributed.rank() :: distributed.world_size()]
    done = _whole(folder, {name for _, _, name in mine})
    todo = [shard for shard in mine if shard[2] not in done]
    total, left = (sum(len(sides[s][0][some]) for s, some, _ in of) for of in (mine, todo))
    with Progress(f"encoding {task.name}", total, "texts", total - left) as progress:
        for side, some, name in todo:
            table, prefix, length = sides[side]
            texts = [prefix + text for text in table["text"][some].to_pylist()]
            vectors = _vectors(encoder, texts, length, config.encode, device, progress)
            _check(vectors, task, side, table["id"][some].to_pylist())
            np.save(folder / name, vectors.astype(config.encode.dtype))
            write_atomic(folder / MARK.format(name), file_digest(folder / name))
    distributed.barrier()
    if distributed.rank() == 0:
        _finish(folder, task, sides, {name for _, _, name in shards})
    every = sum(len(table) for table, _, _ in sides.values())
    return {"texts": every, "width": encoder.embedding_dimension, "device": str(device)}


def write_queries(folder: Path, config: Config, task: Task, vectors: np.ndarray) -> None:
    """Write vectors of all queries that were made elsewhere, as `encode` would."""
    names = set()
    for at in range(0, len(vectors), config.encode.shard_size):
        name = f"queries-{at // config.encode.shard_size:05d}.npy"
        some = vectors[at : at + config.encode.shard_size]
        _check(some, task, "queries", task.queries["id"][at : at + len(some)].to_pylist())
        np.save(folder / name, some.astype(config.encode.dtype))
        write_atomic(folder / MARK.format(name), file_digest(folder / name))
        names.add(name)
    _finish(folder, task, ("queries",), names)


def load_vectors(folder: Path, side: str) -> ShardedVectors:
    """Return the vectors of `queries` or `passages`, memory-mapped: (texts, width), as on disk.

    Raises UserError for a shard that is missing, cut short or altered.
    """
    digests = json.loads((folder / SHARDS).read_text())
    parts = []
    for name in sorted(name for name in digests if name.startswith(side)):
        path = folder / name
        if not path.exists() or file_digest(path) != digests[name]:
            raise UserError(f"{path} is damaged; delete {folder} and run the command again")
        parts.append(np.load(path, mmap_mode="r"))
    return ShardedVectors(parts)


def _whole(folder: Path, names: Collection[str]) -> set[str]:
    """Return those of some shards that a killed attempt left whole."""
    return {
        name
        for name, digest in _digests(folder).items()
        if name in names and (folder / name).exists() and file_digest(folder / name) == digest
    }


def _digests(folder: Path) -> dict[str, str]:
    """Return what was noted of shards when they were written."""
    listed = folder / SHARDS
    digests = json.loads(listed.read_text()) if listed.exists() else {}
    before, after = MARK.split("{}")
    for mark in folder.glob(MARK.format("*")):
        digests[mark.name.removeprefix(before).removesuffix(after)] = mark.read_text()
    return dict(sorted(digests.items()))


def _finish(folder: Path, task: Task, sides: Iterable[str], names: Collection[str]) -> None:
    """Write what is read of all shards together."""
    digests = _digests(folder)
    if missing := sorted(set(names) - digests.keys()):
        raise UserError(f"{folder}: {missing[0]} was not encoded; run it again", exit_code=1)
    tables = {
        "queries": (task.query_language, task.queries),
        "passages": (task.passage_language, task.passages),
    }
    for side in sides:
        _write_ids(folder / f"{side}.tsv", task, *tables[side])
    write_atomic(folder / SHARDS, json.dumps({n: digests[n] for n in sorted(names)}, indent=1))
    for mark in folder.glob(MARK.format("*")):
        mark.unlink()


def _write_ids(path: Path, task: Task, codes: np.ndarray, table: pa.Table) -> None:
    with path.open("w", encoding="utf-8") as file:
        for at in range(0, len(table), CHUNK):
            some = zip(
                codes[at : at + CHUNK], table["id"][at : at + CHUNK].to_pylist(), strict=True
            )
            file.writelines(f"{task.languages[code]}\t{name}\n" for code, name in some)


@torch.inference_mode()
def _vectors(
    encoder: Encoder,
    texts: list[str],
    length: int,
    settings: EncodeConfig,
    device: torch.device,
    progress: Progress,
) -> np.ndarray:
    """Encode texts, longest first, in batches under a token budget: (texts, width)."""
    tokens = encoder.tokenize(texts, length)
    vectors = np.empty((len(texts), encoder.embedding_dimension), dtype=np.float32)
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    unpadded = settings.unpadded and encoder.supports_unpadded
    # a GPU may pad for attention alone
    spare = unpadded and device.type == "cpu"
    batches = token_batches(lengths, settings.token_budget, unpadded=spare)
    # one block for all batches: weights are rounded once, not in each
    with autocast(device, settings.precision):
        for some in batches:
            found = encoder.encode([tokens[i] for i in some], device, unpadded=unpadded)
            vectors[some] = found.float().cpu().numpy()
            progress.advance(len(some))
    return vectors


def _check(vectors: np.ndarray, task: Task, side: str, ids: list[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise UserError(
            f"the encoder gives no finite vector for {len(bad)} of the {side} of {task.name}, the "
            f"first being {ids[bad[0]]}; its weights are damaged: train it again with --force",
            exit_code=1,
        )
