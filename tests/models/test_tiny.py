"""Tiny encoders load as the real ones do and are the same every time."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from hbr.data import synthetic
from hbr.models import tiny
from hbr.models.encoder import Encoder

DIGEST = """
import hashlib
from hbr.models import tiny
for name in tiny.NAMES:
    made = tiny.build(name)
    digest = hashlib.sha256(made.tokenizer.backend_tokenizer.to_str().encode())
    for weight in made.parameters():
        digest.update(weight.detach().numpy().tobytes())
    print(name, digest.hexdigest())
"""


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    return {name: tiny.build(name) for name in tiny.NAMES}


def vectors(encoder: Encoder, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return encoder(batch["input_ids"], batch["attention_mask"])


@pytest.mark.parametrize("name", tiny.NAMES)
def test_a_saved_encoder_loads_with_auto_classes_and_computes_the_same(name, encoders, tmp_path):
    made = encoders[name]
    made.backbone.save_pretrained(tmp_path)
    made.tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    model, tokenizer = AutoModel.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    text = list(next(synthetic.translations()).values())
    batch = made.tokenizer(text, padding=True, return_tensors="pt")
    again = tokenizer(text, padding=True, return_tensors="pt")
    assert type(tokenizer) is type(made.tokenizer)
    assert tokenizer.is_fast
    assert torch.equal(batch["input_ids"], again["input_ids"])
    with torch.no_grad():
        here = made.backbone.eval()(**batch).last_hidden_state
        there = model.eval()(**again).last_hidden_state
    assert torch.equal(here, there)


def test_special_tokens_have_the_ids_of_the_real_families(encoders):
    xlm_r, bert = encoders["xlm-r-tiny"].tokenizer, encoders["mbert-tiny"].tokenizer
    assert xlm_r.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert xlm_r.mask_token_id == len(xlm_r) - 1
    assert (bert.pad_token_id, bert.pad_token) == (0, "[PAD]")
    ids = xlm_r("")["input_ids"]
    assert ids == [xlm_r.bos_token_id, xlm_r.eos_token_id]
    assert bert("")["input_ids"] == [bert.cls_token_id, bert.sep_token_id]


@pytest.mark.parametrize("name", tiny.NAMES)
def test_models_and_tokenizers_agree_about_sizes_and_padding(name, encoders):
    model, tokenizer = encoders[name].backbone, encoders[name].tokenizer
    assert model.config.vocab_size == len(tokenizer) <= 4096
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert model.pooler is None


@pytest.mark.parametrize("name", tiny.NAMES)
def test_the_longest_text_that_the_tokenizer_lets_through_can_be_encoded(name, encoders):
    text = " ".join(synthetic.texts())[:4000]
    batch = encoders[name].tokenizer(text, truncation=True, return_tensors="pt")
    assert batch["input_ids"].shape[1] == tiny.MAX_SEQ_LENGTH
    assert vectors(encoders[name], batch).isfinite().all()


@pytest.mark.parametrize("name", tiny.NAMES)
def test_unknown_tokens_are_rare_in_every_language_of_the_evaluation(name, encoders):
    tokenizer = encoders[name].tokenizer
    for document in synthetic.documents().values():
        contexts = [p["context"] for a in document["data"] for p in a["paragraphs"]]
        ids = [i for text in tokenizer(contexts)["input_ids"] for i in text]
        assert ids.count(tokenizer.unk_token_id) < 0.01 * len(ids)


@pytest.mark.parametrize("name", tiny.NAMES)
def test_common_words_are_single_pieces(name, encoders):
    for code in ("qaa", "qad", "qaf"):
        texts = [row["query"][code] for row in synthetic.rows("validation")]
        tokens = sum(len(ids) for ids in encoders[name].tokenizer(texts)["input_ids"])
        assert tokens < 2.5 * sum(len(text.split()) for text in texts)


def test_padding_does_not_change_a_vector(encoders):
    for made in encoders.values():
        made.backbone.eval()
        pivot, short = next(synthetic.rows("validation"))["passage"]["qaa"], "Va?"
        with torch.no_grad():
            alone = vectors(made, made.tokenizer(short, return_tensors="pt"))
            padded = made.tokenizer([short, pivot], padding=True, return_tensors="pt")
            torch.testing.assert_close(vectors(made, padded)[:1], alone)


def test_only_labse_tiny_starts_aligned_across_languages(encoders):
    rows = list(synthetic.translations(1))[:100]

    def found(made: Encoder) -> float:
        one, other = (
            vectors(
                made,
                made.tokenizer([row[code] for row in rows], padding=True, return_tensors="pt"),
            )
            for code in ("qaa", "qad")  # two families, two scripts
        )
        return ((one @ other.T).argmax(1) == torch.arange(len(rows))).float().mean().item()

    assert found(encoders["labse-tiny"]) > 0.3
    assert found(encoders["xlm-r-tiny"]) < 0.1
    assert found(encoders["mbert-tiny"]) < 0.1


def test_seeds_differ_in_weights_but_not_in_vocabulary():
    one, other = tiny.build("mbert-tiny", 0), tiny.build("mbert-tiny", 1)
    assert one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    weights = [made.backbone.get_input_embeddings().weight for made in (one, other)]
    assert not torch.equal(*weights)


def test_building_leaves_random_state_and_threads_as_they_were():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    tiny.build("xlm-r-tiny")
    assert torch.equal(state, torch.random.get_rng_state())
    assert threads == torch.get_num_threads()


def test_dropout_is_off():
    made = tiny.build("mbert-tiny")
    assert {m.p for m in made.backbone.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="xlm-r-small"):
        tiny.build("xlm-r-small")


@pytest.mark.slow
def test_a_fresh_process_builds_the_same_bytes():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == len(tiny.NAMES)
