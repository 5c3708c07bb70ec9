"""An encoder's folder is obeyed, with sentence-transformers' own vectors, or refused by name."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import PreTrainedTokenizerFast

from hbr.core.errors import UserError
from hbr.models import tiny
from hbr.models.encoder import Encoder
from hbr.models.folder import POOLINGS, read_folder
from hbr.models.loading import load, save

TEXTS = ["Ri luli Sasal Mobil?", "Сасал Мобил темусду", "हुहदु ससल मोबिल", "a", "X " * 300]
MODEL = "config_sentence_transformers.json"
TRANSFORMER = "sentence_bert_config.json"
POOLING = "1_Pooling/config.json"
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights with a cased tokenizer, as transformers saves it."""
    folder = tmp_path_factory.mktemp("plain")
    torch.manual_seed(0)
    for part in tiny._bert():
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(plain: Path, tmp_path: Path) -> Path:
    """The same in sentence-transformers' layout, to be altered."""
    save(load(plain), tmp_path / "encoder", {}, 128)
    return tmp_path / "encoder"


def vectors(
    encoder: Encoder, texts: list[str] = TEXTS, *, longest: int = 10_000, unpadded: bool = True
) -> torch.Tensor:
    tokens = encoder.tokenize(texts, longest)
    with torch.inference_mode():
        return encoder.encode(tokens, unpadded=unpadded)


def agrees(folder: Path, *, normalized: bool = True) -> Encoder:
    """The encoder of a folder, once its vectors are those of sentence-transformers."""
    theirs = SentenceTransformer(str(folder), device="cpu")
    expected = theirs.encode(TEXTS, convert_to_tensor=True, normalize_embeddings=normalized)
    ours, longest = load(folder), read_folder(folder).resolved()["query_max_seq_length"]
    for unpadded in (True, False):
        found = vectors(ours, longest=longest, unpadded=unpadded)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    return ours


def write(path: Path, **fields: Any) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | fields))


def alter_weights(path: Path, alter: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    save_file(alter(load_file(path)), path, {"format": "pt"})


@pytest.mark.parametrize("mode", POOLINGS)
def test_every_pooling_mode_gives_the_vectors_of_sentence_transformers(folder, tmp_path, mode):
    (folder / POOLING).write_text(json.dumps({"embedding_dimension": 64, "pooling_mode": mode}))
    ours = agrees(folder)
    save(ours, tmp_path / "again", {}, 128)
    assert agrees(tmp_path / "again").modes == (mode,)


def chain(plain: Path, *behind: torch.nn.Module, pooling: Any = "mean") -> SentenceTransformer:
    body = modules.Transformer(str(plain), max_seq_length=64)
    parts = [body, modules.Pooling(64, pooling_mode=pooling), *behind]
    return SentenceTransformer(modules=parts, device="cpu")


@pytest.mark.parametrize(
    ("pooling", "behind", "width"),
    [
        (("mean", "max"), lambda: [modules.Normalize()], 128),
        ("cls", lambda: [modules.Dense(64, 96), modules.Dense(96, 24), modules.Normalize()], 24),
        ("mean", lambda: [modules.Normalize(), modules.Dense(64, 32)], 32),
        ("mean", lambda: [modules.Dense(64, 48, False, torch.nn.Identity())], 48),
        (("max", "mean"), lambda: [modules.Dense(128, 24)], 24),  # as flags would not have it
        (
            ("cls", "lasttoken"),
            lambda: [modules.Dense(128, 48, activation_function=torch.nn.GELU())],
            48,
        ),
    ],
)
def test_any_chain_of_poolings_layers_and_normalizations_is_run_in_its_order(
    plain, tmp_path, pooling, behind, width
):
    torch.manual_seed(1)
    chain(plain, *behind(), pooling=pooling).save(str(tmp_path / "theirs"))
    ours = agrees(tmp_path / "theirs")
    assert ours.embedding_dimension == width
    save(ours, tmp_path / "again", {}, 64)
    torch.testing.assert_close(vectors(agrees(tmp_path / "again")), vectors(ours))


def test_lower_casing_truncation_of_vectors_and_lengths_are_obeyed_and_kept(folder, tmp_path):
    plain = vectors(load(folder))
    write(folder / TRANSFORMER, do_lower_case=True, max_seq_length=20)
    write(folder / MODEL, truncate_dim=16)
    ours = agrees(folder)
    assert ours.embedding_dimension == 16
    assert not torch.allclose(vectors(ours)[0], plain[0, :16], atol=1e-3)
    assert len(ours.tokenize(["x " * 99], 30)[0]) == 30  # a setting may ask for longer texts
    save(ours, tmp_path / "again", {}, 20)
    agrees(tmp_path / "again")


def test_vectors_that_are_scaled_and_then_cut_are_refused(folder):
    write(folder / MODEL, truncate_dim=16, similarity_fn_name="dot")
    with pytest.raises(UserError, match=r"modules.json: hbr has no vectors that are scaled first"):
        read_folder(folder)


def test_a_folder_that_scores_by_dot_product_keeps_the_lengths_of_its_vectors(folder, tmp_path):
    entries = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(entries[:-1]))
    agrees(folder)  # cosine similarity: as good as normalized
    write(folder / MODEL, similarity_fn_name="dot")
    ours = agrees(folder, normalized=False)
    assert vectors(ours).norm(dim=1).min() > 1.1
    save(ours, tmp_path / "again", {}, 128)
    assert json.loads((tmp_path / "again" / MODEL).read_text())["similarity_fn_name"] == "dot"
    agrees(tmp_path / "again", normalized=False)


