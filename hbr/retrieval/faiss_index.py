"""faiss indexes over passages, for those who search approximately."""

from typing import TYPE_CHECKING

import numpy as np

from hbr.core.errors import UserError
from hbr.retrieval.vectors import ShardedVectors, as_shards

if TYPE_CHECKING:
    import faiss


def build_index(
    passages: np.ndarray | ShardedVectors,
    kind: str,
    *,
    nlist: int | None = None,
    nprobe: int = 8,
    m: int = 32,
    ef_search: int = 64,
    memory_mb: float = 4096,
) -> "faiss.Index":
    """Build a faiss index over unit vectors (passages, dimension), ordered by inner product.

    `flat`; `ivf` with `nlist` cells, `nprobe` of them searched; `hnsw` with `m` neighbors a node
    and `ef_search` candidates while searching; `pq` with `m` sub-quantizers. A corpus too small to
    train such a quantizer gets a smaller one; one passage or none gets a flat index. Passages
    that need more than `memory_mb` in float32 are added in parts, and a quantizer is trained on as
    many of them, evenly spread, as fit.
    """
    import faiss

    count, dimension = passages.shape
    index: faiss.Index
    metric = faiss.METRIC_INNER_PRODUCT
    if kind == "flat" or count < 2:
        index = faiss.IndexFlatIP(dimension)
    elif kind == "ivf":
        cells = min(nlist or max(1, round(count**0.5)), count)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, cells, metric)
        index.cp.min_points_per_centroid = 1  # faiss warns below 39, line upon line
        index.nprobe = min(nprobe, cells)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, m, metric)
        index.hnsw.efSearch = ef_search
    elif kind != "pq":
        raise UserError(f"there is no index {kind!r}; name flat, ivf, hnsw or pq")
    else:
        bits = max(1, min(8, count.bit_length() - 1))  # 2**bits centroids need as many vectors
        parts = max(n for n in range(1, m + 1) if dimension % n == 0)
        index = faiss.IndexPQ(dimension, parts, bits, metric)
        index.pq.cp.min_points_per_centroid = 1
    shards = as_shards(passages)
    size = max(1, int(memory_mb * 2**20 / (4 * dimension)))  # all at once where memory allows it
    if not index.is_trained:
        step = -(-count // size)
        index.train(_float32(shards.take(np.arange(0, count, step)) if step > 1 else shards[:]))
    for start in range(0, count, size):
        index.add(_float32(shards[start : start + size]))
    return index


def _float32(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, dtype=np.float32)
