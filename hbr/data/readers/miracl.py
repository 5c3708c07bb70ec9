"""MIRACL's layout: topics and qrels by language, and corpora of gzipped JSON lines.

Zhang et al., MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages (TACL 2023).
Read are clones of the hub's miracl/miracl and miracl/miracl-corpus, in one folder or side by side;
what is read of them can be downloaded.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset, language_list
from hbr.data.readers.files import by_language, judged_queries, required, titled
from hbr.data.records import Id, OptionalText, Record, records
from hbr.data.snapshot import Snapshot
from hbr.data.tasks import EvaluationData, Passage, Query

LANGUAGES = (
    *("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi"),
    *("id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"),
)
LAYOUT = "MIRACL's miracl-v1.0-<language> and miracl-corpus-v1.0-<language>"
NO_CORPUS = "languages without a corpus in the folder, left out"


class Document(Record):
    docid: Id
    title: OptionalText
    text: OptionalText


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read the dev set of every language whose topics and corpus are both there.

    A passage is its title, a space and its text (as in ir_datasets). Ids are doubled in the
    Korean corpus: the first passage counts, the others are dropped and counted.
    """
    assert source is not None
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    corpora: dict[str, list[Path]] = {}
    notes: Counter[str] = Counter()
    for language in LANGUAGES:
        folder = _folder(source, f"miracl-v1.0-{language}")
        corpus = _corpus(source, language)
        if folder and not corpus:
            notes[NO_CORPUS] += 1
        if not folder or not corpus:
            continue
        corpora[language] = corpus
        name = f"miracl-v1.0-{language}-dev.tsv"
        qrels = required(folder / "qrels" / f"qrels.{name}", LAYOUT)
        topics = required(folder / "topics" / f"topics.{name}", LAYOUT)
        judged, answers = judged_queries(language, qrels, topics, notes)
        queries += judged
        relevant |= answers
    if not corpora:
        raise UserError(f"{source}: no language has both its topics and its corpus: {LAYOUT}")
    passages = by_language(corpora, _of_language, notes)
    return EvaluationData(queries, passages, relevant, "MIRACL dev, title + text", ("mono",), notes)


def _of_language(language: str, paths: list[Path]) -> Iterator[Passage]:
    for path in paths:
        for _, document in records(path, Document):
            yield Passage(document.docid, language, titled(document.title, document.text))


def _corpus(source: Path, language: str) -> list[Path]:
    """Return docs-0, docs-1, …, docs-10 of a language, in that order."""
    folder = _folder(source, f"miracl-corpus-v1.0-{language}")
    files = [
        (int(match[1]), path)
        for path in (folder.iterdir() if folder else ())
        if (match := re.fullmatch(r"docs-(\d+)\.jsonl(\.gz)?", path.name))
    ]
    return [path for _, path in sorted(files)]


def _folder(source: Path, name: str) -> Path | None:
    places = (source / name, source / "miracl" / name, source / "miracl-corpus" / name)
    return next((place for place in places if place.is_dir()), None)


CODES = dict(zip(LANGUAGES, LANGUAGES, strict=True))
JUDGED = tuple(
    f"miracl-v1.0-{{0}}/{kind}/{kind}.miracl-v1.0-{{0}}-dev.tsv" for kind in ("topics", "qrels")
)
HUB = (
    Snapshot("miracl/miracl", JUDGED, CODES),
    Snapshot("miracl/miracl-corpus", ("miracl-corpus-v1.0-{0}/docs-*.jsonl.gz",), CODES),
)
MIRACL = Dataset(
    "miracl", read, "MIRACL dev", language_list(LANGUAGES), "en 32,893,221 passages", "Apache-2.0",
    source="miracl/miracl, miracl/miracl-corpus", protocol="nDCG@10", hub=HUB,
)  # fmt: skip
