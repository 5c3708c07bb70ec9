"""Monolingual files become parallel rows, joined by id, with memory that stays flat."""

import json
import subprocess
import sys

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.joined import JOINED
from hbr.data.records import checked

EN = [
    {"id": "a", "query": "q1", "passage": "p1", "group": "g"},
    {"id": "b", "query": "q2", "passage": "p2", "negatives": ["n"]},
]
DE = [
    {"id": "c", "query": "F3", "passage": "P3", "group": 7},
    {"id": "a", "query": "F1", "passage": "P1", "group": "other"},
]
TH = [{"id": "b", "query": "ถาม", "passage": "ตอบ"}, {"id": "c", "query": "ถ", "passage": "ต"}]


@pytest.fixture
def folder(tmp_path):
    for language, rows in (("en", EN), ("de", DE), ("th", TH)):
        write(tmp_path / f"{language}.jsonl", rows)
    return tmp_path


def write(path, rows) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    path.write_bytes(("\n" + text).encode())


def read(folder) -> list[dict]:
    return list(JOINED.read(folder))


def test_lines_with_the_same_id_are_one_row_in_the_order_of_the_english_file(folder):
    assert read(folder) == [
        {
            "id": "a",
            "group": "g",
            "query": {"en": "q1", "de": "F1"},
            "passage": {"en": "p1", "de": "P1"},
            "negatives": {},
        },
        {
            "id": "b",
            "group": None,
            "query": {"en": "q2", "th": "ถาม"},
            "passage": {"en": "p2", "th": "ตอบ"},
            "negatives": {"en": ["n"]},
        },
        {
            "id": "c",
            "group": "7",
            "query": {"de": "F3", "th": "ถ"},
            "passage": {"de": "P3", "th": "ต"},
            "negatives": {},
        },
    ]


def test_the_rows_are_rows_as_the_json_lines_have_them(folder):
    for number, row in enumerate(read(folder), start=1):
        assert checked(jsonl.Row, row, "here").as_dict(number) == row


def test_without_english_the_first_language_leads(folder):
    (folder / "en.jsonl").unlink()
    assert [row["id"] for row in read(folder)] == ["c", "a", "b"]


def test_an_id_may_be_a_number(folder):
    write(folder / "en.jsonl", [{**EN[0], "id": 7}])
    write(folder / "de.jsonl", [{**DE[0], "id": "7"}])
    assert read(folder)[0]["query"] == {"en": "q1", "de": "F3"}


def test_ids_with_the_same_hash_stay_apart(folder, monkeypatch):
    monkeypatch.setattr("hbr.data.readers.joined._hash", lambda own: 5)
    assert [list(row["query"]) for row in read(folder)] == [
        ["en", "de"],
        ["en", "th"],
        ["de", "th"],
    ]


def test_an_id_that_stands_twice_is_named_with_file_and_line(folder):
    write(folder / "de.jsonl", [*DE, DE[0]])
    with pytest.raises(UserError, match=r"de\.jsonl:4: has the id 'c' again"):
        read(folder)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON: "),
        ("[]", "is no object"),
        ('{"query": "q", "passage": "p"}', '"id" is missing'),
        ('{"id": 1, "query": {"en": "q"}, "passage": "p"}', '"query" is no text'),
        ('{"id": 1, "query": "q", "passage": " "}', '"passage" is blank'),
        ('{"id": 1, "query": "q", "passage": "p", "negatives": "n"}', '"negatives" is no list'),
    ],
)
def test_a_line_that_is_wrong_is_named(folder, line, told):
    (folder / "en.jsonl").write_text(json.dumps(EN[0]) + "\n" + line)
    with pytest.raises(UserError, match=rf"en\.jsonl:2: {told}") as raised:
        read(folder)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_not_utf_8_are_named(folder):
    (folder / "en.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(UserError, match=r"en\.jsonl:1: not UTF-8: "):
        read(folder)


def test_a_folder_without_files_is_told_the_layout(tmp_path):
    with pytest.raises(UserError, match=r"holds no <language>\.jsonl; a line is"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "en.jsonl"])
def test_what_is_no_folder_is_a_users_mistake(folder, name):
    with pytest.raises(UserError, match="is no folder"):
        read(folder / name)


MEASURED = """
import json, sys, resource
from pathlib import Path
from hbr.data.readers.joined import JOINED
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(len(row["query"]) for row in JOINED.read(Path(sys.argv[1])))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([count, (after - before) / 1024]))
"""


def test_memory_stays_far_below_the_size_of_the_files(tmp_path):
    count, size = 100_000, 0
    for language in ("en", "de"):
        path = tmp_path / f"{language}.jsonl"
        with path.open("w") as file:
            for i in range(count):
                file.write(f'{{"id": "r{i}", "query": "{"q" * 100}", "passage": "{"p" * 400}"}}\n')
        size += path.stat().st_size
    out = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    read, megabytes = json.loads(out.stdout)
    assert read == 2 * count
    assert size > 100e6
    assert megabytes < 20  # 17 bytes a line, and as much again while they are sorted
