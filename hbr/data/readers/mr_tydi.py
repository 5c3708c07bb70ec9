"""Mr. TyDi's layout: a folder a language, with topics, TREC qrels and a collection of JSON lines.

Zhang et al., Mr. TyDi: A Multi-lingual Benchmark for Dense Retrieval (arXiv 2108.08787). Folders
are named as its archives unpack: mrtydi-v1.1-arabic, or v1.0 where there is no other.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset, language_list
from hbr.data.readers.files import by_language, judged_queries, required
from hbr.data.records import Id, Record, records
from hbr.data.tasks import EvaluationData, Passage, Query

LANGUAGES = {
    **{"ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian"},
    **{"ja": "japanese", "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu"},
    "th": "thai",
}
LAYOUT = "Mr. TyDi's mrtydi-v1.1-<language> folders"


class Document(Record):
    id: Id
    contents: str


def read(source: Path | None, _passage: str, split: str) -> EvaluationData:
    """Read a split of every language whose folder is there; a passage is its title and text."""
    assert source is not None
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    collections: dict[str, Path] = {}
    notes: Counter[str] = Counter()
    for language, name in LANGUAGES.items():
        places = (source / f"mrtydi-{version}-{name}" for version in ("v1.1", "v1.0"))
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            continue
        collections[language] = required(folder / "collection" / "docs.jsonl", LAYOUT)
        qrels = required(folder / f"qrels.{split}.txt", LAYOUT)
        topics = required(folder / f"topic.{split}.tsv", LAYOUT)
        judged, answers = judged_queries(language, qrels, topics, notes)
        queries += judged
        relevant |= answers
    if not collections:
        raise UserError(f"{source}: has none of {LAYOUT}; unpack its archives there")
    passages = by_language(collections, _of_language, notes)
    return EvaluationData(queries, passages, relevant, f"Mr. TyDi {split}", ("mono",), notes)


def _of_language(language: str, path: Path) -> Iterator[Passage]:
    for _, document in records(path, Document):
        text = document.contents.replace("\n\n", " ", 1)  # title, blank line, text
        yield Passage(document.id, language, text.strip())


MR_TYDI = Dataset(
    "mr-tydi", partial(read, split="test"), "Mr. TyDi test", language_list(LANGUAGES),
    licence="Apache-2.0", source="castorini/mr-tydi", protocol="MRR@100",
)  # fmt: skip
MR_TYDI_DEV = replace(
    MR_TYDI, name="mr-tydi-dev", read=partial(read, split="dev"), title="Mr. TyDi dev"
)
