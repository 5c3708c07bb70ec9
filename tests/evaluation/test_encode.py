"""Encoding: shards that outlive a kill, and the same vectors whatever stands beside a text."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hbr.core.config import resolve_config
from hbr.data.tasks import EvaluationData, Passage, Query, Task, open_task, write_task
from hbr.evaluation import encode as stage
from hbr.evaluation.retriever import Retriever
from hbr.experiments.run_spec import complete
from hbr.models import tiny
from hbr.models.encoder import token_batches
from hbr.models.loading import save

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save(tiny.build("mbert-tiny"), folder, {}, 64)
    return folder


@pytest.fixture
def task(tmp_path: Path) -> Task:
    passages = [Passage(f"p{i}", "aa", "ri luli sasal " * (1 + i % 7)) for i in range(50)]
    queries = [Query(f"q{i}", "aa", f"q{i}", f"luli {i}") for i in range(10)]
    relevant = {f"q{i}": [("aa", f"p{i}")] for i in range(10)}
    (tmp_path / "task").mkdir()
    write_task(tmp_path / "task", "small", EvaluationData(queries, passages, relevant, "test"))
    return open_task(tmp_path / "task", "of the test")


def vectors(folder: Path) -> np.ndarray:
    return np.asarray(stage.load_vectors(folder, "passages"))


def test_the_budget_and_the_shards_do_not_change_a_vector(
    model: Path, task: Task, tmp_path: Path
) -> None:
    found = []
    for number, (budget, shard) in enumerate([(1, 1000), (64, 7), (4096, 50)]):
        settings = {"token_budget": budget, "shard_size": shard}
        folder = tmp_path / str(number)
        folder.mkdir()
        stage.encode(folder, model, complete(resolve_config({"encode": settings})), task, CPU)
        found.append(np.array(vectors(folder)))
    assert len(list((tmp_path / "1").glob("passages-*.npy"))) == 8
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[0], axis=1), 1, atol=1e-6)


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_cores_does_not_change_a_vector(model: Path, task: Task) -> None:
    texts, found = task.passages["text"].to_pylist(), []
    settings = complete(resolve_config({"encode": {"token_budget": 64}}))
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(Retriever.open(model, settings).encode_passages(texts))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize(("precision", "far"), [("fp32", 1e-6), ("bf16", 2e-2)])
def test_without_padding_the_vectors_are_the_same(
    model: Path, task: Task, tmp_path: Path, precision: str, far: float
) -> None:
    found = []
    for on in (True, False):
        folder = tmp_path / str(on)
        folder.mkdir()
        settings = {"unpadded": on, "token_budget": 64, "precision": precision}
        stage.encode(folder, model, complete(resolve_config({"encode": settings})), task, CPU)
        found.append(np.array(vectors(folder)))
    np.testing.assert_allclose(*found, rtol=0, atol=far)
    assert not np.array_equal(*found)


def test_a_killed_attempt_keeps_its_whole_shards(
    model: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = complete(resolve_config({"encode": {"shard_size": 10}}))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    stage.encode(whole, model, config, task, CPU)
    real, calls = Retriever.vectors, []

    def killed_in_the_third(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(Retriever, "vectors", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        stage.encode(broken, model, config, task, CPU)
    (broken / "passages-00003.npy").write_bytes(b"half a shard")
    monkeypatch.setattr(Retriever, "vectors", real)
    before = (broken / "queries-00000.npy").stat().st_mtime_ns
    stage.encode(broken, model, config, task, CPU)
    assert (broken / "queries-00000.npy").stat().st_mtime_ns == before
    assert (broken / stage.SHARDS).read_text() == (whole / stage.SHARDS).read_text()


def test_shards_that_other_ranks_left_are_gone_on_with(
    model: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = complete(resolve_config({"encode": {"shard_size": 10}}))
    monkeypatch.setattr(stage.distributed, "broadcast", lambda value: value)
    monkeypatch.setattr(stage.distributed, "barrier", lambda: None)
    monkeypatch.setattr(stage, "_finish", lambda *_: None)
    monkeypatch.setattr(stage.distributed, "world_size", lambda: 3)
    for rank in (1, 2):  # rank 0 was killed before it did anything
        monkeypatch.setattr(stage.distributed, "rank", lambda rank=rank: rank)
        stage.encode(tmp_path, model, config, task, CPU)
    left = sorted(path.name for path in tmp_path.glob("*.npy"))
    assert left == [
        "passages-00000.npy",
        "passages-00001.npy",
        *(f"passages-0000{i}.npy" for i in (3, 4)),
    ]
    monkeypatch.undo()
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in left}
    stage.encode(tmp_path, model, config, task, CPU)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in left} == times
    assert vectors(tmp_path).shape == (50, 64)
    assert not list(tmp_path.glob(".*.sha256"))


def test_vectors_in_float16_take_half_the_room_and_are_near(
    model: Path, task: Task, tmp_path: Path
) -> None:
    sizes, found = [], []
    for kind in ("float32", "float16"):
        folder = tmp_path / kind
        folder.mkdir()
        stage.encode(
            folder, model, complete(resolve_config({"encode": {"dtype": kind}})), task, CPU
        )
        sizes.append((folder / "passages-00000.npy").stat().st_size)
        found.append(vectors(folder).astype(np.float32))
    assert sizes[1] < 0.6 * sizes[0]
    np.testing.assert_allclose(*found, atol=1e-3)


def test_batches_keep_to_the_token_budget_longest_first() -> None:
    lengths = np.array([3, 9, 4, 9, 1])
    batches = [some.tolist() for some in token_batches(lengths, 18)]
    assert batches == [[1, 3], [2, 0, 4]]
    assert [some.tolist() for some in token_batches(np.array([50]), 10)] == [[0]]


def test_without_padding_batches_hold_more_texts() -> None:
    lengths = np.array([3, 9, 4, 9, 1])

    def batches(budget: int) -> list[list[int]]:
        return [some.tolist() for some in token_batches(lengths, budget, unpadded=True)]

    assert batches(22) == [[1, 3, 2], [0, 4]]
    assert batches(26) == [[1, 3, 2, 0, 4]]
    assert batches(2) == [[1], [3], [2], [0], [4]]
