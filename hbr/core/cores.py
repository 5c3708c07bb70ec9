"""The cores that a process may use, and threads that leave them to others while they wait."""

import math
import os
from pathlib import Path

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
