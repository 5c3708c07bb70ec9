"""Tasks of MTEB, retrieval and bitext mining: `mteb:TASK`, or one's own: `mteb:module:CLASS`.

`mteb:TASK/de,en` is a task in some of its languages. Muennighoff et al., MTEB (arXiv 2210.07316).
MTEB downloads the data, in the revision that its task names.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, partialmethod
from pathlib import Path
from typing import Any, NamedTuple

from hbr.core.errors import UserError, first_line
from hbr.core.languages import language
from hbr.core.registry import from_outside, likely, near, source_digest
from hbr.core.target import MTEB
from hbr.data.dataset import Dataset
from hbr.data.readers.files import LEFT_OUT
from hbr.data.tasks import EvaluationData, Passage, Query

logger = logging.getLogger(__name__)

TYPES = ("Retrieval", "BitextMining")
KIND = "mteb task"
Pair = tuple[str, str]  # of query and passage languages


class Stratum(NamedTuple):
    """A subset of a split, which MTEB scores on its own, and the languages of its two sides.

    Where languages do not tell strata apart, the stratum's own name stands for both.
    """

    name: str
    split: str
    subset: str
    query_language: str
    passage_language: str

    @property
    def setting(self) -> str:
        """`mono` or `cross`."""
        return "mono" if self.query_language == self.passage_language else "cross"


class Part(NamedTuple):
    """The data of a stratum: texts by id, and the gains of the passages judged for each query.

    Sentences to mine have their places for ids.
    """

    queries: Mapping[str, str]
    passages: Iterable[tuple[str, str]]
    judged: Mapping[str, Mapping[str, int]]


def reader(name: str) -> Dataset:
    """Return the data set of `mteb:` and a task; nothing of it is looked up before it is needed."""

    def check() -> None:
        open_task(name)

    return Dataset(
        name,
        partial(read, name=name),
        needs_source=False,
        check=check,
        revision=partial(revision, name),
    )


def open_task(name: str) -> Any:
    """Return a task of MTEB, its data not loaded, with the subsets in the languages of the name.

    Raises UserError where MTEB is not installed, has no such task or the task no such language,
    and for a task that is neither retrieval nor bitext mining of texts.
    """
    reference, _, codes = name.removeprefix(MTEB).partition("/")
    task = _task(reference)
    kind, modalities = task.metadata.type, list(task.metadata.modalities)
    if kind not in TYPES or modalities != ["text"]:
        raise UserError(
            f"{MTEB}{reference} is {kind} of {' and '.join(modalities)}: hbr runs MTEB's "
            f"{' and '.join(TYPES)} of text"
        )
    if codes:
        task.hf_subsets = _subsets_in(task, reference, codes.split(","))
    return task


def loaded(name: str) -> Any:
    """Return a task of MTEB with its data. Raises UserError (exit code 1) where there are none."""
    task = open_task(name)
    logger.info(f"{name}: loading by MTEB, which downloads what is not here")
    try:
        with quiet():
            task.load_data()
            if hasattr(task, "convert_v1_dataset_format_to_v2"):
                task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # the libraries' many kinds of "no network" and "not free"
        raise UserError(f"mteb cannot load {name}: {first_line(error)}", exit_code=1) from error
    return task


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the bars of MTEB and of datasets, some of which have no switch: hbr has its own."""
    import datasets
    from tqdm.auto import tqdm

    shown, were_shown = tqdm.__init__, datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    tqdm.__init__ = partialmethod(shown, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = shown
        if were_shown:
            datasets.enable_progress_bars()


def revision(name: str) -> str:
    """Return the revision of a task's data, of one's own task with a digest of its source."""
    reference = name.removeprefix(MTEB).partition("/")[0]
    data = str(_task(reference).metadata.dataset["revision"])
    return f"{data} {source_digest(reference)}" if ":" in reference else data


def read(_source: Path | None, _passage: str, name: str) -> EvaluationData:
    """Read the texts and judgements of a task, stratum by stratum; ids begin with its name."""
    task = loaded(name)
    parts = [(stratum, part(task, stratum)) for stratum in strata(task)]
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str, float]]] = {}
    notes: Counter[str] = Counter()
    for stratum, (texts, _, judged) in parts:
        for query, text in texts.items():
            answers = [
                (stratum.passage_language, f"{stratum.name}/{passage}", float(gain))
                for passage, gain in judged.get(query, {}).items()
                if gain > 0
            ]
            notes[LEFT_OUT] += not answers
            if answers:
                id = f"{stratum.name}/{query}"
                queries.append(Query(id, stratum.query_language, id, text))
                relevant[id] = answers
    settings = tuple(s for s in ("mono", "cross") if any(one.setting == s for one, _ in parts))
    protocol = f"the texts of MTEB's {task.metadata.name}"
    return EvaluationData(queries, _passages(parts), relevant, protocol, settings, +notes)


def _passages(parts: Iterable[tuple[Stratum, Part]]) -> Iterator[Passage]:
    for stratum, data in sorted(parts, key=lambda pair: pair[0].passage_language):
        for id, text in data.passages:
            yield Passage(f"{stratum.name}/{id}", stratum.passage_language, text)


