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
from hbr.data.fetch import listed
from hbr.data.readers import TaskReader
from hbr.data.readers.files import LEFT_OUT, add_gain, present, records, required, table
from hbr.data.readers.streams import titled
from hbr.data.tasks import Draft, Passage, Query

LANGUAGE = "en"
LAYOUT = "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/test.tsv"
ARCHIVES = listed("beir.md5", "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets")
TRANSLATED = re.compile(r"queries\.([A-Za-z]{2,3}(?:[-_]\w+)?)\.jsonl(?:\.gz)?")


def read(source: Path | None, _passage: str) -> Draft:
    """Read a folder; of its qrels test.tsv counts, without it dev.tsv, without that train.tsv.

    Gains are kept as they are; a passage is its title, a space and its text, and one with the id of
    the query is not found by it, as BEIR has it.
    """
    assert source is not None
    corpus = required(source / "corpus.jsonl", LAYOUT)
    asked = {LANGUAGE: required(source / "queries.jsonl", LAYOUT), **_translations(source)}
    split, judged = _judged(source)
    queries: list[Query] = []
    notes: Counter[str] = Counter()
    for language, path in asked.items():
        for _, record in records(path, "_id", "text"):
            concept = str(record["_id"])
            if concept in judged:
                queries.append(Query(concept, language, concept, str(record["text"]).strip()))
            else:
                notes[LEFT_OUT] += 1
    relevant = {
        query: [(LANGUAGE, passage, gain) for passage, gain in gains.items()]
        for query, gains in judged.items()
    }
    settings = ("mono", "cross") if len(asked) > 1 else ("mono",)
    protocol = f"BEIR, qrels/{split}.tsv, title + text"
    itself = {query: (LANGUAGE, query) for query in judged}
    passages = _passages(corpus)
    return Draft(queries, passages, relevant, protocol, settings, notes, excluded=itself)


def read_named(source: Path | None, passage: str, name: str) -> Draft:
    """Read a collection from its folder, or from the folder above, as its archive unpacks."""
    assert source is not None
    return read(source / name if (source / name).is_dir() else source, passage)


def _passages(corpus: Path) -> Iterator[Passage]:
    for _, record in records(corpus, "_id", "text"):
        yield Passage(str(record["_id"]), LANGUAGE, titled(record.get("title"), record["text"]))


def _translations(source: Path) -> dict[str, Path]:
    found = ((TRANSLATED.fullmatch(path.name), path) for path in sorted(source.iterdir()))
    return {match[1]: path for match, path in found if match}


def _judged(source: Path) -> tuple[str, dict[str, dict[str, int]]]:
    """Return the split that is used and its gains above 0; a first line without gain is a header."""
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


def collection(name: str) -> TaskReader:
    """Return the reader of a collection by its name, which is that of its archive."""
    archive = ARCHIVES.get(f"{name}.zip")
    remote = {name: archive._replace(unpack=True)} if archive else {}
    return TaskReader(partial(read_named, name=name), remote)


BEIR = TaskReader(read, named=collection)
