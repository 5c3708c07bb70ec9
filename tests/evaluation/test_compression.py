"""Compressed vectors: cut, in bytes, in signs; their results stand apart and are shown together."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from sentence_transformers.util.quantization import quantize_embeddings

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import Compression, EvaluationTarget
from hbr.evaluation.compression import bytes_per_vector, compress
from tests.support import beside, hbr, only_run

TASK = SimpleNamespace(name="made")
CONFIG = Config.model_validate({"encoder": {"normalize": True}})


def unit(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def made(name: str) -> tuple[np.ndarray, np.ndarray]:
    return compress(TASK, (unit(3), unit(40, seed=1)), Compression.parse(name), CONFIG)


@pytest.mark.parametrize("name", ["64d", "int8", "binary", "64d+int8", "8d+binary"])
def test_a_compression_is_read_as_it_is_written(name):
    target = EvaluationTarget.parse(f"xquad-r~{name}")
    assert (target.dataset, target.perturbation, str(target)) == ("xquad-r", "", f"xquad-r~{name}")
    assert target.compression == Compression.parse(name)
    assert str(target.encoded) == "xquad-r"


@pytest.mark.parametrize(
    "name", ["", "d", "0d", "64", "64d+", "+int8", "64dint8", "d+int8", "int4", "typo:0.1"]
)
def test_what_names_no_compression_is_none(name):
    assert Compression.parse(name) is None


def test_cut_vectors_have_unit_length_and_the_direction_of_their_first_numbers():
    queries, passages = made("4d")
    np.testing.assert_allclose(np.linalg.norm(passages, axis=1), 1, rtol=1e-6)
    first = unit(3)[:, :4]
    np.testing.assert_allclose(
        queries * np.linalg.norm(first, axis=1, keepdims=True), first, rtol=1e-5
    )


def test_a_byte_a_number_is_as_near_as_that_of_sentence_transformers():
    queries, passages = made("int8")
    assert np.array_equal(queries, unit(3))
    original = unit(40, seed=1)
    low, high = original.min(0), original.max(0)
    assert np.abs(passages - original).max() <= ((high - low) / 255).max() / 2 * 1.01
    theirs = quantize_embeddings(original, "uint8").astype(np.float32)
    decoded = low + (theirs + 0.5) * (high - low) / 255
    assert np.abs(passages - decoded).max() <= ((high - low) / 255).max()


def test_a_bit_a_number_is_its_sign_as_sentence_transformers_packs_it():
    _, passages = made("binary")
    packed = quantize_embeddings(unit(40, seed=1), "ubinary")
    assert np.array_equal(np.packbits(passages > 0, axis=1), packed)
    assert set(np.unique(passages)) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("name", "size"),
    [("64d", 256), ("int8", 384), ("binary", 48), ("64d+int8", 64), ("12d+binary", 2)],
)
def test_the_bytes_of_a_vector(name, size):
    assert bytes_per_vector(Compression.parse(name), 384, "float32") == size


def test_more_dimensions_than_there_are_are_refused():
    with pytest.raises(UserError, match="--dimensions 17: vectors have 16"):
        made("17d")


def test_results_stand_apart_and_are_compared_with_whole_vectors(world, tmp_path):
    out = ["--output-dir", beside(world, tmp_path)]
    assert hbr("train", "--untrained", *out).code == 0
    said = hbr("evaluate", "--dimensions", "64,16", "--quantize", "int8,binary", *out)
    assert said.code == 0, said.err
    lines = [line.split()[:2] for line in said.out.splitlines()]
    assert ["64d+int8", "64"] in lines
    assert ["binary", "8"] in lines
    run = only_run(tmp_path)
    found = {p.parent.name: json.loads(p.read_text()) for p in run.glob("evaluate/*/metrics.json")}
    assert len(found) == 9
    multi = {name: m["settings"]["multi"]["map"] for name, m in found.items()}
    assert multi["embedded~64d"] == pytest.approx(multi["embedded"], abs=1e-6)  # it has 64
    assert multi["embedded~int8"] == pytest.approx(multi["embedded"], abs=0.005)
    assert multi["embedded~16d"] < multi["embedded"]
    assert found["embedded~16d"]["bytes_per_vector"] == 64
    shown = hbr("compare", run, *out[:0], "--by", "resource", "--figures", tmp_path / "plots")
    assert shown.code == 0, shown.err
    assert "multi mAP of compressed vectors" in shown.out
    assert list((tmp_path / "plots").glob("compression-*.png"))


@pytest.mark.parametrize("other", [["--index", "flat"], ["--center-languages"]])
def test_it_goes_alone(world, tmp_path, other):
    out = ["--output-dir", beside(world, tmp_path)]
    assert hbr("train", "--untrained", *out).code == 0
    said = hbr("evaluate", "--quantize", "int8", *other, *out)
    assert (said.code, "--dimensions and --quantize go without" in said.err) == (2, True)
    said = hbr("evaluate", "--quantize", "int4", *out)
    assert (said.code, "'int4'" in said.err) == (2, True)
