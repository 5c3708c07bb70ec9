"""JSON lines are read as they are, and a bad line is named by file and number."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.jsonl import JSONL, read

GOOD = {
    "id": "a",
    "group": "g",
    "query": {"en": "q", "de": "F"},
    "passage": {"de": "P", "en": "p"},
    "negatives": {"en": ["n"]},
}


def refused(rows_file, **changed) -> str:
    path = rows_file([GOOD, {**GOOD, **changed}])
    with pytest.raises(UserError) as raised:
        list(read(path))
    message = str(raised.value)
    assert message.startswith(f"{path}:2: ")
    assert "\n" not in message
    return message


def test_rows_are_read_as_they_are(rows_file):
    assert list(read(rows_file([GOOD, {**GOOD, "id": "b"}]))) == [GOOD, {**GOOD, "id": "b"}]
    assert JSONL.pivot == "en"


def test_a_row_without_an_id_has_its_line_number_and_numbers_become_text(rows_file):
    without = {key: value for key, value in GOOD.items() if key != "id"}
    rows = [without, {**GOOD, "id": 7}, {**without, "id": None}]
    assert [row["id"] for row in read(rows_file(rows))] == ["1", "7", "3"]


def test_empty_lines_are_passed_over_and_counted(rows_file):
    path = rows_file([GOOD])
    without = {key: value for key, value in GOOD.items() if key != "id"}
    path.write_text("\n\n" + json.dumps(without) + "\n\n")
    assert [row["id"] for row in read(path)] == ["3"]


def test_lines_separators_within_a_text_do_not_end_the_line(rows_file):
    row = {"id": "a", "query": {"en": "a\u2028b\x85c"}, "passage": {"en": "d\r\ne"}}
    assert list(read(rows_file([row]))) == [{**row, "group": None, "negatives": {}}]


def test_a_line_that_does_not_parse_is_named(rows_file):
    path = rows_file([GOOD, GOOD])
    path.write_text(path.read_text() + '{"query": \n')
    with pytest.raises(UserError, match=rf"{path}:3: not JSON: "):
        list(read(path))


def test_bytes_that_are_not_utf_8_are_named(rows_file):
    path = rows_file([GOOD, GOOD])
    path.write_bytes(path.read_bytes() + json.dumps(GOOD).encode().replace(b'"F"', b'"\xff"'))
    with pytest.raises(UserError, match=rf"{path}:3: not UTF-8: "):
        list(read(path))


def test_a_passage_that_lacks_a_language_of_its_query_is_named(rows_file):
    message = refused(rows_file, passage={"en": "p"}, negatives={})
    assert "lacks de in its passage" in message


def test_a_query_that_lacks_a_language_of_its_passage_is_named(rows_file):
    assert "lacks de in its query" in refused(rows_file, query={"en": "q"}, negatives={})


@pytest.mark.parametrize("empty", ["", "  \n", 3, ["q"]])
def test_an_empty_text_is_refused(rows_file, empty):
    said = refused(rows_file, query={"en": empty, "de": "F"})
    assert '"query.en" is ' in said


@pytest.mark.parametrize("texts", ["q", [], None])
def test_a_query_that_is_not_by_language_is_refused(rows_file, texts):
    assert '"query" is no object; a row is {' in refused(rows_file, query=texts)


def test_negatives_in_a_language_without_query_are_refused(rows_file):
    told = refused(rows_file, negatives={"en": ["n"], "th": ["ไม่"]})
    assert "has negatives but no query in th" in told


@pytest.mark.parametrize("negatives", ["n", ["n"], {"en": "n"}, {"en": [""]}, {"en": [None]}])
def test_negatives_that_are_no_lists_of_texts_are_refused(rows_file, negatives):
    assert '"negatives' in refused(rows_file, negatives=negatives)


def test_negatives_may_be_listed_with_scores_of_the_passage_and_of_each(rows_file):
    row = {**GOOD, "negatives": [{"en": "n", "de": "N"}, {"de": "M"}], "scores": [3.0, -1.5, 2]}
    assert list(read(rows_file([row]))) == [row]
    said = refused(rows_file, negatives=row["negatives"], scores=[3, 1])
    assert "has 2 scores for a passage and 2 negatives" in said
    assert '"scores.1" ' in refused(rows_file, scores=[3, float("nan")])


@pytest.mark.parametrize("line", ["[]", "3", '"text"', '{"query": {"en": "q"}}'])
def test_a_line_that_is_no_row_is_refused(rows_file, line):
    path = rows_file([])
    path.write_text(line)
    with pytest.raises(UserError, match=rf"{path}:1: .*is (no object|missing); a row is"):
        list(read(path))


def test_the_held_out_rows_are_888_in_eleven_languages(shared_data):
    rows = list(read(shared_data / "xquad-heldout" / "train.jsonl"))
    assert len(rows) == 888
    assert all(len(row["query"]) == len(row["passage"]) == 11 for row in rows)
    assert all(row["group"] for row in rows)


def test_a_language_whose_texts_are_null_is_one_that_the_row_lacks(rows_file):
    row = {
        **GOOD,
        "query": {**GOOD["query"], "th": None},
        "passage": {**GOOD["passage"], "th": None},
    }
    assert list(read(rows_file([row]))) == list(read(rows_file([GOOD])))
    assert "lacks th in its query" in refused(
        rows_file, **{**row, "passage": {**GOOD["passage"], "th": "p"}}
    )
