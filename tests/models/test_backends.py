"""Other engines than torch: the same vectors, one export, and what they cannot is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, Qwen3Config, Qwen3Model

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.evaluation.retriever import Retriever
from hbr.experiments.run_spec import RunSpec
from hbr.models import backends, tiny
from hbr.models.loading import load
from tests.compare.support import config
from tests.support import beside, hbr

WORDS = ["Ri luli Sasal Mobil?", "Сасал Мобил темусду", "हुहदु ससल मोबिल", "a", "x " * 300]
MODELS = {
    "bert": (BertModel, BertConfig, {}),
    "decoder": (Qwen3Model, Qwen3Config, {"num_key_value_heads": 1, "head_dim": 16}),
}


def made(folder: Path, kind: str) -> Path:
    """Write a small encoder of some kind."""
    model, settings, more = MODELS[kind]
    torch.manual_seed(0)
    _, tokenizer = tiny._bert()
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"intermediate_size": 64, "vocab_size": len(tokenizer), **more}
    model(settings(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def vectors(folder: Path, cache: Path, **settings: object) -> np.ndarray:
    chosen = config("hybrid", **{f"encode__{key}": value for key, value in settings.items()})
    retriever = Retriever(load(folder), chosen, "cpu", cache)
    assert retriever.backend == settings.get("backend", "torch")
    return retriever.encode_passages(WORDS)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_vectors_are_those_of_torch(tmp_path, backend, kind):
    folder = made(tmp_path / "model", kind)
    ours = vectors(folder, tmp_path, backend=backend)
    few = vectors(folder, tmp_path, backend=backend, token_budget=8)  # a text a thread
    theirs = vectors(folder, tmp_path)
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(few - theirs).max() < 1e-5


def test_in_int8_vectors_are_near_those_of_torch_and_the_export_is_of_its_own(tmp_path):
    folder = made(tmp_path / "model", "bert")
    whole = vectors(folder, tmp_path, backend="onnx")
    rounded = vectors(folder, tmp_path, backend="onnx", precision="int8")
    assert (whole * rounded).sum(axis=1).min() > 0.99
    assert np.abs(whole - rounded).max() > 1e-5
    large, small = sorted(path.stat().st_size for path in tmp_path.glob("onnx-*/encoder.onnx"))[
        ::-1
    ]
    assert large > 2 * small
    assert np.array_equal(whole, vectors(folder, tmp_path, backend="onnx"))


@pytest.mark.parametrize("level", [logging.NOTSET, logging.INFO, logging.CRITICAL])
def test_what_a_program_does_not_log_is_as_before_once_weights_are_bytes(
    tmp_path, monkeypatch, level
):
    meanwhile = []

    def quantize(_, to):
        meanwhile.append(logging.root.manager.disable)
        to.write_bytes(b"weights")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", quantize)
    monkeypatch.setattr(logging.root.manager, "disable", level)  # put back afterwards
    backends._quantize(tmp_path / "encoder.onnx")
    assert meanwhile == [max(level, logging.WARNING)]
    assert logging.root.manager.disable == level


def test_an_encoder_is_exported_once_for_each_of_its_states(tmp_path, monkeypatch):
    folder, exported = made(tmp_path / "model", "bert"), []
    export = backends._export
    monkeypatch.setattr(backends, "_export", lambda *a: (exported.append(a), export(*a)))
    for _ in range(2):
        vectors(folder, tmp_path / "cache", backend="openvino")
    assert len(exported) == 1
    made(folder, "decoder")
    vectors(folder, tmp_path / "cache", backend="openvino")
    assert len(exported) == 2


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "_export", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vectors(made(tmp_path / "model", "bert"), tmp_path / "cache", backend="openvino")
    assert not list((tmp_path / "cache").iterdir())


def test_what_an_engine_cannot_do_is_refused(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(UserError, match="computes on a CPU alone"):
        backends.choose("openvino", cuda, "fp32")
    with pytest.raises(UserError, match=r"set encode\.precision=fp32, or int8"):
        backends.choose("onnx", cpu, "bf16")
    for backend in ("torch", "openvino", "auto"):
        with pytest.raises(UserError, match=r"set encode\.backend=onnx"):
            backends.choose(backend, cpu, "int8")
    assert backends.choose("auto", cpu, "bf16") == "openvino"
    assert backends.choose("auto", cuda, "bf16") == "torch"
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    assert backends.choose("auto", cpu, "bf16") == "torch"
    with pytest.raises(UserError, match=r"pip install 'hbr\[openvino\]'"):
        backends.choose("openvino", cpu, "fp32")


def test_vectors_of_auto_are_those_of_the_engine_that_it_takes(monkeypatch, tmp_path):
    def decided(backend: str) -> dict:
        config = resolve_config({"encode.backend": backend})
        return RunSpec(config, tmp_path, "cpu").encode_identity()

    assert decided("auto") == decided("openvino") != decided("torch")
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    assert decided("auto") == decided("torch")


def test_a_run_is_evaluated_and_searched_by_another_engine(world, tmp_path):
    runs = beside(world, tmp_path / "runs")
    small = ("--set", "max_steps=2", "--set", "batch_size=4", "--output-dir", runs)
    run = Path(hbr("train", *small).out.splitlines()[-1])
    engine = ("--set", "encode.backend=openvino", "--run", run)
    done = hbr("evaluate", *engine)
    assert done.code == 0, done.err
    (export,) = (run / "exported").iterdir()
    assert export.name.startswith("openvino-")
    assert hbr("evaluate", "--run", run).code == 0  # torch's own, beside it
