"""A TREC run and its judgements, for other evaluation tools."""

import gzip
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from hbr.data.tasks import Task
from hbr.evaluation.ranking import Vectors
from hbr.retrieval.exact import relevant_pairs
from hbr.retrieval.top_k import top_k

DEPTH = 1000  # passages a query


def write_trec(folder: Path, task: Task, vectors: Vectors) -> None:
    """Write the multi setting as `run.trec.gz` (best 1,000 a query) and `qrels.trec`.

    Ids carry their language, `de:56be…`, since parallel data sets share ids across languages.
    """
    query_ids = _ids(task, task.query_language, task.queries)
    passage_ids = _ids(task, task.passage_language, task.passages)
    with gzip.open(folder / "run.trec.gz", "wt", encoding="utf-8", compresslevel=3) as file:
        lines = chain.from_iterable(zip(*block, strict=True) for block in top_k(*vectors, DEPTH))
        for query, (scores, places) in enumerate(lines):
            kept = places != task.excluded[task.concept[query]]
            ranked = zip(places[kept], scores[kept], strict=True)
            file.writelines(
                f"{query_ids[query]} Q0 {passage_ids[place]} {rank} {score:.9g} hbr\n"
                for rank, (place, score) in enumerate(ranked, start=1)
            )
    pairs = relevant_pairs(task.concept, task.indptr, task.relevant)
    gains = relevant_pairs(task.concept, task.indptr, task.gain)[1]
    judged = zip(*pairs, gains, strict=True)
    qrels = (f"{query_ids[q]} 0 {passage_ids[p]} {g}\n" for q, p, g in judged)
    (folder / "qrels.trec").write_text("".join(qrels), encoding="utf-8")


def _ids(task: Task, codes: np.ndarray, texts: pa.Table) -> list[str]:
    ids = texts["id"].to_pylist()
    return [f"{task.languages[code]}:{id}" for code, id in zip(codes, ids, strict=True)]
