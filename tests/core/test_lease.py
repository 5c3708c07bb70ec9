"""Leases: one process at a time, whoever is killed, stopped or on another host."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = {**os.environ, "HBR_LEASE_SECONDS": "1"}

CONTEND = """
import fcntl, sys
from pathlib import Path
from hbr.core.lease import lease
folder = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with lease(folder, wait=True), (folder / "kernel").open("a") as oracle:
        fcntl.flock(oracle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where another is inside
        with (folder / "count").open("a") as count:
            count.write("x")
"""

BUILD = """
import socket, sys
from pathlib import Path
if len(sys.argv) > 3:
    socket.gethostname = lambda: sys.argv[3]
from hbr.core.store import Store
from hbr.core.errors import UserError
def make(folder):
    (folder / "file").write_text(sys.argv[2])
    print("in", flush=True)
    sys.stdin.readline()
try:
    Store(Path(sys.argv[1])).build("train", make, settings={"by": sys.argv[2]})
except UserError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def start(script: str, *words: object, **how: object) -> subprocess.Popen:
    command = [sys.executable, "-c", script, *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{"cwd": ROOT, "env": QUICK} | pipes | how)


@pytest.fixture
def building(tmp_path):
    """Start a process that builds a stage, perhaps on another host, and is inside until a line."""
    started = []

    def begin(name: str, *host: str, waits: bool = False, env=QUICK) -> subprocess.Popen:
        process = start(BUILD, tmp_path / "run", name, *host, env=env)
        started.append(process)
        if not waits:
            assert process.stdout.readline() == "in\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def made(folder: Path) -> str:
    return (folder / "run" / "train" / "file").read_text()


def test_ten_processes_come_in_one_by_one_though_some_are_killed(tmp_path):
    rng = random.Random(0)
    processes = [start(CONTEND, tmp_path, 12, stderr=subprocess.PIPE) for _ in range(10)]
    doomed = processes[:4]
    for process in doomed:
        time.sleep(rng.uniform(0.2, 0.6))
        process.kill()
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [p.returncode for p in processes[4:]] == [0] * 6, said
    assert not any("BlockingIOError" in text for text in said)
    assert (tmp_path / "count").stat().st_size >= 6 * 12
    assert not (tmp_path / ".lease").exists()


def test_a_dead_process_of_this_host_is_replaced_at_once(tmp_path, building):
    patient = {**os.environ, "HBR_LEASE_SECONDS": "100"}
    one = building("one", env=patient)
    one.kill()
    one.wait()  # until it is reaped it is there
    begun = time.monotonic()
    other = building("two", env=patient)
    assert time.monotonic() - begun < 100  # not the time of a lease
    other.communicate("\n")
    assert made(tmp_path) == "two"


def test_a_living_process_on_another_host_is_waited_for(tmp_path, building):
    one = building("one", "elsewhere")
    two = building("two", waits=True)
    time.sleep(2.5)  # more than two leases
    assert not (tmp_path / "run" / "train").exists()
    one.communicate("\n")
    assert one.returncode == 0
    assert two.stdout.readline() == "in\n"
    assert made(tmp_path) == "one"
    two.communicate("\n")
    assert made(tmp_path) == "two"


def test_a_dead_process_on_another_host_is_replaced_after_its_silence(tmp_path, building):
    building("one", "elsewhere").kill()
    two = building("two")
    two.communicate("\n")
    assert (two.returncode, made(tmp_path)) == (0, "two")


def test_a_process_that_stood_still_writes_nothing_once_it_was_replaced(tmp_path, building):
    one = building("one", "elsewhere")
    one.send_signal(signal.SIGSTOP)
    two = building("two")
    one.send_signal(signal.SIGCONT)
    said, _ = one.communicate("\n", timeout=30)
    assert (one.returncode, "was taken over by process" in said) == (75, True)
    two.communicate("\n")
    assert (two.returncode, made(tmp_path)) == (0, "two")
    assert not [p.name for p in (tmp_path / "run").iterdir() if "partial" in p.name]


def test_a_lease_without_a_name_lasts_no_longer_than_others(tmp_path, building):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lease").touch()  # its process was killed as it wrote it
    building("one").communicate("\n")
    assert made(tmp_path) == "one"


WRITE = """
import json, sys
from pathlib import Path
from hbr.core.files import write_atomic
for n in range(150):
    write_atomic(Path(sys.argv[1]), json.dumps([sys.argv[2] * 2000, n]))
"""


def test_several_writers_of_one_file_never_leave_it_torn(tmp_path):
    import json

    path = tmp_path / "file"
    writers = [start(WRITE, path, name, stderr=subprocess.PIPE) for name in "abcd"]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            text, _ = json.loads(path.read_text())
            assert len(set(text)) == 1
            seen += 1
    said = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, said
    assert seen > 10
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
