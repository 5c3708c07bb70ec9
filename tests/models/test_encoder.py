"""Encoders: every layout that people have, and the same vectors as sentence-transformers."""

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import LlamaConfig, LlamaModel

from hbr.core.errors import UserError
from hbr.models import tiny
from hbr.models.encoder import Encoder, Pooling
from hbr.models.loading import load, save
from hbr.models.precision import warn_slow_bf16
from hbr.models.sources import hub_snapshot

TEXTS = ["Ri luli Sasal Mobil?", "Сасал Мобил темусду", "हुहदु ससल मोबिल", "a", "x " * 300]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny XLM-R, mBERT and LaBSE as plain transformers folders, weights random."""
    root = tmp_path_factory.mktemp("encoders")
    for name, parts in (("xlm-r", tiny._xlm_r), ("mbert", tiny._bert)):
        torch.manual_seed(0)
        model, tokenizer = parts()
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


def vectors(encoder: Encoder, texts: list[str], length: int = 64) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(*encoder.pad(encoder.tokenize(texts, length)))


@pytest.mark.parametrize("family", ["xlm-r", "mbert"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "dense"])
def test_a_saved_encoder_gives_the_same_vectors_in_sentence_transformers(
    made: Path, tmp_path: Path, family: str, pooling: str
) -> None:
    encoder = load(made / family, pooling=pooling)
    prefixes = {"query": "Query: ", "passage": "Passage: "}
    save(encoder, tmp_path / "model", prefixes, 64)
    ours = vectors(encoder, ["Query: " + text for text in TEXTS])
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    told = theirs.encode(TEXTS, prompt_name="query", convert_to_tensor=True)
    assert torch.allclose(ours, told, atol=1e-5)
    again = load(tmp_path / "model")
    assert torch.equal(vectors(again, TEXTS), vectors(encoder, TEXTS))


def test_a_folder_written_by_sentence_transformers_loads_with_its_pooling_and_dense_layer(
    made: Path, tmp_path: Path
) -> None:
    from sentence_transformers.sentence_transformer import modules

    def labse_layout(pooling: str) -> SentenceTransformer:
        body = modules.Transformer(str(made / "mbert"), max_seq_length=64)
        width = load(made / "mbert").embedding_dimension
        pool = modules.Pooling(width, pooling_mode=pooling)
        dense = modules.Dense(width, 96, activation_function=torch.nn.Tanh())
        return SentenceTransformer(modules=[body, pool, dense, modules.Normalize()], device="cpu")

    theirs = labse_layout("cls")
    theirs.save(str(tmp_path / "theirs"))
    ours = load(tmp_path / "theirs")
    assert ours.modes == ("cls",)
    assert ours.embedding_dimension == 96
    told = theirs.encode(TEXTS, convert_to_tensor=True)
    assert torch.allclose(vectors(ours, TEXTS), told, atol=1e-5)


def test_the_model_card_layout_of_labse_on_the_hub_is_understood(
    made: Path, tmp_path: Path
) -> None:
    """Booleans for the pooling mode, old module names: as uploaded in 2021."""
    shutil.copytree(made / "mbert", tmp_path / "labse")
    encoder = load(made / "mbert", pooling="dense")
    save(encoder, tmp_path / "labse", {}, 256)
    pooling = json.loads((tmp_path / "labse" / "1_Pooling" / "config.json").read_text())
    assert pooling["pooling_mode_cls_token"] is True
    kinds = [m["type"] for m in json.loads((tmp_path / "labse" / "modules.json").read_text())]
    expected = ["Transformer", "Pooling", "Dense", "Normalize"]
    assert kinds == [f"sentence_transformers.models.{kind}" for kind in expected]
    weights = load_file(tmp_path / "labse" / "2_Dense" / "model.safetensors")
    assert set(weights) == {"linear.weight", "linear.bias"}


def test_a_vector_does_not_depend_on_the_texts_beside_it(made: Path) -> None:
    encoder = load(made / "xlm-r")
    together = vectors(encoder, TEXTS)
    alone = torch.cat([vectors(encoder, [text]) for text in TEXTS])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(len(TEXTS)), atol=1e-6)


def test_texts_are_cut_to_the_length_asked_for_and_to_what_the_backbone_can_take(
    made: Path,
) -> None:
    encoder = load(made / "xlm-r")
    assert len(encoder.tokenize(["x " * 300], 10)[0]) == 10
    assert len(encoder.tokenize(["x " * 300], 10_000)[0]) == encoder.max_seq_length <= 130


@pytest.mark.parametrize("family", ["xlm-r", "mbert"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_short_way_to_tokens_gives_those_of_the_long_way(
    made: Path, family: str, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hbr.models.encoder.TOKENIZER_BATCH", 2)
    encoder = load(made / family)
    encoder.tokenizer.truncation_side = side
    texts = [*TEXTS, "", " ", "<s> [SEP] </s>", "Ri\u3000luli  Sasal\n"]
    for length in (64, 8, 10_000):
        told = encoder.tokenizer(
            texts, truncation=True, max_length=min(length, encoder.max_seq_length)
        )
        assert encoder.tokenize(texts, length) == told["input_ids"]
    assert encoder.tokenize([], 64) == []


def test_the_random_dense_layer_of_a_plain_folder_is_always_the_same(made: Path) -> None:
    one, two = (load(made / "mbert", pooling="dense") for _ in range(2))
    assert torch.equal(one.layers[0].linear.weight, two.layers[0].linear.weight)


def test_pickles_are_never_loaded(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "mbert", tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no model\.safetensors; hbr loads no pickles"):
        load(tmp_path / "old")
    save(load(made / "mbert", pooling="dense"), tmp_path / "labse", {}, 64)
    dense = tmp_path / "labse" / "2_Dense"
    (dense / "model.safetensors").rename(dense / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"2_Dense holds no model\.safetensors"):
        load(tmp_path / "labse")


def test_a_folder_that_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no encoder: it holds no config\.json"):
        load(tmp_path)


def test_a_hub_id_without_network_says_how_to_bring_the_model() -> None:
    with pytest.raises(UserError, match=r"hf download no/such-model") as told:
        hub_snapshot("no/such-model")
    assert told.value.exit_code == 1


def test_a_hub_id_in_the_cache_is_found_with_its_revision(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    commit = "0" * 40
    repository = tmp_path / "models--FacebookAI--xlm-roberta-base"
    shutil.copytree(made / "xlm-r", repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_OFFLINE", True)
    for revision in (None, commit):
        found = hub_snapshot("FacebookAI/xlm-roberta-base", revision)
        assert found == repository / "snapshots" / commit
    assert load(found).backbone.config.model_type == "xlm-roberta"


@pytest.mark.parametrize("family", ["xlm-r", "mbert"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "dense"])
def test_a_shift_moves_the_words_of_a_text_and_padding_never(
    made: Path, family: str, pooling: str
) -> None:
    encoder = load(made / family, pooling=pooling)
    ids, mask = encoder.pad(encoder.tokenize(TEXTS, 64))
    zero = torch.zeros(*ids.shape, encoder.token_embeddings.shape[1])
    with torch.inference_mode():
        plain = encoder(ids, mask)
        torch.testing.assert_close(encoder(ids, mask, zero), plain, rtol=0, atol=1e-6)
        padding = torch.randn_like(zero) * (1 - mask[..., None])
        torch.testing.assert_close(encoder(ids, mask, padding), plain, rtol=0, atol=1e-6)
        moved = zero.clone()
        moved[1, 1] = encoder.token_embeddings[7] - encoder.token_embeddings[ids[1, 1]]
        other = ids.clone()
        other[1, 1] = 7  # as if that word stood there
        found, expected = encoder(ids, mask, moved), encoder(other, mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found[1] - plain[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("amx", "machine", "told"),
    [(False, "x86_64", True), (True, "x86_64", False), (False, "arm64", False)],
)
def test_bf16_without_instructions_for_it_is_told(monkeypatch, caplog, amx, machine, told):
    caplog.set_level("INFO", "hbr")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr("platform.machine", lambda: machine)
    warn_slow_bf16(torch.device("cpu"), "fp32")
    assert not caplog.text
    warn_slow_bf16(torch.device("cpu"), "bf16")
    assert ("fp32 may be quicker" in caplog.text) == told


ROPE = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("rope", "shared"), [(None, True), (ROPE, False)])
def test_threads_share_no_backbone_whose_passes_change_it(rope, shared):
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 32}
    config = LlamaConfig(**shape, num_attention_heads=2, rope_parameters=rope)
    encoder = Encoder(LlamaModel(config), tiny.build("mbert-tiny").tokenizer, Pooling())
    main = threading.get_ident()
    assert list(encoder.map(lambda _: threading.get_ident() != main, range(4))) == [shared] * 4
