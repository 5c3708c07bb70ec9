"""Evaluation tasks: queries, candidate passages, and which passages answer which concept."""

import json
import zipfile
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError
from hbr.data.arrays import read_arrow, write_arrow

SETTINGS = ("mono", "cross", "multi")
LAYOUT = 4  # raise it when the files below change
CHUNK = 65_536  # texts written at a time
TEXTS = ("id", "text")  # the columns of their files


Key = tuple[str, str]  # language and id of a passage


class Query(NamedTuple):
    id: str
    language: str
    concept: str  # queries of one concept say the same in different languages
    text: str


class Passage(NamedTuple):
    id: str
    language: str
    text: str


class Absent(NamedTuple):
    """A passage that is judged relevant for a concept, by its number, and that there is not."""

    concept: int
    language: str
    id: str
    gain: float


class Mining(NamedTuple):
    """Two sides of a corpus to mine for translations, and of the one that gives the threshold."""

    source: str
    target: str
    tuning_source: str
    tuning_target: str


class EvaluationData(NamedTuple):
    """Queries, passages and relevance judgements, as a reader returns them.

    `relevant` has the language and id of the passages that answer a concept, with a gain where
    judgements are graded; those that are not among the passages count as not found. `notes` are
    counts for the log, such as questions left out; they are read last. Ids are unique within a
    language. Passages may be yielded one by one, language by language in the order of their codes;
    they are not held in memory.
    """

    queries: Sequence[Query]
    passages: Iterable[Passage]
    relevant: Mapping[str, Sequence[Key | tuple[str, str, float]]]
    protocol: str
    settings: tuple[str, ...] = SETTINGS
    notes: Mapping[str, int] = {}
    mining: tuple[Mining, ...] = ()  # a task of which translations are mined, not ranked
    excluded: Mapping[str, Key] = {}  # a passage that a concept must not find: itself
    same: Mapping[str, str] = {}  # what a concept says, where others of other answers say it too


@dataclass(frozen=True)
class Task:
    """A prepared task. Queries and passages lie language by language, in order of `languages`.

    `query_language` (queries,) and `passage_language` (passages,) are positions in `languages`;
    the passages relevant to query q are `relevant[indptr[concept[q]]:indptr[concept[q] + 1]]`, and
    `gain` says likewise how much each is worth. What is judged relevant and no passage of the task
    stands in `absent`: no search can find it.
    """

    name: str
    id: str  # of its content
    folder: Path
    protocol: str
    settings: tuple[str, ...]
    languages: tuple[str, ...]
    query_language: np.ndarray
    passage_language: np.ndarray
    concept: np.ndarray
    indptr: np.ndarray
    relevant: np.ndarray
    gain: np.ndarray
    excluded: np.ndarray  # (concepts,) a passage that does not count as found, or -1
    mining: tuple[Mining, ...] = ()
    absent: tuple[Absent, ...] = ()  # by ascending concept
    same: np.ndarray | None = None  # (concepts,) one number for those that say the same

    @cached_property
    def said(self) -> np.ndarray:
        """What each query says, a number: queries that say the same are one observation."""
        return self.concept if self.same is None else self.same[self.concept]

    @cached_property
    def queries(self) -> pa.Table:
        """Ids and texts of the queries."""
        return read_arrow(self.folder / "queries.arrow")

    @cached_property
    def passages(self) -> pa.Table:
        """Ids and texts of the passages."""
        return read_arrow(self.folder / "passages.arrow")

    @cached_property
    def blocks(self) -> list[slice]:
        """The passages of each language."""
        return self._blocks(self.passage_language)

    @cached_property
    def query_blocks(self) -> list[slice]:
        """The queries of each language."""
        return self._blocks(self.query_language)

    def pair(self, query: np.ndarray, passage: np.ndarray) -> np.ndarray:
        """Return pairs of a query and a passage, both (pairs,), a number each: (pairs,)."""
        return query * len(self.passage_language) + passage

    def _blocks(self, codes: np.ndarray) -> list[slice]:
        ends = np.searchsorted(codes, np.arange(len(self.languages) + 1))
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def limited(data: EvaluationData, limit: int) -> EvaluationData:
    """Return a small task for a trial: the first `limit` concepts with an answer of each language.

    Their passages are kept, and ten times as many others as concepts, of each language.
    """
    first: dict[str, dict[str, None]] = {}
    for query in data.queries:
        concepts = first.setdefault(query.language, {})
        if len(concepts) < limit and data.relevant.get(query.concept):
            concepts[query.concept] = None
    kept = {concept for concepts in first.values() for concept in concepts}
    relevant = {concept: data.relevant[concept] for concept in sorted(kept)}
    wanted = {(language, id) for answers in relevant.values() for language, id, *_ in answers}
    return data._replace(
        queries=[query for query in data.queries if query.concept in kept],
        passages=_some(data.passages, wanted, 10 * limit),
        relevant=relevant,
        protocol=f"{data.protocol}; LIMITED to {limit} concepts a language",
        same={concept: said for concept, said in data.same.items() if concept in kept},
    )


