"""MFAQ's English training set: frequently asked questions and their answers, page by page.

De Bruyn et al. (arXiv 2109.12870); https://huggingface.co/datasets/clips/mfaq,
`data/en/train.jsonl`. A row is every pair of every page: arXiv 2408.10536 has 3,567,659.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.data.dataset import TrainingData
from hbr.data.readers.files import find, row
from hbr.data.records import Id, OptionalText, Record, records
from hbr.data.snapshot import Snapshot

NAMES = ("train.jsonl", "en/train.jsonl", "data/en/train.jsonl")
ORIGIN = "https://huggingface.co/datasets/clips/mfaq"


class Pair(Record):
    question: OptionalText
    answer: OptionalText


class Page(Record):
    id: Id | None = None
    qa_pairs: list[Pair]


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read the pairs of `train.jsonl`, here or in `data/en`; a pair with an empty side is none."""
    file = find(source, NAMES, ORIGIN)
    for number, (_, page) in enumerate(records(file, Page), start=1):
        for place, pair in enumerate(page.qa_pairs, start=1):
            if pair.question and pair.answer:
                yield row(f"{page.id or number}:{place}", pair.question, pair.answer)


MFAQ = TrainingData(
    "mfaq", read, "MFAQ, English training set", "en", "3,567,659 pairs", "CC0-1.0",
    source="clips/mfaq", protocol="answer", hub=(Snapshot("clips/mfaq", ("data/en/train.jsonl",)),),
)  # fmt: skip
