"""mMARCO's small dev set: collections and queries by language, parallel by their ids.

Bonifacio et al., mMARCO: A Multilingual Version of the MS MARCO Passage Ranking Dataset
(arXiv 2108.13897). Read is a clone of the hub's unicamp-dl/mmarco, its folder `data`, or
that of one translation: collections/, queries/dev/, and qrels.dev.small.tsv in it or beside it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset, language_list
from hbr.data.readers.files import LEFT_OUT, judgements, present
from hbr.data.records import table
from hbr.data.snapshot import Snapshot
from hbr.data.tasks import EvaluationData, Passage, Query

LANGUAGES = {
    **{"ar": "arabic", "de": "german", "en": "english", "es": "spanish", "fr": "french"},
    **{"hi": "hindi", "id": "indonesian", "it": "italian", "ja": "japanese", "nl": "dutch"},
    **{"pt": "portuguese", "ru": "russian", "vi": "vietnamese", "zh": "chinese"},
}
REPOSITORY = "unicamp-dl/mmarco"
LICENCE = "Apache-2.0, MS MARCO"  # as its card says, and the terms of what was translated
QRELS = "qrels.dev.small.tsv"


def read(source: Path | None, _passage: str, translation: str) -> EvaluationData:
    """Read every language whose collection and queries are there.

    Relevant are the judged passages in all these languages. Where the small file of the queries
    is missing, as in the helsinki translation, the whole one is read.
    """
    source, base = folders(source, translation)
    collections, query_files = _files(base)
    places = (folder / QRELS for folder in dict.fromkeys((source, base, base.parent)))
    qrels = next(filter(None, map(present, places)), None)
    if qrels is None:
        raise UserError(f"{source}: {QRELS} is missing; put mMARCO's there")
    judged = judgements(qrels)
    queries: list[Query] = []
    notes: Counter[str] = Counter()
    for language, path in query_files.items():
        for _, (query, text) in table(path, "query id", "query"):
            if query in judged:
                queries.append(Query(query, language, query, text.strip()))
            else:
                notes[LEFT_OUT] += 1
    relevant = {
        query: [(language, passage) for language in collections for passage in gains]
        for query, gains in judged.items()
    }
    named = f", {translation} translation" if base != source else ""
    protocol = f"mMARCO small dev{named}"
    return EvaluationData(queries, _passages(collections), relevant, protocol, notes=notes)


def folders(source: Path | None, translation: str) -> tuple[Path, Path]:
    """Return the folder `data` of a clone, or else the source; and in it that of a translation."""
    assert source is not None
    source = source / "data" if (source / "data").is_dir() else source
    return source, source if (source / "collections").is_dir() else source / translation


def beside(source: Path, translation: str, name: str) -> list[Path]:
    """Return the file of a name that is read from above a source."""
    _, base = folders(source, translation)
    found = present(base.parent / name)
    return [found] if found and source not in found.parents else []


def hub(translation: str, split: str, shared: str) -> tuple[Snapshot]:
    """Return the files of the hub that a split is read from, in any language."""
    files = (
        "collections/{0}_collection.tsv",
        f"queries/{split}/{{0}}_queries.{split}.tsv",
        f"queries/{split}/{{0}}_queries.{split}.small.tsv",
    )
    patterns = (f"data/{shared}", *(f"data/{translation}/{file}" for file in files))
    return (Snapshot(REPOSITORY, patterns, LANGUAGES),)


def _files(base: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the collections and the dev queries of the languages that have both."""
    collections: dict[str, Path] = {}
    query_files: dict[str, Path] = {}
    for language, name in LANGUAGES.items():
        collection = present(base / "collections" / f"{name}_collection.tsv")
        small = present(base / "queries" / "dev" / f"{name}_queries.dev.small.tsv")
        queries = small or present(base / "queries" / "dev" / f"{name}_queries.dev.tsv")
        if collection and queries:
            collections[language], query_files[language] = collection, queries
    if not collections:
        raise UserError(
            f"{base}: no language has both collections/<language>_collection.tsv and "
            "queries/dev/<language>_queries.dev.small.tsv; --source needs mMARCO's folder data"
        )
    return collections, query_files


def _passages(collections: Mapping[str, Path]) -> Iterator[Passage]:
    for language, path in collections.items():
        for _, (passage, text) in table(path, "passage id", "passage"):
            yield Passage(passage, language, text.strip())


MMARCO_DEV = Dataset(
    "mmarco-dev", partial(read, translation="google"), "mMARCO v2 small dev",
    language_list(LANGUAGES), "6,980 × 14 / 8.84 M × 14", LICENCE, source=REPOSITORY,
    protocol="MRR@10", hub=hub("google", "dev", QRELS),
    beside=partial(beside, translation="google", name=QRELS),
)  # fmt: skip
MMARCO_V1_DEV = replace(
    MMARCO_DEV, name="mmarco-v1-dev", read=partial(read, translation="helsinki"),
    title="mMARCO v1 small dev", languages="", size="", hub=hub("helsinki", "dev", QRELS),
    beside=partial(beside, translation="helsinki", name=QRELS),
)  # fmt: skip
