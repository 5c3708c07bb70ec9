"""LAReQA's layout: SQuAD-style JSON, one file per language, with sentence boundaries.

Roy et al., LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool
(arXiv 2004.05484). XQuAD-R and MLQA-R are published so.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, Dataset, language_list
from hbr.data.fetch import Remote, listed
from hbr.data.tasks import EvaluationData, Passage, Query

SOURCE = "github.com/google-research-datasets/lareqa"
RAW = "https://raw.githubusercontent.com/google-research-datasets/lareqa"
REVISION = "9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c"
MLQA_REVISION = "354d67d1cd066854cdfbf5ad0e6105528976141d"  # the last of upstream's that has it
XQUAD_R_FILES = listed("xquad-r.sha256", f"{RAW}/{REVISION}/xquad-r")
MLQA_R_FILES = listed("mlqa-r.sha256", f"{RAW}/{MLQA_REVISION}/mlqa-r")


def read(source: Path | None, passage: str) -> EvaluationData:
    """Read every `<language>.json` in a folder."""
    assert source is not None
    files = sorted(source.glob("*.json"))
    if not files:
        raise UserError(f"{source}: holds no <language>.json file in LAReQA's layout")
    return parse({file.stem: _load(file) for file in files}, passage)


def read_whole(
    source: Path | None, passage: str, *, name: str, files: Mapping[str, Remote]
) -> EvaluationData:
    """Read a data set of which all languages must be there."""
    assert source is not None
    missing = sorted(file for file in files if not (source / file).exists())
    if missing:
        raise UserError(
            f"{source}: {name}'s {', '.join(missing)} are missing; "
            "use --dataset lareqa to evaluate on a folder with fewer languages"
        )
    return parse({Path(file).stem: _load(source / file) for file in files}, passage)


def parse(documents: Mapping[str, Any], passage: str, origin: str = "") -> EvaluationData:
    """Make a task of one SQuAD-style document per language.

    A candidate is each sentence of each paragraph (`sentence_breaks` over `context`), and with
    `passage="sentence+context"` its paragraph behind it. Relevant is the sentence in which the
    answer starts; a question whose answer starts in no sentence is left out and counted.
    """
    queries: list[Query] = []
    passages: list[Passage] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    left_out = 0
    for language, document in documents.items():
        for place, paragraph in _paragraphs(document, f"{origin}{language}.json"):
            context, breaks = paragraph["context"], paragraph["sentence_breaks"]
            behind = f" {context}" if passage == "sentence+context" else ""
            for i, (start, end) in enumerate(breaks):
                text = context[start:end].strip() + behind
                passages.append(Passage(f"{place}.{i}", language, text))
            for concept, question, at in _questions(paragraph, f"{origin}{language}.json", place):
                hit = [i for i, (start, end) in enumerate(breaks) if start <= at < end]
                if not hit:
                    left_out += 1
                    continue
                queries.append(Query(concept, language, concept, question.strip()))
                relevant.setdefault(concept, []).append((language, f"{place}.{hit[0]}"))
    notes = {"questions whose answer starts in no sentence, left out": left_out} if left_out else {}
    protocol = f"LAReQA, passage = {passage}"
    return EvaluationData(queries, passages, relevant, protocol, notes=notes)


def _paragraphs(document: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for a, article in enumerate(document["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                where = f"article {a + 1}, paragraph {p + 1}"
                if not all(0 <= a <= b for a, b in paragraph.get("sentence_breaks", ())):
                    raise UserError(f"{name}: {where}: sentence_breaks are no character ranges")
                if missing := {"context", "qas", "sentence_breaks"} - set(paragraph):
                    raise UserError(
                        f"{name}: {where} lacks {', '.join(sorted(missing))}: not LAReQA's layout"
                    )
                yield f"{a}.{p}", paragraph
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{name}: not in LAReQA's layout (data / paragraphs / qas)") from error


def _questions(paragraph: dict[str, Any], name: str, place: str) -> Iterator[tuple[str, str, int]]:
    """Yield the id and text of every question, and where its answer starts."""
    for number, question in enumerate(paragraph["qas"], start=1):
        try:
            start = int(question["answers"][0]["answer_start"])
            yield question["id"], question["question"], start
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"{name}: question {number} of paragraph {place} lacks an id, a question or an "
                "answer with its start: not LAReQA's layout"
            ) from error


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{file}{line}: not readable as JSON: {error}") from error


XQUAD_R = Dataset(
    "xquad-r", partial(read_whole, name="XQuAD-R", files=XQUAD_R_FILES), "XQuAD-R",
    language_list(Path(file).stem for file in XQUAD_R_FILES), "1,190 × 11 / 13,014", "CC BY-SA 4.0",
    source=SOURCE, protocol="LAReQA", remote=XQUAD_R_FILES,
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
