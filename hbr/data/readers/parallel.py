"""Parallel rows as a task, like LAReQA: a row's queries find its passages, in every language.

The rows are those of training, JSON lines: `{"id", "group", "query": {language: text}, "passage":
{language: text}}`; rows with the same `group` share a passage. Protocol: arXiv 2004.05484.
"""

from collections import Counter
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, Dataset
from hbr.data.hashes import normalise
from hbr.data.readers import jsonl
from hbr.data.readers.files import by_stem, own_ids
from hbr.data.tasks import EvaluationData, Passage, Query

SHARED = "passages that another row has already, not repeated"


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read a file, or the only .jsonl file of a folder; negatives are no candidates.

    Within a language a passage stands once for all rows of its group with the same text, or for all
    rows without a group: two questions of a group may, in a translation, be answered by two
    different sentences.
    """
    assert source is not None
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    passages: list[Passage] = []
    ids: dict[tuple[str, str | None, str], str] = {}  # language, group, text
    held: Counter[tuple[str, str]] = Counter()  # passages by language and group
    notes: Counter[str] = Counter()
    for concept, row in own_ids(
        (where, row["id"], row) for where, row in jsonl.placed(_file(source))
    ):
        group = row["group"]
        relevant[concept] = []
        for language, text in row["passage"].items():
            key = (language, group, normalise(text))
            if key not in ids:
                own = concept if group is None else group
                held[language, own] += 1
                number = held[language, own]
                ids[key] = own if number == 1 else f"{own}#{number}"
                passages.append(Passage(ids[key], language, text))
            else:
                notes[SHARED] += 1
            relevant[concept].append((language, ids[key]))
            queries.append(Query(concept, language, concept, row["query"][language]))
    passages.sort(key=lambda passage: passage.language)  # stable: the order of the rows within
    return EvaluationData(queries, passages, relevant, "parallel rows, like LAReQA", notes=notes)


def _file(source: Path) -> Path:
    files = [*by_stem(source, ".jsonl").values()] if source.is_dir() else [source]
    if len(files) != 1:
        raise UserError(f"{source}: holds {len(files)} .jsonl files; name one with --source FILE")
    return files[0]


PARALLEL = Dataset(
    "parallel", read, "parallel rows as JSON lines", "any", licence=YOUR_FILES,
    protocol="like LAReQA", version=2,
)  # fmt: skip
