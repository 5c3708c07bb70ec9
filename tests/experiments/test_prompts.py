"""Prompts and lengths: what is chosen, else what the encoder's files say, else its preset."""

import json
from pathlib import Path
from typing import Any

import pytest

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.settings import Encoder
from hbr.experiments.encoders import other_encoder
from hbr.experiments.run_spec import RunSpec, complete, slug
from hbr.models.presets import preset


def encoder(folder: Path | str, **chosen: Any) -> Encoder:
    return complete(resolve_config({"encoder": {"name": str(folder)} | chosen})).encoder


def inputs(settings: Encoder) -> tuple[tuple[str, int], ...]:
    return settings.inputs("query"), settings.inputs("passage")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prompts = {"prompts": {"query": "query: ", "document": "passage: "}}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 200}')
    return tmp_path


def test_prompts_and_lengths_are_those_of_the_encoders_files(folder):
    assert inputs(encoder(folder)) == (("query: ", 200), ("passage: ", 200))
    chosen = encoder(folder, query_prompt="", passage_max_seq_length=90)
    assert inputs(chosen) == (("", 200), ("passage: ", 90))
    assert str(chosen).endswith("at most 200 and 90 tokens")


def test_files_that_name_no_prompts_leave_those_of_the_paper(folder):
    (folder / "config_sentence_transformers.json").unlink()
    assert inputs(encoder(folder)) == (("Query: ", 200), ("Passage: ", 200))


@pytest.mark.parametrize("name", ["xlm-r-tiny", "labse-tiny", "mbert-tiny", "labse", "xlm-r"])
def test_presets_keep_the_papers_prompts_and_short_texts(name):
    settings = encoder(name)
    assert inputs(settings) == (("Query: ", 64), ("Passage: ", 256))
    assert settings.normalize


def test_the_id_of_a_presets_encoder_has_its_prompts():
    known = preset("intfloat/multilingual-e5-large")
    assert (known.query_prompt, known.passage_prompt) == ("query: ", "passage: ")
    assert preset("someone/else").query_prompt == "Query: "


def test_an_encoder_that_is_used_as_it_is_has_no_prompts_of_the_paper(folder, tmp_path):
    run = RunSpec(complete(resolve_config({})), tmp_path)
    assert other_encoder(run, str(folder)).settings.query_prompt == "query: "
    (folder / "config_sentence_transformers.json").unlink()
    found = other_encoder(run, str(folder)).settings
    assert (found.query_prompt, found.passage_prompt) == ("", "")


def test_what_the_files_say_is_kept_with_the_run_and_decides_its_name(folder):
    config = complete(resolve_config({"encoder": str(folder)}))
    assert "query_prompt: 'query: '" in config.to_yaml()
    (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "dot"}')
    other = complete(resolve_config({"encoder": str(folder)}))
    assert slug(other) != slug(config)
    assert other.encoder.normalize is False


def test_files_that_cannot_be_honoured_are_refused_before_anything_is_made(folder):
    (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "manhattan"}')
    with pytest.raises(UserError, match="similarity_fn_name = 'manhattan'"):
        encoder(folder)
