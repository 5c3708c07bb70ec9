"""DPR's layout becomes rows: the first positive passage, the hard negatives."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.dpr import ENTITY_QUESTIONS, NQ
from hbr.data.records import checked


def passage(title: str | None, text: str) -> dict:
    return {"title": title, "text": text, "score": 1000, "title_score": 1, "passage_id": "7"}


ITEMS = [
    {
        "dataset": "nq_train_psgs_w100",
        "question": "who saw bo ",
        "answers": ["Ann"],
        "positive_ctxs": [passage("Bo", "Ann saw Bo."), passage("Ann", "She saw him.")],
        "negative_ctxs": [passage("x", "y")],
        "hard_negative_ctxs": [passage(None, f"Cé {i}.") for i in range(30)],
    },
    {"question": "none?", "answers": [], "positive_ctxs": [], "hard_negative_ctxs": []},
    {"question": "two?", "answers": [], "positive_ctxs": [passage("", "P.")]},
]


def test_a_row_is_a_question_with_its_first_positive_and_first_hard_negatives(tmp_path):
    path = tmp_path / "biencoder-nq-train.json.gz"
    path.write_bytes(gzip.compress(json.dumps(ITEMS, indent=4).encode()))
    rows = list(NQ.read(tmp_path))
    assert rows == [
        {
            "id": "biencoder-nq-train:1",
            "group": None,
            "query": {"en": "who saw bo"},
            "passage": {"en": "Bo Ann saw Bo."},
            "negatives": {"en": [f"Cé {i}." for i in range(8)]},
        },
        {
            "id": "biencoder-nq-train:3",
            "group": None,
            "query": {"en": "two?"},
            "passage": {"en": "P."},
            "negatives": {},
        },
    ]
    assert [checked(jsonl.Row, row, "here").as_dict(1) for row in rows] == rows


def test_a_folder_of_relations_is_read_file_by_file(tmp_path):
    for name in ("P17.train.json", "P19.train.json"):
        (tmp_path / name).write_text(json.dumps(ITEMS[2:]))
    rows = list(ENTITY_QUESTIONS.read(tmp_path))
    assert [row["id"] for row in rows] == ["P17.train:1", "P19.train:1"]


def test_entity_questions_own_files_are_told_that_they_have_no_passages(tmp_path):
    path = tmp_path / "P17.train.json"
    path.write_text('[{"question": "Which country is X in?", "answers": ["Y"]}]')
    with pytest.raises(UserError, match=r'item 1: "positive_ctxs" is missing; .*retrieved'):
        list(ENTITY_QUESTIONS.read(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"positive_ctxs": []}]', "item 1: .*is (missing|no )"),
        ('[{"question": 3, "positive_ctxs": [{"text": "t"}]}]', "item 1: .*is (missing|no )"),
        ('[{"question": "q", "positive_ctxs": [{}]}]', "item 1: .*is (missing|no )"),
        ('["q"]', "item 1: .*is (missing|no )"),
        ("[{]", "item 1: not JSON"),
        ('{"data": []}', "holds no JSON array"),
    ],
)
def test_another_layout_is_named_with_its_item(tmp_path, text, told):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=rf"x\.json:? {told}"):
        list(ENTITY_QUESTIONS.read(tmp_path / "x.json"))


def test_missing_files_are_told_where_to_get_them(tmp_path):
    with pytest.raises(UserError, match=r"holds no biencoder-nq-train\.json; get it from https"):
        list(NQ.read(tmp_path))
    with pytest.raises(UserError, match=r"holds no \*\.json"):
        list(ENTITY_QUESTIONS.read(tmp_path))
