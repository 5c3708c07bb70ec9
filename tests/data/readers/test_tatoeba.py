"""Tatoeba becomes a task whose pairs do not see each other: accuracy@1 is recall@1 by pair."""

from collections import Counter

import pytest

from hbr.core.errors import UserError
from hbr.core.languages import group, language
from hbr.data.readers.tatoeba import TATOEBA, TATOEBA_112, TATOEBA_XTREME_R, XTREME, XTREME_R
from hbr.data.tasks import open_task, write_task

PAIRS = {
    "deu": (["Hallo.", "Ja.", "Nein."], ["Hello.", "Yes.", "No."]),
    "tha": (["ใช่"], ["Yes."]),
}


@pytest.fixture
def folder(tmp_path):
    for code, (own, english) in PAIRS.items():
        (tmp_path / f"tatoeba.{code}-eng.{code}").write_text("".join(f"{x}\n" for x in own))
        (tmp_path / f"tatoeba.{code}-eng.eng").write_text("".join(f"{x}\n" for x in english))
    return tmp_path


def test_a_pair_is_two_languages_and_its_lines_are_concepts(folder):
    draft = TATOEBA_112.read(folder, "sentence")
    assert [tuple(q) for q in draft.queries] == [
        ("1", "deu", "deu:1", "Hallo."),
        ("2", "deu", "deu:2", "Ja."),
        ("3", "deu", "deu:3", "Nein."),
        ("1", "eng-deu", "deu:1", "Hello."),
        ("2", "eng-deu", "deu:2", "Yes."),
        ("3", "eng-deu", "deu:3", "No."),
        ("1", "eng-tha", "tha:1", "Yes."),
        ("1", "tha", "tha:1", "ใช่"),
    ]
    assert [(p.id, p.language, p.text) for p in draft.passages] == [
        (q.id, q.language, q.text) for q in draft.queries
    ]
    assert draft.relevant["tha:1"] == [("eng-tha", "1"), ("tha", "1")]
    assert draft.settings == ("cross",)


def test_the_english_of_a_pair_is_english():
    assert language("eng-deu") is language("en")


def test_line_ends_of_windows_are_no_part_of_a_sentence(folder):
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [q.text for q in TATOEBA_112.read(folder, "sentence").queries][:2] == ["Hallo.", "Ja."]


def test_files_of_different_lengths_are_named(folder):
    (folder / "tatoeba.deu-eng.eng").write_text("Hello.\nYes.\n")
    with pytest.raises(UserError, match="deu-eng are not parallel: 3 lines in deu and 2 lines in"):
        TATOEBA_112.read(folder, "sentence")


def test_a_file_without_its_twin_is_named(folder):
    (folder / "tatoeba.deu-eng.deu").unlink()
    with pytest.raises(UserError, match=r"tatoeba\.deu-eng\.deu: there is no such file"):
        TATOEBA_112.read(folder, "sentence")


def test_a_file_that_is_not_text_is_named(folder):
    (folder / "tatoeba.deu-eng.deu").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"tatoeba\.deu-eng\.deu:1: not UTF-8"):
        TATOEBA_112.read(folder, "sentence")


def test_a_folder_without_files_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"holds no tatoeba\.XXX-eng\.eng"):
        TATOEBA_112.read(tmp_path, "sentence")


def test_xtreme_needs_all_of_its_languages(folder):
    with pytest.raises(UserError, match=r"tatoeba\.afr-eng\.afr.* …, 68 of XTREME's 72 files"):
        TATOEBA.read(folder, "sentence")


def test_xtreme_has_36_of_the_112_languages(shared_data, tmp_path):
    draft = TATOEBA.read(shared_data / "tatoeba", "sentence")
    assert len(set(XTREME)) == len(XTREME) == 36
    counts = Counter(q.language for q in draft.queries)
    assert len(counts) == 72
    assert sum(counts.values()) == 2 * 31_692
    assert counts["deu"] == counts["eng-deu"] == 1000
    assert counts["jav"] == 205
    write_task(tmp_path, "tatoeba", draft)
    task = open_task(tmp_path, "of the test")
    assert set(task.indptr[1:] - task.indptr[:-1]) == {2}


def test_xtreme_r_has_five_languages_more(shared_data):
    assert sorted(language(code).code for code in set(XTREME_R) - set(XTREME)) == [
        *("az", "lt", "pl", "ro", "uk")
    ]
    draft = TATOEBA_XTREME_R.read(shared_data / "tatoeba", "sentence")
    counts = Counter(q.language for q in draft.queries)
    assert len(counts) == 82
    assert sum(counts.values()) == 2 * 36_692
    assert {name[8:11] for name in TATOEBA_XTREME_R.remote} == set(XTREME_R)


def test_xtreme_r_needs_all_of_its_languages(folder):
    with pytest.raises(UserError, match=r"78 of XTREME-R's 82 files"):
        TATOEBA_XTREME_R.read(folder, "sentence")


def test_the_direction_that_xtreme_reports_is_named(folder):
    draft = TATOEBA_112.read(folder, "sentence")
    assert draft.protocol.endswith("each pair its own corpus; XTREME reports en→other")
    assert group("english", "eng-deu", "deu") == "en→other"
    assert group("english", "deu", "eng-deu") == "other→en"


def test_laser_has_112_languages(shared_data):
    draft = TATOEBA_112.read(shared_data / "tatoeba", "sentence")
    counts = Counter(q.language for q in draft.queries)
    assert len(counts) == 224
    assert sum(counts.values()) == 2 * 88_877 == len(draft.passages)
    assert all(q.text for q in draft.queries)
    assert {q.language for q in draft.queries if language(q.language) is None} == set()
