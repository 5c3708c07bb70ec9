"""NewsQA's training questions become rows: the paragraph that holds the agreed answer."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.newsqa import NEWSQA
from hbr.data.records import checked

TEXT = "ZÜRICH (CNN) -- Ann saw Bo.\n\n\nIt rained on Monday. \n\nCy left."


def asked(q: str, consensus: dict) -> dict:
    answers = [{"sourcerAnswers": [consensus]}]
    return {"q": q, "consensus": consensus, "isAnswerAbsent": 0, "answers": answers}


def write(path, *stories: dict) -> None:
    path.write_text(json.dumps({"data": stories, "version": "1"}))


def story(kind: str, *questions: dict) -> dict:
    return {"storyId": "./cnn/x.story", "text": TEXT, "type": kind, "questions": list(questions)}


def test_a_row_is_a_training_question_with_the_paragraph_of_its_answer(tmp_path):
    path = tmp_path / "combined-newsqa-data-v1.json"
    train = story(
        "train",
        asked("Who? ", {"s": 16, "e": 19}),
        asked("Bad?", {"badQuestion": True}),
        asked("None?", {"noAnswer": True}),
        asked("When?", {"s": TEXT.index("Monday"), "e": 50}),
        asked("What?", {"s": len(TEXT) - 1, "e": len(TEXT)}),
        asked("Outside?", {"s": 999, "e": 1000}),
        asked("Blank?", {"s": TEXT.index("\n\n\n") + 1, "e": 30}),
    )
    write(path, train, story("dev", asked("Who?", {"s": 0, "e": 1})))
    rows = list(NEWSQA.read(tmp_path))
    assert [(row["id"], row["query"]["en"], row["passage"]["en"]) for row in rows] == [
        ("./cnn/x.story:0", "Who?", "ZÜRICH (CNN) -- Ann saw Bo."),
        ("./cnn/x.story:3", "When?", "It rained on Monday."),
        ("./cnn/x.story:4", "What?", "Cy left."),
    ]
    assert [checked(jsonl.Row, row, "here").as_dict(1) for row in rows] == rows


@pytest.mark.parametrize("lacking", ["text", "type", "questions"])
def test_another_layout_is_named_with_its_item(tmp_path, lacking):
    other = story("train", asked("Who?", {"s": 0, "e": 1}))
    del other[lacking]
    write(tmp_path / "x.json", story("train"), other)
    with pytest.raises(UserError, match=r"x\.json item 2: .* is missing"):
        list(NEWSQA.read(tmp_path / "x.json"))


def test_a_missing_file_is_told_how_it_is_made(tmp_path):
    with pytest.raises(UserError, match=r"holds no combined-newsqa-data-v1\.json; get it from"):
        list(NEWSQA.read(tmp_path))
