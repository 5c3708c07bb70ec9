"""WikiQA: questions of Bing's log, and sentences of a Wikipedia summary marked as answers or not.

Yang et al., EMNLP 2015 (https://aclanthology.org/D15-1237); WikiQACorpus, `WikiQA.tsv`.

A row is a sentence marked as an answer; those of its question that are not are its negatives. All
splits have 1,473 such, which comes nearest to the 1,469 of arXiv 2408.10536 (`WikiQA-train.tsv`
alone: 1,040). The group is the document: a question's other answers are no negatives.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.files import find, row
from hbr.data.records import lines

NAMES = ("WikiQA.tsv", "WikiQA-train.tsv")
HEADER = "QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel"
ORIGIN = "https://www.microsoft.com/en-us/download/details.aspx?id=52419"


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read `WikiQA.tsv`, or else `WikiQA-train.tsv`."""
    file = find(source, NAMES, ORIGIN)
    for _, records in groupby(_records(file), key=lambda record: record["QuestionID"]):
        candidates = list(records)
        negatives = [r["Sentence"].strip() for r in candidates if r["Label"] == "0"]
        for record in candidates:
            if record["Label"] == "1" and record["Sentence"].strip() and record["Question"].strip():
                id = f"{record['QuestionID']}:{record['SentenceID']}"
                texts = record["Question"].strip(), record["Sentence"].strip()
                pair = row(id, *texts, negatives)
                yield {**pair, "group": record["DocumentID"]}


def _records(file: Path) -> Iterator[dict[str, str]]:
    for number, line in lines(file):
        if number == 1:
            if line != HEADER:
                raise UserError(f"{file}:1: its header is not WikiQA's: {HEADER.split()}")
            continue
        values = line.split("\t")
        if len(values) != 7 or values[-1] not in ("0", "1"):
            raise UserError(f"{file}:{number}: has not WikiQA's seven columns, the last 0 or 1")
        yield dict(zip(HEADER.split(), values, strict=True))


WIKIQA = TrainingData(
    "wikiqa", read, "WikiQA", "en", "1,473 answers", "MSR Data License",
    source="www.microsoft.com/en-us/download/details.aspx?id=52419",
    protocol="sentence + negatives",
)  # fmt: skip
