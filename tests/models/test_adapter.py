"""Low-rank adapters: alone trained, alone kept, merged or apart with the same vectors."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from hbr.core.errors import UserError
from hbr.core.settings import Adapter
from hbr.models import sources
from hbr.models.adapter import LowRankAdapter
from hbr.models.encoder import Encoder
from hbr.models.loading import load, save
from hbr.models.sources import encoder_id, read_encoder
from hbr.models.tiny import build
from tests.support import beside, hbr, log_of, only_run

TEXTS = ["Ri luli Sasal Mobil?", "Сасал Мобил темусду", "a"]
LORA = Adapter(name="lora", rank=4, lora_alpha=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save(build("xlm-r-tiny"), folder, {"query": "q: ", "passage": "p: "}, 64)
    return folder


def vectors(encoder: Encoder) -> torch.Tensor:
    with torch.inference_mode():
        return encoder.eval().encode(encoder.tokenize(TEXTS, 64))


def adapted(base: Path, settings: Adapter = LORA, seed: int = 0) -> Encoder:
    """An encoder whose adapter has learnt something."""
    encoder = load(base)
    LowRankAdapter(encoder, settings, seed)
    torch.manual_seed(1)
    for name, weight in encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return encoder


def test_the_adapter_alone_is_trained_and_begins_with_the_vectors_of_its_encoder(base):
    encoder, plain = load(base), load(base)
    LowRankAdapter(encoder, LORA, 0)
    trained = {name: w for name, w in encoder.named_parameters() if w.requires_grad}
    assert {re.sub(r".*lora_(.).*", r"\1", name) for name in trained} == {"A", "B"}
    assert all("query" in name or "value" in name for name in trained)
    sizes = {tuple(w.shape) for w in trained.values()}
    assert all(4 in size for size in sizes)
    assert torch.equal(vectors(encoder), vectors(plain))
    assert (vectors(adapted(base)) - vectors(plain)).abs().max() > 0.01


def test_a_seed_decides_the_first_weights(base):
    def first(seed: int) -> torch.Tensor:
        named = dict(adapted(base, seed=seed).named_parameters())
        return named[next(name for name in named if "lora_A" in name)]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_merged_it_is_an_encoder_like_any_other_with_the_same_vectors(base, tmp_path):
    encoder = adapted(base)
    expected = vectors(encoder)
    encoder.adapter.merge(encoder)
    save(encoder, tmp_path, {}, 64)
    torch.testing.assert_close(vectors(load(tmp_path)), expected, rtol=0, atol=1e-6)
    assert load_file(tmp_path / "model.safetensors").keys() == (
        load_file(base / "model.safetensors").keys()
    )
    assert not (tmp_path / "adapter_config.json").exists()


def test_apart_it_is_a_small_folder_that_hbr_peft_and_sentence_transformers_load(base, tmp_path):
    from peft import PeftModel
    from transformers import AutoModel

    encoder = adapted(base)
    expected = vectors(encoder)
    save(encoder, tmp_path, {}, 64)
    assert not (tmp_path / "model.safetensors").exists()
    assert load_file(tmp_path / "adapter_model.safetensors").keys()
    torch.testing.assert_close(vectors(load(tmp_path)), expected, rtol=0, atol=1e-6)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    found = theirs.encode(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    PeftModel.from_pretrained(AutoModel.from_pretrained(base), tmp_path)


def test_a_bare_adapter_is_described_by_its_encoder(base, tmp_path):
    adapted(base).adapter.save(tmp_path, str(base), None)
    files, of = read_encoder(tmp_path)
    assert of == base
    assert files.resolved()["query_prompt"] == "q: "
    torch.testing.assert_close(vectors(load(tmp_path)), vectors(adapted(base)), rtol=0, atol=1e-6)
    before = encoder_id(tmp_path)
    (base / "more.json").write_text("{}")
    assert encoder_id(tmp_path) != before
    (base / "more.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda f: (f / "adapter_model.safetensors").unlink(), "hbr loads no pickles"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "no base_model_name_or_path"),
        (lambda f: config(f, base_model_name_or_path="/not/there"), "no encoder folder /not/there"),
        (lambda f: config(f, base_model_name_or_path=str(f)), "is itself an adapter"),
        (lambda f: config(f, r=3), "cannot be loaded"),
        (lambda f: config(f, target_modules=["key"]), "on one side alone"),
        (lambda f: config(f, peft_type="NONE"), "cannot be loaded"),
    ],
)
def test_an_adapter_that_does_not_fit_is_named(base, tmp_path, spoil, named):
    adapted(base).adapter.save(tmp_path, str(base), None)
    spoil(tmp_path)
    with pytest.raises(UserError, match=named) as mistake:
        load(tmp_path)
    assert "\n" not in str(mistake.value)


def config(folder: Path, **fields: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_layers_that_the_backbone_lacks_are_named(base):
    with pytest.raises(UserError, match=r"adapter\.target_modules: XLMRobertaModel: .*'wq'"):
        adapted(base, Adapter(name="lora", target_modules="wq"))


def test_all_linear_layers_may_have_one(base):
    some = Adapter(name="lora", rank=2, target_modules="all-linear")
    names = [name for name, _ in adapted(base, some).named_parameters() if "lora_A" in name]
    assert len(names) == 6 * len(load(base).backbone.encoder.layer)


@pytest.mark.parametrize("merge", ["true", "false"])
def test_a_run_trains_checkpoints_and_evaluates_its_adapter(world, tmp_path, merge):
    words = ["--set", "adapter=lora", "--set", f"adapter.merge={merge}", "--lr", "1e-2"]
    small = ["--batch-size", "32", "--set", "logging_steps=1"]
    out = ["--output-dir", beside(world, tmp_path)]
    said = hbr("train", *small, *words, "--steps", "30", "--keep-checkpoint", *out, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["trained"] < 20_000
    run = only_run(tmp_path)
    losses = [line["loss"] for line in log_of(run) if "loss" in line]
    assert losses[-1] < losses[0]
    kept = load_file(run / "train" / "checkpoint-last" / "state.safetensors")
    assert all("lora_" in key for key in kept)
    assert sum(w.numel() for w in kept.values()) < 70_000
    assert (run / "model" / "adapter_config.json").exists() == (merge == "false")
    assert hbr("evaluate", *out).code == 0
    again = hbr("train", "--encoder", run / "model", "--untrained", *out)
    assert again.code == 0, again.err


def test_an_adapter_whose_encoder_has_changed_is_not_evaluated(world, tmp_path):
    out = ["--output-dir", beside(world, tmp_path)]
    assert hbr("train", "--untrained", *out).code == 0
    base = only_run(tmp_path) / "model"
    base = base.rename(tmp_path / "base")
    words = ["--set", "adapter=lora", "--set", "adapter.merge=false"]
    said = hbr("train", "--encoder", base, *words, "--steps", "1", "--batch-size", "8", *out)
    assert said.code == 0, said.err
    weights = base / "model.safetensors"
    alter = {key: value + 1 for key, value in load_file(weights).items()}
    save_file(alter, weights, {"format": "pt"})
    said = hbr("evaluate", *out)
    assert (said.code, f"{base} has changed since" in said.err) == (2, True), said.err


def test_an_adapter_on_the_hub_is_described_before_its_weights_are_here(tmp_path, monkeypatch):
    base, configs = tmp_path / "base", tmp_path / "configs"
    save(build("xlm-r-tiny"), base, {"query": "q: ", "passage": "p: "}, 40)
    configs.mkdir()
    about = {"base_model_name_or_path": "org/base", "peft_type": "LORA"}
    (configs / "adapter_config.json").write_text(json.dumps(about))
    asked = []

    def snapshot(hub_id, revision=None, *, download=True, files=()):
        asked.append((hub_id, download))
        if not download:
            raise UserError("it is not here")
        return {"org/base": base, "org/lora": configs}[hub_id]

    monkeypatch.setattr(sources, "hub_snapshot", snapshot)
    sources._hub_configs.cache_clear()
    found = sources.encoder_defaults(tmp_path / "runs", "org/lora", None)
    assert (found["query_prompt"], found["passage_max_seq_length"]) == ("q: ", 40)
    assert asked == [
        ("org/lora", False),
        ("org/lora", True),
        ("org/base", False),
        ("org/base", True),
    ]
