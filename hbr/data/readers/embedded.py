"""The embedded in-vitro data: made on the spot, no files, no network. Synthetic."""

from pathlib import Path

from hbr.data import invitro
from hbr.data.readers import RowsReader, TaskReader
from hbr.data.readers.lareqa import parse
from hbr.data.tasks import Draft

TRAIN = RowsReader(
    lambda _source: invitro.rows("train"), invitro.PIVOT, validation="embedded-validation"
)
VALIDATION = RowsReader(lambda _source: invitro.rows("validation"), invitro.PIVOT)


def _task(_source: Path | None, passage: str) -> Draft:
    draft = parse(invitro.documents(), passage, "embedded ")
    return draft._replace(protocol=f"synthetic in-vitro languages; {draft.protocol}")


TASK = TaskReader(_task, needs_source=False)
