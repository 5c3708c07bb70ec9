"""The embedded in-vitro data: made on the spot, no files, no network. Synthetic."""

from hbr.data import invitro
from hbr.data.readers import RowsReader, TaskReader
from hbr.data.readers.lareqa import parse

TRAIN = RowsReader(
    lambda _source: invitro.rows("train"), invitro.PIVOT, validation="embedded-validation"
)
VALIDATION = RowsReader(lambda _source: invitro.rows("validation"), invitro.PIVOT)
TASK = TaskReader(
    lambda _source, passage: parse(invitro.documents(), passage, "embedded "), needs_source=False
)
