"""SQuAD, its translations and SQuADShifts become rows: a question and its answer's sentence."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.squad import SHIFTS, SQUAD, SQUAD_CONTEXT, SQUADSHIFTS

CONTEXT = "Ann saw Bo in the U.S. Army. It rained."


def question(own: str, asked: str, start: int | None) -> dict:
    answers = [] if start is None else [{"text": "…", "answer_start": start}] * 3
    return {"id": own, "question": asked, "answers": answers}


def document(*paragraphs: tuple[str, list[dict]], version_first: bool = False) -> str:
    held = [{"context": context, "qas": qas} for context, qas in paragraphs]
    data = {"data": [{"title": "T", "paragraphs": [paragraph]} for paragraph in held]}
    whole = {"version": "1.1", **data} if version_first else {**data, "version": "1.1"}
    return json.dumps(whole, ensure_ascii=False)


@pytest.fixture
def folder(tmp_path):
    asked = [question("x", " Who?", 8), question("y", "What?", 32)]
    english = document((CONTEXT, asked), ("Cy left.", [question("z", "Did he?", 0)]))
    (tmp_path / "train-v1.1.json").write_text(english)
    translated = document(
        ("Ann sah Bo. Es regnete.", [question("y", "Was?", 15), question("x", "Wer?", 99)]),
        version_first=True,
    )
    (tmp_path / "squad.translate.train.en-de.json").write_text(translated)
    (tmp_path / "translate-train").mkdir()
    chinese = document(("安见了波。下雨了。", [question("y", "什么？", 6)]))
    (tmp_path / "translate-train" / "squad.translate.train.en-zh.json").write_text(chinese)
    return tmp_path


def test_the_passage_is_the_sentence_in_which_the_answer_starts(folder):
    rows = list(SQUAD.read(folder / "train-v1.1.json"))
    assert [(row["id"], row["group"]) for row in rows] == [("x", "0.0"), ("y", "0.0"), ("z", "1.0")]
    assert [row["query"] for row in rows] == [{"en": "Who?"}, {"en": "What?"}, {"en": "Did he?"}]
    assert [row["passage"]["en"] for row in rows] == [
        "Ann saw Bo in the U.S. Army.",
        "It rained.",
        "Cy left.",
    ]


def test_translations_join_by_question_but_where_the_answer_was_lost(folder):
    rows = {row["id"]: row for row in SQUAD.read(folder)}
    assert rows["x"]["query"] == {"en": "Who?"}
    assert rows["y"]["query"] == {"en": "What?", "de": "Was?", "zh": "什么？"}
    assert rows["y"]["passage"] == {"en": "It rained.", "de": "Es regnete.", "zh": "下雨了。"}
    assert list(rows) == ["x", "y", "z"]


def test_one_translated_file_is_in_its_language(folder):
    plain = folder / "squad.translate.train.en-de.json"
    packed = folder / "squad.translate.train.en-de.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for file in (plain, packed):
        assert [row["query"] for row in SQUAD.read(file)] == [{"de": "Was?"}]


def test_the_paragraph_may_stand_behind_the_sentence(folder):
    rows = list(SQUAD_CONTEXT.read(folder / "train-v1.1.json"))
    assert rows[1]["passage"] == {"en": f"It rained. {CONTEXT}"}


def test_squadshifts_has_four_domains_in_english(tmp_path):
    for name in SHIFTS:
        (tmp_path / name).write_text(document(("Cy left.", [question(name, "Did he?", 0)])))
    rows = list(SQUADSHIFTS.read(tmp_path))
    assert [row["id"] for row in rows] == SHIFTS
    assert rows[0]["group"] == "new_wiki_v1.0:0.0"
    assert [row["id"] for row in SQUADSHIFTS.read(tmp_path / SHIFTS[1])] == [SHIFTS[1]]
    (tmp_path / SHIFTS[3]).unlink()
    with pytest.raises(UserError, match=r"holds no amazon_reviews_v1\.0\.json; get it from https"):
        list(SQUADSHIFTS.read(tmp_path))


def test_a_question_without_an_answer_is_left_out(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(document(("Cy left.", [question("a", "Q?", None), question("b", " ", 0)])))
    assert list(SQUAD.read(path)) == []


def test_a_folder_without_the_english_file_is_told_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"holds no train-v1\.1\.json; get it from https"):
        list(SQUAD.read(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "holds no JSON object with an array 'data'"),
        ('{"data": [{"paragraphs": [}]}', "item 1: not JSON"),
        ('{"data": [{"title": "t"}]}', 'item 1: "paragraphs" is missing'),
        (
            '{"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "x"}]}]}]}',
            'question" is missing',
        ),
        ('{"data": ["text"]}', "item 1: is no object"),
    ],
)
def test_a_file_in_another_layout_is_named(folder, text, told):
    (folder / "train-v1.1.json").write_text(text)
    with pytest.raises(UserError) as raised:
        list(SQUAD.read(folder))
    assert f"train-v1.1.json{'' if told.startswith('holds') else ' '}" in str(raised.value)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_question_that_stands_twice_is_named_with_its_folder(folder):
    twice = document(("Cy left.", [question("a", "Q?", 0), question("a", "Q?", 0)]))
    (folder / "train-v1.1.json").write_text(twice)
    with pytest.raises(UserError, match=rf"{folder}/en.jsonl:2: has the id 'a' again"):
        list(SQUAD.read(folder))
