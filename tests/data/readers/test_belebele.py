"""Belebele: a question finds the passage of FLORES that it is about, in every language."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.belebele import BELEBELE
from hbr.data.tasks import write_task


def write(folder, language, *rows):
    """Write rows `(link, question_number, passage, question)` as the hub has them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("link", "question_number", "flores_passage", "question")
    answers = {f"mc_answer{n}": "…" for n in range(1, 5)} | {"correct_answer_num": "2"}
    lines = [
        json.dumps(dict(zip(names, row, strict=True)) | answers | {"dialect": language})
        for row in rows
    ]
    (folder / f"{language}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    write(
        tmp_path / "data", "eng_Latn",
        ("u/a", 1, "A rose.", "Which flower?"), ("u/a", 2, "A rose.", "How many?"),
        ("u/b", 1, "A dog.", "Which animal?"),
    )  # fmt: skip
    write(
        tmp_path / "data", "deu_Latn",
        ("u/b", 1, "Ein Hund.", "Welches Tier?"),
        ("u/a", 2, "Eine Rose.", "Wie viele?"), ("u/a", 1, "Eine Rose.", "Welche Blume?"),
    )  # fmt: skip
    return tmp_path


def test_questions_about_one_passage_share_it_in_each_language(folder):
    data = BELEBELE.read(folder, "sentence")
    assert [(p.language, p.id, p.text) for p in data.passages] == [
        ("deu_Latn", "u/b#1", "Ein Hund."),
        ("deu_Latn", "u/a#1", "Eine Rose."),
        ("eng_Latn", "u/a#1", "A rose."),
        ("eng_Latn", "u/b#1", "A dog."),
    ]
    both = [("deu_Latn", "u/a#1"), ("eng_Latn", "u/a#1")]
    assert data.relevant["u/a#1 1"] == data.relevant["u/a#1 2"] == both
    assert data.settings == ("mono", "cross", "multi")


def test_its_folder_serves_without_the_one_above(folder, tmp_path):
    assert BELEBELE.read(folder / "data", "sentence") == BELEBELE.read(folder, "sentence")
    counts = write_task(tmp_path, "belebele", BELEBELE.read(folder, "sentence"))
    assert (counts["queries"], counts["passages"]) == (6, 4)


def test_two_passages_of_one_link_are_told_apart_by_their_order(folder):
    for language, texts in {
        "eng_Latn": ("A cat.", "A cow."),
        "deu_Latn": ("Katze.", "Kuh."),
    }.items():
        write(folder / "data", language, *(("u/c", 1, text, f"{text}?") for text in texts))
    relevant = BELEBELE.read(folder, "sentence").relevant
    assert relevant["u/c#2 1"] == [("deu_Latn", "u/c#2"), ("eng_Latn", "u/c#2")]


def test_two_passages_of_one_link_in_another_order_are_refused(folder):
    write(folder / "data", "eng_Latn", ("u/a", 1, "A cat.", "?"), ("u/a", 1, "A cow.", "?"))
    with pytest.raises(UserError, match="eng_Latn has two passages of one link"):
        BELEBELE.read(folder, "sentence")


def test_a_folder_without_files_and_a_line_without_a_passage_are_users_mistakes(folder, tmp_path):
    with pytest.raises(UserError, match=r"holds no <language>\.jsonl"):
        BELEBELE.read(tmp_path / "nowhere", "sentence")
    (folder / "data" / "eng_Latn.jsonl").write_text('{"link": "u", "question_number": 1}')
    with pytest.raises(UserError, match=r"eng_Latn\.jsonl.*flores_passage"):
        BELEBELE.read(folder, "sentence")