@pytest.mark.parametrize(
    ("file", "fields", "named"),
    [
        (POOLING, {"include_prompt": False}, "include_prompt = False"),
        (POOLING, {"pooling_mode": "median"}, "pooling_mode.* = 'median'"),
        (POOLING, {"layer": 7}, "does not know 'layer'"),
        (TRANSFORMER, {"model_args": {"trust_remote_code": True}}, "model_args = "),
        (TRANSFORMER, {"transformer_task": "fill-mask"}, "transformer_task = 'fill-mask'"),
        (TRANSFORMER, {"max_seq_length": "many"}, "max_seq_length = 'many'"),
        (TRANSFORMER, {"modality_config": {"message": {}}}, "plain texts"),
        (MODEL, {"similarity_fn_name": "euclidean"}, "similarity_fn_name = 'euclidean'"),
        (MODEL, {"model_type": "SparseEncoder"}, "model_type = 'SparseEncoder'"),
        (MODEL, {"prompts": ["query: "]}, "prompts = "),
        (MODEL, {"whitening": True}, "does not know 'whitening'"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_named(folder, file, fields, named):
    write(folder / file, **fields)
    with pytest.raises(UserError, match=named) as mistake:
        load(folder)
    assert str(mistake.value).startswith(str(folder / file))
    assert "\n" not in str(mistake.value)


@pytest.mark.parametrize(
    ("place", "fields", "named"),
    [
        (1, {"type": "sentence_transformers.models.LSTM"}, "and then a Pooling"),
        (0, {"type": "custom_st.Transformer"}, "custom_st.Transformer"),
        (0, {"type": "sentence_transformers.models.StaticEmbedding"}, r"not \['StaticEmbedding'"),
        (0, {"type": "sentence_transformers.models.Router"}, r"not \['Router'"),
        (2, {"type": "sentence_transformers.models.LayerNorm"}, "no module LayerNorm"),
        (2, {"type": "mine.Normalize"}, r"no module mine\.Normalize"),
        (1, {"path": "../1_Pooling"}, "outside the encoder's folder"),
        (1, {"kwargs": ["task"]}, "kwargs"),
    ],
)
def test_a_module_that_hbr_lacks_is_named(folder, place, fields, named):
    entries = json.loads((folder / "modules.json").read_text())
    entries[place] |= fields
    (folder / "modules.json").write_text(json.dumps(entries))
    with pytest.raises(UserError, match=named):
        load(folder)


@pytest.mark.parametrize("content", ["{", "[1]", "\ud800".encode("utf-8", "surrogatepass")])
def test_a_config_that_is_no_json_object_is_named(folder, content):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / MODEL).write_bytes(data)
    with pytest.raises(UserError, match=re.escape(MODEL)):
        load(folder)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"activation_function": "os.system"}, "activation_function: torch has no os.system"),
        ({"activation_function": "torch.nn.functional.gelu"}, "torch has no torch.nn.functional"),
        ({"use_residual": True}, "use_residual = True"),
        ({"module_output_name": "token_embeddings"}, "module_output_name"),
        ({"out_features": 8}, "size mismatch for linear.weight"),
        ({"bias": False}, "linear.bias"),
    ],
)
def test_a_dense_layer_that_hbr_cannot_run_is_named(plain, tmp_path, config, named):
    save(load(plain, pooling="dense"), tmp_path, {}, 64)
    write(tmp_path / "2_Dense" / "config.json", **config)
    with pytest.raises(UserError, match=named):
        load(tmp_path)


