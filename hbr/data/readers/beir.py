"""BEIR's layout: corpus.jsonl, queries.jsonl and qrels/*.tsv, plain or gzipped.

Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
Models (arXiv 2104.08663). Queries and corpus are taken to be English; translated queries, with the
ids of the English ones, may stand beside them as `queries.<language>.jsonl`.

Downloaded are those whose MD5 is in BEIR's README. Of its MSMARCO BEIR reports the dev set, and
CQADupStack is twelve collections: both are read from folders, as any other.
"""

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import Field

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.fetch import listed
from hbr.data.readers.files import (
    LEFT_OUT,
    Judged,
    add_gain,
    as_number,
    by_stem,
    own_ids,
    present,
    required,
    titled,
)
from hbr.data.records import FullText, Id, OptionalText, Record, records, table
from hbr.data.tasks import EvaluationData, Passage, Query

SOURCE = "github.com/beir-cellar/beir"
LANGUAGE = "en"
LAYOUT = "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/test.tsv"
ARCHIVES = listed("beir.md5", "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets")
TRANSLATED = re.compile(r"queries\.([A-Za-z]{2,3}(?:[-_]\w+)?)")
SPLITS = ("test", "dev", "train")  # looked for in this order where none is named
NO_LANGUAGE = {*SPLITS, "val"}


class Text(Record):
    id: Id = Field(alias="_id")
    text: OptionalText
    title: OptionalText = ""


class Question(Record):
    id: Id = Field(alias="_id")
    text: FullText


def read(source: Path | None, _passage: str, split: str = "") -> EvaluationData:
    """Read a folder; without a split test.tsv of its qrels, else dev.tsv, else train.tsv.

    Gains are kept as they are; a passage is its title, a space and its text. One with the id of the
    query is not found by it, as BEIR has it, unless it is judged relevant.
    """
    assert source is not None
    corpus = required(source / "corpus.jsonl", LAYOUT)
    query_files = {LANGUAGE: required(source / "queries.jsonl", LAYOUT), **_translations(source)}
    qrels = _qrels(source / "qrels", split)
    judged = _judged(qrels)
    queries: list[Query] = []
    notes: Counter[str] = Counter()
    for language, path in query_files.items():
        for id, query in own_ids((where, q.id, q) for where, q in records(path, Question)):
            if id in judged:
                queries.append(Query(id, language, id, query.text))
            else:
                notes[LEFT_OUT] += 1
    known = {query.id for query in queries}
    if not known:
        raise UserError(
            f"{qrels}: judges no query of queries.jsonl, but {next(iter(judged), None)}"
        )
    notes["judged queries that have no text, left out"] += len(judged.keys() - known)
    relevant = {
        query: [(LANGUAGE, passage, gain) for passage, gain in judged[query].items()]
        for query in judged
        if query in known
    }
    settings = ("mono", "cross") if len(query_files) > 1 else ("mono",)
    protocol = f"BEIR, qrels/{qrels.name.removesuffix('.gz')}, title + text"
    itself = {query: (LANGUAGE, query) for query in relevant if query not in judged[query]}
    passages = (
        Passage(text.id, LANGUAGE, titled(text.title, text.text))
        for _, text in records(corpus, Text)
    )
    return EvaluationData(queries, passages, relevant, protocol, settings, +notes, excluded=itself)


def read_named(source: Path | None, passage: str, name: str, split: str = "") -> EvaluationData:
    """Read a collection from its folder, or from the folder above, as its archive unpacks."""
    assert source is not None
    return read(source / name if (source / name).is_dir() else source, passage, split)


def _translations(source: Path) -> dict[str, Path]:
    files = by_stem(source, ".jsonl").items()
    matches = ((TRANSLATED.fullmatch(name), path) for name, path in files)
    return {match[1]: path for match, path in matches if match and match[1] not in NO_LANGUAGE}


def _qrels(folder: Path, split: str) -> Path:
    names = (split,) if split else SPLITS
    path = next(filter(None, (present(folder / f"{name}.tsv") for name in names)), None)
    if path is None:
        there = ", ".join(by_stem(folder, ".tsv")) or "none"
        advice = f"the splits are {there}; name one, as in beir/scifact:dev"
        raise UserError(f"{folder} has no {' or '.join(f'{n}.tsv' for n in names)}: {advice}")
    return path


def _judged(path: Path) -> Judged:
    """Return the gains above 0 of a file whose first line may be a header."""
    judged: Judged = {}
    for at, (where, cells) in enumerate(table(path, "query-id", "corpus-id", "score")):
        if at or as_number(cells[2]) is not None:
            add_gain(judged, where, *cells)
        elif "corpus" in cells[0] or "doc" in cells[0]:
            raise UserError(f"{where}: the columns must be query-id, corpus-id, score")
    return judged


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
        version=2,
    )


def named(name: str, split: str) -> Dataset:
    """Return a collection, or for "" any folder, with a split of one's choice or the usual one."""
    entry = COLLECTIONS.get(name) or (collection(name) if name else BEIR)
    read_split = partial(read_named, name=name, split=split) if name else partial(read, split=split)
    return replace(entry, read=read_split, size="") if split else entry


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
    named=named, collections=COLLECTIONS, version=2,
)  # fmt: skip
