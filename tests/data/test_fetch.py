"""A download is there whole and as expected, or not at all."""

import functools
import hashlib
import socketserver
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hbr.data.fetch import Remote, fetch
from hbr.errors import UserError

BYTES = {"de.json": b"eins" * 500_000, "en.json": b"one"}


class Server(ThreadingHTTPServer):
    server_bind = socketserver.TCPServer.server_bind  # HTTPServer's asks the name service


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path.strip("/"))
        if self.path == "/cut.json":  # says more than it sends
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
        elif self.path == "/rude.json":  # no HTTP at all
            self.wfile.write(b"\x00\x01\x02\r\n\r\n")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Serve BYTES on this machine; `asked` holds what was asked for."""
    root = tmp_path / "served"
    root.mkdir()
    for name, content in BYTES.items():
        (root / name).write_bytes(content)
    handler = functools.partial(Handler, directory=str(root))
    with Server(("127.0.0.1", 0), handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def remotes(server, **changed: str) -> dict[str, Remote]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in BYTES.items()}
    digests.update({f"{stem}.json": digest for stem, digest in changed.items()})
    return {name: Remote(f"{url}/{name}", digest) for name, digest in digests.items()}


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


@pytest.mark.parametrize("stem", ["cut", "rude"])
def test_an_answer_that_breaks_off_or_is_not_http_leaves_nothing(server, tmp_path, stem):
    failure({f"{stem}.json": remotes(server, **{stem: "0" * 64})[f"{stem}.json"]}, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
