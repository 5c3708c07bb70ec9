"""What readers of tasks share: tables and judgements; mistakes are reported by line."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.readers.streams import lines
from hbr.data.tasks import Passage, Query

LEFT_OUT = "queries without a relevant passage, left out"
DOUBLED = "passages with the id of an earlier one, dropped"


def present(path: Path) -> Path | None:
    """Return a file, or its gzipped twin, or None where neither is there."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)


def required(path: Path, layout: str) -> Path:
    """Return a file or its gzipped twin; where neither is there, say what `layout` needs."""
    place = present(path)
    if place is None:
        raise UserError(f"{path} (or {path.name}.gz) is missing: --source needs {layout}")
    return place


def table(path: Path, *columns: str) -> Iterator[tuple[str, list[str]]]:
    """Yield `file:line` and the cells of every line, split at tabs; the last one may hold more."""
    for number, line in lines(path):
        where, cells = f"{path}:{number}", line.split("\t", len(columns) - 1)
        if len(cells) != len(columns):
            raise UserError(f"{where}: needs {' and '.join(columns)}, with a tab between them")
        yield where, cells


def judgements(path: Path) -> dict[str, dict[str, int]]:
    """Read TREC qrels (`query 0 passage gain`): the gains above 0 by query and passage."""
    judged: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        where, cells = f"{path}:{number}", line.split()
        if len(cells) != 4:
            raise UserError(f"{where}: needs four columns: query, 0, passage, relevance")
        add_gain(judged, where, cells[0], cells[2], cells[3])
    return judged


def add_gain(
    judged: dict[str, dict[str, int]], where: str, query: str, passage: str, gain: str
) -> None:
    """Note a judgement where it is above 0."""
    try:
        value = int(gain)
    except ValueError as error:
        raise UserError(f"{where}: the relevance {gain!r} is no whole number") from error
    if value > 0:
        judged.setdefault(query, {})[passage] = value


def judged_queries(
    language: str, qrels: Path, topics: Path, notes: Counter[str]
) -> tuple[list[Query], dict[str, list[tuple[str, str]]]]:
    """Read the judged queries of one language, each a concept; count the others.

    Returns them, and the relevant passages of each concept.
    """
    judged = judgements(qrels)
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    for _, (query, text) in table(topics, "query id", "query"):
        if query not in judged:
            notes[LEFT_OUT] += 1
            continue
        concept = f"{language}:{query}"
        queries.append(Query(query, language, concept, text.strip()))
        relevant[concept] = [(language, passage) for passage in judged[query]]
    return queries, relevant


def first_of_each(passages: Iterable[Passage], notes: Counter[str]) -> Iterator[Passage]:
    """Drop passages whose id came before and count them; holds all ids of one language."""
    seen: set[str] = set()
    for passage in passages:
        if passage.id in seen:
            notes[DOUBLED] += 1
        else:
            seen.add(passage.id)
            yield passage
