"""Presets say what the published model cards say, and load small models of the same layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import BertConfig, BertModel, GteConfig, GteModel, XLMRobertaConfig
from transformers import XLMRobertaModel as XlmR

from hbr.core.config import resolve_config
from hbr.experiments.run_spec import complete
from hbr.models import sources, tiny
from hbr.models.loading import load
from hbr.models.presets import preset

# The cards, read in November 2026: hub id, class, pooling, prompts of queries and passages.
PUBLISHED: dict[str, tuple[str, type, str, str, str]] = {
    "e5-small": ("intfloat/multilingual-e5-small", BertModel, "mean", "query: ", "passage: "),
    "e5-base": ("intfloat/multilingual-e5-base", XlmR, "mean", "query: ", "passage: "),
    "e5-large": ("intfloat/multilingual-e5-large", XlmR, "mean", "query: ", "passage: "),
    "bge-m3": ("BAAI/bge-m3", XlmR, "cls", "", ""),
    "arctic-embed-l-v2": ("Snowflake/snowflake-arctic-embed-l-v2.0", XlmR, "cls", "query: ", ""),
    "gte-multilingual-base": (
        "alibaba-nlp-community/gte-multilingual-base", GteModel, "cls", "", "",
    ),
}  # fmt: skip
IN_FILES = {"arctic-embed-l-v2": {"query": "query: "}}  # the others' files name no prompts
TEXTS = ["Ri luli Sasal Mobil?", "Сасал Мобил темусду", "a"]


def small(kind: type, folder: Path) -> Path:
    """Write a small model of a class with XLM-R's kind of tokenizer, which all of them have."""
    tokenizer = tiny._xlm_r()[1]
    shape: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": 1, **tiny._SHAPE}
    torch.manual_seed(0)
    if kind is GteModel:
        model: Any = GteModel(GteConfig(max_position_embeddings=64, **shape))
    elif kind is BertModel:
        model = BertModel(BertConfig(max_position_embeddings=64, **shape))
    else:
        model = XlmR(XLMRobertaConfig(max_position_embeddings=66, type_vocab_size=1, **shape))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_gives_the_vectors_that_its_card_describes(name, tmp_path, monkeypatch):
    hub_id, kind, pooling, query_prompt, passage_prompt = PUBLISHED[name]
    transformer = modules.Transformer(str(small(kind, tmp_path / "plain")), max_seq_length=64)
    theirs = SentenceTransformer(
        modules=[transformer, modules.Pooling(64, pooling), modules.Normalize()],
        prompts=IN_FILES.get(name, {}), device="cpu",
    )  # fmt: skip
    theirs.save(str(tmp_path / "published"), create_model_card=False)
    asked = []

    def snapshot(hub: str, *_: Any, **__: Any) -> Path:
        asked.append(hub)
        return tmp_path / "published"

    monkeypatch.setattr(sources, "hub_snapshot", snapshot)
    settings = complete(resolve_config({"encoder": name}), tmp_path).encoder
    assert settings.inputs("query") == (query_prompt, 512)
    assert settings.inputs("passage") == (passage_prompt, 512)
    assert set(asked) == {hub_id}
    ours = load(tmp_path / "published", normalize=settings.normalize)
    for prompt in (query_prompt, passage_prompt):
        expected = theirs.encode([prompt + text for text in TEXTS])
        with torch.inference_mode():
            found = ours.encode(ours.tokenize([prompt + text for text in TEXTS], 512))
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_pools_as_its_card_says_where_files_name_no_pooling(name, tmp_path):
    _, kind, pooling, *_ = PUBLISHED[name]
    encoder = load(small(kind, tmp_path), fallback=preset(name).pooling)
    assert encoder.modes == (pooling,)
    assert encoder.normalize