def _some(passages: Iterable[Passage], wanted: Collection[Key], others: int) -> Iterator[Passage]:
    counts: dict[str, int] = {}
    for passage in _by_language(passages):
        if (passage.language, passage.id) in wanted:
            yield passage
        elif counts.get(passage.language, 0) < others:
            counts[passage.language] = counts.get(passage.language, 0) + 1
            yield passage


def write_task(folder: Path, name: str, data: EvaluationData) -> dict[str, Any]:
    """Write a task to a folder and return its counts; passages are written as they come.

    Raises UserError for doubled ids, where no relevant passage is there, and for passages that do
    not lie together by language, in order.
    """
    _refuse_doubled(name, data.queries)
    concepts = sorted({q.concept for q in data.queries})
    gains = [_gains(data.relevant.get(concept, ())) for concept in concepts]
    if not any(gains):
        raise UserError(f"{name}: holds no query with a relevant passage")
    wanted = {key for of_concept in gains for key in of_concept} | {*data.excluded.values()}
    places, counts = _write_passages(folder / "passages.arrow", name, data.passages, wanted)
    absent = _absent(name, gains, places)
    judged = {item.language for item in absent}
    languages = sorted({*counts, *(q.language for q in data.queries), *judged})
    code = {language: i for i, language in enumerate(languages)}
    queries = sorted(data.queries, key=lambda q: code[q.language])  # stable: order kept within
    rows = ((q.id, q.text) for q in queries)
    write_arrow(folder / "queries.arrow", TEXTS, rows, CHUNK)
    place_of = {concept: i for i, concept in enumerate(concepts)}
    passage_codes = np.array([code[language] for language in counts], dtype=np.int16)
    excluded = [places.get(data.excluded.get(concept, ("", "")), -1) for concept in concepts]
    arrays: dict[str, Any] = {
        "query_language": np.array([code[q.language] for q in queries], dtype=np.int16),
        "passage_language": np.repeat(passage_codes, [*counts.values()]),
        "concept": np.array([place_of[q.concept] for q in queries], dtype=np.int64),
        **_answers(gains, places),
        "excluded": np.array(excluded, dtype=np.int64),
    }
    if data.same:
        arrays["same"] = np.unique([data.same[one] for one in concepts], return_inverse=True)[1]
    np.savez(folder / "task.npz", **arrays)
    about = {
        **{"name": name, "protocol": data.protocol, "settings": data.settings},
        **{"languages": languages, "mining": data.mining, "absent": absent},
    }
    (folder / "task.json").write_text(json.dumps(about), "utf-8")
    return {
        "languages": languages,
        "queries": len(queries),
        "passages": sum(counts.values()),
        "passages_by_language": {language: counts.get(language, 0) for language in languages},
        "notes": _notes(data, absent, excluded),
    }


def _notes(
    data: EvaluationData, absent: Sequence[Absent], excluded: Sequence[int]
) -> dict[str, int]:
    """Return what was left out, by its words."""
    notes = Counter(data.notes)
    notes["judgements of passages that are not there, scored as not found"] += len(absent)
    notes["concepts that do not find the passage of their own id"] += sum(p >= 0 for p in excluded)
    return dict(+notes)


def _refuse_doubled(name: str, queries: Iterable[Query]) -> None:
    counts = Counter((query.language, query.id) for query in queries)
    for (language, id), count in counts.most_common(1):
        if count > 1:
            raise UserError(f"{name}: two queries in {language} have the same id, {id!r}")


def _absent(name: str, gains: list[dict[Key, float]], places: Mapping[Key, int]) -> list[Absent]:
    """Return what is judged relevant and not there; raise UserError where nothing else is."""
    absent = [
        Absent(concept, *key, gain)
        for concept, of_concept in enumerate(gains)
        for key, gain in of_concept.items()
        if key not in places
    ]
    if len(absent) == sum(map(len, gains)):
        _, language, passage, _ = absent[0]
        raise UserError(f"{name}: no relevant passage is there, not even {passage} in {language}")
    return absent


