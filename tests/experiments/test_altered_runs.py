"""Runs are not believed blindly: a file that is not as it was written is named, and no number."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import beside, hbr, only_run

SMALL = ("--set", "max_steps=2", "--set", "batch_size=4", "--set", "validation=null")
FILES = {  # a pattern below the runs, and the command that reads what it finds
    "RUN/evaluate/embedded/metrics.json": "compare",
    "RUN/evaluate/embedded/per_query.parquet": "compare",
    "RUN/train/log.jsonl": "compare",
    "RUN/encode/embedded/queries-00000.npy": "compare",
    "RUN/model/model.safetensors": "evaluate",
    "RUN/model/tokenizer.json": "evaluate",
    "RUN/encode/embedded/passages-00000.npy": "evaluate",
    "RUN/index/embedded@flat/pool.faiss": "evaluate --index flat",
    "data/embedded-*/task/passages.arrow": "evaluate",
    "data/embedded-*/task/task.npz": "evaluate",
    "data/embedded-*/rows/passage.arrow": "train",
    "data/embedded-*/rows/group.npy": "train",
    "data/embedded-*/tokens-*/query.tokens": "train --force",
    "encoders/xlm-r-tiny-*/model/model.safetensors": "train",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a small run with everything that can be made from it."""
    folder = tmp_path_factory.mktemp("runs")
    for words in (("train", *SMALL), ("evaluate",), ("evaluate", "--index", "flat")):
        done = hbr(*words, "--output-dir", folder)
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def altered(runs: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file with one bit flipped, of a number in JSON, for as long as the test runs."""
    run = only_run(runs).name
    path = next(runs.glob(request.param.replace("RUN", run)))
    before = path.read_bytes()
    at = re.search(rb"\d", before).start() if path.suffix == ".json" else 0
    path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
    yield path
    path.write_bytes(before)


def typed(command: str, runs: Path):
    name, *options = command.split()
    words = {"train": SMALL, "evaluate": (), "compare": (only_run(runs),)}[name]
    return hbr(name, *words, *options, "--output-dir", runs)


@pytest.mark.parametrize(("altered", "command"), FILES.items(), ids=[*FILES], indirect=["altered"])
def test_a_file_with_a_flipped_bit_is_named(runs, altered, command):
    said = typed(command, runs)
    assert (said.code, said.out) == (2, "")
    assert f"{altered} is not what was written there; re" in said.err  # restore it, renew it


@pytest.mark.parametrize("command", sorted({*FILES.values()} - {"train --force"}))
def test_files_as_they_were_written_give_no_word(runs, command):
    said = typed(command, runs)
    assert (said.code, "written there" in said.err) == (0, False)


def test_two_shards_changed_round_are_found(runs):
    one, other = (
        only_run(runs) / "encode" / "embedded" / f"{side}-00000.npy"
        for side in ("queries", "passages")
    )
    spare = one.with_name("spare")
    for a, b in ((one, spare), (other, one), (spare, other)):
        a.rename(b)
    said = typed("evaluate", runs)
    for a, b in ((one, spare), (other, one), (spare, other)):
        a.rename(b)
    assert said.code == 2
    assert "passages-00000.npy is not what was written there" in said.err


def test_a_copied_run_is_read_once_and_believed(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy, symlinks=True)
    for known in copy.rglob(".digests.json"):
        known.unlink()
    assert typed("evaluate", copy).code == 0
    assert (only_run(copy) / ".digests.json").exists()


def test_vectors_that_were_removed_are_not_missed_by_compare(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy, symlinks=True)
    for vectors in (only_run(copy) / "encode").rglob("*.npy"):
        vectors.unlink()
    assert typed("compare", copy).code == 0
    said = typed("evaluate", copy)
    assert said.code == 2
    assert "is missing or cannot be read" in said.err


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [("seed: 0", "seed: 5", "seed"), ("pooling: null", "pooling: cls", "encoder.pooling")],
)
def test_a_config_that_is_not_the_trained_one_is_named(runs, old, new, key):
    path = only_run(runs) / "config.yaml"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    said = [typed(command, runs) for command in ("compare", "evaluate")]
    path.write_text(before)
    for one in said:
        assert one.code == 2
        assert f"{path} says {key} = " in one.err


def test_a_manifest_that_is_not_as_it_was_written_is_named(runs):
    path = only_run(runs) / "manifest.json"
    before = path.read_text()
    manifest = json.loads(before)
    manifest["stages"]["train"]["steps"] = 1000
    path.write_text(json.dumps(manifest))
    said = typed("evaluate", runs)
    path.write_text(before)
    assert said.code == 2
    assert f"{path} is altered at train" in said.err


def test_a_store_beside_others_is_left_alone(runs, world, tmp_path):
    """Data prepared elsewhere and linked here are verified where they are."""
    assert hbr("train", *SMALL, "--output-dir", beside(runs, tmp_path / "own")).code == 0
