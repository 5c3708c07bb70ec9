"""Layers that are computed again give the gradients of those that were kept, dropout included."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from hbr.models.dropout import use_quick_dropout
from hbr.models.encoder import Encoder, Pooling
from tests.training.support import VOCABULARY, bert

TEXTS = [np.arange(2, 2 + n) for n in (9, 4, 4, 13)]


def gradients(encoder: Encoder, *, unpadded: bool, precision: torch.dtype) -> list[torch.Tensor]:
    encoder.zero_grad()
    torch.manual_seed(3)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        vectors = encoder.encode(TEXTS, unpadded=unpadded)
    vectors.float().pow(3).sum().backward()
    return [p.grad.clone() for p in encoder.parameters() if p.grad is not None]


@pytest.mark.parametrize("unpadded", [True, False])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_gradients_are_the_same_to_the_bit(unpadded, precision):
    encoder = bert(dropout=0.3)
    encoder.supports_unpadded = unpadded
    encoder.tokenizer = type("Padding", (), {"pad_token_id": 0})()
    use_quick_dropout(encoder.backbone)
    expected = gradients(encoder, unpadded=unpadded, precision=precision)
    calls = []
    encoder.backbone.encoder.layer[0].attention.register_forward_hook(lambda *_: calls.append(1))
    encoder.recompute_layers()
    found = gradients(encoder, unpadded=unpadded, precision=precision)
    assert len(calls) == 2  # forward, and again for the gradients
    assert max(float(g.abs().max()) for g in found) > 0
    assert all(map(torch.equal, found, expected))


def test_a_decoder_recomputes_its_packed_texts():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=VOCABULARY, num_attention_heads=2, **shape)
    encoder = Encoder(LlamaModel(config), None, Pooling(("lasttoken",))).train()
    expected = gradients(encoder, unpadded=True, precision=torch.float32)
    encoder.recompute_layers()
    found = gradients(encoder, unpadded=True, precision=torch.float32)
    assert all(map(torch.equal, found, expected))
