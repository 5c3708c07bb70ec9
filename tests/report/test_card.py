"""Model cards: what they say, what they leave out, and that their snippets run."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from hbr.core.config import resolve_config
from hbr.core.settings import Config
from hbr.core.yaml_files import read_yaml
from hbr.report.card import card, pooling_of
from tests.support import beside, hbr, only_run

TRAIN: dict[str, Any] = {
    "steps": 200,
    "best_step": 150,
    "validation_loss": 1.25,
    "versions": {"hbr": "9.9"},
    "host": "somewhere",
    "started_from": "/home/me/cache/x",
    "finished": "2031-01-01T00:00:00",
    "settings": {"sampler": {"name": "hybrid", "alpha": 0.3}},
}
RESULT: dict[str, Any] = {
    "dataset": "xquad-r",
    "protocol": "LAReQA, passage = sentence",
    "search": "exact",
    "settings": {
        "mono": {"map": 0.75, "recall@1": 0.5, "recall@10": None, "mrr": 0.125},
        "multi": {"map": 0.25, "rank_distance": 1234.4},
    },
    "languages": ["de", "en"],
    "queries": 2380,
    "passages": 12000,
}


def settings(**sections: dict[str, Any]) -> dict[str, Any]:
    layers = {
        "train": {"learning_rate": 3e-5},
        "data": {"train": ["/secret/pairs.jsonl"]},
    } | sections
    return resolve_config({"data": {"validation": "dev.jsonl"}}, layers).model_dump(mode="json")


def front(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])


def with_training(**training: Any) -> dict[str, Any]:
    return RESULT | {"training": training}


def test_a_card_says_how_the_encoder_was_made() -> None:
    text = card(settings(), TRAIN, [], base_model="org/base", pooling="mean")
    assert "\n# org/base, hybrid batches\n" in text
    for line in (
        "| training data | pairs.jsonl |",
        "| sampler | hybrid, α = 0.3 |",
        "| objective | infonce, temperature 0.05 |",
        "| steps | 200, each of 64 pairs |",
        "| weights | those of step 150, of the lowest loss on dev.jsonl: 1.2500 |",
        "| optimiser | AdamW, learning rate 3e-05, weight decay 0.01 |",
        "| precision | fp32 |",
        "| seed | 0 |",
        "| pooling | mean |",
        "| made with | hbr 9.9 |",
    ):
        assert f"\n{line}\n" in text
    assert "arxiv.org/abs/2408.10536" in text


def test_a_card_tells_of_the_run_before_mined_negatives_a_teacher_and_an_adapter() -> None:
    train = copy.deepcopy(TRAIN)
    train["settings"] |= {
        "mine": {"miner": None},
        "teacher": {"name": "/home/me/teachers/big"},
        "adapter": {"rank": 8, "lora_alpha": 16.0},
    }
    sections = {
        "encoder": {"normalize": True},
        "objective": {"num_negatives": 3},
        "train": {
            "learning_rate": 3e-5,
            "start_from": "/home/me/runs/english-abc",
            "matryoshka_dims": [384, 64],
        },
    }
    text = card(settings(**sections), train, [])
    for line in (
        "# xlm-r-tiny, hybrid batches",
        "| started from | english-abc, a run of xlm-r-tiny |",
        "| hard negatives | 3 a row, mined with the encoder it started from |",
        "| teacher | big |",
        "| adapter | LoRA, rank 8, α = 16 |",
        "| vectors | of length 1; trained to be cut to 384, 64 |",
    ):
        assert f"\n{line}\n" in text
    assert "/home" not in text


def test_metrics_of_other_collections_are_shown_too() -> None:
    text = card(settings(), TRAIN, [RESULT | {"settings": {"mono": {"ndcg@10": 0.5}}}])
    assert "| setting | nDCG@10 |" in text


def test_the_front_matter_names_what_is_known_and_nothing_else() -> None:
    config = settings(data={"train": ["hf:org/pairs@v2", "pairs.jsonl"]})
    result = with_training(languages={"no": 10, "qaa": 10, "de": 5})
    text = card(config, TRAIN, [result], base_model="org/base")
    tags = ["sentence-transformers", "dense-retrieval", "multilingual", "hbr", "hybrid"]
    assert front(text) == {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "language": ["de", "no"],  # not false, which is what YAML makes of a bare no
        "tags": tags,
        "base_model": "org/base",
        "datasets": ["org/pairs"],
    }
    assert ModelCard(text).data.to_dict() == front(text)
    assert front(card(settings(), TRAIN, [])).keys() == {"library_name", "pipeline_tag", "tags"}


def test_results_are_shown_by_setting_with_their_protocol() -> None:
    text = card(settings(), TRAIN, [RESULT])
    assert (
        "### xquad-r\n\n"
        "Protocol: LAReQA, passage = sentence; 2,380 queries, 12,000 passages; search: exact.\n\n"
        "| setting | mAP | R@1 | R@10 | distance |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| mono | .750 | .500 |  |  |\n"
        "| multi | .250 |  |  | 1,234 |\n"
    ) in text
    assert "Contaminated" not in text
    assert "ynthetic" not in text


def test_a_result_on_training_texts_is_marked() -> None:
    clean = with_training(contamination={"queries": 0, "passages": 0})
    assert "Contaminated" not in card(settings(), TRAIN, [clean])
    found = with_training(contamination={"queries": 0, "passages": 1500})
    sentence = "**Contaminated:** 0 of 2,380 queries and 1,500 of 12,000 passages are among the"
    assert f"{sentence} training texts." in card(settings(), TRAIN, [found])
    both = with_training(contamination={"queries": 7, "passages": 1})
    sentence = "**Contaminated:** 7 of 2,380 queries and 1 of 12,000 passages are among the"
    assert sentence in card(settings(), TRAIN, [both])


def test_synthetic_data_are_called_synthetic() -> None:
    made_up = RESULT | {"protocol": "synthetic in-vitro languages"}
    assert "**Synthetic:**" in card(settings(), TRAIN, [made_up])
    assert "**Synthetic:**" in card(settings(data={"train": ["embedded"]}), TRAIN, [])


def test_an_untrained_encoder_has_no_training_settings() -> None:
    config = settings(sampler={"name": "untrained"}, data={"train": ["hf:org/pairs"]})
    train = {"steps": 0, "pairs": 0, "settings": {"sampler": "untrained"}}
    text = card(config, train, [], base_model="org/base")
    assert "\n# org/base, untrained\n" in text
    assert "seed" not in text
    assert "datasets" not in front(text)


def test_a_sampler_without_alpha_and_one_whose_alpha_moves() -> None:
    train = copy.deepcopy(TRAIN)
    train["settings"]["sampler"] = {"name": "hybrid", "alpha": [0.8, 0.2]}
    assert "| sampler | hybrid, α = 0.8 to 0.2 |" in card(settings(), train, [])
    train["settings"]["sampler"] = {"name": "monolingual"}
    config = settings(
        sampler={"name": "monolingual"},
        train={"learning_rate": 1e-5, "gradient_accumulation_steps": 4},
    )
    text = card(config, train, [])
    assert "| sampler | monolingual |" in text
    assert "each of 4 × 64 pairs" in text


def test_nothing_of_the_machine_is_told() -> None:
    config = settings(encoder={"name": "/home/me/runs/mine/model"})
    text = card(config, TRAIN, [RESULT])
    assert "| started from | mine |" in text
    for secret in ("/home", "/secret", "somewhere", "2031"):
        assert secret not in text


def test_equal_runs_get_equal_cards_whatever_the_order_of_results() -> None:
    results = [RESULT, RESULT | {"dataset": "embedded"}, RESULT | {"search": "faiss hnsw"}]
    assert card(settings(), TRAIN, results) == card(settings(), TRAIN, results[::-1])


def test_transformers_alone_is_shown_only_where_it_gives_the_same_vectors() -> None:
    for pooling, shown in (("mean", True), ("cls", True), ("cls with a dense layer", False)):
        text = card(settings(), TRAIN, [], pooling=pooling)
        assert ("AutoModel" in text, "SentenceTransformer(" in text) == (shown, True)
    assert "AutoModel" not in card(settings(), TRAIN, [])
    raw = card(settings(encoder={"normalize": False}), TRAIN, [], pooling="cls")
    assert "vectors = hidden[:, 0]\n" in raw
    assert "| vectors | not normalised |" in raw


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    runs = beside(world, tmp_path_factory.mktemp("card"))
    words = ("--steps", "2", "--batch-size", "16", "--device", "cpu", "--output-dir", runs)
    assert hbr("train", *words).code == 0
    return only_run(runs)


def test_both_snippets_of_a_card_load_the_model_and_agree(run: Path) -> None:
    config: Config = resolve_config(read_yaml(run / "config.yaml"))
    train = json.loads((run / "manifest.json").read_text())["stages"]["train"]
    pooling = pooling_of(run / "model")
    assert pooling == "mean"
    text = card(config.model_dump(mode="json"), train, [], pooling=pooling)
    assert str(run.parent) not in text
    snippets = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(snippets) == 2
    scores = []
    for snippet in snippets:
        names: dict[str, Any] = {}
        exec(snippet.replace("path/to/model", str(run / "model")), names)
        scores.append(float(np.asarray(names["scores"]).item()))
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert -1 <= scores[0] <= 1
