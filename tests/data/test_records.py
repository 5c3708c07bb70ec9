"""Files are read one record at a time, and what is wrong in them is named by file, line, field."""

import gzip
import json
import os
import re
import tracemalloc
from pathlib import Path

import pytest
from pydantic import ConfigDict

from hbr.core.errors import UserError
from hbr.data.readers.files import find
from hbr.data.records import Id, Record, RecordFile, Text, items, lines, records

ITEMS = [{"a": "é\n}]", "b": [1, {"c": None}]}, {"a": "x" * 50}, {"a": 3.25}, {"a": [], "b": True}]


class Any(Record):
    model_config = ConfigDict(extra="allow")


class Line(Record):
    id: Id
    text: Text
    plain: str = ""


def values(path, key=None) -> list:
    return [item.model_extra for _, item in items(path, Any, key)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_items_are_those_that_json_reads(tmp_path, indent, ascii_only):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ITEMS, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    assert values(path) == ITEMS


@pytest.mark.parametrize("before", [True, False])
def test_an_array_may_stand_under_a_key_between_others(tmp_path, before):
    around = {"version": "1.1", "n": 12, "o": {"data": []}}
    holder = {**around, "data": ITEMS} if before else {"data": ITEMS, **around}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(holder))
    assert values(path, "data") == ITEMS


def test_gzip_and_a_byte_order_mark_are_seen_through(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(ITEMS).encode()))
    assert values(path) == ITEMS
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"b": "b\xc2\x85c"}\n'))
    assert [item.model_extra for _, item in records(path, Any)] == [{"a": 1}, {"b": "b\x85c"}]


def test_an_empty_array_has_no_items(tmp_path):
    (tmp_path / "x.json").write_text(" [ ] ")
    assert values(tmp_path / "x.json") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"a": 1}, {"a": }]', "item 2: not JSON in UTF-8: Expecting value"),
        ('[{"a": 1} {"a": 1}]', "item 2: not JSON in UTF-8: the array does not end"),
        ('[{"a": 1}, {"a": "x', "item 2: not JSON in UTF-8: Unterminated string"),
        ('[{"a": 1}', "item 2: not JSON in UTF-8: the array does not end"),
        ('{"a": 1}', "holds no JSON array: another layout"),
        ("", "holds no JSON array: another layout"),
    ],
)
def test_a_broken_array_is_named_with_its_item(tmp_path, text, told):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        values(path)
    assert str(raised.value).startswith(f"{path}")
    assert told in str(raised.value)


def test_an_object_without_the_key_is_another_layout(tmp_path):
    (tmp_path / "x.json").write_text('{"dat": [1]}')
    with pytest.raises(UserError, match="holds no JSON object with an array 'data'"):
        values(tmp_path / "x.json", "data")


def test_a_download_that_was_cut_off_is_named(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(json.dumps(ITEMS).encode())[:-12])
    with pytest.raises(UserError, match=r"x\.json\.gz.*: not readable; get the file again"):
        values(path)
    with pytest.raises(UserError, match=r"x\.json\.gz:1: not readable; get the file again"):
        list(lines(path))


def test_what_is_no_text_is_named(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'["\xff"]')
    with pytest.raises(UserError, match=r"x\.json item 1: not JSON in UTF-8: invalid start byte"):
        values(path)
    path.write_bytes(b"{}\n\xff")
    with pytest.raises(UserError, match=r"x\.json:2: not UTF-8"):
        list(records(path, Any))
    path.write_text('{}\n{"a"\n')
    with pytest.raises(UserError, match=r"x\.json:2: not JSON: EOF"):
        list(records(path, Any))


