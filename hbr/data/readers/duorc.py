"""DuoRC: questions about the plots of films, and the sentence that holds the answer.

Saha et al. (arXiv 1804.07927); https://github.com/duorc/duorc, `dataset/SelfRC_train.json` (60,721
questions) and `ParaphraseRC_train.json`, which asks about another telling of the same plot.

A plot is longer than any passage here, and answers come without their place. So a row is a question
with the one sentence of the plot in which an answer occurs word for word; where there is none, or
more than one, it is left out. arXiv 2408.10536 has 33,298 rows, about half of SelfRC, and does not
say how they were chosen.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hbr.data.dataset import TrainingData
from hbr.data.readers.files import find, row
from hbr.data.records import Id, Record, Text, items
from hbr.data.sentences import split

SELF, PARAPHRASE = "SelfRC_train.json", "ParaphraseRC_train.json"
ORIGIN = "https://github.com/duorc/duorc"


class Question(Record):
    id: Id
    question: Text
    answers: list[Text]
    no_answer: bool


class Plot(Record):
    plot: str
    qa: list[Question]


def read(source: Path | None, name: str) -> Iterator[dict[str, Any]]:
    """Read one file of DuoRC, here or in `dataset`."""
    for _, plot in items(find(source, (name, f"dataset/{name}"), ORIGIN), Plot):
        sentences = split(plot.plot)
        for question in plot.qa:
            answers = [] if question.no_answer else list(filter(None, question.answers))
            holding = _holding(sentences, answers)
            if question.question and len(holding) == 1:
                yield row(question.id, question.question, holding[0])


def _holding(sentences: Sequence[str], answers: Sequence[str]) -> list[str]:
    """Return the sentences in which one of the answers occurs as whole words."""
    if not answers:
        return []
    words = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, answers))})(?!\w)", re.IGNORECASE)
    return [sentence for sentence in sentences if words.search(sentence)]


DUORC = TrainingData(
    "duorc", partial(read, name=SELF), "DuoRC, SelfRC", "en", "60,721 questions",
    source="github.com/duorc/duorc", protocol="sentence",
)  # fmt: skip
DUORC_PARAPHRASE = replace(
    DUORC, name="duorc-paraphrase", read=partial(read, name=PARAPHRASE),
    title="DuoRC, ParaphraseRC", size="",
)  # fmt: skip
