"""Any collection of ir_datasets with documents, queries and judgements: `irds:beir/scifact/test`.

MacAvaney et al., Simplified Data Wrangling with ir_datasets (arXiv 2103.02280). The library
downloads what it can, checks it, and keeps it below `$IR_DATASETS_HOME`.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError, first_line
from hbr.core.registry import likely
from hbr.data.dataset import Dataset
from hbr.data.readers.files import LEFT_OUT, WITH_DOUBLED_IDS, first_of_each
from hbr.data.tasks import EvaluationData, Passage, Query

PREFIX = "irds:"
UNKNOWN = "und"  # ISO 639 for a language that the library does not name


def reader(name: str) -> Dataset:
    """Return the data set of `irds:` and an id of ir_datasets."""
    return Dataset(name, partial(read, name=name.removeprefix(PREFIX)), needs_source=False)


def read(_source: Path | None, _passage: str, name: str) -> EvaluationData:
    """Read a collection; a text is what the library calls its default, gains are kept.

    In those of BEIR a query does not find the passage of its own id.

    Raises UserError for an id that there is not, and (exit code 1) where files cannot be had.
    """
    collection = _load(name)
    if lacking := [kind for kind in ("docs", "queries", "qrels") if not collection.has(kind)]:
        raise UserError(f"{PREFIX}{name} has no {' and no '.join(lacking)}: name a split of it")
    passage_language, query_language = (
        {"dt": "nl"}.get(lang, lang) or UNKNOWN  # as it calls the Dutch of mMARCO
        for lang in (collection.docs_lang(), collection.queries_lang())
    )
    try:
        judged: dict[str, dict[tuple[str, str], float]] = {}
        for judgement in collection.qrels_iter():
            if judgement.relevance > 0:
                answers = judged.setdefault(judgement.query_id, {})
                answers[passage_language, judgement.doc_id] = judgement.relevance
        notes: Counter[str] = Counter()
        queries = []
        for query in collection.queries_iter():
            if query.query_id in judged:
                text = query.default_text().strip()
                queries.append(Query(query.query_id, query_language, query.query_id, text))
            else:
                notes[LEFT_OUT] += 1
        next(iter(collection.docs_iter()), None)  # so that all files are here
    except Exception as error:  # the library's many kinds of "no network" and "not free"
        raise UserError(
            f"ir_datasets cannot give {name}: {first_line(error)}; its files may be put below "
            "$IR_DATASETS_HOME by hand",
            exit_code=1,
        ) from error
    settings = ("mono",) if passage_language == query_language else ("cross",)
    passages = _passages(collection, passage_language)
    if passage_language in WITH_DOUBLED_IDS:
        passages = first_of_each(passages, notes)
    themselves = {query.id: (passage_language, query.id) for query in queries}
    itself = {id: key for id, key in themselves.items() if key not in judged[id]}
    relevant = {id: [(*key, gain) for key, gain in of_id.items()] for id, of_id in judged.items()}
    return EvaluationData(
        queries,
        passages,
        relevant,
        f"ir_datasets {name}",
        settings,
        notes,
        excluded=itself if name.startswith("beir/") else {},
    )


def _load(name: str) -> Any:
    import ir_datasets

    logging.getLogger("ir_datasets").setLevel(logging.WARNING)
    try:
        return ir_datasets.load(name)
    except KeyError as error:
        hint = likely(name, ir_datasets.registry) or "; its documentation lists them"
        raise UserError(f"ir_datasets has no {name!r}{hint}") from error


def _passages(collection: Any, language: str) -> Iterator[Passage]:
    for document in collection.docs_iter():
        yield Passage(document.doc_id, language, document.default_text().strip())
