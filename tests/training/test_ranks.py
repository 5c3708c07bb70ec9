"""Several ranks: a run goes on with another number of them, and all of them validate."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.settings.train import Train
from hbr.core.store import Store
from hbr.training import shards
from hbr.training.shards import choose
from tests.support import beside, log_of, only_run
from tests.training.test_trainer import ONE_THREAD, TORCHRUN, killed_at

ONE = [sys.executable]
TWO = [*TORCHRUN, "--nproc-per-node", "2"]
TRAIN = [
    *("train", "--sampler", "hybrid", "--batch-size", "32", "--device", "cpu", "--seed", "3"),
    *("--encoder", "mbert-tiny", "--lr", "1e-4", "--set", "save_steps=1000"),
    *("--set", "eval_steps=6", "--set", "logging_steps=1"),
]
WAYS = {
    "one": [*ONE, "-m", "hbr", *TRAIN],
    "ddp": [*TWO, "-m", "hbr", *TRAIN, "--set", "parallel=ddp"],
    "fsdp": [*TWO, "-m", "hbr", *TRAIN, "--set", "parallel=fsdp"],
}


def run(command: list[str]) -> str:
    done = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def checkpoints(folder: Path) -> list[str]:
    (train,) = Store(only_run(folder)).partials("train")
    return sorted(path.name for path in (train / "checkpoint-last").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [("fsdp", "one"), ("one", "fsdp"), ("fsdp", "ddp"), ("ddp", "fsdp"), ("fsdp", "fsdp")],
)
def test_a_run_goes_on_with_another_number_of_ranks_and_in_other_shards(
    world: Path, tmp_path: Path, first: str, second: str
) -> None:
    whole, broken = beside(world, tmp_path / "whole"), beside(world, tmp_path / "broken")
    words = ["--steps", "20", "--output-dir"]
    same = first == second
    run([*WAYS[first if same else "one"], *words, str(whole)])
    killed_at(8, [*WAYS[first], *words, str(broken)], broken, signal.SIGTERM)
    (saved,) = checkpoints(broken)
    assert re.fullmatch(r"state-\d+" if first == "fsdp" else "state.safetensors", saved)
    assert "goes on from step" in run([*WAYS[second], *words, str(broken)])
    runs = [only_run(folder) for folder in (whole, broken)]
    files = [run / "model" / "model.safetensors" for run in runs]
    weights = [load_file(file) for file in files]
    far = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    assert far < 1e-4  # Adam makes steps of rounding; 3e-5 was seen, on AVX2
    assert not same or files[0].read_bytes() == files[1].read_bytes()
    assert [line["step"] for line in log_of(runs[1]) if "loss" in line] == list(range(1, 21))


COUNTING = """
from hbr.training.batch import TextEncoder

encode, counted = TextEncoder.__call__, [0]

def count(self, texts, shift=None):
    counted[0] += 0 if self.encoder.training else len(texts)
    return encode(self, texts, shift)

TextEncoder.__call__ = count
from hbr.cli import main
try:
    main()
