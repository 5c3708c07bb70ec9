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
from hbr.data.readers.files import Context, by_stem, find, rows_with_negatives
from hbr.data.records import Record, Text, items

NQ_FILE = "biencoder-nq-train.json"
SOURCE = "github.com/facebookresearch/DPR"
ORIGIN = f"https://{SOURCE} (data.retriever.nq-train)"


class Question(Record):
    remedy = "a question without passages (positive_ctxs) needs them retrieved first"
    question: Text
    positive_ctxs: list[Context]
    hard_negative_ctxs: list[Context] | None = None


def read(source: Path | None, names: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Read one file, one of `names` in a folder, or all `*.json` and `*.json.gz` of a folder."""
    if source is not None and source.is_dir() and not names:
        files = [*by_stem(source, ".json").values()]
        if not files:
            raise UserError(f"{source}: holds no *.json; give files in DPR's layout")
    else:
        files = [find(source, names or ["a JSON file in DPR's layout"], ORIGIN)]
    for file in files:
        stem = file.name.removesuffix(".gz").removesuffix(".json")
        for number, (_, item) in enumerate(items(file, Question), start=1):
            yield from rows_with_negatives(
                f"{stem}:{number}",
                item.question,
                item.positive_ctxs,
                item.hard_negative_ctxs or (),
            )


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
