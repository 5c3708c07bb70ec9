"""Large files are read one item at a time, whatever their layout, and what is wrong is named."""

import gzip
import json
import tracemalloc

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.streams import find, json_items, json_lines, lines

ITEMS = [{"a": "é\n}]", "b": [1, {"c": None}]}, {"a": "x" * 50}, 3.25, "text", [], True]


def values(path, key=None) -> list:
    return [item for _, item in json_items(path, key)]


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
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": 1}\r\n\r\n"b\xc2\x85c"\n'))
    assert [item for _, item in json_lines(path)] == [{"a": 1}, "b\x85c"]


def test_an_empty_array_has_no_items(tmp_path):
    (tmp_path / "x.json").write_text(" [ ] ")
    assert values(tmp_path / "x.json") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"a": 1}, {"a": }]', "item 2: not JSON: parse error: unallowed token"),
        ('[{"a": 1} {"a": 1}]', "item 2: not JSON: parse error: after array element"),
        ('[{"a": 1}, {"a": "x', "item 2: not JSON: parse error: premature EOF"),
        ('[{"a": 1}', "item 2: not JSON: parse error: premature EOF"),
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
    with pytest.raises(UserError, match=r"x\.json item 1: not JSON: .*invalid bytes in UTF8"):
        values(path)
    path.write_bytes(b"1\n\xff")
    with pytest.raises(UserError, match=r"x\.json:2: not UTF-8"):
        list(json_lines(path))
    path.write_text('1\n{"a"\n')
    with pytest.raises(UserError, match=r"x\.json:2: not JSON: Expecting"):
        list(json_lines(path))


def test_a_large_array_is_never_whole_in_memory(tmp_path):
    path = tmp_path / "x.json"
    with path.open("w") as file:
        item = json.dumps({"text": "x" * 1000})
        file.write("[" + ",".join([item] * 40_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in json_items(path)) == 40_000
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