finally:
    print(f"validated {counted[0]} texts", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ddp", "fsdp"])
@pytest.mark.parametrize("goal", ["null", "map@20 multi"])
def test_ranks_share_the_texts_of_validation_and_measure_what_one_process_does(
    world: Path, tmp_path: Path, goal: str, way: str
) -> None:
    script = tmp_path / "counting.py"
    script.write_text(COUNTING)
    words = [*TRAIN, "--steps", "6", "--set", f"metric_for_best_model={goal}"]
    words += ["--set", f"parallel={way}", "--output-dir"]
    texts, values = [], []
    for name, start in (("one", ONE), ("two", TWO)):
        folder = beside(world, tmp_path / name)
        said = run([*start, str(script), *words, str(folder)])
        texts.append([int(n) for n in re.findall(r"validated (\d+) texts", said)])
        key = "validation_loss" if goal == "null" else goal
        values.append([line[key] for line in log_of(only_run(folder)) if key in line])
    assert len(texts[1]) == 2
    assert sum(texts[1]) == sum(texts[0]) > 500
    assert min(texts[1]) > 0.4 * sum(texts[1])
    assert values[1] == pytest.approx(values[0], abs=1e-4)


@pytest.mark.slow
def test_ranks_with_unequal_chunks_and_negatives_train_what_one_process_trains(
    world: Path, tmp_path: Path
) -> None:
    """11, 11 and 10 rows make 3, 3 and 2 chunks; few rows have negatives."""
    rows = tmp_path / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for i in range(96):
            row = {
                "id": str(i),
                "query": {"de": f"frage nach {i}", "en": f"question of {i}"},
                "passage": {"de": f"antwort {i} {i * i}", "en": f"answer {i} {i * i}"},
            }
            if i % 16 == 0:
                row["negatives"] = {"de": [f"falsch {i}"], "en": [f"wrong {i}"]}
            file.write(json.dumps(row) + "\n")
    words = [*TRAIN, "--steps", "12", "--set", "mini_batch_size=5", "--data", str(rows)]
    models = []
    for name, start in (
        ("one", ONE),
        ("ddp", [*TORCHRUN, "--nproc-per-node", "3"]),
        ("fsdp", [*TORCHRUN, "--nproc-per-node", "3"]),
    ):
        folder = beside(world, tmp_path / name)
        own = [] if name == "one" else ["--set", f"parallel={name}"]
        run([*start, "-m", "hbr", *words, *own, "--output-dir", str(folder)])
        models.append(load_file(only_run(folder) / "model" / "model.safetensors"))
    for other in models[1:]:
        assert max(float((models[0][n] - other[n]).abs().max()) for n in other) < 1e-5


@pytest.mark.slow
def test_shards_train_bfloat16_weights_close_to_one_process(world: Path, tmp_path: Path) -> None:
    losses = []
    for name in ("one", "fsdp"):
        folder = beside(world, tmp_path / name)
        words = ["--steps", "5", "--set", "train.precision=bf16-weights", "--output-dir"]
        run([*WAYS[name], *words, str(folder)])
        losses.append([line["loss"] for line in log_of(only_run(folder)) if "loss" in line])
        weights = load_file(only_run(folder) / "model" / "model.safetensors")
        assert {w.dtype for w in weights.values()} == {torch.float32}
        assert any(not torch.equal(w, w.bfloat16().float()) for w in weights.values())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks by name, of which this is the first."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "broadcast", lambda value: value)


THOUSAND = nn.Linear(1000, 1, bias=False)  # 16,000 bytes with gradients and two moments


@pytest.mark.parametrize(
    ("settings", "memory", "way"),
    [
        ({}, 32_001, "ddp"),
        ({}, 31_999, "fsdp"),
        ({"optimizer": "adamw_8bit"}, 20_001, "ddp"),
        ({"optimizer": "adamw_8bit"}, 1, "ddp"),  # it has no shards
        ({"parallel": "ddp"}, 1, "ddp"),
        ({"parallel": "fsdp"}, 10**9, "fsdp"),
    ],
)
def test_shards_are_chosen_where_less_than_half_of_the_memory_would_be_left(
    two, monkeypatch, settings, memory, way
):
    monkeypatch.setattr(shards, "device_memory", lambda device: memory)
    train = Train.model_validate(settings)
    assert choose(THOUSAND, train, torch.device("cpu")) == way


@pytest.mark.parametrize(
    ("setting", "value"), [("optimizer", "adamw_8bit"), ("torch_compile", True)]
)
def test_what_does_not_go_with_shards_is_refused_in_one_line(two, setting, value):
    train = Train.model_validate({"parallel": "fsdp", setting: value})
    message = f"train.{setting}={str(value).lower()} does not go with train.parallel=fsdp: set ddp"
    with pytest.raises(UserError, match=message):
        choose(THOUSAND, train, torch.device("cpu"))


def test_one_process_has_no_shards_and_a_host_shares_its_memory(monkeypatch):
    assert choose(THOUSAND, Train(parallel="fsdp"), torch.device("cpu")) == ""
    alone = shards.device_memory(torch.device("cpu"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert alone > os.sysconf("SC_PAGE_SIZE")
    assert shards.device_memory(torch.device("cpu")) == alone // 4
