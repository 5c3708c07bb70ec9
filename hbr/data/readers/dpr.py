"""Question and passages as DPR trains on them: `question`, `positive_ctxs`, `hard_negative_ctxs`.

Karpukhin et al. (arXiv 2004.04906): NQ is `biencoder-nq-train.json.gz` of
https://github.com/facebookresearch/DPR, 58,880 questions. EntityQuestions (Sciavolino et al.,
arXiv 2109.08535; https://github.com/princeton-nlp/EntityQuestions, some 177,000 questions to train
on) has no passages: retrieve them first, with DPR's or BM25's commands there, into this layout.

A row is a question with its first positive passage, title before text, as DPR trains, and its first
eight hard negatives; questions without a positive are left out. That gives the 176,975 rows of
EntityQuestions in arXiv 2408.10536 but for what retrieval misses, and half of its 113,535 of NQ,
whose source it does not name.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, TrainingData
from hbr.data.readers.streams import find, json_items, row, titled

NQ_FILE = "biencoder-nq-train.json"
SOURCE = "github.com/facebookresearch/DPR"
ORIGIN = f"https://{SOURCE} (data.retriever.nq-train)"


def read(source: Path | None, names: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Read one file, one of `names` in a folder, or all `*.json` and `*.json.gz` of a folder."""
    if source is not None and source.is_dir() and not names:
        files = sorted({*source.glob("*.json"), *source.glob("*.json.gz")})
        if not files:
            raise UserError(f"{source}: holds no *.json; give files in DPR's layout")
    else:
        files = [find(source, names or ["a JSON file in DPR's layout"], ORIGIN)]
    for file in files:
        stem = file.name.removesuffix(".gz").removesuffix(".json")
        for number, (where, item) in enumerate(json_items(file), start=1):
            if (pair := _row(f"{stem}:{number}", where, item)) is not None:
                yield pair


def _row(id: str, where: str, item: Any) -> dict[str, Any] | None:
    try:
        query, positives = item["question"], item["positive_ctxs"]
        negatives = [titled(c.get("title"), c["text"]) for c in item.get("hard_negative_ctxs", ())]
        if not positives or not query.strip():
            return None
        passage = titled(positives[0].get("title"), positives[0]["text"])
        return row(id, query, passage, negatives) if passage else None
    except (KeyError, TypeError, AttributeError) as error:
        lacks = "has no passages (positive_ctxs); retrieve them first"
        other = "is not in DPR's layout (question, positive_ctxs, hard_negative_ctxs)"
        bare = isinstance(item, dict) and "question" in item and "positive_ctxs" not in item
        raise UserError(f"{where}: {lacks if bare else other}") from error


NQ = TrainingData(
    "nq", partial(read, names=(NQ_FILE,)), "Natural Questions, as DPR has it", "en",
    "58,880 questions", source=SOURCE, protocol="passage + negatives",
)  # fmt: skip
ENTITY_QUESTIONS = TrainingData(
    "entity-questions", read, "EntityQuestions, with passages retrieved", "en", "questions alone",
    source="github.com/princeton-nlp/EntityQuestions", protocol="passage + negatives",
)  # fmt: skip
DPR = TrainingData(
    "dpr", read, "any files in DPR's layout", "en", licence=YOUR_FILES, source=SOURCE,
    protocol="passage + negatives",
)  # fmt: skip
