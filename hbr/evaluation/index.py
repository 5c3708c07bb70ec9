"""Index: faiss over the passages of a task, one index for each language and one for the pool."""

from pathlib import Path
from typing import Any

import numpy as np

from hbr.core.settings import Config
from hbr.core.target import folder_name
from hbr.data.tasks import Task
from hbr.retrieval.faiss_index import build_index
from hbr.retrieval.top_k import top_k
from hbr.retrieval.vectors import ShardedVectors, as_shards

POOL = ""  # which no language is called
SAMPLE = 1000  # queries that the recall is measured on
NEAREST = 10


def index(folder: Path, config: Config, task: Task, queries: Any, passages: Any) -> dict[str, Any]:
    """Fill a folder with indexes over the passages of a task.

    Vectors are arrays or shards, (texts, dimension). Returns the share of the exact ten nearest
    passages that the index of the pool finds.
    """
    import faiss

    queries, passages = np.asarray(queries), as_shards(passages)
    parameters = config.index.model_dump(exclude={"top_k"})
    blocks = zip((*task.languages, POOL), (*task.blocks, slice(None)), strict=True)
    for name, block in blocks:  # the pool comes last
        built = build_index(passages.view(block), **parameters)
        faiss.write_index(built, str(index_file(folder, name)))
    recall = _recall(built, queries, passages)
    return {f"recall@{NEAREST}_of_exact": recall, "passages": len(passages)}


def load_index(folder: Path, name: str) -> Any:
    """Return the index of one language, or of the pool."""
    import faiss

    return faiss.read_index(str(index_file(folder, name)))


def index_file(folder: Path, name: str) -> Path:
    stem = "pool" if name == POOL else folder_name("\0pool" if name == "pool" else name)
    return folder / f"{stem}.faiss"


def _recall(built: Any, queries: np.ndarray, passages: ShardedVectors) -> float:
    sample = np.linspace(0, len(queries) - 1, min(SAMPLE, len(queries))).astype(int)
    some = np.ascontiguousarray(queries[sample], dtype=np.float32)
    least = np.concatenate([scores[:, -1] for scores, _ in top_k(some, passages, NEAREST)])
    _, places = built.search(some, min(NEAREST, len(passages)))
    found = passages.take(np.maximum(places, 0).ravel()).astype(np.float32)
    nearest = found.reshape(*places.shape, -1)  # (queries, nearest, dimension)
    scores = np.einsum("qd,qnd->qn", some, nearest)
    lengths = np.linalg.norm(some, axis=1)[:, None] * np.linalg.norm(nearest, axis=2)
    rounding = 1e-6 * np.maximum(1, lengths)
    hits = (scores >= least[:, None] - rounding) & (places >= 0)  # equal passages are all right
    return float(hits.mean())
