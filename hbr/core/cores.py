"""The cores that a process may use, and threads that leave them to others while they wait."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8  # workers: between two products only one of them has Python
GROUPS = Path("/sys/fs/cgroup")
QUOTAS = (  # of version 2: "QUOTA PERIOD"; of version 1: a file each
    ("cpu.max",),
    ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"),
)


def available_cores(groups: Path = GROUPS) -> int:
    """Return the cores of this process: of its affinity, and of its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    for names in QUOTAS:
        try:
            quota, period = " ".join((groups / name).read_text("ascii") for name in names).split()
            if int(quota) > 0:
                cores = min(cores, math.ceil(int(quota) / int(period)))
        except (OSError, ValueError):  # no such group, or "max": no quota
            continue
    return max(1, cores)


def share_cores(processes: int = 1) -> None:
    """Have the libraries that are loaded from here on use this process's share of the cores.

    A thread that spins while it waits takes the core of the one it waits for, so that it sleeps
    instead; on cores of one's own that costs next to nothing. What the environment says stays,
    unless the cores are shared by several processes.
    """
    threads = str(max(1, available_cores() // processes))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if processes > 1:
        os.environ["OMP_NUM_THREADS"] = threads
    elif available_cores() < len(os.sched_getaffinity(0)):  # which libraries do not look for
        os.environ.setdefault("OMP_NUM_THREADS", threads)


def divide(threads: int, items: int = MOST) -> tuple[int, int]:
    """Return how many workers share some threads, for so many items, and the threads of each."""
    workers = max(1, min(threads, MOST, items))
    return workers, threads // workers


def map_on_cores(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield `function(item)` of each item in order, as many at a time as torch has threads.

    Each item has a core to itself, or its share of many cores. All cores on one item would wait for
    one another at the end of each product: longer than it takes, where others use a core too.
    """
    import torch

    threads = torch.get_num_threads()
    workers, each = divide(threads, len(items))
    if workers < 2:
        yield from map(function, items)
        return
    try:
        with ThreadPoolExecutor(workers, "core", torch.set_num_threads, (each,)) as pool:
            yield from pool.map(function, items)
    finally:
        torch.set_num_threads(threads)  # threads that start later have what was set last
