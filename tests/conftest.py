"""What all tests share: no network, the real data where they are, and rows made on the spot."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before any library reads it; subprocesses inherit it
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: more threads only wait

import pytest

BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: `$HBR_TEST_DATA`, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("HBR_TEST_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"needs the real data: {folder} is not there, and HBR_TEST_DATA names no other")
    return folder


@pytest.fixture(autouse=True)
def unconfigured_logging() -> Iterator[None]:
    """Undo what a command typed within a test did to the logging of this process."""
    yield
    logger = logging.getLogger("hbr")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch use two threads, on however many cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose prepared data and tiny encoders all runs of the tests share."""
    return tmp_path_factory.mktemp("world")


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """Write parallel rows as JSON lines: those given, or `count` made-up ones in `languages`."""

    def write(
        rows: Iterable[dict[str, Any]] | None = None,
        *,
        count: int = 8,
        languages: tuple[str, ...] = ("de", "en", "th"),
        name: str = "rows.jsonl",
    ) -> Path:
        made = rows if rows is not None else [_row(i, languages) for i in range(count)]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8"
        )
        return path

    return write


def _row(number: int, languages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "query": {lang: f"{lang} question {number}?" for lang in languages},
        "passage": {lang: f"{lang} answer {number}." for lang in languages},
    }
