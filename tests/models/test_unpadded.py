"""Packed texts: the vectors and gradients of padded ones, and nothing passes from text to text."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, XLMRobertaConfig
from transformers import XLMRobertaModel as XLMRoberta

from hbr.core.errors import UserError
from hbr.models import unpadded
from hbr.models.dropout import set_attention_dropout
from hbr.models.encoder import Dense, Encoder, Pooling

LENGTHS = [5, 17, 1, 9, 5, 30, 2, 9]
SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
GQA = {"num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "max_position_embeddings": 64}
NARROW = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
TODAY = {  # class and config, of causal and bidirectional attention, whole and in a window
    "modernbert": ("ModernBertModel", {"local_attention": 8, "global_attn_every_n_layers": 2}),
    "llama": ("LlamaModel", GQA),
    "mistral": ("MistralModel", GQA | {"sliding_window": 4}),
    "qwen2": ("Qwen2Model", GQA | NARROW | {"use_sliding_window": True}),
    "qwen3": ("Qwen3Model", GQA | NARROW | {"use_sliding_window": True}),
    "qwen3, both ways": ("Qwen3Model", GQA | {"is_causal": False}),
    "gemma3": ("Gemma3TextModel", GQA | NARROW),
    "gemma3, both ways": ("Gemma3TextModel", GQA | NARROW | {"use_bidirectional_attention": True}),
}


class Padding:
    """What an encoder asks of a tokenizer here."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id


def made(family: str, pooling: str = "mean", *, hidden: float = 0.0, attention: float = 0.0):
    """A random encoder of a family, with shares of dropout."""
    torch.manual_seed(0)
    shape = SHAPE | {"hidden_dropout_prob": hidden, "attention_probs_dropout_prob": attention}
    if family in TODAY:
        name, config = TODAY[family]
        kind = getattr(transformers, name)
        special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
        special |= {f"{of}_token_id": 1 for of in ("cls", "sep")} if name[0] == "M" else {}
        of = SHAPE | special | {"attention_dropout": attention} | config
        model = kind(kind.config_class(**of))
    elif family == "bert":
        model = BertModel(BertConfig(**shape, max_position_embeddings=30))
    else:  # its positions start behind the padding id
        model = XLMRoberta(XLMRobertaConfig(**shape, max_position_embeddings=32, pad_token_id=1))
    for weights in model.parameters():  # so large that texts look unlike
        torch.nn.init.normal_(weights, std=0.2 if family not in TODAY or weights.ndim > 1 else 0.5)
    layers = (Dense(torch.nn.Linear(32, 24)),) if pooling == "dense" else ()
    mode = "cls" if pooling == "dense" else pooling
    padding = Padding(model.config.pad_token_id)
    encoder = Encoder(model, padding, Pooling((mode,), layers))
    return encoder.eval()


def texts(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 60, length) for length in LENGTHS]


