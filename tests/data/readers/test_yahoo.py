"""nfL6 becomes rows: a question with its best answer."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.yahoo import YAHOO_QA
from hbr.data.records import checked

ITEMS = [
    {
        "main_category": "Health",
        "question": "How do I get rid of “it”?",
        "nbestanswers": ["Wait.", "Sleep."],
        "answer": "Wait.",
        "id": "2020338",
    },
    {"main_category": "x", "question": "Why?", "nbestanswers": [], "answer": " ", "id": "1"},
]


def test_a_row_is_a_question_with_its_best_answer(tmp_path):
    path = tmp_path / "nfL6.json.gz"
    path.write_bytes(gzip.compress(json.dumps(ITEMS, indent=2).encode()))
    rows = list(YAHOO_QA.read(tmp_path))
    assert (
        [checked(jsonl.Row, row, "here").as_dict(1) for row in rows]
        == rows
        == [
            {
                "id": "2020338",
                "group": None,
                "query": {"en": "How do I get rid of “it”?"},
                "passage": {"en": "Wait."},
                "negatives": {},
            }
        ]
    )


@pytest.mark.parametrize("item", [{}, 3, {**ITEMS[0], "answer": None}, {"id": 1, "question": "q"}])
def test_another_layout_is_named_with_its_item(tmp_path, item):
    (tmp_path / "nfL6.json").write_text(json.dumps([ITEMS[0], item]))
    with pytest.raises(UserError, match=r"nfL6\.json item 2: .*is (missing|no )"):
        list(YAHOO_QA.read(tmp_path))


def test_a_missing_file_is_told_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"holds no nfL6\.json; get it from https"):
        list(YAHOO_QA.read(tmp_path))
