"""Training in less memory: bfloat16 weights with float32 masters, and AdamW in 8 bits."""

import importlib.util
import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from hbr.core.errors import UserError
from hbr.core.settings.train import Train
from hbr.training import optimizer as optimizers
from hbr.training.batch import AuxiliaryHead
from hbr.training.masters import MasterWeights
from hbr.training.optimizer import adamw
from tests.support import beside, hbr, log_of, only_run
from tests.training.support import bert

HALF = ["--set", "train.precision=bf16-weights"]
BYTES = ["--set", "train.optimizer=adamw_8bit"]
NO_HEAD = AuxiliaryHead(nn.Sequential(), 1.0)


def run_of(world, folder, *words):
    """Train a few steps; give the folder of the run."""
    small = ["--steps", "5", "--batch-size", "32", "--device", "cpu", "--set", "logging_steps=1"]
    said = hbr("train", *small, "--output-dir", beside(world, folder), *words)
    assert said.code == 0, said.err
    return only_run(folder)


def losses(run):
    return [line["loss"] for line in log_of(run) if "loss" in line]


def test_steps_too_small_for_bfloat16_add_up_in_the_masters():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    masters = MasterWeights(layer, "bf16-weights")
    settings = Train(learning_rate=1e-4, weight_decay=0.0)
    optimizer = adamw(masters.trained.values(), NO_HEAD, settings)
    assert layer.weight.dtype == torch.bfloat16
    for step in range(1, 31):  # Adam moves by the learning rate where the gradient stays the same
        layer(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        masters.take_gradients()
        optimizer.step()
        masters.round()
        (master,) = masters.trained.values()
        assert master.item() == pytest.approx(1 - step * 1e-4, abs=1e-6)
        assert layer.weight.item() == master.bfloat16().item()
    assert layer.weight.item() == 1 - 2**-8  # of .997; bfloat16 alone would have stayed at 1
    masters.restore()
    assert layer.weight.item() == master.item()


def test_frozen_weights_come_back_as_they_were():
    encoder = bert()
    first = next(encoder.parameters()).requires_grad_(False)
    before = first.detach().clone()
    masters = MasterWeights(encoder, "bf16-weights")
    assert not torch.equal(first.float(), before)
    assert len(masters.trained) == len(masters.weights) - 1
    masters.restore()
    assert torch.equal(first, before)


@pytest.mark.parametrize("objective", ["infonce", "adversarial", "smoothing"])
def test_bfloat16_weights_train_close_to_float32_and_are_saved_as_float32(
    world, tmp_path, objective
):
    words = ["--objective", objective, "--set", "mini_batch_size=20"]
    runs = [run_of(world, tmp_path / name, *words, *own) for name, own in (("a", []), ("b", HALF))]
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=0.1)
    assert losses(runs[1]) != losses(runs[0])
    weights = [load_file(run / "model" / "model.safetensors") for run in runs]
    assert {w.dtype for w in weights[1].values()} == {torch.float32}
    assert any(not torch.equal(w, w.bfloat16().float()) for w in weights[1].values())
    assert max((weights[0][n] - weights[1][n]).abs().max() for n in weights[0]) < 5 * 2 * 3e-3


def test_low_rank_matrices_are_merged_into_weights_that_were_not_rounded(world, tmp_path):
    run = run_of(world, tmp_path, "--set", "adapter=lora", *HALF)
    made = load_file(run / "model" / "model.safetensors")
    started = json.loads((run / "manifest.json").read_text())["stages"]["train"]["started_from"]
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(made[name], load_file(f"{started}/model.safetensors")[name])


def test_eight_bits_train_close_to_whole_moments(world, tmp_path):
    pytest.importorskip("bitsandbytes", reason="needs hbr[bnb]")
    words = ["--lr", "1e-3", "--set", "keep_checkpoint=true"]
    runs = [run_of(world, tmp_path / n, *words, *own) for n, own in (("a", []), ("b", BYTES))]
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=0.05)
    states = [load_file(run / "train/checkpoint-last/state.safetensors") for run in runs]
    large = [key for key, value in states[1].items() if value.dtype == torch.uint8]
    assert len(large) > 5
    assert not [key for key, value in states[0].items() if value.dtype == torch.uint8]
    assert all(states[1][key].numel() >= optimizers.BLOCKS for key in large)


def test_eight_bits_go_with_bfloat16_weights(world, tmp_path):
    pytest.importorskip("bitsandbytes", reason="needs hbr[bnb]")
    plain = losses(run_of(world, tmp_path / "plain"))
    both = losses(run_of(world, tmp_path / "both", *BYTES, *HALF))
    assert both == pytest.approx(plain, rel=0.1)


def test_eight_bits_are_refused_where_the_package_is_not_there(world, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        optimizers, "find_spec", lambda name: None if name == "bitsandbytes" else find(name)
    )
    said = hbr("train", "--output-dir", beside(world, tmp_path), *BYTES)
    assert said.code == 2
    assert "train.optimizer=adamw_8bit needs bitsandbytes: pip install 'hbr[bnb]'" in said.err


def test_eight_bits_are_refused_on_a_device_that_the_package_does_not_know(monkeypatch):
    optim = pytest.importorskip("bitsandbytes.optim", reason="needs hbr[bnb]")

    def step(_self):
        raise NotImplementedError("no kernel\nfor this")

    monkeypatch.setattr(optim.AdamW8bit, "step", step)
    weights = [nn.Parameter(torch.zeros(1, 1))]
    with pytest.raises(UserError, match=r"does not run on cpu \(no kernel\): upgrade it, or set"):
        adamw(weights, NO_HEAD, Train(learning_rate=1e-3, optimizer="adamw_8bit"))
