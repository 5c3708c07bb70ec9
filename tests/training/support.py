"""Encoders that the training tests share."""

import torch
from transformers import BertConfig, BertModel

from hbr.models.encoder import Encoder, Pooling

WIDTH, VOCABULARY = 16, 50


def bert(dropout: float = 0.0) -> Encoder:
    """A transformer of two small layers, in training mode and always with the same weights."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return Encoder(BertModel(config), None, Pooling()).train()
