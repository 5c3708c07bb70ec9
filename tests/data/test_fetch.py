"""A download is there whole and as expected, or not at all."""

import errno
import functools
import hashlib
import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from hbr.core.errors import UserError
from hbr.data import fetch as fetching
from hbr.data.fetch import Remote, checksum, fetch
from hbr.data.readers.beir import BEIR, collection
from hbr.data.readers.tatoeba import TATOEBA, TATOEBA_112
from hbr.data.readers.xm3600 import XM3600
from tests.support import hbr

BYTES = {"de.json": b"eins" * 500_000, "en.json": b"one"}


class Server(ThreadingHTTPServer):
    server_bind = socketserver.TCPServer.server_bind  # HTTPServer's asks the name service


class Handler(SimpleHTTPRequestHandler):
    """Knows ranges; the first folder of an address says how it misbehaves."""

    def do_GET(self):
        how, _, name = self.path.strip("/").rpartition("/")
        self.server.asked.append(name)
        self.server.ranges.append(self.headers["Range"])
        path = Path(self.directory) / name
        if name == "rude.json":  # no HTTP at all
            self.wfile.write(b"\x00\x01\x02\r\n\r\n")
        elif not path.exists():
            self.send_error(404)
        elif how == "busy" and self.server.asked.count(name) == 1:
            self.send_error(503)
        else:
            self.give(how, path.read_bytes())

    def give(self, how, content):
        start = 0
        if self.headers["Range"] and how != "whole":
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if how == "cut" or (how == "breaks" and len(self.server.asked) < 3):
            self.wfile.write(content[start : start + 1000])
        elif how == "stalls":
            self.wfile.write(content[: 5 << 18])
            self.server.stop.wait(60)
        else:
            self.wfile.write(content[start:])
        return None

    def log_message(self, *_):
        pass


