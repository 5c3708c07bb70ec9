"""Belebele: 900 questions about 488 passages of FLORES-200 in 122 languages and scripts.

Bandarkar et al., The Belebele Benchmark: a Parallel Reading Comprehension Dataset in 122 Language
Variants (arXiv 2308.16884). Files are `<language>.jsonl`, such as `eng_Latn.jsonl`, as on the hub,
where they lie in `data`. A question finds the passage that it is about; the answers that it could
be answered with are not read. Two questions may be about one passage, which stands there once.
"""

from collections import Counter
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.readers.files import by_stem
from hbr.data.records import FullText, Id, Record, records
from hbr.data.snapshot import Snapshot
from hbr.data.tasks import EvaluationData, Passage, Query

HUB = "facebook/belebele"


class Row(Record):
    remedy = "a line of Belebele has link, question_number, flores_passage and question"
    link: Id
    question_number: Id
    flores_passage: FullText
    question: FullText


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read every `<language>.jsonl` of a folder, or of the folder `data` in it."""
    assert source is not None
    files = by_stem(source / "data", ".jsonl") or by_stem(source, ".jsonl")
    if not files:
        raise UserError(f"{source}: holds no <language>.jsonl; get them from {BELEBELE.source}")
    rows = {
        language: [row for _, row in records(path, Row)] for language, path in sorted(files.items())
    }
    _refuse_disorder(source, rows)
    queries: list[Query] = []
    passages: list[Passage] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    for language, of_language in rows.items():
        places: dict[tuple[str, str], str] = {}  # ids by link and text
        held: Counter[str] = Counter()
        for row in of_language:
            if (key := (row.link, row.flores_passage)) not in places:
                held[row.link] += 1
                places[key] = f"{row.link}#{held[row.link]}"
                passages.append(Passage(places[key], language, row.flores_passage))
            question = f"{places[key]} {row.question_number}"
            queries.append(Query(question, language, question, row.question))
            relevant.setdefault(question, []).append((language, places[key]))
    return EvaluationData(queries, passages, relevant, "Belebele, question → FLORES passage")


def _refuse_disorder(source: Path, rows: dict[str, list[Row]]) -> None:
    """Raise UserError where a link has several passages and files do not list them in one order."""
    orders = [[(row.link, row.question_number) for row in some] for some in rows.values()]
    alike = all(order == orders[0] for order in orders)
    for language, some in rows.items():
        passages = {(row.link, row.flores_passage) for row in some}
        if not alike and len({row.link for row in some}) < len(passages):
            raise UserError(
                f"{source}: {language} has two passages of one link, and other files list their "
                "questions in another order: which is a translation of which is not said"
            )


BELEBELE = Dataset(
    "belebele", read, "Belebele", "122", "900 × 122 / 488 × 122", "CC BY-SA 4.0",
    source=HUB, protocol="like LAReQA", hub=(Snapshot(HUB, ("data/*.jsonl",)),),
)  # fmt: skip
