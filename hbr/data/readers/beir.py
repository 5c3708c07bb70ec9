"""BEIR's layout: corpus.jsonl, queries.jsonl and qrels/*.tsv, plain or gzipped.

Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
Models (arXiv 2104.08663). Queries and corpus are taken to be English; translated queries, with the
ids of the English ones, may stand beside them as `queries.<language>.jsonl`.

Downloaded are those whose MD5 is in BEIR's README. Of its MSMARCO BEIR reports the dev set, and
CQADupStack is twelve collections: both are read from folders, as any other.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.fetch import listed
from hbr.data.readers.files import LEFT_OUT, add_gain, present, required, table
from hbr.data.readers.streams import json_lines, titled
from hbr.data.tasks import EvaluationData, Passage, Query

SOURCE = "github.com/beir-cellar/beir"
LANGUAGE = "en"
LAYOUT = "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/test.tsv"
ARCHIVES = listed("beir.md5", "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets")
TRANSLATED = re.compile(r"queries\.([A-Za-z]{2,3}(?:[-_]\w+)?)\.jsonl(?:\.gz)?")


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read a folder; of its qrels test.tsv counts, without it dev.tsv, without that train.tsv.

    Gains are kept as they are; a passage is its title, a space and its text, and one with the id of
    the query is not found by it, as BEIR has it.
    """
    assert source is not None
    corpus = required(source / "corpus.jsonl", LAYOUT)
    query_files = {LANGUAGE: required(source / "queries.jsonl", LAYOUT), **_translations(source)}
    split, judged = _judged(source)
    queries: list[Query] = []
    notes: Counter[str] = Counter()
    for language, path in query_files.items():
        for _, record in json_lines(path, "_id", "text"):
            concept = str(record["_id"])
            if concept in judged:
                queries.append(Query(concept, language, concept, str(record["text"]).strip()))
            else:
                notes[LEFT_OUT] += 1
    relevant = {
        query: [(LANGUAGE, passage, gain) for passage, gain in gains.items()]
        for query, gains in judged.items()
    }
    settings = ("mono", "cross") if len(query_files) > 1 else ("mono",)
    protocol = f"BEIR, qrels/{split}.tsv, title + text"
    itself = {query: (LANGUAGE, query) for query in judged}
    passages = _passages(corpus)
    return EvaluationData(queries, passages, relevant, protocol, settings, notes, excluded=itself)


def read_named(source: Path | None, passage: str, name: str) -> EvaluationData:
    """Read a collection from its folder, or from the folder above, as its archive unpacks."""
    assert source is not None
    return read(source / name if (source / name).is_dir() else source, passage)


def _passages(corpus: Path) -> Iterator[Passage]:
    for _, record in json_lines(corpus, "_id", "text"):
        yield Passage(str(record["_id"]), LANGUAGE, titled(record.get("title"), record["text"]))


def _translations(source: Path) -> dict[str, Path]:
    matches = ((TRANSLATED.fullmatch(path.name), path) for path in sorted(source.iterdir()))
    return {match[1]: path for match, path in matches if match}


def _judged(source: Path) -> tuple[str, dict[str, dict[str, int]]]:
    """Return the split that is used and its gains above 0; the first line may be a header."""
    for split in ("test", "dev", "train"):
        if path := present(source / "qrels" / f"{split}.tsv"):
            break
    else:
        raise UserError(f"{source / 'qrels'} has no test.tsv, dev.tsv or train.tsv: {LAYOUT}")
    judged: dict[str, dict[str, int]] = {}
    for at, (where, cells) in enumerate(table(path, "query-id", "corpus-id", "score")):
        if at or cells[2].strip().lstrip("-").isdecimal():
            add_gain(judged, where, *cells)
    return split, judged


def collection(name: str, title: str = "", size: str = "") -> Dataset:
    """Return the collection of a name, which is that of its archive."""
    archive = ARCHIVES.get(f"{name}.zip")
    return Dataset(
        f"beir/{name}",
        partial(read_named, name=name),
        f"{title}, as BEIR has it" if title else "",
        languages="en",
        size=size,
        source=SOURCE,
        protocol="nDCG@10",
        remote={name: archive._replace(unpack=True)} if archive else {},
    )


HOSTED = (
    ("arguana", "ArguAna", "1,406 / 8.67 k"),
    ("climate-fever", "Climate-FEVER", "1,535 / 5.42 M"),
    ("dbpedia-entity", "DBpedia-Entity", "400 / 4.63 M"),
    ("fever", "FEVER", "6,666 / 5.42 M"),
    ("fiqa", "FiQA-2018", "648 / 57 k"),
    ("hotpotqa", "HotpotQA", "7,405 / 5.23 M"),
    ("nfcorpus", "NFCorpus", "323 / 3.6 k"),
    ("nq", "Natural Questions", "3,452 / 2.68 M"),
    ("quora", "Quora's duplicate questions", "10,000 / 523 k"),
    ("scidocs", "SCIDOCS", "1,000 / 25 k"),
    ("scifact", "SciFact", "300 / 5 k"),
    ("webis-touche2020", "Touché-2020", "49 / 382 k"),
    ("trec-covid", "TREC-COVID", "50 / 171 k"),
)
COLLECTIONS = {name: collection(name, title, size) for name, title, size in HOSTED}
BEIR = Dataset(
    "beir", read, "any folder in BEIR's layout", "en, and queries in any",
    licence="differs by set", source=SOURCE, protocol="nDCG@10",
    named=lambda name: COLLECTIONS.get(name) or collection(name), collections=COLLECTIONS,
)  # fmt: skip