def gradients(encoder: Encoder, vectors: torch.Tensor) -> list[torch.Tensor]:
    encoder.zero_grad()
    (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
    found = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert len(found) > 12
    assert max(float(gradient.abs().max()) for gradient in found) > 0.1
    return [gradient.clone() for gradient in found]


@pytest.mark.parametrize("family", ["bert", "xlm-r"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken", "dense"])
def test_vectors_and_gradients_are_those_of_padded_texts(family: str, pooling: str) -> None:
    encoder = made(family, pooling)
    found, expected = (encoder.encode(texts(), unpadded=on) for on in (True, False))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    got, wanted = gradients(encoder, found), gradients(encoder, expected)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", TODAY)
@pytest.mark.parametrize("attention", [0.0, 1e-9])
def test_todays_backbones_see_what_their_configs_say(family: str, attention: float) -> None:
    encoder = made(family, "lasttoken", attention=attention).train()
    assert encoder.use_unpadded(True)
    found, expected = (encoder.encode(texts(), unpadded=on) for on in (True, False))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    alone = torch.cat([encoder.encode([text], unpadded=False) for text in texts()])
    torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)
    got, wanted = gradients(encoder, found), gradients(encoder, expected)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("family", "one_way"), [(f, "both" not in f) for f in list(TODAY)[1:]])
def test_a_causal_backbone_never_looks_ahead(family: str, one_way: bool) -> None:
    encoder, text = made(family, "cls"), texts()[1]
    changed = np.append(text[:-1], (text[-1] + 7) % 60)
    first, other = encoder.encode([text]), encoder.encode([changed])
    assert torch.equal(first, other) is one_way


@pytest.mark.parametrize("family", ["bert", "xlm-r"])
def test_a_shift_of_the_word_embeddings_means_the_same(family: str) -> None:
    encoder, given = made(family), texts()
    shift = torch.randn(len(LENGTHS), max(LENGTHS), 32, requires_grad=True)
    found, expected = (encoder.encode(given, shift=shift, unpadded=on) for on in (True, False))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert (found - encoder.encode(given)).abs().max() > 1e-2
    for vectors in (found, expected):
        vectors.pow(3).sum().backward()
    got = shift.grad
    shift.grad = None
    encoder.encode(given, shift=shift, unpadded=False).pow(3).sum().backward()
    torch.testing.assert_close(got, 2 * shift.grad, rtol=1e-4, atol=1e-6)
    assert shift.grad[0, :5].abs().min() > 0
    assert shift.grad[0, 5:].abs().max() == 0  # padding


@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_is_as_near_to_float32_as_padded(training: bool) -> None:
    encoder = made("bert").train(training)
    exact = encoder.encode(texts(), unpadded=False)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        far = [
            float((encoder.encode(texts(), unpadded=on) - exact).abs().max())
            for on in (True, False)
        ]
    assert 1e-5 < far[0] < max(2 * far[1], 2e-2)


def test_no_text_sees_another() -> None:
    encoder, given = made("xlm-r"), texts()
    beside = [*texts(1)[:3], given[3], *texts(1)[4:]]
    with torch.inference_mode():
        one, other = (encoder.encode(some) for some in (given, beside))
        alone = encoder.encode([given[3]])[0]
    torch.testing.assert_close(one[3], other[3], rtol=0, atol=1e-6)
    torch.testing.assert_close(one[3], alone, rtol=0, atol=1e-6)
    assert (one[4] - other[4]).abs().max() > 1e-2


@pytest.mark.parametrize("way", ["attend_by_length", "attend_padded", "attend_in_float32"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 3])
def test_every_way_attends_as_text_by_text(way: str, causal: bool, window: int | None) -> None:
    row = unpadded.pack(texts())
    torch.manual_seed(0)
    parts = [torch.randn(1, 4, sum(LENGTHS), 8, requires_grad=True) for _ in range(3)]
    bounds = row.cu_seqlens.tolist()

    def alone(a: int, b: int) -> torch.Tensor:
        q, k, v = (x[0, :, a:b] for x in parts)
        scores = q @ k.mT / 8**0.5
        for i, j in itertools.product(range(b - a), repeat=2):
            if (causal and j > i) or (window and abs(i - j) >= window):
                scores[:, i, j] = -torch.inf
        return scores.softmax(-1) @ v

    each = [alone(a, b) for a, b in itertools.pairwise(bounds)]
    expected = torch.cat(each, dim=1).transpose(0, 1)
    found = getattr(unpadded, way)(parts, row, 0.0, None, unpadded.Reach(causal, window))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    weights = torch.randn_like(expected)
    got, wanted = (
        torch.autograd.grad((x * weights).sum(), parts, retain_graph=True)
        for x in (found, expected)
    )
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


def test_the_way_follows_from_device_precision_and_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    class On:
        """A tensor's kind, on a device that need not be here."""

        def __init__(self, device: str, dtype: torch.dtype, width: int) -> None:
            self.device, self.dtype = torch.device(device), dtype
            self.shape = (1, 4, 9, width)

    def way(
        device: str,
        dtype: torch.dtype,
        *,
        training: bool,
        dropout: float,
        width: int = 32,
        **reach: bool,
    ) -> str:
        module, query = torch.nn.Identity().train(training), On(device, dtype, width)
        return unpadded._fastest(module, query, dropout, unpadded.Reach(**reach)).__name__

    half, full = torch.bfloat16, torch.float32
    monkeypatch.setattr(unpadded, "_varlen", lambda: print)
    assert way("cpu", half, training=False, dropout=0) == "attend_by_length"
    assert way("cpu", half, training=True, dropout=0) == "attend_in_float32"
    assert way("cpu", full, training=True, dropout=0.1) == "attend_by_length"
    assert way("cuda", half, training=True, dropout=0) == "attend_varlen"
    assert way("cuda", half, training=True, dropout=0, width=12) == "attend_padded"
    assert way("cuda", half, training=True, dropout=0.1) == "attend_padded"
    assert way("cuda", half, training=True, dropout=0, causal=True) == "attend_padded"
    assert way("cuda", full, training=False, dropout=0) == "attend_padded"
    monkeypatch.setattr(unpadded, "_varlen", lambda: None)
    assert way("cuda", half, training=False, dropout=0) == "attend_padded"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_chunk_repeats_itself_with_dropout_with_and_without_a_graph(precision: str) -> None:
    """Or the gradient cache would be wrong."""
    encoder = made("bert", hidden=0.1, attention=0.1).train()

    def encoded(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return encoder.encode(texts())

    with torch.no_grad():
        first = encoded(1)
    assert torch.equal(first, encoded(1))
    assert (first - encoded(2)).abs().max() > 1e-2


def test_attention_dropout_reaches_packed_texts_and_can_be_set() -> None:
    encoder = made("xlm-r", attention=0.5).train()
    calm = made("xlm-r").encode(texts())
    torch.manual_seed(0)
    drawn = torch.stack([encoder.encode(texts()) for _ in range(2)])
    assert (drawn[0] - drawn[1]).abs().max() > 1e-2
    set_attention_dropout(encoder.backbone, 0.0)
    torch.testing.assert_close(encoder.encode(texts()), calm, rtol=0, atol=1e-6)
    assert encoder.backbone.config.attention_probs_dropout_prob == 0.5  # what is saved


def test_other_models_are_padded_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "hbr")
    shape = {"vocab_size": 60, "dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 64}
    encoder = Encoder(DistilBertModel(DistilBertConfig(**shape)), Padding(0), Pooling())
    encoder.eval()
    assert encoder.use_unpadded(True) is False
    assert "DistilBertModel, mean pooling: texts are padded" in caplog.text
    caplog.clear()
    assert encoder.use_unpadded(False) is False
    assert caplog.text == ""
    assert torch.equal(encoder.encode(texts()), encoder(*encoder.pad(texts())))
    own = type("BertModel", (BertModel,), {"__module__": "mine"})
    assert not unpadded.enable(own(BertConfig(**SHAPE)))
    eager = BertModel(BertConfig(**SHAPE, attn_implementation="eager"))
    assert not unpadded.enable(eager)


def test_a_model_without_attention_dropout_is_named() -> None:
    encoder = made("bert")
    encoder.backbone = torch.nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"train\.attention_dropout: Linear has no layer for it"):
        set_attention_dropout(encoder.backbone, 0.0)


def test_a_saved_backbone_tells_nothing_of_it(tmp_path: Path) -> None:
    encoder = made("bert")
    assert encoder.use_unpadded(True)
    encoder.backbone.save_pretrained(tmp_path)
    assert unpadded.NAME not in (tmp_path / "config.json").read_text()
