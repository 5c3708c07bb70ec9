"""Provenance: with which versions, where and when something was made."""

import contextlib
import functools
import platform
import resource
import socket
import subprocess
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

VERSIONS = ("hbr", "torch", "transformers", "tokenizers", "numpy", "faiss-cpu")


def provenance(started: float) -> dict[str, Any]:
    """Return what a manifest says of work that ends now, begun at a time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    return {
        "versions": _versions(),
        "commit": _commit(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "publication": uuid.uuid4().hex,  # the same files made again are another one
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(time.time() - started, 2),
        "peak_memory_mb": round(peak / 1024),
    }


@functools.cache
def _versions() -> dict[str, str]:
    versions = {}
    for package in VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


@functools.cache
def _commit() -> str | None:
    """Return git's name of the source's state, None outside git; git must not hold up a stage."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=1)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or None if done.returncode == 0 else None
