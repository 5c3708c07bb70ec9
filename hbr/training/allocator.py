"""Keep the memory that torch frees in the process, where glibc would give it back each time.

A training step allocates and frees large tensors, and the kernel clears their pages each time it
hands them out: up to a third of a training step on a CPU.
"""

import ctypes
import os
import platform

TRIM, MMAP = -1, -3  # glibc's numbers of M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
MOST = 2**31 - 1


def keep_freed() -> bool:
    """Let glibc keep freed memory, unless the environment configures it; return whether it does."""
    configured = any(n.startswith("MALLOC_") or n == "GLIBC_TUNABLES" for n in os.environ)
    if configured or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all([library.mallopt(TRIM, MOST), library.mallopt(MMAP, MOST)])
