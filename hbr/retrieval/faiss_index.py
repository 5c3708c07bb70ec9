"""faiss indexes over passages, for those who search approximately."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import faiss


def build_index(
    passages: np.ndarray,
    kind: str,
    *,
    nlist: int | None = None,
    nprobe: int = 8,
    m: int = 32,
    ef_search: int = 64,
) -> "faiss.Index":
    """Build a faiss index over unit vectors (passages, dimension), ordered by inner product.

    `flat`; `ivf` with `nlist` cells, `nprobe` of them searched; `hnsw` with `m` neighbors a node
    and `ef_search` candidates while searching; `pq` with `m` sub-quantizers. A corpus too small to
    train such a quantizer gets a smaller one; one passage or none gets a flat index.
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
    else:
        bits = max(1, min(8, count.bit_length() - 1))  # 2**bits centroids need as many vectors
        parts = max(n for n in range(1, m + 1) if dimension % n == 0)
        index = faiss.IndexPQ(dimension, parts, bits, metric)
        index.pq.cp.min_points_per_centroid = 1
    vectors = np.ascontiguousarray(passages, dtype=np.float32)
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return index
