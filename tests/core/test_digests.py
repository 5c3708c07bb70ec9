"""What is read is what was written, and a file is read once for as long as it stays."""

import hashlib
import os
from pathlib import Path

import pytest

from hbr.core import digests
from hbr.core.digests import altered, contents, file_digests, remember, tree_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files of the same size."""
    for name in ("a", "b"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    return tmp_path / "in"


def wrong(folder: Path, noted: dict[str, str], **options: bool) -> tuple[str, str] | None:
    return altered(folder / ".known", folder, noted, **options)


def test_a_digest_of_a_tree_knows_names_and_bytes_but_not_hidden_files(folder):
    one = tree_digest(folder)
    (folder / ".hidden").write_text("x")
    assert tree_digest(folder) == one
    (folder / "a").rename(folder / "c")
    other = tree_digest(folder)
    (folder / "c").write_text("2")
    assert len({one, other, tree_digest(folder)}) == 3


def test_loose_names_are_left_out_with_all_below_them(folder):
    (folder / "model" / "b").mkdir(parents=True)
    (folder / "model" / "b" / "weights").write_text("w")
    (folder / "model" / "c").write_text("c")
    assert [*file_digests(folder, {"b"})] == ["a", "model/c"]


def test_the_digest_is_sha_256(folder):
    assert file_digests(folder)["a"].startswith("ca978112ca1bbdcafac231b39a23dc4d")


def test_an_altered_a_swapped_and_a_missing_file_are_named(folder):
    noted = file_digests(folder)
    assert wrong(folder, noted) is None
    (folder / "a").rename(folder / "x")
    (folder / "b").rename(folder / "a")  # keeps size and time of writing
    assert wrong(folder, noted) == ("a", "is not what was written there")
    (folder / "a").rename(folder / "b")
    assert wrong(folder, noted) == ("a", "is missing or cannot be read")
    assert wrong(folder, noted, missing=False) is None
    (folder / "x").rename(folder / "a")
    assert wrong(folder, noted) is None


def test_an_altered_file_is_found_although_its_time_was_set_back(folder):
    noted = file_digests(folder)
    remember(folder / ".known", folder, noted)
    before = (folder / "b").stat()
    (folder / "b").write_text("c")
    os.utime(folder / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert wrong(folder, noted) == ("b", "is not what was written there")


def test_a_file_is_read_once(folder, monkeypatch):
    noted = file_digests(folder)
    assert wrong(folder, noted) is None
    monkeypatch.setattr(digests, "file_digest", lambda path: pytest.fail(f"{path} is read again"))
    digests._digest.cache_clear()
    assert wrong(folder, noted) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}'])
def test_damaged_notes_cost_time_alone(folder, text):
    noted = file_digests(folder)
    (folder / ".known").write_text(text)
    assert wrong(folder, noted) is None


def test_contents_know_names_and_bytes_and_no_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a.txt").write_text("text")
        (tmp_path / name / ".hidden").write_text(name)
    known = tmp_path / "data" / "known.json"
    one, two = (contents(known, tmp_path / name) for name in ("one", "two"))
    assert one == two == [("sub/a.txt", hashlib.sha256(b"text").hexdigest())]
    (tmp_path / "two" / "sub" / "a.txt").write_text("next")
    assert contents(known, tmp_path / "two") != two
    assert contents(known, tmp_path / "one" / "sub" / "a.txt") == [(".", one[0][1])]


def test_contents_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("text")
    first = contents(tmp_path / "known", tmp_path / "a")
    monkeypatch.setattr("hbr.core.digests.file_digest", None)
    assert contents(tmp_path / "known", tmp_path / "a") == first


def test_contents_are_those_behind_links_to_folders_too(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    source, known = tmp_path / "source", tmp_path / "known"
    source.mkdir()
    (source / "linked").symlink_to(tmp_path / "one")
    (source / "loop").symlink_to(source)
    first = contents(known, source)
    assert [name for name, _ in first] == ["linked/a.txt"]
    (source / "linked").unlink()
    (source / "linked").symlink_to(tmp_path / "two")
    assert contents(known, source) != first
