"""Arrow and NumPy files, memory-mapped; a damaged one is a message that says what to do."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from hbr.core.errors import UserError


def read_arrow(path: Path) -> pa.Table:
    """Memory-map an Arrow file. A missing or damaged one is a UserError that says what to do."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is missing or damaged; delete {path.parent} and run the command again"
    )


def load_array(path: Path) -> np.ndarray:
    """Memory-map a NumPy file. A missing or damaged one is a UserError that says what to do."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path) from error