def _answers(gains: list[dict[Key, float]], places: dict[Key, int]) -> dict[str, np.ndarray]:
    """Return the relevant passages of each concept by their places, and their gains."""
    answers = [
        sorted((places[key], gain) for key, gain in one.items() if key in places) for one in gains
    ]
    pairs = [pair for one in answers for pair in one]
    return {
        "indptr": np.cumsum([0, *map(len, answers)], dtype=np.int64),
        "relevant": np.array([place for place, _ in pairs], dtype=np.int64),
        "gain": np.array([gain for _, gain in pairs], dtype=np.float64),
    }


def _gains(relevant: Sequence[Key | tuple[str, str, float]]) -> dict[Key, float]:
    """Return the gain of each relevant passage by language and id."""
    return {(language, passage): (gain or [1])[0] for language, passage, *gain in relevant}


def _by_language(passages: Iterable[Passage]) -> Iterable[Passage]:
    """Sort passages that are held by language, in their order within; others come sorted."""
    held = isinstance(passages, Sequence)
    return sorted(passages, key=lambda passage: passage.language) if held else passages


def _write_passages(
    path: Path, name: str, passages: Iterable[Passage], wanted: Collection[Key]
) -> tuple[dict[Key, int], dict[str, int]]:
    """Write passages one by one; return the places of those wanted, and the count by language.

    Memory is 8 bytes a passage.
    """
    places: dict[Key, int] = {}
    counts: dict[str, int] = {}
    hashes = array("q")

    def texts() -> Iterator[tuple[str, str]]:
        for passage in _by_language(passages):
            key = passage.language, passage.id
            if key in wanted:
                places[key] = len(hashes)
            if passage.language not in counts and counts and passage.language < max(counts):
                raise UserError(f"{name}: passages in {passage.language} come out of order")
            counts[passage.language] = counts.get(passage.language, 0) + 1
            hashes.append(hash(key))
            yield passage.id, passage.text

    write_arrow(path, TEXTS, texts(), CHUNK)
    order = np.argsort(values := np.frombuffer(hashes, np.int64), kind="stable")
    if len(again := np.flatnonzero(np.diff(values[order]) == 0)):
        first, second = sorted(map(int, order[again[0] :][:2]))
        id = read_arrow(path)["id"][first].as_py()
        raise UserError(
            f"{name}: two passages of one language have the same id, {id!r}: the {first + 1:,}. "
            f"and the {second + 1:,}. of all, by language and file; rename or delete one"
        )
    return places, counts


def open_task(folder: Path, id: str) -> Task:
    """Open what `write_task` wrote; `id` says which content it is."""
    try:
        about = json.loads((folder / "task.json").read_text("utf-8"))
        with np.load(folder / "task.npz") as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{folder} is missing files or damaged; delete it and run the command again"
        ) from error
    return Task(
        name=about["name"],
        id=id,
        folder=folder,
        protocol=about["protocol"],
        settings=tuple(about["settings"]),
        languages=tuple(about["languages"]),
        mining=tuple(Mining(*one) for one in about["mining"]),
        absent=tuple(Absent(*one) for one in about["absent"]),
        **arrays,
    )


def data_of(task: Task) -> EvaluationData:
    """Return the data of a prepared task; its concepts are numbers."""

    def texts(table: pa.Table, codes: np.ndarray) -> Iterator[tuple[str, str, int, str]]:
        for at in range(0, len(table), CHUNK):
            some = table[at : at + CHUNK].to_pydict()
            for i, (id, text) in enumerate(zip(some["id"], some["text"], strict=True), start=at):
                yield id, task.languages[codes[i]], i, text

    ids = task.passages["id"]

    def passage(place: int) -> tuple[str, str]:
        return task.languages[task.passage_language[place]], ids[int(place)].as_py()

    relevant: dict[str, list[tuple[str, str, float]]] = {
        str(concept): [(*passage(task.relevant[i]), float(task.gain[i])) for i in range(a, b)]
        for concept, (a, b) in enumerate(pairwise(task.indptr))
    }
    for absent in task.absent:
        relevant[str(absent.concept)].append((absent.language, absent.id, absent.gain))
    return EvaluationData(
        [
            Query(id, language, str(task.concept[i]), text)
            for id, language, i, text in texts(task.queries, task.query_language)
        ],
        (Passage(i, lang, t) for i, lang, _, t in texts(task.passages, task.passage_language)),
        relevant,
        task.protocol,
        task.settings,
        mining=task.mining,
        excluded={
            str(concept): passage(place)
            for concept, place in enumerate(task.excluded)
            if place >= 0
        },
        same={} if task.same is None else {str(i): str(n) for i, n in enumerate(task.same)},
    )
