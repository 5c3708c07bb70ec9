"""NewsQA: questions about articles of CNN, and the paragraph that holds the answer.

Trischler et al. (arXiv 1611.09830); made with https://github.com/Maluuba/newsqa from the articles,
which may not be passed on: `combined-newsqa-data-v1.json`.

A row is a training question whose answer the crowd agrees on, with the paragraph in which it starts
(articles are longer than any passage here, and their paragraphs a sentence or two): some 76,000.
arXiv 2408.10536 has 59,496 and does not say which are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hbr.data.dataset import TrainingData
from hbr.data.readers.files import find, row
from hbr.data.records import Id, Record, Text, items

NAME = "combined-newsqa-data-v1.json"
ORIGIN = "https://github.com/Maluuba/newsqa"


class Consensus(Record):
    s: Annotated[int, Field(ge=0)] | None = None


class Question(Record):
    q: Text
    consensus: Consensus


class Story(Record):
    type: str
    text: str
    storyId: Id | None = None
    questions: list[Question]


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read the training stories; questions that are bad or without an answer are left out."""
    for number, (_, story) in enumerate(items(find(source, [NAME], ORIGIN), Story, "data")):
        for place, question in enumerate(story.questions if story.type == "train" else ()):
            start = question.consensus.s
            passage = "" if start is None else _paragraph(story.text, start)
            if question.q and passage:
                yield row(f"{story.storyId or number}:{place}", question.q, passage)


def _paragraph(text: str, place: int) -> str:
    """Return the line of a text that holds a place, or nothing where it is outside or blank."""
    before = text.rfind("\n", 0, place) + 1
    behind = text.find("\n", place)
    return text[before : behind if behind >= 0 else len(text)].strip() if place < len(text) else ""


NEWSQA = TrainingData(
    "newsqa", read, "NewsQA", "en", "~76,000 questions", "Maluuba, research",
    source="github.com/Maluuba/newsqa", protocol="paragraph",
)  # fmt: skip
