"""What readers share: where files are, judgements, and rows of one language."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hbr.core.errors import UserError
from hbr.data.records import OptionalText, Record, lines, table
from hbr.data.tasks import Passage, Query

LEFT_OUT = "queries without a relevant passage, left out"
DOUBLED = "passages with the id of an earlier one, dropped"
NEGATIVES = 8  # kept of a row, the first ones: upstream lists up to a hundred
MOST_GAIN = 2**31
# castorini/pyserini#1902, and Mr. TyDi has the same dump; others are too many to hold their ids
WITH_DOUBLED_IDS = ("ko",)
Place = TypeVar("Place")
Found = TypeVar("Found")
Judged = dict[str, dict[str, float]]  # gains above 0 by query and passage


def find(source: Path | None, names: Sequence[str], origin: str) -> Path:
    """Return `source` if it is a file, else the first of `names` (or `NAME.gz`) in that folder."""
    wanted = " or ".join(names)
    if source is None or not source.exists():
        where = "no source is named" if source is None else f"{source}: there is no such file"
        raise UserError(f"{where}; get {wanted} from {origin}")
    places = (present(source / name) for name in names)
    path = next(filter(None, places), None) if source.is_dir() else source
    if path is None:
        raise UserError(f"{source}: holds no {wanted}; get it from {origin}")
    return path


def present(path: Path) -> Path | None:
    """Return a file, or its gzipped twin, or None where neither is there."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)


def required(path: Path, layout: str) -> Path:
    """Return a file or its gzipped twin; where neither is there, say what `layout` needs."""
    place = present(path)
    if place is None:
        raise UserError(f"{path} (or {path.name}.gz) is missing: --source needs {layout}")
    return place


def by_stem(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files of a folder, plain or gzipped, by their names without the suffix.

    Hidden files, such as the `._NAME` that macOS puts beside NAME, are passed over.
    """
    files = (
        path
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.name.removesuffix(".gz").endswith(suffix) and not path.name.startswith(".")
    )
    return {path.name.removesuffix(".gz").removesuffix(suffix): path for path in files}


def judgements(path: Path) -> Judged:
    """Read TREC qrels: `query 0 passage gain`."""
    judged: Judged = {}
    for number, line in lines(path):
        where, cells = f"{path}:{number}", line.split()
        if len(cells) != 4:
            raise UserError(f"{where}: needs four columns: query, 0, passage, relevance")
        add_gain(judged, where, cells[0], cells[2], cells[3])
    return judged


def add_gain(judged: Judged, where: str, query: str, passage: str, gain: str) -> None:
    """Note a judgement where it is above 0."""
    value = as_number(gain)
    if value is None or value > MOST_GAIN:
        raise UserError(f"{where}: the relevance {gain!r} is no number up to 2^31")
    if value > 0 and judged.setdefault(query, {}).setdefault(passage, value) != value:
        raise UserError(f"{where}: judges {query} and {passage} again, and otherwise")


def as_number(text: str) -> float | None:
    """Return the finite number that a text is, or None; a whole one is an integer."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return (int(value) if value == int(value) else value) if math.isfinite(value) else None


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


def by_language(
    places: Mapping[str, Place],
    read: Callable[[str, Place], Iterator[Passage]],
    notes: Counter[str],
) -> Iterator[Passage]:
    """Read the passages of each language, each id once where a dump is known to double them."""
    for language, place in places.items():
        passages = read(language, place)
        yield from first_of_each(passages, notes) if language in WITH_DOUBLED_IDS else passages


def own_ids(found: Iterable[tuple[str, str, Found]]) -> Iterator[tuple[str, Found]]:
    """Yield id and record of `FILE:LINE`, id and record; an id that came before is a UserError.

    Holds all ids.
    """
    seen: dict[str, str] = {}
    for where, id, record in found:
        if (first := seen.setdefault(id, where)) != where:
            raise UserError(f"{where}: has the id of {first}, {id!r}; rename or delete one")
        yield id, record


def titled(title: str, text: str) -> str:
    """Put a passage's title before it, if it has one."""
    return f"{title} {text}".strip()


class Context(Record):
    """A passage of a training row, as DPR and Mr. TyDi list them."""

    title: OptionalText = ""
    text: OptionalText


def rows_with_negatives(
    id: str, query: str, positives: Sequence[Context], negatives: Sequence[Context]
) -> Iterator[dict[str, Any]]:
    """Make the row of a question and its first positive passage; none where one is empty."""
    passages, others = (
        [titled(context.title, context.text) for context in contexts]
        for contexts in (positives, negatives)
    )
    if query and passages and passages[0]:
        yield row(id, query, passages[0], others)


def row(id: str, query: str, passage: str, negatives: Sequence[str] = ()) -> dict[str, Any]:
    """Make an English row; rows with the same passage are one group, whatever the data set."""
    kept = [text for text in negatives if text][:NEGATIVES]
    texts = {"query": {"en": query}, "passage": {"en": passage}}
    return {"id": id, "group": None, **texts, "negatives": {"en": kept} if kept else {}}
