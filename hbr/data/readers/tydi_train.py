"""Mr. TyDi's English training set: a question, its passage and passages that BM25 finds instead.

Zhang et al. (arXiv 2108.08787); https://huggingface.co/datasets/castorini/mr-tydi,
`mrtydi-v1.1-english/train.jsonl.gz`, 26.7 MB. A row is a question with its first positive passage,
title before text, and its first eight negatives: 3,547 rows, as in arXiv 2408.10536.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.streams import find, json_lines, row, titled
from hbr.data.snapshot import Snapshot

NAMES = ("train.jsonl", "mrtydi-v1.1-english/train.jsonl")
REPOSITORY = "castorini/mr-tydi"
ORIGIN = f"https://huggingface.co/datasets/{REPOSITORY}"


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read `train.jsonl` or `train.jsonl.gz`, here or in `mrtydi-v1.1-english`."""
    for where, item in json_lines(find(source, NAMES, ORIGIN)):
        try:
            positives, negatives = (
                [titled(passage.get("title"), passage["text"]) for passage in item[field]]
                for field in ("positive_passages", "negative_passages")
            )
            query, id = item["query"].strip(), str(item["query_id"])
        except (KeyError, TypeError, AttributeError) as error:
            layout = "query_id, query, positive_passages, negative_passages"
            raise UserError(f"{where}: not in Mr. TyDi's layout ({layout})") from error
        if query and positives and positives[0]:
            yield row(id, query, positives[0], negatives)


MR_TYDI_TRAIN = TrainingData(
    "mr-tydi-train", read, "Mr. TyDi, English training set", "en", "3,547 rows", "Apache-2.0",
    source=REPOSITORY, protocol="passage + negatives",
    hub=(Snapshot(REPOSITORY, ("mrtydi-v1.1-english/train.jsonl.gz",)),),
)  # fmt: skip
