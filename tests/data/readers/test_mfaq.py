"""MFAQ's pages become a row a pair."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.mfaq import MFAQ
from hbr.data.records import checked

PAGES = [
    {
        "id": 31,
        "language": "en",
        "num_pairs": 3,
        "domain": "example.org",
        "qa_pairs": [
            {"question": "Do you ship? ", "answer": "Yes.\nTo Zürich.", "language": "en"},
            {"question": "", "answer": "A.", "language": "en"},
            {"question": "Where?", "answer": "Here.", "language": "en"},
        ],
    },
    {"id": 32, "language": "en", "num_pairs": 0, "domain": "example.com", "qa_pairs": []},
]


def test_every_full_pair_of_every_page_is_a_row(tmp_path):
    path = tmp_path / "data" / "en" / "train.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(page) + "\n" for page in PAGES))
    rows = list(MFAQ.read(tmp_path))
    assert [row["id"] for row in rows] == ["31:1", "31:3"]
    assert rows[0]["query"] == {"en": "Do you ship?"}
    assert rows[0]["passage"] == {"en": "Yes.\nTo Zürich."}
    assert [checked(jsonl.Row, row, "here").as_dict(1) for row in rows] == rows
    assert list(MFAQ.read(path)) == list(MFAQ.read(path.parent)) == rows


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"qa_pairs": [{"question": "q"}]}', '{"qa_pairs": ["q"]}']
)
def test_another_layout_is_named_with_its_line(tmp_path, line):
    (tmp_path / "train.jsonl").write_text(json.dumps(PAGES[0]) + "\n" + line + "\n")
    with pytest.raises(UserError, match=r"train\.jsonl:2: .*is (missing|no )"):
        list(MFAQ.read(tmp_path))


def test_a_missing_file_is_told_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"holds no train\.jsonl or .* get it from https"):
        list(MFAQ.read(tmp_path))
