"""NewsQA: questions about articles of CNN, and the paragraph that holds the answer.

Trischler et al. (arXiv 1611.09830); made with https://github.com/Maluuba/newsqa from the articles,
which may not be passed on: `combined-newsqa-data-v1.json`.

A row is a training question whose answer the crowd agrees on, with the paragraph in which it starts
(articles are longer than any passage here, and their paragraphs a sentence or two): some 76,000.
arXiv 2408.10536 has 59,496 and does not say which are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.streams import find, json_items, row

NAME = "combined-newsqa-data-v1.json"
ORIGIN = "https://github.com/Maluuba/newsqa"


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read the training stories; questions that are bad or without an answer are left out."""
    for number, (where, story) in enumerate(json_items(find(source, [NAME], ORIGIN), "data")):
        try:
            if story["type"] != "train":
                continue
            text, story_id = story["text"], str(story.get("storyId", number))
            questions = [(q["q"].strip(), q["consensus"].get("s")) for q in story["questions"]]
        except (KeyError, TypeError, AttributeError) as error:
            layout = "text, type, questions with q and consensus"
            raise UserError(f"{where}: not in NewsQA's layout ({layout})") from error
        for place, (question, start) in enumerate(questions):
            passage = "" if start is None else _paragraph(text, start)
            if question and passage:
                yield row(f"{story_id}:{place}", question, passage)


def _paragraph(text: str, place: int) -> str:
    """Return the line of a text that holds a place, or nothing where it is outside or blank."""
    before = text.rfind("\n", 0, place) + 1
    behind = text.find("\n", place)
    return text[before : behind if behind >= 0 else len(text)].strip() if place < len(text) else ""


NEWSQA = TrainingData(
    "newsqa", read, "NewsQA", "en", "~76,000 questions", "Maluuba, research",
    source="github.com/Maluuba/newsqa", protocol="paragraph",
)  # fmt: skip
