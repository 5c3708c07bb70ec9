"""Pushing, to a hub made on the spot: what arrives, and what is said where it cannot."""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hbr.core.store import Store
from tests.support import Said

CODE = """
import json, sys
from pathlib import Path
from hbr.core import log
from hbr.core.errors import UserError
from hbr.core.store import Store
from hbr.experiments.push import push
log.configure()
try:
    print(push(Store(Path(sys.argv[1])), sys.argv[2], **json.loads(sys.argv[3])))
except UserError as error:
    print(f"hbr: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""
TOKEN = "hf_test"


class Hub(ThreadingHTTPServer):
    """As much of the hub's interface as an upload needs; `refuse` is its answer to everything."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.refuse: int | None = None
        self.public = False
        self.created: dict[str, Any] = {}
        self.branches: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.commits: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Do what a request asks; give the JSON to reply."""
        if method == "PUT":
            self.blobs[path.removeprefix("/put/")] = body
            return {}
        if found := re.fullmatch("/api/models/org/name/commit/(.+)", path):
            return self.commit(found[1], [json.loads(line) for line in body.splitlines()])
        asked = json.loads(body or "{}")
        if path == "/api/repos/create":
            self.created = asked
            return {"url": f"{self.url}/org/name"}
        if path.startswith("/api/models/org/name/branch/"):
            self.branches.append(path.rpartition("/")[2])
        if path.startswith("/api/models/org/name/preupload/"):
            return {"files": [self.mode(file["path"]) for file in asked["files"]]}
        if path == "/org/name.git/info/lfs/objects/batch":
            return {"objects": [self.place(item) for item in asked["objects"]]}
        if path.startswith("/api/models/org/name/tree/"):
            about = {"type": "file", "size": 1, "oid": "0" * 40}
            return [about | {"path": name} for name in self.files]
        return {"id": "org/name", "private": not self.public}

    def mode(self, path: str) -> dict[str, Any]:
        large = path.endswith(".safetensors")
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def place(self, item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "actions": {"upload": {"href": f"{self.url}/put/{item['oid']}"}}}

    def commit(self, branch: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.commits.append((branch, value["summary"]))
            elif line["key"] == "deletedFile":
                del self.files[value["path"]]
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.blobs[value["oid"]]
            else:
                self.files[value["path"]] = base64.b64decode(value["content"])
        url = f"{self.url}/org/name/commit/{'0' * 40}"
        return {"success": True, "commitOid": "0" * 40, "commitUrl": url}


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def reply(self) -> None:
        body = self.body()
        allowed = self.command == "PUT" or self.headers["Authorization"] == f"Bearer {TOKEN}"
        status = self.server.refuse or (200 if allowed else 401)
        said = self.server.answer(self.command, self.path, body) if status == 200 else {}
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_POST = do_PUT = reply

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Store:
    """A run whose weights are random bytes."""
    store = Store(tmp_path / "hybrid-s0-abc123")

    def make(folder: Path) -> None:
        (folder / "model" / "1_Pooling").mkdir(parents=True)
        (folder / "model" / "model.safetensors").write_bytes(os.urandom(300_000))
        (folder / "model" / "1_Pooling" / "config.json").write_text("{}")

    store.build("train", make, settings={}, products=("model",))
    (store.path / "model" / "README.md").write_text("---\ntags: [hbr]\n---\n\n# α\n", "utf-8")
    (store.path / "model" / ".README.md.partial").write_text("half a card")
    return store


def push(run: Store, url: str, repo: str = "org/name", *, env: Any = (), **options: Any) -> Said:
    """Push from a process of its own, since the hub's library reads its settings at import."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSF"))}
    ours |= {"HF_ENDPOINT": url, "HF_TOKEN": TOKEN, "HF_HOME": str(run.path.parent / "home")}
    ours |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    ours |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", **dict(env)}
    words = [sys.executable, "-c", CODE, str(run.path), repo, json.dumps(options)]
    done = subprocess.run(words, capture_output=True, text=True, env=ours, timeout=120, check=False)
    return Said(done.returncode, done.stdout.strip(), done.stderr.strip())


def test_the_bytes_of_the_model_and_its_card_arrive(hub: Hub, run: Store) -> None:
    said = push(run, hub.url)
    assert said == (0, f"{hub.url}/org/name", "uploading 0.3 MB to org/name")
    model = run.path / "model"
    names = ["1_Pooling/config.json", "README.md", "model.safetensors"]
    assert hub.files == {name: (model / name).read_bytes() for name in names}
    (oid,) = hub.blobs
    assert oid == hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    assert hub.commits == [("main", f"hybrid-s0-abc123 ({run.completion('train')})")]
    assert hub.created == {"name": "name", "organization": "org"}


def test_what_an_earlier_encoder_left_does_not_stay(hub: Hub, run: Store) -> None:
    hub.files |= {"adapter_config.json": b"{}", "2_Dense/config.json": b"{}", "notes.md": b"mine"}
    said = push(run, hub.url)
    assert said.code == 0, said.err
    assert {"adapter_config.json", "2_Dense/config.json"} & set(hub.files) == set()
    assert hub.files["notes.md"] == b"mine"


def test_a_branch_is_made_and_a_new_repository_is_private_on_request(hub: Hub, run: Store) -> None:
    said = push(run, hub.url, private=True, revision="v1")
    assert said.out == f"{hub.url}/org/name/tree/v1"
    assert (hub.branches, hub.commits[0][0]) == (["v1"], "v1")
    assert hub.created.get("visibility") == "private" or hub.created.get("private")


def test_nothing_private_is_put_into_a_public_repository(hub: Hub, run: Store) -> None:
    hub.public = True
    said = push(run, hub.url, private=True)
    assert said.code == 2
    assert "org/name is public: make it private on the hub, or leave out --private" in said.err
    assert hub.files == {}


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, 2, "the hub refuses the token: log in again with `hf auth login`"),
        (403, 2, "the token may not write to org/name: give it write access"),
        (404, 2, "the hub knows no org/name, or not this --revision"),
        (418, 1, "org/name could not be uploaded: "),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(
    hub: Hub, run: Store, status: int, code: int, told: str
) -> None:
    hub.refuse = status
    said = push(run, hub.url)
    assert (said.code, said.out) == (code, "")
    assert said.err.splitlines()[-1].startswith(f"hbr: {told}")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("repo", "env", "told"),
    [
        ("org/name/model", {}, "--repo 'org/name/model': write it as ORG/NAME"),
        ("name", {}, "--repo 'name': write it as ORG/NAME"),
        ("org/na me", {}, "--repo 'org/na me': write it as ORG/NAME"),
        ("org/name", {"HF_TOKEN": ""}, "there is no token for the hub: log in with `hf auth"),
        ("org/name", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids it: unset it"),
    ],
)
def test_a_mistake_is_one_clear_line(
    hub: Hub, run: Store, repo: str, env: dict[str, str], told: str
) -> None:
    said = push(run, hub.url, repo, env=env)
    assert (said.code, said.out, hub.created) == (2, "", {})
    assert said.err.splitlines()[-1].startswith(f"hbr: {told}")


def test_a_hub_that_cannot_be_reached_is_nobodys_mistake(run: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = push(run, url)
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-1].startswith("hbr: org/name could not be uploaded: ")
    assert said.err.endswith("; see to the network and try again")


def test_a_run_that_is_not_trained_is_not_pushed(hub: Hub, tmp_path: Path) -> None:
    said = push(Store(tmp_path / "empty"), hub.url)
    assert (said.code, hub.created) == (2, {})
    assert "is not trained yet; go on with `hbr train -C" in said.err
