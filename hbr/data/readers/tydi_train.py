"""Mr. TyDi's English training set: a question, its passage and passages that BM25 finds instead.

Zhang et al. (arXiv 2108.08787); https://huggingface.co/datasets/castorini/mr-tydi,
`mrtydi-v1.1-english/train.jsonl.gz`, 26.7 MB. A row is a question with its first positive passage,
title before text, and its first eight negatives: 3,547 rows, as in arXiv 2408.10536.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.data.dataset import TrainingData
from hbr.data.readers.files import Context, find, rows_with_negatives
from hbr.data.records import Id, Record, Text, records
from hbr.data.snapshot import Snapshot

NAMES = ("train.jsonl", "mrtydi-v1.1-english/train.jsonl")
REPOSITORY = "castorini/mr-tydi"
ORIGIN = f"https://huggingface.co/datasets/{REPOSITORY}"


class Question(Record):
    query_id: Id
    query: Text
    positive_passages: list[Context]
    negative_passages: list[Context]


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read `train.jsonl` or `train.jsonl.gz`, here or in `mrtydi-v1.1-english`."""
    for _, item in records(find(source, NAMES, ORIGIN), Question):
        yield from rows_with_negatives(
            item.query_id, item.query, item.positive_passages, item.negative_passages
        )


MR_TYDI_TRAIN = TrainingData(
    "mr-tydi-train", read, "Mr. TyDi, English training set", "en", "3,547 rows", "Apache-2.0",
    source=REPOSITORY, protocol="passage + negatives",
    hub=(Snapshot(REPOSITORY, ("mrtydi-v1.1-english/train.jsonl.gz",)),),
)  # fmt: skip
