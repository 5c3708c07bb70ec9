"""Yahoo's non-factoid questions (nfL6) and the answers voted best.

Cohen and Croft (ICTIR 2016); https://ciir.cs.umass.edu/downloads/nfL6, `nfL6.json.gz`, of Yahoo's
Webscope L6. A row is a question with its best answer: 87,361. arXiv 2408.10536 has 135,557 rows of
a "Yahoo QA" that it does not describe; Webscope L5 (142,627 manner questions) is nearer in size,
but comes under a licence of its own: bring it as JSON lines.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.streams import find, json_items, row

ORIGIN = "https://ciir.cs.umass.edu/downloads/nfL6"


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read `nfL6.json` or `nfL6.json.gz`."""
    for where, item in json_items(find(source, ["nfL6.json"], ORIGIN)):
        try:
            id, question, answer = str(item["id"]), item["question"], item["answer"]
            if question.strip() and answer.strip():
                yield row(id, question, answer)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{where}: not in nfL6's layout (id, question, answer)") from error


YAHOO_QA = TrainingData(
    "yahoo-qa", read, "Yahoo's non-factoid questions, nfL6", "en", "87,361 questions",
    "Webscope, research", source="ciir.cs.umass.edu/downloads/nfL6", protocol="answer",
)  # fmt: skip