def without(part: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda weights: {key: w for key, w in weights.items() if part not in key}


@pytest.mark.parametrize(
    ("alter", "config", "named"),
    [
        (lambda w: {f"module.{k}": v for k, v in w.items()}, {}, "no weights for embeddings."),
        (without("layer.1."), {}, "no weights for encoder.layer.1.* and 15 more"),
        (without("word_embeddings"), {}, "no weights for embeddings.word_embeddings.weight;"),
        (without("0.output.dense.bias"), {}, "no weights for encoder.layer.0.output.dense.bias;"),
        (dict, {"num_hidden_layers": 3}, "no weights for encoder.layer.2"),
        (dict, {"num_hidden_layers": 1}, "no place for: encoder.layer.1"),
        (
            lambda w: {f"bert.{k}": v for k, v in w.items()},
            {"num_hidden_layers": 1},
            "no place for: encoder.layer.1",
        ),
        (dict, {"intermediate_size": 96}, "of another size for encoder.layer.0.intermediate"),
    ],
)
def test_weights_that_are_not_there_are_named(folder, alter, config, named):
    alter_weights(folder / "model.safetensors", alter)
    write(folder / "config.json", **config)
    with pytest.raises(UserError, match=named):
        load(folder)


def test_a_pooler_and_heads_of_pretraining_do_not_matter(folder):
    expected = vectors(load(folder))
    extra = {
        "cls.predictions.bias": torch.zeros(4),
        "bert.embeddings.position_ids": torch.arange(4),
        "bert.pooler.dense.bias": torch.zeros(64),
    }
    alter_weights(
        folder / "model.safetensors", lambda w: {f"bert.{k}": v for k, v in w.items()} | extra
    )
    assert torch.equal(vectors(load(folder)), expected)


def test_an_encoder_without_a_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").rename(folder / "tokenizer.old")
    with pytest.raises(UserError, match="holds no tokenizer"):
        load(folder)


def test_code_in_an_encoders_folder_is_neither_run_nor_asked_about(folder, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    write(folder / "config.json", model_type="evil", auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(UserError, match="cannot be loaded"):
        load(folder)


SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
MADE = {
    "CamembertModel": SHAPE | {"pad_token_id": 1},
    "MPNetModel": SHAPE | {"pad_token_id": 1},
    "DistilBertModel": {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 48},
    "GPT2Model": {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 40},
    "Qwen3Model": SHAPE | {"num_key_value_heads": 1, "head_dim": 16},
    "ModernBertModel": SHAPE | {"pad_token_id": 0},
    "LlamaModel": SHAPE | {"num_key_value_heads": 1},
    "Gemma3TextModel": SHAPE | {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8},
    "T5EncoderModel": {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2},
    "MT5Model": {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2},
    "DPRContextEncoder": SHAPE,
}


def make(folder: Path, plain: Path, name: str, **tokens: str) -> None:
    """Write an encoder of random weights, of a class of transformers."""
    torch.manual_seed(0)
    backend = transformers.AutoTokenizer.from_pretrained(plain).backend_tokenizer
    kind = getattr(transformers, name)
    kind(kind.config_class(vocab_size=4096, **MADE[name])).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=backend, **tokens).save_pretrained(folder)


@pytest.mark.parametrize("name", list(MADE)[:8])
def test_other_architectures_give_the_vectors_of_sentence_transformers(plain, tmp_path, name):
    make(tmp_path, plain, name, pad_token="[PAD]")
    ours = load(tmp_path)
    assert len(ours.tokenize(["x " * 99_999], 10**9)[0]) == ours.max_seq_length
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    theirs.max_seq_length = ours.max_seq_length
    for text in TEXTS:  # one by one: some of theirs count positions from the padding
        expected = theirs.encode([text], convert_to_tensor=True, normalize_embeddings=True)
        torch.testing.assert_close(vectors(ours, [text]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("name", ["Qwen3Model", "LlamaModel", "Gemma3TextModel"])
def test_decoders_pool_the_last_token_whatever_the_side_of_their_padding(
    plain, tmp_path, name, side, both_ways
):
    make(tmp_path / "backbone", plain, name, pad_token="[PAD]", padding_side=side)
    if both_ways:
        field = {"Gemma3TextModel": "use_bidirectional_attention"}.get(name, "is_causal")
        write(tmp_path / "backbone" / "config.json", **{field: name == "Gemma3TextModel"})
    body = modules.Transformer(str(tmp_path / "backbone"), max_seq_length=40)
    parts = [body, modules.Pooling(32, pooling_mode="lasttoken"), modules.Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / "theirs"))
    ours = agrees(tmp_path / "theirs")
    assert ours.modes == ("lasttoken",)
    assert ours.supports_unpadded
    save(ours, tmp_path / "again", {}, 40)
    assert agrees(tmp_path / "again").tokenizer.padding_side == side


def test_the_norm_of_token_embeddings_is_that_of_what_the_backbone_reads(plain, tmp_path):
    make(tmp_path, plain, "Gemma3TextModel", pad_token="[PAD]")
    ours = load(tmp_path)
    with torch.inference_mode():
        read = ours.backbone.get_input_embeddings()(torch.arange(4096))
    assert ours.embedding_norm == pytest.approx(float(read.norm(dim=1).mean()), rel=1e-3)


@pytest.mark.parametrize("name", list(MADE)[8:])
def test_what_is_no_encoder_of_one_text_is_refused(plain, tmp_path, name):
    make(tmp_path, plain, name, pad_token="[PAD]")
    with pytest.raises(UserError, match=r"has a decoder|no weights for|encodes no text"):
        load(tmp_path)


def test_a_tokenizer_without_a_padding_token_will_do(plain, tmp_path):
    make(tmp_path, plain, "GPT2Model")
    ours = load(tmp_path)
    assert ours.tokenizer.pad_token_id is None
    alone = torch.cat([vectors(ours, [text]) for text in TEXTS])
    torch.testing.assert_close(vectors(ours), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "prompts"),
    [
        ({}, None),
        ({"prompts": {"search": "s: "}}, None),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, ("q: ", "p: ")),
        ({"prompts": {"query": "q: ", "document": "d: "}}, ("q: ", "d: ")),
        ({"prompts": {"query": "q: "}}, ("q: ", "")),
        ({"prompts": {"query": "q: ", "document": "", "passage": "p: "}}, ("q: ", "p: ")),
        ({"prompts": {"query": "q: ", "corpus": "c: "}}, ("q: ", "c: ")),
        ({"prompts": {"document": "", "x": "x: "}, "default_prompt_name": "x"}, ("x: ", "")),
        ({"prompts": {"query": "", "document": None}}, ("", "")),
        ({"prompts": {"s2s": "s: "}, "default_prompt_name": "s2s"}, ("s: ", "s: ")),
    ],
)
def test_the_prompts_of_a_folder_are_those_of_its_queries_and_passages(folder, fields, prompts):
    write(folder / MODEL, **fields)
    said = read_folder(folder).resolved()
    found = (said["query_prompt"], said["passage_prompt"]) if "query_prompt" in said else None
    assert found == prompts


def test_the_lengths_of_a_folder_are_those_of_its_files(plain, folder):
    assert read_folder(plain).resolved()["query_max_seq_length"] == 128  # the tokenizer's
    write(folder / TRANSFORMER, max_seq_length=96, query_length=32)
    said = read_folder(folder).resolved()
    assert (said["query_max_seq_length"], said["passage_max_seq_length"]) == (32, 96)


def test_a_saved_encoder_gives_its_own_vectors_through_encode_query_and_encode_document(
    plain, tmp_path
):
    ours = load(plain)
    save(ours, tmp_path, {"query": "Query: ", "passage": "Passage: "}, 16, 40)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    sides = (("Query: ", 16, theirs.encode_query), ("Passage: ", 40, theirs.encode_document))
    for prompt, length, encode in sides:
        tokens = ours.tokenize([prompt + text for text in TEXTS], length)
        with torch.inference_mode():
            found = ours.encode(tokens)
        torch.testing.assert_close(
            found, encode(TEXTS, convert_to_tensor=True), rtol=1e-6, atol=1e-6
        )


def test_texts_that_are_cut_are_counted(plain):
    encoder = load(plain)
    encoder.tokenize(["a", "a " * 14, "a " * 15, "a " * 99], 16)
    assert encoder.clipped == 2  # two special tokens: the third has 17


def test_shards_are_loaded_and_a_missing_one_is_named(plain, tmp_path):
    expected = vectors(load(plain))
    shutil.copytree(plain, tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors").unlink()
    load(plain).backbone.save_pretrained(tmp_path / "shards", max_shard_size="300KB")
    assert torch.equal(vectors(load(tmp_path / "shards")), expected)
    next((tmp_path / "shards").glob("model-00002*")).unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load(tmp_path / "shards")
