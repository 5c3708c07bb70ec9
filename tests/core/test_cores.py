"""A process uses the cores that it has, and leaves them to others while it waits."""

import os
import threading
import time

import pytest
import torch

from hbr.core.cores import available_cores, map_on_cores, share_cores

MINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, MINE),
        ({"cpu.max": "max 100000"}, MINE),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, min(MINE, 2)),  # a part of a core is one more thread
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, MINE),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "?"}, MINE),
    ],
)
def test_a_quota_bounds_the_cores(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == cores


def test_what_the_environment_says_stays_unless_cores_are_shared(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    share_cores()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"]) == ("ACTIVE", "7")
    share_cores(1000)
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_threads_sleep_while_they_wait(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.usefixtures("two_threads")
def test_items_are_worked_on_at_once_and_come_in_order():
    both = threading.Barrier(2, timeout=60)  # breaks where one waits alone

    def work(item: int) -> tuple[int, int]:
        if item < 2:
            both.wait()
        return item, torch.get_num_threads()

    assert list(map_on_cores(work, range(5))) == [(item, 1) for item in range(5)]


@pytest.mark.usefixtures("two_threads")
def test_one_item_has_all_threads_and_so_has_what_comes_later():
    list(map_on_cores(str, range(2)))
    found = [torch.get_num_threads(), *map_on_cores(lambda _: torch.get_num_threads(), [0])]
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [2, 2, 2]


@pytest.mark.usefixtures("two_threads")
def test_after_an_error_no_further_item_is_begun():
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)  # else all are done before the error is seen
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        list(map_on_cores(work, [0] * 1000))
    assert len(begun) < 1000
