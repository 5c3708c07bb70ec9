"""Word embeddings that training leaves out, and what it learns with the others."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3Model

from hbr.models import tiny
from hbr.models.encoder import Encoder, Pooling
from hbr.models.vocabulary import TrimmedVocabulary, used_tokens
from hbr.training.trainer import Trainer
from tests.support import beside, hbr, only_run

FEW = ["train", "--sampler", "hybrid", "--steps", "12", "--batch-size", "8", "--device", "cpu"]


def made(name: str) -> Encoder:
    return tiny.build(name).eval()


def test_words_are_those_of_all_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hbr.models.vocabulary.CHUNK", 2)
    tokens = [np.array([3, 3, 1, 7, 2], np.int32), np.array([], np.int32), np.array([5], np.int32)]
    assert np.flatnonzero(used_tokens(tokens, 9)).tolist() == [1, 2, 3, 5, 7]


def test_more_tokens_than_are_looked_at_leave_no_word_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hbr.models.vocabulary.MAX_SCANNED", 2)
    assert used_tokens([np.array([1, 1, 1])], 4).all()


@pytest.mark.parametrize("name", ["xlm-r-tiny", "mbert-tiny"])
@pytest.mark.parametrize("unpadded", [True, False])
def test_a_trimmed_encoder_encodes_as_before(name: str, *, unpadded: bool) -> None:
    encoder = made(name)
    texts = [np.array(t) for t in encoder.tokenize(["Who came?", "A longer text than that one"], 9)]
    before, words = (
        encoder.encode(texts, unpadded=unpadded),
        encoder.token_embeddings.detach().clone(),
    )
    trimmed = TrimmedVocabulary(encoder, used_tokens(texts, len(words)))
    assert len(encoder.token_embeddings) == len(trimmed.kept) < len(words)
    assert torch.equal(encoder.encode(texts, unpadded=unpadded), before)
    with torch.no_grad():
        encoder.token_embeddings.add_(1)
    trimmed.restore(0.5)
    expected = words * 0.5
    expected[trimmed.kept] = words[trimmed.kept] + 1
    assert torch.equal(encoder.token_embeddings, expected)
    assert encoder.backbone.get_input_embeddings().num_embeddings == len(words)


@pytest.mark.parametrize("padding_idx", [None, 50])
@pytest.mark.parametrize("unpadded", [True, False])
def test_padding_behind_all_words_keeps_none_of_them(
    padding_idx: int | None, *, unpadded: bool
) -> None:
    """Qwen's id of padding comes last, and its positions are not counted from it."""
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}
    config = Qwen3Config(vocab_size=60, pad_token_id=padding_idx, **shape)
    tokenizer: Any = SimpleNamespace(pad_token_id=50)
    encoder = Encoder(Qwen3Model(config), tokenizer, Pooling("lasttoken")).eval()
    texts = [np.array([40, 7, 41]), np.array([7])]
    before = encoder.encode(texts, unpadded=unpadded)
    trimmed = TrimmedVocabulary(encoder, used_tokens(texts, 60))
    assert len(encoder.token_embeddings) <= 5  # those, padding, perhaps the first
    assert torch.equal(encoder.encode(texts, unpadded=unpadded), before)
    trimmed.restore(1.0)
    assert encoder.backbone.get_input_embeddings().padding_idx == padding_idx
    assert torch.equal(encoder.encode(texts, unpadded=unpadded), before)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["xlm-r-tiny", "mbert-tiny"])
def test_trimmed_or_not_a_run_learns_the_same(
    rows_file: Callable[..., Path], world: Path, tmp_path: Path, encoder: str
) -> None:
    """A few rows leave most words out; a large weight decay shows in these."""
    rows, runs = rows_file(count=20), []
    for trim in ("true", "false"):
        place = beside(world, tmp_path / trim)
        words = [*FEW, "--encoder", encoder, "--lr", "1e-4", "--data", rows, "--output-dir", place]
        words += ["--set", f"train.trim_vocabulary={trim}", "--set", "train.weight_decay=5"]
        assert hbr(*words).code == 0
        runs.append(only_run(place))
    manifests = [json.loads((run / "manifest.json").read_text()) for run in runs]
    kept, whole = (manifest["stages"]["train"]["words"] for manifest in manifests)
    assert kept < whole / 2
    one, two = (load_file(run / "model" / "model.safetensors") for run in runs)
    assert {name: v.shape for name, v in one.items()} == {name: v.shape for name, v in two.items()}
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6


@pytest.mark.slow
def test_a_trimmed_run_that_stopped_goes_on_to_the_same_bytes(
    rows_file: Callable[..., Path],
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, step = rows_file(count=20), Trainer.training_step
    words = [*FEW, "--encoder", "mbert-tiny", "--data", rows, "--set", "train.save_steps=5"]
    whole, broken = (beside(world, tmp_path / name) for name in ("whole", "broken"))
    assert hbr(*words, "--output-dir", whole).code == 0

    def stops(trainer: Trainer, number: int) -> dict[str, Any]:
        if number == 7:
            raise RuntimeError("stopped")
        return step(trainer, number)

    monkeypatch.setattr(Trainer, "training_step", stops)
    assert hbr(*words, "--output-dir", broken).code == 1
    monkeypatch.setattr(Trainer, "training_step", step)
    said = hbr(*words, "--output-dir", broken)
    assert "goes on from step 5" in said.err
    one, two = (only_run(place) / "model" / "model.safetensors" for place in (whole, broken))
    assert one.read_bytes() == two.read_bytes()
