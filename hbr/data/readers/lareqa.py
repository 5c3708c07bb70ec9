"""LAReQA's layout: SQuAD-style JSON, one file per language, with sentence boundaries.

Roy et al., LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool
(arXiv 2004.05484). XQuAD-R and MLQA-R are published so.

XQuAD-R has 48 articles, the same and in the same order in each language. `xquad-r:heldout` is a
quarter of them, drawn by `held_out`, and `xquad-r:train` the rows of the others: an encoder trained
on these never saw an article of the former, in any language.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Len

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, Dataset, TrainingData, language_list
from hbr.data.fetch import Remote, listed
from hbr.data.readers import squad
from hbr.data.readers.files import by_stem
from hbr.data.records import Record, items
from hbr.data.tasks import EvaluationData, Passage, Query

SOURCE = "github.com/google-research-datasets/lareqa"
RAW = "https://raw.githubusercontent.com/google-research-datasets/lareqa"
REVISION = "9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c"
MLQA_REVISION = "354d67d1cd066854cdfbf5ad0e6105528976141d"  # the last of upstream's that has it
XQUAD_R_FILES = listed("xquad-r.sha256", f"{RAW}/{REVISION}/xquad-r")
MLQA_R_FILES = listed("mlqa-r.sha256", f"{RAW}/{MLQA_REVISION}/mlqa-r")
SPLIT_SEED = 0  # of `held_out`
Articles = Iterable[tuple[str, "Article"]]  # each with where it stands


class Question(squad.Question):
    answers: Annotated[list[squad.Answer], Len(min_length=1)]


class Paragraph(squad.Paragraph):
    qas: list[Question]  # type: ignore[assignment]
    sentence_breaks: list[Annotated[list[int], Len(2, 2)]]


class Article(Record):
    remedy = "LAReQA's layout is data / paragraphs / context, qas, sentence_breaks"
    paragraphs: list[Paragraph]


def read(source: Path | None, passage: str) -> EvaluationData:
    """Read every `<language>.json` in a folder."""
    assert source is not None
    files = by_stem(source, ".json")
    if not files:
        raise UserError(f"{source}: holds no <language>.json file in LAReQA's layout")
    return parse({name: items(file, Article, "data") for name, file in files.items()}, passage)


def read_whole(
    source: Path | None, passage: str, *, name: str, files: Mapping[str, Remote]
) -> EvaluationData:
    """Read a data set of which all languages must be there."""
    return parse(_whole(source, name, files), passage)


def read_held_out(source: Path | None, passage: str) -> EvaluationData:
    """Read the articles of XQuAD-R that `xquad-r:train` leaves out."""
    articles = _whole(source, "XQuAD-R", XQUAD_R_FILES)
    data = parse(_part(articles, lambda number, out: number in out), passage)
    return data._replace(protocol=f"{data.protocol}; {SPLIT}")


def read_train(source: Path | None) -> Iterator[dict[str, Any]]:
    """Yield the other articles as parallel rows: a question, and the sentence that answers it.

    Rows have no group of their own: those with the same passage in any language form one, so that a
    sentence which two questions share in one translation alone is no negative either.
    """
    articles = _whole(source, "XQuAD-R", XQUAD_R_FILES)
    data = parse(_part(articles, lambda number, out: number not in out), "sentence")
    texts = {(passage.language, passage.id): passage.text for passage in data.passages}
    questions: dict[str, dict[str, str]] = {}
    for asked in data.queries:
        questions.setdefault(asked.concept, {})[asked.language] = asked.text
    for concept, query in questions.items():
        passage = {language: texts[language, id] for language, id, *_ in data.relevant[concept]}
        yield {"id": concept, "group": None, "query": query, "passage": passage}


def held_out(articles: int, seed: int = SPLIT_SEED) -> frozenset[int]:
    """Return which of so many articles are held out, by number from 0: a quarter of them.

    They are those with the least SHA-256 of `seed:number`.
    """

    def key(number: int) -> str:
        return hashlib.sha256(f"{seed}:{number}".encode()).hexdigest()

    return frozenset(sorted(range(articles), key=key)[: articles // 4])


def _whole(source: Path | None, name: str, files: Mapping[str, Remote]) -> dict[str, Articles]:
    assert source is not None
    missing = sorted(file for file in files if not (source / file).exists())
    if missing:
        raise UserError(
            f"{source}: {name}'s {', '.join(missing)} are missing; "
            "use --dataset lareqa to evaluate on a folder with fewer languages"
        )
    return {Path(file).stem: items(source / file, Article, "data") for file in files}


def _part(
    documents: Mapping[str, Articles], chosen: Callable[[int, frozenset[int]], bool]
) -> dict[str, Articles]:
    """Return the articles of each language whose number is chosen, given those held out."""
    held = {language: list(articles) for language, articles in documents.items()}
    if len(counts := {len(articles) for articles in held.values()}) > 1:
        raise UserError(f"XQuAD-R's files have {sorted(counts)} articles; get them again")
    out = held_out(*counts)
    return {
        language: [article for n, article in enumerate(articles) if chosen(n, out)]
        for language, articles in held.items()
    }


def parse(documents: Mapping[str, Articles], passage: str) -> EvaluationData:
    """Make a task of the articles of each language, each with where it stands.

    A candidate is each sentence of each paragraph (`sentence_breaks` over `context`), and with
    `passage="sentence+context"` its paragraph behind it. Relevant is the sentence in which the
    answer starts; a question whose answer starts in no sentence is left out and counted.
    """
    queries: list[Query] = []
    passages: list[Passage] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    left_out = 0
    for language, articles in documents.items():
        for place, paragraph in _paragraphs(articles):
            context, breaks = paragraph.context, paragraph.sentence_breaks
            behind = f" {context}" if passage == "sentence+context" else ""
            for i, (start, end) in enumerate(breaks):
                text = context[start:end].strip() + behind
                passages.append(Passage(f"{place}.{i}", language, text))
            for question in paragraph.qas:
                at = question.answers[0].answer_start
                hit = [i for i, (start, end) in enumerate(breaks) if start <= at < end]
                if not hit:
                    left_out += 1
                    continue
                queries.append(Query(question.id, language, question.id, question.question))
                relevant.setdefault(question.id, []).append((language, f"{place}.{hit[0]}"))
    notes = {"questions whose answer starts in no sentence, left out": left_out} if left_out else {}
    protocol = f"LAReQA, passage = {passage}"
    return EvaluationData(queries, passages, relevant, protocol, notes=notes)


def _paragraphs(articles: Articles) -> Iterator[tuple[str, Paragraph]]:
    for a, (where, article) in enumerate(articles):
        for p, paragraph in enumerate(article.paragraphs):
            if not all(0 <= start <= end for start, end in paragraph.sentence_breaks):
                raise UserError(
                    f"{where}: paragraph {p + 1}: sentence_breaks are no character ranges"
                )
            yield f"{a}.{p}", paragraph


SPLIT = f"the 12 of 48 articles held out by seed {SPLIT_SEED}"
XQUAD_R = Dataset(
    "xquad-r", partial(read_whole, name="XQuAD-R", files=XQUAD_R_FILES), "XQuAD-R",
    language_list(Path(file).stem for file in XQUAD_R_FILES), "1,190 × 11 / 13,014", "CC BY-SA 4.0",
    source=SOURCE, protocol="LAReQA", remote=XQUAD_R_FILES,
)  # fmt: skip
XQUAD_R_HELDOUT = replace(
    XQUAD_R, name="xquad-r:heldout", title="XQuAD-R, 12 of its 48 articles", read=read_held_out,
    size="277 × 11 / 3,574",
)  # fmt: skip
XQUAD_R_TRAIN = TrainingData(
    "xquad-r:train", read_train, "XQuAD-R, the other 36 articles", XQUAD_R.languages,
    "913 rows × 11", XQUAD_R.licence, SOURCE, "sentence", XQUAD_R_FILES,
)  # fmt: skip
MLQA_R = Dataset(
    "mlqa-r", partial(read_whole, name="MLQA-R", files=MLQA_R_FILES), "MLQA-R",
    language_list(Path(file).stem for file in MLQA_R_FILES), "4,199 / 20,534", "CC BY-NC 4.0",
    source=SOURCE, protocol="LAReQA", remote=MLQA_R_FILES,
)  # fmt: skip
LAREQA = Dataset(
    "lareqa", read, "any folder in LAReQA's layout", "any", licence=YOUR_FILES, source=SOURCE,
    protocol="LAReQA",
)  # fmt: skip
