"""The embedded data: synthetic, made on the spot, no files, no network."""

from pathlib import Path

from hbr.data import synthetic
from hbr.data.dataset import Dataset, TrainingData
from hbr.data.readers.lareqa import Article, parse
from hbr.data.records import checked
from hbr.data.tasks import EvaluationData


def _task(_source: Path | None, passage: str) -> EvaluationData:
    documents = {
        language: [(language, checked(Article, article, language)) for article in document["data"]]
        for language, document in synthetic.documents().items()
    }
    data = parse(documents, passage)
    return data._replace(protocol=f"synthetic languages; {data.protocol}")


TITLE, LICENCE, SOURCE = "synthetic languages", "none needed", "made on the spot"
TASK = Dataset(
    "embedded",
    _task,
    TITLE,
    "10",
    "3,290 queries",
    LICENCE,
    SOURCE,
    "LAReQA",
    needs_source=False,
    is_synthetic=True,
)
TRAIN = TrainingData(
    "embedded", lambda _source: synthetic.rows("train"), TITLE, "8", "3,248 rows", LICENCE, SOURCE,
    "sentence", needs_source=False, is_synthetic=True, pivot=synthetic.PIVOT,
    validation="embedded-validation",
)  # fmt: skip
VALIDATION = TrainingData(
    "embedded-validation", lambda _source: synthetic.rows("validation"),
    "the same, for validation", "8", "333 rows", LICENCE, SOURCE, "sentence",
    needs_source=False, is_synthetic=True, pivot=synthetic.PIVOT,
)  # fmt: skip
