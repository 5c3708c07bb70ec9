"""An archive is unpacked whole and inside its folder, or not at all."""

import io
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hbr.data.archives import unpack

KILLED = """
import os, signal, sys, zipfile
from pathlib import Path
from hbr.data.archives import unpack

def extract(held, place):
    zipfile.ZipFile.extract(held, held.namelist()[0], place)
    os.kill(os.getpid(), signal.SIGKILL)

zipfile.ZipFile.extractall = extract
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def zipped(path: Path, *names: str, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            held.writestr(member, f"content of {name}")
    return path


def tarred(path: Path, *names: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as held:
        for name in names:
            member, content = tarfile.TarInfo(name), f"content of {name}".encode()
            member.type, member.linkname = kind, link
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            held.addfile(member, io.BytesIO(content))
    return path


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def refused(archive: Path, folder: Path, told: str) -> None:
    """Refuse an archive: nothing but it is in its folder, and nothing new in those above."""
    before = tree(folder.parent)
    with pytest.raises(ValueError, match=told):
        unpack(archive, folder / "set")
    assert tree(folder.parent) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a" / "b"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("make", [zipped, tarred])
def test_what_is_wanted_is_there_and_nothing_else(make, folder):
    unpack(
        make(folder / ".set.partial", "set/corpus.jsonl", "set/qrels/test.tsv", "x"), folder / "set"
    )
    assert tree(folder) == ["set", "set/corpus.jsonl", "set/qrels", "set/qrels/test.tsv"]
    assert (folder / "set/corpus.jsonl").read_text() == "content of set/corpus.jsonl"
    unpack(make(folder / ".one.partial", "one.jsonl"), folder / "one.jsonl")
    assert (folder / "one.jsonl").read_text() == "content of one.jsonl"


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil", "set/../../evil", "..\\evil", "\\evil", "/evil"])
def test_names_that_lead_out_are_refused(make, name, folder):
    refused(
        make(folder / "archive", "set/good", name), folder, "evil', a link, a device or a place"
    )


def test_an_absolute_name_is_refused(folder, tmp_path):
    for make in (zipped, tarred):
        refused(make(folder / "archive", "set/good", f"{tmp_path}/evil"), folder, "outside")


@pytest.mark.parametrize("link", ["../../evil", "/etc", "good"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(kind, link, folder):
    refused(tarred(folder / "archive", "set/link", kind=kind, link=link), folder, "set/link")


def test_links_in_a_zip_and_devices_are_refused(folder):
    refused(zipped(folder / "zip", "set/link", mode=stat.S_IFLNK | 0o777), folder, "set/link")
    refused(tarred(folder / "tar", "set/null", kind=tarfile.CHRTYPE), folder, "set/null")
    refused(tarred(folder / "tar", "set/pipe", kind=tarfile.FIFOTYPE), folder, "set/pipe")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_damaged_archive_leaves_nothing(make, folder):
    whole = make(folder / "archive", "set/good", "set/better").read_bytes()
    for content in (whole[:-30], whole[: len(whole) // 2], b"", b"no archive"):
        (folder / "archive").write_bytes(content)
        refused(folder / "archive", folder, "damaged|holds no set")


def test_a_killed_unpacking_leaves_nothing_half_and_is_done_again(folder):
    archive = zipped(folder / ".set.partial", "set/one", "set/two")
    words = [sys.executable, "-c", KILLED, str(archive), str(folder / "set")]
    assert subprocess.run(words, check=False, timeout=60).returncode == -signal.SIGKILL
    assert not (folder / "set").exists()
    assert (folder / ".set.unpacked" / "set" / "one").exists()
    (folder / ".set.unpacked" / "set" / "three").touch()
    unpack(archive, folder / "set")
    assert tree(folder) == ["set", "set/one", "set/two"]


def test_an_archive_that_unfolds_to_far_more_than_texts_do_is_refused(tmp_path):
    zeros = tmp_path / "set"
    with zeros.open("wb") as file:
        file.truncate(2**28)
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as held:
        held.write(zeros, "set")
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(zeros, "set")
    zeros.unlink()
    for name in ("set.zip", "set.tar.gz"):
        with pytest.raises(ValueError, match="unfolds to more than 200 times its size"):
            unpack(tmp_path / name, tmp_path / "set")
    assert tree(tmp_path) == ["set.tar.gz", "set.zip"]
