"""Bitext becomes rows of two languages, each side query and passage."""

import gzip

import pytest

from hbr.core.errors import UserError
from hbr.data import prepare
from hbr.data.readers import jsonl
from hbr.data.readers.tsv import BITEXT
from hbr.data.records import checked

DE, EN = "Hallo.\r\n\r\nWie geht’s?\r\n", "Hello.\r\nOdd.\r\nHow are you?\r\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Tatoeba.v1.de-en.de").write_bytes(DE.encode())
    (tmp_path / "Tatoeba.v1.de-en.en").write_bytes(EN.encode())
    (tmp_path / "README").write_text("no bitext")
    return tmp_path


def test_two_parallel_files_are_rows_and_a_line_with_an_empty_side_is_none(folder):
    rows = list(BITEXT.read(folder))
    assert [row["id"] for row in rows] == ["Tatoeba.v1.de-en:1", "Tatoeba.v1.de-en:3"]
    assert rows[1]["query"] == rows[1]["passage"] == {"de": "Wie geht’s?", "en": "How are you?"}
    assert checked(jsonl.Row, rows[0], "here").as_dict(1) == rows[0] | {"negatives": {}}


def test_one_of_the_two_files_stands_for_both_and_may_be_gzipped(folder):
    (folder / "Tatoeba.v1.de-en.en").unlink()
    (folder / "Tatoeba.v1.de-en.en.gz").write_bytes(gzip.compress(EN.encode()))
    for name in ("Tatoeba.v1.de-en.de", "Tatoeba.v1.de-en.en.gz"):
        assert len(list(BITEXT.read(folder / name))) == 2


def test_a_folder_may_hold_several_pairs(folder):
    (folder / "x.fr-it.fr").write_text("un\n")
    (folder / "x.fr-it.it").write_text("uno\n")
    (folder / "en-th.tsv").write_text("one\tหนึ่ง\n\t\n")
    assert [row["query"] for row in BITEXT.read(folder)] == [
        {"de": "Hallo.", "en": "Hello."},
        {"de": "Wie geht’s?", "en": "How are you?"},
        {"en": "one", "th": "หนึ่ง"},
        {"fr": "un", "it": "uno"},
    ]


def test_files_of_different_length_are_no_bitext(folder):
    (folder / "Tatoeba.v1.de-en.de").write_text("Hallo.\n")
    with pytest.raises(UserError, match=r"de-en\.de: ends before line 2"):
        list(BITEXT.read(folder))


def test_a_missing_side_is_named(folder):
    (folder / "Tatoeba.v1.de-en.de").unlink()
    with pytest.raises(UserError, match=r"Tatoeba\.v1\.de-en\.de: is missing"):
        list(BITEXT.read(folder))


def test_a_line_without_two_columns_is_named(tmp_path):
    (tmp_path / "x.en-th.tsv").write_text("a\tb\na b\n")
    with pytest.raises(UserError, match=r"x\.en-th\.tsv:2: has not two columns"):
        list(BITEXT.read(tmp_path))


@pytest.mark.parametrize("name", ["", "nowhere", "x.txt"])
def test_what_is_no_bitext_is_told_the_layout(tmp_path, name):
    (tmp_path / "x.txt").write_text("a\tb\n")
    with pytest.raises(UserError, match=r"NAME\.<l1>-<l2>\.<l1>"):
        list(BITEXT.read(tmp_path / name))


def test_the_real_tatoeba_files_are_bitext(shared_data):
    rows = list(BITEXT.read(shared_data / "tatoeba" / "tatoeba.deu-eng.eng"))
    assert len(rows) == 1000
    assert set(rows[0]["query"]) == {"deu", "eng"}


def test_the_other_side_of_a_file_is_part_of_what_is_prepared(folder, tmp_path):
    def english() -> list[str]:
        source = folder / "Tatoeba.v1.de-en.de"
        _, rows = prepare.rows(tmp_path / "runs", "bitext", source=source)
        return [text for text in rows.queries.column.to_pylist() if text.isascii()]

    assert "Hello." in english()
    (folder / "Tatoeba.v1.de-en.en").write_text("Hi.\nOdd.\nHow?\n")
    assert "Hello." not in english()
