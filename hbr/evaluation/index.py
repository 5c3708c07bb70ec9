"""Index: faiss over the passages of a task, one index for each language and one for the pool."""

from pathlib import Path
from typing import Any

import numpy as np

from hbr.core.settings import Config
from hbr.data.tasks import Task
from hbr.retrieval.faiss_index import build_index
from hbr.retrieval.top_k import top_k

POOL = "pool"
SAMPLE = 1000  # queries that the recall is measured on
NEAREST = 10


def index(folder: Path, config: Config, task: Task, queries: Any, passages: Any) -> dict[str, Any]:
    """Fill a folder with indexes over the passages of a task, arrays or stacks of shards.

    Gives the share of the exact ten nearest passages that the pool's index finds.
    """
    import faiss

    queries, passages = np.asarray(queries), np.asarray(passages)
    parameters = config.index.model_dump(exclude={"top_k"})
    recall = 0.0
    places = {**dict(zip(task.languages, task.blocks, strict=True)), POOL: slice(None)}
    for name, place in places.items():
        built = build_index(passages[place], **parameters)
        faiss.write_index(built, str(folder / f"{name}.faiss"))
        if name == POOL:
            recall = _recall(built, queries, passages)
    return {f"recall@{NEAREST}_of_exact": recall, "passages": len(passages)}


def load_index(folder: Path, name: str) -> Any:
    """Open the index of one language, or of the pool."""
    import faiss

    return faiss.read_index(str(folder / f"{name}.faiss"))


def _recall(built: Any, queries: np.ndarray, passages: np.ndarray) -> float:
    some = np.linspace(0, len(queries) - 1, min(SAMPLE, len(queries))).astype(int)
    asked = np.ascontiguousarray(queries[some], dtype=np.float32)
    least = np.concatenate([scores[:, -1] for scores, _ in top_k(asked, passages, NEAREST)])
    _, found = built.search(asked, min(NEAREST, len(passages)))
    near = np.asarray(passages, dtype=np.float32)[found]  # (queries, nearest, width)
    scores = np.einsum("qd,qnd->qn", asked, near)
    hits = (scores >= least[:, None] - 1e-6) & (found >= 0)  # whichever of equals was found
    return float(hits.mean())
