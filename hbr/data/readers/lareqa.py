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
from hbr.data.fetch import Remote
from hbr.data.readers import TaskReader
from hbr.data.tasks import Draft, Passage, Query

REPOSITORY = "https://raw.githubusercontent.com/google-research-datasets/lareqa"
REVISION = "9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c"
MLQA_REVISION = "354d67d1cd066854cdfbf5ad0e6105528976141d"  # the last of upstream's that has it


def _files(folder: str, digests: Mapping[str, str]) -> dict[str, Remote]:
    """Name the files of a folder at a revision, one a language."""
    return {
        f"{language}.json": Remote(f"{REPOSITORY}/{folder}/{language}.json", f"sha256:{digest}")
        for language, digest in digests.items()
    }


XQUAD_R_FILES = _files(
    f"{REVISION}/xquad-r",
    {
        "ar": "c52922d3b8ac1ae03ed5ac38647ad59870dca3dda2beefe18ecdc30729acb69d",
        "de": "16fb0f4bf4916154b585a20c24c66074591c9718a1affe764ff4697572328949",
        "el": "163fd43ee785a30eb534ae2061e9eaa766a7ee4e8ffce5e4b422480c150f64b6",
        "en": "7b0954f39297c27a31fef610f0883337dd2907fa8699151dc922afdd0fa12ffe",
        "es": "f8e836b2d91009c4363e04315f7ede363eedbbb49c67dda60de6c4aa782f58de",
        "hi": "ea45ba8ae4513d1533b222bebdc02a90bc319c055d3aeea68584a053d2e92872",
        "ru": "7f4dff853538b9a5fcc28c070b8bb983a5c5d190ac747b8e005a1ada9cab18f1",
        "th": "c3a041864c3a9fb0b4dd91cfdf99cf36b411b3e704c58a303c97bc6dc786cfe4",
        "tr": "f3e8c13002bbce154a4578f535f7533cb70f3da08840e6b62735935baec7bd94",
        "vi": "e35926bf5cc6fc6ecbdfca49467aabeb454f08d152d7818143a906bd31dde995",
        "zh": "80c2cde7b9c2fb134c303cbb52f2ba396ead9eb0014aec43993543d2ba9e93ed",
    },
)


MLQA_R_FILES = _files(
    f"{MLQA_REVISION}/mlqa-r",
    {
        "ar": "2132fbc03208535c0fe01f2e2c5121d06f9c2aa799af93b0a719dbc105bdf137",
        "de": "ce9454dc5aa6f2d85c23cd6e49cb367fbb7c4c6e62d7f71e355c6b5dae4d0886",
        "en": "fedd9a5cc0848dda80caf84aa36f482adaae230526a3f6e9e86926a93ef3b1e4",
        "es": "70ecba276b8c96a692b120693a595d076ce94ad21d4b28311538a9fcbfe0f9d7",
        "hi": "4dd0fb3c06f737a5481d705bc1dcac7876712a5815c9265908fbb3a0696cb654",
        "vi": "9d3baff6ba03e6793b25594217265ea59a136b9733833dca8a9582a84a78ff85",
        "zh": "57f01d2fff50cf3392805635b01445339f225ad5bf28ba8443b12f8dbd1e69dc",
    },
)


def read(source: Path | None, passage: str) -> Draft:
    """Read every `<language>.json` in a folder."""
    assert source is not None
    files = sorted(source.glob("*.json"))
    if not files:
        raise UserError(f"{source}: holds no <language>.json file in LAReQA's layout")
    return parse({file.stem: _load(file) for file in files}, passage)


def read_whole(
    source: Path | None, passage: str, *, name: str, files: Mapping[str, Remote]
) -> Draft:
    """Read a data set of which all languages must be there."""
    assert source is not None
    missing = sorted(file for file in files if not (source / file).exists())
    if missing:
        raise UserError(
            f"{source}: {name}'s {', '.join(missing)} are missing; "
            "use --dataset lareqa to evaluate on a folder with fewer languages"
        )
    return parse({Path(file).stem: _load(source / file) for file in files}, passage)


def parse(documents: Mapping[str, Any], passage: str, origin: str = "") -> Draft:
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
    return Draft(queries, passages, relevant, protocol, notes=notes)


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


XQUAD_R = TaskReader(partial(read_whole, name="XQuAD-R", files=XQUAD_R_FILES), remote=XQUAD_R_FILES)
MLQA_R = TaskReader(partial(read_whole, name="MLQA-R", files=MLQA_R_FILES), remote=MLQA_R_FILES)
LAREQA = TaskReader(read)
