"""Memory that torch frees stays with the process, where glibc would give it back each time.

Large tensors come and go in every step, and each time the kernel hands out their pages again, it
clears them: up to a third of a training step on a CPU.
"""

import ctypes
import os
import platform

TRIM, MMAP = -1, -3  # glibc's numbers of M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
MOST = 2**31 - 1


def keep_freed() -> bool:
    """Let glibc keep what is freed, unless the environment says how much; say whether it does."""
    own = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if own or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all([library.mallopt(TRIM, MOST), library.mallopt(MMAP, MOST)])
