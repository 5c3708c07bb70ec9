"""Data sets of the hub, from a hub made on the spot: `hbr prepare --dataset NAME` is enough."""

import gzip
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from hbr.core.errors import UserError
from hbr.data.readers.mmarco import TRAIN
from hbr.data.readers.mmarco_dev import LANGUAGES
from tests.support import Said, hbr

COMMIT = "c0ffee" + "0" * 34


class Hub(ThreadingHTTPServer):
    """As much of the hub's interface as a download needs, with `files` by repository."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files: dict[str, dict[str, bytes]] = {}
        self.refuse: int | None = None
        self.gated = False  # files are refused, what is told of them is not
        self.tokens: set[tuple[bool, str | None]] = set()  # elsewhere or not, and what came there
        self.cut: set[str] = set()  # files of which half is sent
        self.spoilt: set[str] = set()  # files that are sent with another byte
        self.sent: list[tuple[str, str | None]] = []  # files and ranges


class Request(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        assert found
        self.server.tokens.add((False, self.headers["Authorization"]))
        if self.server.gated:
            return self.give(403, b"")
        one = sibling(found[2], self.server.files[found[1]][found[2]])
        headers = {"X-Repo-Commit": COMMIT, "Content-Length": str(one["size"])}
        if "lfs" not in one:
            return self.give(200, b"", {**headers, "ETag": one["blobId"]})
        headers |= {"X-Linked-Etag": one["lfs"]["sha256"], "X-Linked-Size": str(one["size"])}
        return self.give(302, b"", {**headers, "Location": self.elsewhere()})

    def elsewhere(self) -> str:
        return f"http://localhost:{self.server.server_port}/cdn{self.path}"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/revision/main", path):
            files = self.server.files.get(found[1], {})
            self.give(self.server.refuse or 200, json.dumps(about(found[1], files)).encode())
        elif found := re.fullmatch(rf"/api/datasets/([^/]+/[^/]+)/tree/{COMMIT}", path):
            files = self.server.files[found[1]]
            self.give(200, json.dumps([entry(n, data) for n, data in files.items()]).encode())
        elif found := re.fullmatch(r"(/cdn)?/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            name = found[3]
            self.server.tokens.add((bool(found[1]), self.headers["Authorization"]))
            if self.server.gated:
                self.give(403, b"{}")
            elif name.endswith(".gz") and not found[1]:  # large files are elsewhere
                self.give(302, b"", {"Location": self.elsewhere()})
            else:
                self.file(name, self.server.files[found[2]][name])

    def file(self, name: str, content: bytes) -> None:
        asked = self.headers["Range"]
        self.server.sent.append((name, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if name in self.server.spoilt:
            content = content[:-1] + b"?"
        cut = name in self.server.cut
        self.give(206 if asked else 200, content[start:], cut=cut)

    def give(self, status: int, data: bytes, headers: Any = (), cut: bool = False) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **dict(headers)}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *_: object) -> None:
        pass


def about(repo: str, files: dict[str, bytes]) -> object:
    siblings = [sibling(name, content) for name, content in files.items()]
    return {"id": repo, "sha": COMMIT, "private": False, "siblings": siblings}


def sibling(name: str, content: bytes) -> dict[str, Any]:
    """Large files are known by their SHA-256, others by what git has."""
    found: dict[str, Any] = {"rfilename": name, "size": len(content)}
    if name.endswith(".gz"):
        lfs = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return {**found, "blobId": "0" * 40, "lfs": {**lfs, "pointerSize": 130}}
    blob = b"blob %d\0%s" % (len(content), content)
    return {**found, "blobId": hashlib.sha1(blob).hexdigest()}


def entry(name: str, content: bytes) -> dict[str, Any]:
    """The same as the listing of a folder has it."""
    one = sibling(name, content)
    found = {"type": "file", "path": name, "size": len(content), "oid": one["blobId"]}
    lfs = one.get("lfs")
    return {**found, "lfs": {**lfs, "oid": lfs["sha256"]}} if lfs else found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.delenv("HBR_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HBR_RUNS", str(tmp_path / "runs"))
    with Hub() as server:
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 8)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        monkeypatch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def lines(*records: object) -> bytes:
    return gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode())


@pytest.fixture
def miracl(hub: Hub) -> Hub:
    """Two languages of MIRACL, with files that are not read among them."""
    judged, corpora = {}, {}
    for code in ("sw", "yo"):
        own = f"miracl-v1.0-{code}"
        for split in ("dev", "train"):
            judged[f"{own}/topics/topics.{own}-{split}.tsv"] = b"1\tswali?\n"
            judged[f"{own}/qrels/qrels.{own}-{split}.tsv"] = b"1\tQ0\ta#0\t1\n"
        passages = [{"docid": f"{n}#0", "title": "", "text": f"{code} {n}"} for n in "ab"]
        for number, passage in enumerate(passages):
            corpora[f"miracl-corpus-v1.0-{code}/docs-{number}.jsonl.gz"] = lines(passage)
    hub.files = {
        "miracl/miracl": {**judged, "README.md": b"#"},
        "miracl/miracl-corpus": {**corpora, "miracl-corpus.py": b"evil"},
    }
    return hub


def prepare(*words: str) -> Said:
    return hbr("prepare", *words)


def failure(*words: str) -> str:
    said = prepare(*words)
    assert said.code == 1
    *before, line = said.err.splitlines()
    assert all(re.search(r" at c0ffee0|trying again in", told) for told in before), said.err
    assert "--source FOLDER" in line
    return line


def test_miracl_is_downloaded_and_read_and_nothing_else_is(miracl: Hub, tmp_path: Path) -> None:
    said = prepare("--dataset", "miracl")
    assert said.code == 0, said.err
    assert "miracl/miracl at c0ffee000000: 4 files, 0.0 GB" in said.err
    assert "prepared miracl: 2 queries, 4 passages in 2 languages" in said.err
    assert sorted(name for name, _ in miracl.sent) == sorted(
        name
        for files in miracl.files.values()
        for name in files
        if name.endswith(("-dev.tsv", ".gz"))
    )
    assert {p.name for p in (tmp_path / "runs/downloads/miracl").iterdir()} == {
        "miracl",
        "miracl-corpus",
    }
    miracl.refuse = 500
    again = prepare("--dataset", "miracl", "--force")
    assert (again.code, len(miracl.sent)) == (0, 8)


def test_a_download_that_breaks_off_is_gone_on_with(miracl: Hub) -> None:
    name = "miracl-corpus-v1.0-yo/docs-1.jsonl.gz"
    miracl.cut = {name}
    assert "miracl/miracl-corpus" in failure("--dataset", "miracl")
    miracl.cut = set()
    before = len(miracl.sent)
    said = prepare("--dataset", "miracl")
    assert said.code == 0, said.err
    assert [n for n, _ in miracl.sent[before:]] == [name]  # what was whole does not come again
    ranges = [range for n, range in miracl.sent[:before] if n == name]
    assert ranges[0] is None
    assert len(ranges) > 1
    assert all(ranges[1:])  # another attempt goes on from there


@pytest.mark.parametrize(
    "name",
    ["miracl-corpus-v1.0-yo/docs-1.jsonl.gz", "miracl-v1.0-yo/qrels/qrels.miracl-v1.0-yo-dev.tsv"],
)
def test_a_file_that_is_not_the_hubs_is_refused_and_brought_anew(miracl: Hub, name: str) -> None:
    miracl.spoilt = {name}
    line = failure("--dataset", "miracl")
    assert f"{name} is not the file that hbr knows" in line
    miracl.spoilt = set()
    before = len(miracl.sent)
    assert prepare("--dataset", "miracl").code == 0
    assert name in [n for n, _ in miracl.sent[before:]]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "accept its terms at http://127.0.0.1:"),
        (403, "accept its terms at http://127.0.0.1:"),
        (404, "the hub knows no such data set"),
        (500, "500"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub: Hub, status: int, told: str) -> None:
    hub.refuse = status
    line = failure("--dataset", "miracl")
    assert told in line
    assert "miracl/miracl" in line


def test_a_data_set_whose_terms_were_not_accepted_says_where(miracl: Hub) -> None:
    miracl.gated = True
    line = failure("--dataset", "miracl")
    assert re.search(r"accept its terms at http://127.0.0.1:\d+/datasets/miracl/miracl, or", line)


def test_the_token_goes_to_the_hub_and_nowhere_else(miracl: Hub) -> None:
    assert prepare("--dataset", "miracl").code == 0
    assert miracl.tokens == {(False, "Bearer hf_test"), (True, None)}


def test_without_network_nothing_half_is_read(miracl: Hub, monkeypatch, tmp_path: Path) -> None:
    miracl.cut = {"miracl-v1.0-yo/topics/topics.miracl-v1.0-yo-dev.tsv"}
    failure("--dataset", "miracl")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids it" in failure("--dataset", "miracl")
    assert not (tmp_path / "runs" / "data").exists()


def test_a_repository_of_other_files_is_told(hub: Hub) -> None:
    hub.files = {"clips/mfaq": {"data/train.parquet": b""}}
    assert "its files are not the ones that hbr knows" in failure("--data", "mfaq")


def test_names_that_lead_out_are_not_downloaded(miracl: Hub, tmp_path: Path) -> None:
    evil = "miracl-corpus-v1.0-yo/docs-../../../../../evil.jsonl.gz"
    miracl.files["miracl/miracl-corpus"][evil] = b"evil"
    failure("--dataset", "miracl")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.fixture
def mmarco(hub: Hub) -> Hub:
    files = {
        "data/triples.train.ids.small.tsv": b"1\t7\t8\n",
        "data/qrels.dev.small.tsv": b"2\t0\t7\t1\n",
        "data/google/runs/run.bm25_german-msmarco.txt": b"",
    }
    for word in ("english", "german", "hindi"):
        files[f"data/google/collections/{word}_collection.tsv"] = b"7\tseven\n8\teight\n"
        files[f"data/google/queries/train/{word}_queries.train.tsv"] = b"1\tone?\n"
        files[f"data/google/queries/dev/{word}_queries.dev.small.tsv"] = b"2\ttwo?\n"
    hub.files = {"unicamp-dl/mmarco": files}
    return hub


def test_mmarco_is_downloaded_in_the_languages_that_are_wanted(mmarco: Hub) -> None:
    said = prepare("--data", "mmarco", "--set", "data.languages=[de,en]")
    assert said.code == 0, said.err
    assert "prepared mmarco: 1 rows, 1 groups (de 1, en 1)" in said.err
    assert len(mmarco.sent) == 5
    said = prepare("--dataset", "mmarco-dev")
    assert said.code == 0, said.err
    assert "3 queries, 6 passages in 3 languages" in said.err
    asked = [name for name, _ in mmarco.sent]
    assert len(asked) == len(set(asked)) == 10  # what both read came once
    assert prepare("--data", "mmarco", "--set", "data.languages=[de,en]").code == 0
    assert len(mmarco.sent) == 10


def test_a_language_that_mmarco_lacks_is_told_before_anything_is_downloaded(mmarco: Hub) -> None:
    with pytest.raises(UserError, match="unicamp-dl/mmarco has no 'xx'"):
        TRAIN.hub[0].wanted(["de", "xx"])
    assert len(TRAIN.hub[0].wanted(None)) == 1 + 3 * len(LANGUAGES)


def test_english_rows_of_the_hub_are_downloaded(hub: Hub) -> None:
    passage = {"docid": "1", "title": "T", "text": "answer"}
    row = {"query_id": "1", "query": "q?", "positive_passages": [passage]}
    tydi = lines({**row, "negative_passages": [{**passage, "text": "other"}]})
    page = {"id": 1, "qa_pairs": [{"question": "q?", "answer": "a"}]}
    hub.files = {
        "castorini/mr-tydi": {"mrtydi-v1.1-english/train.jsonl.gz": tydi},
        "clips/mfaq": {"data/en/train.jsonl": json.dumps(page).encode()},
    }
    for name in ("mr-tydi-train", "mfaq"):
        said = prepare("--data", name)
        assert said.code == 0, said.err
        assert f"prepared {name}: 1 rows" in said.err
