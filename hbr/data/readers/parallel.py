"""Parallel rows as a task, like LAReQA: a row's queries find its passages, in every language.

The rows are those of training, JSON lines: `{"id", "group", "query": {language: text}, "passage":
{language: text}}`; rows with the same `group` share a passage. Protocol: arXiv 2004.05484.
"""

from collections import Counter
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import YOUR_FILES, Dataset
from hbr.data.readers import jsonl
from hbr.data.readers.files import by_stem
from hbr.data.tasks import EvaluationData, Passage, Query

SHARED = "passages that another row of the group has already, not repeated"


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read a file, or the only .jsonl file of a folder; negatives are no candidates.

    Within a language a passage stands once for all rows of its group with the same text: two
    questions of a group may, in a translation, be answered by two different sentences.
    """
    assert source is not None
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    ids: dict[tuple[str, str, str], str] = {}  # language, group, text
    held: Counter[tuple[str, str]] = Counter()  # passages by language and group
    notes: Counter[str] = Counter()
    for row in jsonl.read(_file(source)):
        concept = row["id"]
        if concept in relevant:
            raise UserError(f"{source}: two rows have the id {concept!r}; make them unique")
        group = concept if row.get("group") is None else str(row["group"])
        relevant[concept] = []
        for language, text in row["passage"].items():
            key = (language, group, text.strip())
            if key not in ids:
                held[language, group] += 1
                number = held[language, group]
                ids[key] = group if number == 1 else f"{group}#{number}"
            else:
                notes[SHARED] += 1
            relevant[concept].append((language, ids[key]))
            queries.append(Query(concept, language, concept, row["query"][language].strip()))
    passages = [Passage(name, language, text) for (language, _, text), name in ids.items()]
    passages.sort(key=lambda passage: passage.language)  # stable: the order of the rows within
    return EvaluationData(queries, passages, relevant, "parallel rows, like LAReQA", notes=notes)


def _file(source: Path) -> Path:
    files = [*by_stem(source, ".jsonl").values()] if source.is_dir() else [source]
    if len(files) != 1:
        raise UserError(f"{source}: holds {len(files)} .jsonl files; name one with --source FILE")
    return files[0]


PARALLEL = Dataset(
    "parallel", read, "parallel rows as JSON lines", "any", licence=YOUR_FILES,
    protocol="like LAReQA",
)  # fmt: skip
