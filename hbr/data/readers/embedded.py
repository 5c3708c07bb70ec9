"""The embedded in-vitro data: made on the spot, no files, no network. Synthetic."""

from pathlib import Path

from hbr.data import synthetic
from hbr.data.readers import RowsReader, TaskReader
from hbr.data.readers.lareqa import parse
from hbr.data.tasks import Draft

TRAIN = RowsReader(
    lambda _source: synthetic.rows("train"), synthetic.PIVOT, validation="embedded-validation"
)
VALIDATION = RowsReader(lambda _source: synthetic.rows("validation"), synthetic.PIVOT)


def _task(_source: Path | None, passage: str) -> Draft:
    draft = parse(synthetic.documents(), passage, "embedded ")
    return draft._replace(protocol=f"synthetic in-vitro languages; {draft.protocol}")


TASK = TaskReader(_task, needs_source=False)
