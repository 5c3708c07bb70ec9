"""Ranks that wait for one another, and what becomes of them when one ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RANK = """
import sys, time
from hbr.core import distributed
from hbr.core.errors import UserError
distributed.init_process_group(cuda=False)
rank = distributed.rank()
assert distributed.broadcast(rank) == 0
assert distributed.any_rank(rank == 2) and not distributed.any_rank(False)
distributed.barrier()
if sys.argv[1] == "well":
    distributed.destroy_process_group()
    sys.exit()
if rank == 2 and sys.argv[1] == "says":
    distributed.fail("its disk is full")
print("in", flush=True)
if rank == 2:
    time.sleep(60)
if rank == 1:
    distributed.any_rank(True)  # a collective that never comes about
distributed.broadcast(time.sleep(60) if rank == 0 else None)
"""


def start(how: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "3"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", RANK, how]
    environments = [{**os.environ, **common, "RANK": str(rank)} for rank in range(3)]
    return [subprocess.Popen(command, cwd=ROOT, env=env, **pipes) for env in environments]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "ending"), [("dies", "ended;"), ("says", "ended: its disk is full;")]
)
def test_the_end_of_a_rank_ends_the_others_and_is_named(how: str, ending: str) -> None:
    ranks = start(how)
    try:
        for rank in ranks:
            assert rank.stdout.readline() == "in\n", rank.stderr.read()
        if how == "dies":
            ranks[2].send_signal(signal.SIGKILL)
            ranks[2].wait()
        for rank in ranks[:2]:
            _, said = rank.communicate(timeout=60)
            assert rank.returncode == 76, said
            assert f"rank 2 on host {socket.gethostname()} {ending}" in said
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


@pytest.mark.slow
def test_ranks_leave_together() -> None:
    for rank in start("well"):
        _, said = rank.communicate(timeout=120)
        assert (rank.returncode, said) == (0, "")
