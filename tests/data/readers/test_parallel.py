"""Any parallel rows become a task like LAReQA."""

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.parallel import PARALLEL
from hbr.data.tasks import write_task

ROWS = [
    {
        "id": "a",
        "group": "g",
        "query": {"en": "Who? ", "de": "Wer?"},
        "passage": {"de": "Bo tat es.", "en": "Bo did it."},
        "negatives": {"en": ["Nobody."]},
    },
    {
        "id": "b",
        "group": "g",
        "query": {"en": "What?", "de": "Was?"},
        "passage": {"en": "Bo did it.", "de": "Es war Bo."},
    },
    {"id": "c", "query": {"th": "ไหน"}, "passage": {"th": "ที่นี่"}},
]


def test_queries_of_a_row_are_one_concept(rows_file):
    draft = PARALLEL.read(rows_file(ROWS), "sentence")
    assert sorted(draft.queries) == [
        ("a", "de", "a", "Wer?"),
        ("a", "en", "a", "Who?"),
        ("b", "de", "b", "Was?"),
        ("b", "en", "b", "What?"),
        ("c", "th", "c", "ไหน"),
    ]
    assert draft.settings == ("mono", "cross", "multi")


def test_a_passage_stands_once_for_the_rows_of_its_group(rows_file):
    draft = PARALLEL.read(rows_file(ROWS), "sentence")
    assert [tuple(p) for p in draft.passages] == [
        ("g", "de", "Bo tat es."),
        ("g#2", "de", "Es war Bo."),
        ("g", "en", "Bo did it."),
        ("c", "th", "ที่นี่"),
    ]
    assert list(draft.notes.values()) == [1]


def test_relevant_is_the_passage_of_the_row_in_every_language(rows_file):
    assert PARALLEL.read(rows_file(ROWS), "sentence").relevant == {
        "a": [("de", "g"), ("en", "g")],
        "b": [("en", "g"), ("de", "g#2")],
        "c": [("th", "c")],
    }


def test_the_only_file_of_a_folder_is_read(rows_file, tmp_path):
    rows_file(ROWS)
    assert len(PARALLEL.read(tmp_path, "sentence").queries) == 5
    rows_file(ROWS, name="more.jsonl")
    with pytest.raises(UserError, match=r"holds 2 \.jsonl files; name one"):
        PARALLEL.read(tmp_path, "sentence")


def test_two_rows_with_one_id_are_a_users_mistake(rows_file):
    with pytest.raises(UserError, match=r"rows.jsonl:2: has the id of .*rows.jsonl:1, 'a'"):
        PARALLEL.read(rows_file([ROWS[0], ROWS[0]]), "sentence")


def test_a_bad_row_is_named(rows_file):
    path = rows_file([*ROWS, {"query": {"en": "q"}, "passage": {"de": "p"}}])
    with pytest.raises(UserError, match=rf"{path}:4: lacks en in its passage"):
        PARALLEL.read(path, "sentence")


def test_the_held_out_rows_of_xquad_are_a_task_in_eleven_languages(shared_data, tmp_path):
    draft = PARALLEL.read(shared_data / "xquad-heldout" / "train.jsonl", "sentence")
    counts = write_task(tmp_path, "held-out", draft)
    assert counts["queries"] == 888 * 11
    assert counts["passages"] + sum(counts["notes"].values()) == 888 * 11
    assert all(len({key[0] for key in found}) == 11 for found in draft.relevant.values())