def pauses(server) -> int:
    return len(server.pauses)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve BYTES on this machine; `asked` and `ranges` hold what was asked for, `pauses` waits."""
    root = tmp_path / "served"
    root.mkdir()
    for name, content in BYTES.items():
        (root / name).write_bytes(content)
    handler = functools.partial(Handler, directory=str(root))
    with Server(("127.0.0.1", 0), handler) as running:
        running.asked, running.ranges, running.pauses = [], [], []
        running.stop = threading.Event()
        monkeypatch.setattr(fetching, "time", SimpleNamespace(sleep=running.pauses.append))
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.stop.set()
        running.shutdown()
        thread.join()


def remotes(server, **changed: str) -> dict[str, Remote]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in BYTES.items()}
    digests.update({f"{stem}.json": digest for stem, digest in changed.items()})
    return {name: Remote(f"{url}/{name}", f"sha256:{digest}") for name, digest in digests.items()}


def failure(files: dict[str, Remote], folder) -> str:
    with pytest.raises(UserError) as raised:
        fetch("small", files, folder)
    assert raised.value.exit_code == 1
    message = str(raised.value)
    assert "\n" not in message
    assert "--source" in message
    return message


def test_files_are_downloaded_as_they_are(server, tmp_path):
    folder = fetch("small", remotes(server), tmp_path / "deep" / "small")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == BYTES


def test_files_that_are_there_are_not_asked_for_again(server, tmp_path):
    fetch("small", remotes(server), tmp_path / "small")
    assert sorted(server.asked) == ["de.json", "en.json"]
    fetch("small", remotes(server), tmp_path / "small")
    (tmp_path / "small" / "en.json").unlink()
    fetch("small", remotes(server), tmp_path / "small")
    assert sorted(server.asked) == ["de.json", "en.json", "en.json"]


def test_a_wrong_checksum_is_refused_and_nothing_is_left(server, tmp_path):
    message = failure(remotes(server, de="0" * 64), tmp_path / "small")
    assert hashlib.sha256(BYTES["de.json"]).hexdigest() in message
    assert "0" * 64 in message
    assert list((tmp_path / "small").iterdir()) == []


def test_what_came_before_a_failure_is_kept(server, tmp_path):
    failure(remotes(server, en="0" * 64), tmp_path / "small")
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["de.json"]


def test_a_file_that_is_not_there_says_so(server, tmp_path):
    message = failure(remotes(server, nowhere="0" * 64), tmp_path / "small")
    assert "HBR_DATA" in message
    assert "not found" in message.lower()


def test_a_server_that_is_down_is_told_in_one_line_with_the_ways_out(server, tmp_path):
    files = remotes(server)
    server.shutdown()
    server.server_close()
    message = failure(files, tmp_path / "small")
    assert "small cannot be downloaded" in message
    assert "refused" in message
    assert "de.json, en.json" in message
    assert "HBR_DATA" in message
    assert not (tmp_path / "small" / "de.json").exists()


def test_an_answer_that_is_not_http_leaves_nothing(server, tmp_path):
    failure({"rude.json": remotes(server, rude="0" * 64)["rude.json"]}, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def one(server, path: str = "", **changed) -> dict[str, Remote]:
    remote = remotes(server)["de.json"]
    return {"de.json": remote._replace(url=remote.url.replace("/de", f"/{path}de"), **changed)}


def test_a_connection_that_breaks_is_gone_on_with_in_the_same_call(server, tmp_path):
    folder = fetch("small", one(server, "breaks/"), tmp_path / "small")
    assert (folder / "de.json").read_bytes() == BYTES["de.json"]
    assert server.ranges == [None, "bytes=1000-", "bytes=2000-"]
    assert pauses(server) == 2


def test_what_was_cut_off_is_kept_and_the_next_call_goes_on_from_there(server, tmp_path):
    message = failure(one(server, "cut/"), tmp_path / "small")
    assert "do it again to go on from there" in message
    (partial,) = (tmp_path / "small").iterdir()
    assert partial.name == ".de.json.partial"
    assert partial.read_bytes() == BYTES["de.json"][: 1000 * (1 + len(fetching.PAUSES))]
    server.ranges.clear()
    fetch("small", one(server), tmp_path / "small")
    assert server.ranges == ["bytes=4000-"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "small").iterdir()} == only("de.json")


def test_a_killed_download_is_gone_on_with(server, tmp_path):
    remote = one(server, "stalls/")["de.json"]
    code = (
        "import sys; from pathlib import Path; from hbr.data.fetch import Remote, fetch\n"
        "fetch('small', {'de.json': Remote(*sys.argv[2:])}, Path(sys.argv[1]))"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "small"), remote.url, remote.checksum]
    partial = tmp_path / "small" / ".de.json.partial"
    with subprocess.Popen(words) as process:
        until = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
    server.stop.set()
    assert process.returncode == -signal.SIGKILL
    done = partial.stat().st_size
    assert 0 < done < len(BYTES["de.json"])
    server.ranges.clear()
    fetch("small", one(server), tmp_path / "small")
    assert server.ranges == [f"bytes={done}-"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "small").iterdir()} == only("de.json")


def test_a_server_that_knows_no_ranges_starts_anew(server, tmp_path):
    left(tmp_path, b"something else")
    folder = fetch("small", one(server, "whole/"), tmp_path / "small")
    assert server.ranges == ["bytes=14-"]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == only("de.json")


@pytest.mark.parametrize(
    ("content", "ranges"),
    [
        (BYTES["de.json"] + b"more", ["bytes=2000004-", None]),  # 416
        (b"zwei", ["bytes=4-", None]),  # another file's beginning: the checksum tells
        (BYTES["de.json"], []),  # whole, and killed before it had its name
    ],
)
def test_what_is_left_of_an_earlier_attempt_never_spoils_a_file(server, tmp_path, content, ranges):
    left(tmp_path, content)
    folder = fetch("small", one(server), tmp_path / "small")
    assert server.ranges == ranges
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == only("de.json")


def test_a_busy_server_is_asked_again_and_one_without_the_file_is_not(server, tmp_path):
    fetch("small", one(server, "busy/"), tmp_path / "small")
    assert pauses(server) == 1
    failure(remotes(server, nowhere="0" * 64), tmp_path / "none")
    assert server.asked.count("nowhere.json") == 1


def test_a_full_disk_is_told_as_such_and_nothing_is_left(server, tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fetch("small", one(server), tmp_path / "small")
    assert list((tmp_path / "small").iterdir()) == []


def test_checksums_of_md5_and_of_git_count_too(server, tmp_path):
    md5 = hashlib.md5(BYTES["en.json"]).hexdigest()
    blob = hashlib.sha1(b"blob 3\0one").hexdigest()  # as `git hash-object` has it
    remote = remotes(server)["en.json"]
    for kind, digest in (("md5", md5), ("git", blob)):
        fetch("small", {"en.json": remote._replace(checksum=f"{kind}:{digest}")}, tmp_path / kind)
        wrong = {"en.json": remote._replace(checksum=f"{kind}:{'0' * len(digest)}")}
        assert f"{kind}:{digest}, expected {kind}:000" in failure(wrong, tmp_path / f"no-{kind}")


def test_an_archive_becomes_the_folder_that_it_holds(server, tmp_path):
    held = tmp_path / "served" / "set.zip"
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("set/qrels/test.tsv", "1\t2\t1\n")
        file.writestr("readme", "not wanted")
    url = remotes(server)["de.json"].url.replace("de.json", "set.zip")
    checksum = f"sha256:{hashlib.sha256(held.read_bytes()).hexdigest()}"
    folder = fetch("small", {"set": Remote(url, checksum, unpack=True)}, tmp_path / "small")
    assert [p.name for p in folder.iterdir()] == ["set"]
    assert (folder / "set" / "qrels" / "test.tsv").read_text() == "1\t2\t1\n"
    wrong = {"other": Remote(url, checksum, unpack=True)}
    assert "set.zip: holds no other; nothing of it was kept" in failure(wrong, tmp_path / "wrong")
    assert list((tmp_path / "wrong").iterdir()) == []


def test_tatoebas_checksums_are_those_of_the_real_files(shared_data):
    wrong = [
        name
        for name, remote in TATOEBA_112.remote.items()
        if checksum(shared_data / "tatoeba" / name, "sha256") != remote.checksum
    ]
    assert wrong == []
    assert (len(TATOEBA.remote), len(TATOEBA_112.remote)) == (72, 224)


def prepared(server, tmp_path, monkeypatch, name: str, place: str, reader) -> str:
    """Prepare a data set whose upstream is the server; give what is said."""
    url = remotes(server)["de.json"].url.removesuffix("/de.json")
    files = {
        file: remote._replace(url=f"{url}/{remote.url.rpartition('/')[2]}")
        for file, remote in reader.remote.items()
    }
    for file, remote in files.items():
        served = tmp_path / "served" / remote.url.rpartition("/")[2]
        kind = remote.checksum.partition(":")[0]
        files[file] = remote._replace(checksum=checksum(served, kind))
    there = replace(reader, remote=files)
    monkeypatch.setattr(place, replace(BEIR, named=lambda *_: there) if "/" in name else there)
    monkeypatch.delenv("HBR_DATA", raising=False)
    said = hbr("prepare", "--dataset", name, "--output-dir", tmp_path / "runs")
    assert said.code == 0, said.err
    return said.err


def test_tatoeba_needs_no_source(server, tmp_path, monkeypatch):
    for number, name in enumerate(TATOEBA.remote):
        (tmp_path / "served" / name).write_text(f"{number // 2}\n")
    place = "hbr.data.readers.tatoeba.TATOEBA"
    said = prepared(server, tmp_path, monkeypatch, "tatoeba", place, TATOEBA)
    assert "prepared tatoeba: 72 queries, 72 passages in 72 languages" in said
    assert len(list((tmp_path / "runs/downloads/tatoeba").glob("tatoeba.*"))) == 72
    server.shutdown()
    assert hbr("prepare", "--dataset", "tatoeba", "--output-dir", tmp_path / "runs").code == 0


def test_crossmodals_captions_need_no_source(server, tmp_path, monkeypatch):
    captions = {"image/key": "1", "en": {"caption": ["a cat", "one cat"]}}
    with zipfile.ZipFile(tmp_path / "served" / "captions.zip", "w") as held:
        held.writestr("captions.jsonl", json.dumps(captions) + "\n")
    place = "hbr.data.readers.xm3600.XM3600"
    said = prepared(server, tmp_path, monkeypatch, "xm3600", place, XM3600)
    assert "prepared xm3600: 1 queries, 1 passages in 1 languages" in said


def test_collections_of_beir_need_no_source(server, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "served" / "scifact.zip", "w") as held:
        held.writestr("scifact/corpus.jsonl", '{"_id": "d", "title": "", "text": "text"}\n')
        held.writestr("scifact/queries.jsonl", '{"_id": "q", "text": "query"}\n')
        held.writestr("scifact/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\n")
    place, reader = "hbr.data.readers.beir.BEIR", collection("scifact")
    said = prepared(server, tmp_path, monkeypatch, "beir/scifact", place, reader)
    assert "prepared beir/scifact: 1 queries, 1 passages in 1 languages" in said
    above = hbr(
        *("prepare", "--dataset", "beir/scifact", "--output-dir", tmp_path / "other"),
        *("--source", tmp_path / "runs/downloads/beir-scifact/scifact"),
    )
    assert "prepared beir/scifact: 1 queries" in above.err


def only(name: str) -> dict[str, bytes]:
    return {name: BYTES[name]}


def left(tmp_path, content: bytes) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / ".de.json.partial").write_bytes(content)
