"""Mr. TyDi's training file becomes rows."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.tydi_train import MR_TYDI_TRAIN
from hbr.data.records import checked


def item(own: str, positives: list[str], negatives: list[str]) -> dict:
    return {
        "query_id": own,
        "query": "Is Creole a pidgin of French?",
        "positive_passages": [{"docid": "1#0", "title": "Créole", "text": t} for t in positives],
        "negative_passages": [{"docid": "2#3", "title": "", "text": t} for t in negatives],
    }


def write(path, *items: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(i) + "\n" for i in items).encode()))


def test_a_row_is_a_question_with_its_first_positive_passage(tmp_path):
    items = [item("0", ["P.", "Q."], ["N.", " "]), item("1", [], ["N."]), item("2", ["R."], [])]
    write(tmp_path / "mrtydi-v1.1-english" / "train.jsonl.gz", *items)
    rows = list(MR_TYDI_TRAIN.read(tmp_path))
    assert [row["id"] for row in rows] == ["0", "2"]
    assert rows[0]["passage"] == {"en": "Créole P."}
    assert [row["negatives"] for row in rows] == [{"en": ["N."]}, {}]
    assert [checked(jsonl.Row, row, "here").as_dict(1) for row in rows] == rows
    assert list(MR_TYDI_TRAIN.read(tmp_path / "mrtydi-v1.1-english")) == rows


@pytest.mark.parametrize("lacking", ["query_id", "query", "positive_passages", "negative_passages"])
def test_another_layout_is_named_with_its_line(tmp_path, lacking):
    other = item("1", ["P."], [])
    del other[lacking]
    write(tmp_path / "train.jsonl.gz", item("0", ["P."], []), other)
    with pytest.raises(UserError, match=r"train\.jsonl\.gz:2: .* is missing"):
        list(MR_TYDI_TRAIN.read(tmp_path))


def test_a_missing_file_is_told_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"holds no train\.jsonl or .* get it from https"):
        list(MR_TYDI_TRAIN.read(tmp_path))