def part(task: Any, stratum: Stratum) -> Part:
    """Return the data of a stratum of a loaded task."""
    if task.metadata.type == "BitextMining":
        return _sentences(task, stratum)
    data = task.dataset[stratum.subset][stratum.split]
    judged = {query: gains for query, gains in data["relevant_docs"].items() if gains}
    rows = ((row["id"], row["text"]) for row in data["queries"])
    return Part(
        {id: text if isinstance(text, str) else str(text) for id, text in rows if id in judged},
        ((row["id"], document_text(row)) for row in data["corpus"]),
        judged,
    )


def _sentences(task: Any, stratum: Stratum) -> Part:
    sides = ["sentence1", "sentence2"]
    if task.parallel_subsets:
        data, sides = task.dataset[stratum.split], stratum.subset.split("-")
    else:
        data = task.dataset.get(stratum.subset, task.dataset)[stratum.split]
    first, second = (list(data[side]) for side in sides)
    has_gold = isinstance(data, Mapping) and "gold" in data  # BUCC; else line n is that of line n
    gold = [pair[1] for pair in data["gold"]] if has_gold else range(len(first))
    return Part(
        {str(i): text for i, text in enumerate(first)},
        ((str(i), text) for i, text in enumerate(second)),
        {str(i): {str(j): 1} for i, j in enumerate(gold)},
    )


def document_text(row: Mapping[str, Any]) -> str:
    """Return a document as MTEB has encoders read it: its title, then its text."""
    return f"{row.get('title') or ''} {row['text']}".strip()


def strata(task: Any) -> list[Stratum]:
    """Return the strata of a loaded task, each with languages of its own.

    A language is named as hbr does where that tells the strata apart, else as MTEB does. MTEB does
    not say which of two languages is that of the passages: it is the one whose own subset shares
    passages with this one, else the second.
    """
    several = len(task.eval_splits) > 1
    places = [(split, subset) for split in task.eval_splits for subset in task.hf_subsets]
    names = [f"{split}/{subset}" if several else subset for split, subset in places]
    tags = [task.metadata.hf_subsets_to_langscripts[subset] for _, subset in places]
    levels: list[list[Pair | None]] = [
        [_pair([_code(tag) for tag in one]) for one in tags],
        [_pair(one) for one in tags],
        [(name, name) for name in names],
    ]
    pairs = [
        next(pair for level in levels if (pair := level[i]) and level.count(pair) == 1)
        for i in range(len(places))
    ]
    found = [
        Stratum(name, *place, *pair) for name, place, pair in zip(names, places, pairs, strict=True)
    ]
    return found if task.metadata.type == "BitextMining" else _turned(task, found)


def _pair(tags: Sequence[str]) -> Pair | None:
    different = list(dict.fromkeys(tags))
    return (different[0], different[-1]) if len(different) <= 2 else None


def _code(tag: str) -> str:
    """Return hbr's code of a language that MTEB writes `deu-Latn`."""
    known = language(tag)
    return known.code if known else tag.partition("-")[0]


def _turned(task: Any, found: list[Stratum]) -> list[Stratum]:
    """Return strata with the two languages of a subset as query's and passages'."""
    pairs = {language for s in found if s.setting == "cross" for language in s[3:]}
    texts = {
        s.query_language: _texts(task, s)
        for s in found
        if s.setting == "mono" and s.query_language in pairs
    }

    def turned(stratum: Stratum) -> Stratum:
        first, second = stratum[3:]
        if first == second:
            return stratum
        own = _texts(task, stratum)
        shared = [len(own & texts.get(language, frozenset())) for language in (first, second)]
        swapped = stratum._replace(query_language=second, passage_language=first)
        return swapped if shared[0] > shared[1] else stratum

    return list(map(turned, found))


def _texts(task: Any, stratum: Stratum) -> frozenset[str]:
    return frozenset(text for _, text in part(task, stratum).passages)


def _task(reference: str) -> Any:
    """Return a task by MTEB's name for it, or by its class."""
    try:
        import mteb
    except ImportError as error:
        raise UserError(f"{MTEB}{reference} needs mteb: pip install 'hbr[mteb]'") from error
    if ":" not in reference:
        try:
            return mteb.get_task(reference)
        except KeyError:
            from mteb.get_tasks import TASK_LIST

            known = (one.metadata.name for one in TASK_LIST)
            raise UserError(f"mteb has no task {reference!r}{likely(reference, known)}") from None
    found = from_outside(KIND, reference)
    if not (isinstance(found, type) and issubclass(found, mteb.AbsTask)):
        raise UserError(f"{KIND} {reference!r} is no class of a task: it must be an mteb.AbsTask")
    return found()


def _subsets_in(task: Any, reference: str, codes: Sequence[str]) -> list[str]:
    """Return the subsets all of whose languages are named."""
    subsets = {
        subset: {_code(tag) for tag in tags}
        for subset, tags in task.metadata.hf_subsets_to_langscripts.items()
    }
    known = {code for of_subset in subsets.values() for code in of_subset}
    named = [_code(code) for code in codes]
    for code in named:
        if code not in known:
            raise UserError(f"{MTEB}{reference} has no language {code!r}{near(code, known)}")
    kept = [subset for subset, of_subset in subsets.items() if of_subset <= set(named)]
    if not kept:
        raise UserError(f"{MTEB}{reference} has no subset in {', '.join(named)} alone")
    return kept