def test_a_large_array_is_never_whole_in_memory(tmp_path):
    path = tmp_path / "x.json"
    with path.open("w") as file:
        item = json.dumps({"text": "x" * 1000})
        file.write("[" + ",".join([item] * 40_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in items(path, Any)) == 40_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 40e6
    assert peak < 8e6


def test_a_broken_item_in_a_large_array_does_not_read_the_rest(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}, {"a" 1}, ' + " " * 20_000_000 + "]")
    tracemalloc.start()
    with pytest.raises(UserError, match="item 2"):
        values(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_file_is_found_by_its_names_also_gzipped(tmp_path):
    (tmp_path / "b.json.gz").write_bytes(b"")
    assert find(tmp_path, ["a.json", "b.json"], "URL") == tmp_path / "b.json.gz"
    assert find(tmp_path / "b.json.gz", ["a.json"], "URL") == tmp_path / "b.json.gz"
    with pytest.raises(UserError, match=r"holds no c\.json or d; get it from URL"):
        find(tmp_path, ["c.json", "d"], "URL")
    with pytest.raises(UserError, match=r"nowhere: there is no such file; get c from URL"):
        find(tmp_path / "nowhere", ["c"], "URL")
    with pytest.raises(UserError, match=r"no source is named; get c from URL"):
        find(None, ["c"], "URL")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "1"}', '"text" is missing'),
        ('{"id": null, "text": "x"}', '"id" is no text'),
        ('{"id": true, "text": "x"}', '"id" is no text'),
        ('{"id": "", "text": "x"}', '"id" is blank'),
        ('{"id": "1", "text": ["x"]}', '"text" is no text'),
        ('{"id": "1", "text": 1999}', '"text" is no text'),
        ('["x"]', "is no object"),
        ('{"id": "1", "text": "\\ud800"}', "not JSON: .*hex escape"),
        ('{"id": "1", "text": "", "plain": "\\ud800"}', "not JSON: .*hex escape"),
        ('{"id": "1", "text": "x", "n": ' + "[" * 100_000 + "]" * 100_000 + "}", "recursion limit"),
    ],
)
def test_what_is_no_record_is_named_by_its_field(tmp_path, line, said):
    for name, content, read in (
        ("x.jsonl", f'{{"id": 7, "text": " a "}}\n{line}\n', records),
        ("x.json", f'[{{"id": 7, "text": " a "}},\n{line}]', items),
    ):
        path = tmp_path / name
        path.write_text(content)
        rest = read(path, Line)
        assert next(rest)[1] == Line(id="7", text="a")
        with pytest.raises(UserError) as raised:
            next(rest)
        assert "\n" not in str(raised.value)
        assert str(raised.value).startswith(f"{path}")
        if read is records:
            assert re.search(f":2: .*{said}", str(raised.value))


def test_an_integer_of_ten_thousand_digits_is_no_id(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": %s, "text": ""}' % ("9" * 10_000))
    with pytest.raises(UserError, match=r"x\.jsonl:1: "):
        list(records(tmp_path / "x.jsonl", Line))
    (tmp_path / "x.json").write_text('[{"id": %s, "text": ""}]' % ("9" * 10_000))
    with pytest.raises(UserError, match=r"x\.json item 1: "):
        list(items(tmp_path / "x.json", Line))


def test_pipes_folders_and_other_compressions_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is no plain file"):
        list(lines(tmp_path / "pipe"))
    with pytest.raises(UserError, match="is no plain file"):
        list(lines(tmp_path))
    with pytest.raises(UserError, match="null: is no plain file"):
        list(lines(Path("/dev/null")))
    with pytest.raises(UserError, match="nowhere: there is no such file"):
        list(lines(tmp_path / "nowhere"))
    (tmp_path / "x").write_bytes(b"\x28\xb5\x2f\xfd....")
    with pytest.raises(UserError, match="x: is packed by zstd; unpack it"):
        list(lines(tmp_path / "x"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_records_are_read_again_by_their_places_also_gzipped(tmp_path, pack):
    text = b'\xef\xbb\xbf{"id": 1, "text": "a"}\r\n\n{"id": 2, "text": "b"}\n'
    (tmp_path / "x").write_bytes(pack(text))
    with RecordFile(tmp_path / "x", Line) as file:
        places = {record.id: (place, where) for place, where, record in file}
        assert places["2"][1] == f"{tmp_path / 'x'}:3" == file.where(places["2"][0])
        assert [file.at(places[id][0]).text for id in ("2", "1")] == ["b", "a"]
