"""What a run was trained on, wherever its texts came from: languages, and texts of the test set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.experiments import run_data
from hbr.experiments.encoders import initial_encoder
from hbr.experiments.negatives import Miner
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec, complete
from tests.support import beside, hbr

ALL = {"de": 8, "en": 8, "th": 8}


def run(runs: Path, data: Path, **settings: Any) -> RunSpec:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    given |= {"data.train": [str(data)], "data.validation": None, "evaluate.limit": 5}
    return RunSpec(complete(resolve_config(given), runs), runs, "cpu")


@pytest.mark.parametrize(
    ("settings", "languages"),
    [
        ({}, {"en": 8}),
        ({"objective.name": "language-contrastive"}, ALL),
        ({"objective.name": "smoothing"}, {"en": 8}),
        ({"objective.name": "smoothing", "objective.swap": 0.5}, ALL),
        ({"objective.negative_language": "any", "objective.num_negatives": 1}, ALL),
        ({"objective.negative_language": "any", "objective.num_negatives": 0}, {"en": 8}),
    ],
)
def test_an_english_sampler_has_seen_what_its_objective_draws(
    world: Path,
    tmp_path: Path,
    rows_file: Callable[..., Path],
    settings: dict[str, Any],
    languages: dict[str, int],
) -> None:
    runs = beside(world, tmp_path / "runs")
    spec = run(runs, rows_file(), **{"sampler": "english", **settings})
    assert RunData(spec).seen_in("embedded")["languages"] == languages


def test_what_an_encoder_was_trained_on_before_counts_and_rows_count_once(
    world: Path,
    tmp_path: Path,
    rows_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    before = run(runs, data, sampler="hybrid")
    other = run(runs, rows_file(languages=("en", "ru"), name="other.jsonl"), sampler="hybrid")
    later = run(runs, data, sampler="english", train__start_from="before")
    for earlier, languages in ((before, ALL), (other, {"en": 16, "ru": 8}), (None, {"en": 8})):
        found = {"before": earlier}
        monkeypatch.setattr(
            run_data, "trained_before", lambda r, f=found: f.get(r.config.train.start_from)
        )
        assert RunData(later).seen_in("embedded")["languages"] == languages
    assert "what before was trained on is not known any more" in caplog.text


def test_the_encoder_that_training_starts_from_is_the_one_that_is_named(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    words = ("--untrained", "--encoder", "mbert-tiny", "--output-dir", runs)
    made = Path(hbr("train", *words).out.strip()).name
    with pytest.raises(UserError, match="trained mbert-tiny, not xlm-r-tiny; say --encoder mbert"):
        initial_encoder(run(runs, data, train__start_from=made))
    right = run(runs, data, train__start_from=made, encoder__name="mbert-tiny")
    assert initial_encoder(right).folder == runs / made / "model"


def test_an_untrained_run_starts_from_no_other(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    spec = run(beside(world, tmp_path / "runs"), rows_file(), max_steps=0, start_from="it")
    with pytest.raises(UserError, match=r"nothing is trained .*; evaluate it itself"):
        initial_encoder(spec)


def test_an_adapter_of_an_adapter_is_not_kept_alone(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    given = {"encoder.name": str(tmp_path), "adapter.name": "lora"}
    for merge in (True, False):
        spec = RunSpec(resolve_config(given | {"adapter.merge": merge}), tmp_path / "runs")
        if merge:
            assert initial_encoder(spec).folder == tmp_path
        else:
            with pytest.raises(UserError, match=r"holds an adapter, .*set adapter\.merge=true"):
                initial_encoder(spec)


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"encode.shard_size": 16384}, True),
        ({"encode.precision": "bf16"}, False),
        ({"index.nprobe": 64}, True),  # an exact search has none
        ({"index.nprobe": 64, "mine.index": "ivf"}, False),
        ({"encode.precision": "bf16", "mine.miner": "bm25"}, True),  # which has no vectors
    ],
)
def test_what_vectors_are_made_with_decides_mined_negatives(
    world: Path,
    tmp_path: Path,
    rows_file: Callable[..., Path],
    settings: dict[str, Any],
    same: bool,
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    miner = Miner(run(runs, data, **{"train.hard_negatives": "mined", **settings}))
    assert (miner.key == miner.id) is same


def test_training_goes_on_with_the_prompts_that_the_encoder_knows(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    words = ("--untrained", "--set", "query_prompt=q: ", "--output-dir", runs)
    made = Path(hbr("train", *words).out.strip()).name
    later = run(runs, data, train__start_from=made, encoder__query_prompt="Query: ")
    with pytest.raises(UserError, match=r"query_prompt 'q: ', not 'Query: '; say --set encoder"):
        initial_encoder(later)
