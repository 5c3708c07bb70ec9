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

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.sentences import split
from hbr.data.readers.streams import find, json_items, row

SELF, PARAPHRASE = "SelfRC_train.json", "ParaphraseRC_train.json"
ORIGIN = "https://github.com/duorc/duorc"


def read(source: Path | None, name: str) -> Iterator[dict[str, Any]]:
    """Read one file of DuoRC, here or in `dataset`."""
    for where, plot in json_items(find(source, (name, f"dataset/{name}"), ORIGIN)):
        try:
            sentences = split(plot["plot"])
            questions = [(str(qa["id"]), qa["question"].strip(), _answers(qa)) for qa in plot["qa"]]
        except (KeyError, TypeError, AttributeError) as error:
            layout = "plot, qa with id, question, answers, no_answer"
            raise UserError(f"{where}: not in DuoRC's layout ({layout})") from error
        for id, question, answers in questions:
            holding = _holding(sentences, answers)
            if question and len(holding) == 1:
                yield row(id, question, holding[0])


def _answers(question: dict[str, Any]) -> list[str]:
    return [] if question["no_answer"] else [a.strip() for a in question["answers"] if a.strip()]


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
