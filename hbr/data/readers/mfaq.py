"""MFAQ's English training set: frequently asked questions and their answers, page by page.

De Bruyn et al. (arXiv 2109.12870); https://huggingface.co/datasets/clips/mfaq,
`data/en/train.jsonl`. A row is every pair of every page: arXiv 2408.10536 has 3,567,659.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import TrainingData
from hbr.data.readers.streams import find, json_lines, row
from hbr.data.snapshot import Snapshot

NAMES = ("train.jsonl", "en/train.jsonl", "data/en/train.jsonl")
ORIGIN = "https://huggingface.co/datasets/clips/mfaq"


def read(source: Path | None) -> Iterator[dict[str, Any]]:
    """Read the pairs of `train.jsonl`, here or in `data/en`; a pair with an empty side is none."""
    for page, (where, item) in enumerate(json_lines(find(source, NAMES, ORIGIN)), start=1):
        try:
            page_id = str(item.get("id", page))
            pairs = [(pair["question"] or "", pair["answer"] or "") for pair in item["qa_pairs"]]
            full = [(n, q, a) for n, (q, a) in enumerate(pairs, start=1) if q.strip() and a.strip()]
        except (KeyError, TypeError, AttributeError) as error:
            layout = "id, qa_pairs with question and answer"
            raise UserError(f"{where}: not in MFAQ's layout ({layout})") from error
        for number, question, answer in full:
            yield row(f"{page_id}:{number}", question, answer)


MFAQ = TrainingData(
    "mfaq", read, "MFAQ, English training set", "en", "3,567,659 pairs", "CC0-1.0",
    source="clips/mfaq", protocol="answer", hub=(Snapshot("clips/mfaq", ("data/en/train.jsonl",)),),
)  # fmt: skip
