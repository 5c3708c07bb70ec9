"""DuoRC's questions become rows where one sentence of the plot holds the answer."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.duorc import DUORC, DUORC_PARAPHRASE
from hbr.data.records import checked


def question(own: str, answers: list[str], no_answer: bool = False) -> dict:
    return {"id": own, "question": f"{own}? ", "answers": answers, "no_answer": no_answer}


PLOTS = [
    {
        "id": "/m/03vyhn",
        "title": "T",
        "plot": "Ann meets Bo in Łódź. Bo leaves.\nDr. Cy stays with Annabel.",
        "qa": [
            question("a", ["łódź"]),
            question("twice", ["Bo"]),
            question("nowhere", ["Dee"]),
            question("part", ["Ann"]),
            question("none", [], no_answer=True),
            question("several", ["Dr. Cy", "stays"]),
            question("marks", ["C(y", ""]),
        ],
    }
]


def test_a_row_needs_the_one_sentence_with_an_answer_word_for_word(tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "SelfRC_train.json").write_text(json.dumps(PLOTS))
    rows = list(DUORC.read(tmp_path))
    assert [(row["id"], row["passage"]["en"]) for row in rows] == [
        ("a", "Ann meets Bo in Łódź."),
        ("part", "Ann meets Bo in Łódź."),
        ("several", "Dr. Cy stays with Annabel."),
    ]
    assert rows[0]["query"] == {"en": "a?"}
    assert [checked(jsonl.Row, row, "here").as_dict(1) for row in rows] == rows


def test_the_paraphrased_plots_are_another_file(tmp_path):
    (tmp_path / "ParaphraseRC_train.json").write_text(json.dumps(PLOTS))
    assert len(list(DUORC_PARAPHRASE.read(tmp_path))) == 3
    with pytest.raises(UserError, match=r"holds no SelfRC_train\.json or .* get it from https"):
        list(DUORC.read(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"plot": "p"}]', " item 1: .*is (missing|no )"),
        ('[{"plot": "p", "qa": [{"id": "x"}]}]', " item 1: .*is (missing|no )"),
        ("[3]", " item 1: .*is (missing|no )"),
        ('[{"plot": ]', " item 1: not JSON"),
        ("{}", ": holds no JSON array"),
    ],
)
def test_another_layout_is_named_with_its_item(tmp_path, text, told):
    (tmp_path / "SelfRC_train.json").write_text(text)
    with pytest.raises(UserError, match=rf"SelfRC_train\.json{told}"):
        list(DUORC.read(tmp_path))
