"""Yahoo's non-factoid questions (nfL6) and the answers voted best.

Cohen and Croft (ICTIR 2016); https://ciir.cs.umass.edu/downloads/nfL6, `nfL6.json.gz`, of Yahoo's
Webscope L6. A row is a question with its best answer: 87,361. arXiv 2408.10536 has 135,557 rows of
a "Yahoo QA" that it does not describe; Webscope L5 (142,627 manner questions) is nearer in size,
but comes under a licence of its own: bring it as JSON lines.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.data.dataset import TrainingData
from hbr.data.readers.files import find, row
from hbr.data.records import Id, Record, Text, items

ORIGIN = "https://ciir.cs.umass.edu/downloads/nfL6"


class Question(Record):
    id: Id
    question: Text
    answer: Text


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read `nfL6.json` or `nfL6.json.gz`."""
    for _, item in items(find(source, ["nfL6.json"], ORIGIN), Question):
        if item.question and item.answer:
            yield row(item.id, item.question, item.answer)


YAHOO_QA = TrainingData(
    "yahoo-qa", read, "Yahoo's non-factoid questions, nfL6", "en", "87,361 questions",
    "Webscope, research", source="ciir.cs.umass.edu/downloads/nfL6", protocol="answer",
)  # fmt: skip
