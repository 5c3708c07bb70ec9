"""SQuAD v1.1, its translations in XTREME and SQuADShifts: questions and the answer's sentence.

Rajpurkar et al. (arXiv 1606.05250, `train-v1.1.json`), 87,599 questions; Hu et al., XTREME (arXiv
2003.11080, `squad.translate.train.en-<language>.json`), which LAReQA trains on (arXiv 2004.05484);
Miller et al. (arXiv 2004.14444, four files), for validation.

The passage is the sentence in which the answer starts, as LAReQA's candidates are; `*_CONTEXT`
puts its paragraph behind it. The group is the paragraph: sentence bounds, found by their marks
here, differ by language, and a sentence beside the answer's is a doubtful negative.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.files import by_stem, find
from hbr.data.readers.joined import join
from hbr.data.records import Id, Record, Text, items
from hbr.data.sentences import sentence_at

CONTEXT: Any = {"title": "the same, with paragraphs", "protocol": "sentence + context"}
ENGLISH = "train-v1.1.json"
PREFIX = "squad.translate.train.en-"
ORIGIN = "https://rajpurkar.github.io/SQuAD-explorer"
SHIFTS = [f"{name}_v1.0.json" for name in ("new_wiki", "nyt", "reddit", "amazon_reviews")]
SHIFTS_ORIGIN = "https://github.com/modestyachts/squadshifts-website"


class Answer(Record):
    answer_start: int


class Question(Record):
    id: Id
    question: Text
    answers: list[Answer]


class Paragraph(Record):
    context: str
    qas: list[Question]


class Article(Record):
    paragraphs: list[Paragraph]


def read(source: Path | None, context: bool = False) -> Iterator[dict[str, Any]]:
    """Read SQuAD's training file, and from a folder its translations too, joined by question."""
    if source is not None and source.is_file():
        stem = source.name.removesuffix(".gz").removesuffix(".json")
        language = stem.removeprefix(PREFIX) if stem.startswith(PREFIX) else "en"
        files = {language: source}
    else:
        files = {"en": find(source, [ENGLISH], ORIGIN)}
        for folder in (source, source / "translate-train") if source else ():
            for stem, file in by_stem(folder, ".json").items():
                if stem.startswith(PREFIX):
                    files[stem.removeprefix(PREFIX)] = file
    with tempfile.TemporaryDirectory() as place:
        plain = {language: Path(place) / f"{language}.jsonl" for language in files}
        for language, path in plain.items():
            with path.open("w", encoding="utf-8") as out:
                for line in _lines(files[language], context):
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
        try:
            yield from join(plain)
        except UserError as error:
            raise UserError(str(error).replace(place, str(source))) from error


def read_shifts(source: Path | None, context: bool = False) -> Iterator[dict[str, Any]]:
    """Read SQuADShifts: all four domains from a folder, or one file."""
    one = source is not None and source.is_file()
    files = [find(source, [name], SHIFTS_ORIGIN) for name in (SHIFTS[:1] if one else SHIFTS)]
    for file in files:
        for line in _lines(file, context):
            query, passage = {"en": line["query"]}, {"en": line["passage"]}
            group = f"{file.stem}:{line['group']}"
            yield {"id": line["id"], "group": group, "query": query, "passage": passage}


def _lines(file: Path, context: bool) -> Iterator[dict[str, str]]:
    """Yield the questions of a SQuAD file, but those whose answer is not in the paragraph."""
    for a, (_, article) in enumerate(items(file, Article, "data")):
        for p, paragraph in enumerate(article.paragraphs):
            text = paragraph.context
            for question in paragraph.qas:
                start = question.answers[0].answer_start if question.answers else -1
                if not question.question or not 0 <= start < len(text) or not text.strip():
                    continue
                passage = sentence_at(text, start)
                if context:
                    passage = f"{passage} {text.strip()}"
                ids = {"id": question.id, "group": f"{a}.{p}"}
                yield {**ids, "query": question.question, "passage": passage}


SQUAD = TrainingData(
    "squad", read, "SQuAD v1.1, with translations", "en, and translations", "87,599 questions",
    "CC BY-SA 4.0", source="rajpurkar.github.io/SQuAD-explorer", protocol="sentence",
)  # fmt: skip
SQUAD_CONTEXT = replace(SQUAD, name="squad-context", read=partial(read, context=True), **CONTEXT)
SQUADSHIFTS = TrainingData(
    "squadshifts", read_shifts, "SQuADShifts, for validation", "en",
    source="github.com/modestyachts/squadshifts-website", protocol="sentence",
)  # fmt: skip
SQUADSHIFTS_CONTEXT = replace(
    SQUADSHIFTS, name="squadshifts-context", read=partial(read_shifts, context=True), **CONTEXT
)
