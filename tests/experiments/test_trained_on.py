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
        ({"encode.shard_size": 512, "encode.token_budget": 512}, True),
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
    mined = run(runs, data, **{"train.hard_negatives": "mined", **settings})
    plain = {name: value for name, value in settings.items() if not name.startswith("enc")}
    plain = {name: value for name, value in plain.items() if not name.startswith("index")}
    other = run(runs, data, **{"train.hard_negatives": "mined", **plain})
    assert (Miner(mined).key == Miner(mined).id) is same
    assert (mined.name == other.name) is same  # runs of other weights have other names


def test_training_goes_on_with_the_prompts_that_the_encoder_knows(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    words = ("--untrained", "--set", "query_prompt=q: ", "--output-dir", runs)
    made = Path(hbr("train", *words).out.strip()).name
    later = run(runs, data, train__start_from=made, encoder__query_prompt="Query: ")
    with pytest.raises(UserError, match=r"query_prompt 'q: ', not 'Query: '; say --set encoder"):
        initial_encoder(later)


@pytest.mark.parametrize(
    ("idle", "used"),
    [
        ({"train.eval_limit": 9}, {"train.metric_for_best_model": "map multi embedded"}),
        ({"objective.guide_margin": 0.2}, {"objective.guide": "absolute"}),
        (
            {"mine.seed": 3},
            {"train.hard_negatives": "mined", "mine.sampling_strategy": "random"},
        ),
        ({"encode.precision": "bf16"}, {"objective.guide": "absolute"}),
    ],
)
def test_a_setting_makes_another_run_where_it_is_used(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path], idle: Any, used: Any
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    assert run(runs, data, **idle).name == run(runs, data).name
    assert run(runs, data, **idle, **used).name != run(runs, data, **used).name


def test_a_link_to_a_run_is_followed_when_it_is_named(world: Path, tmp_path: Path) -> None:
    """`latest` is another run afterwards: the one that was trained."""
    runs = beside(world, tmp_path / "runs")
    made = Path(hbr("train", "--untrained", "--output-dir", runs).out.strip()).name
    for name, expected in (("latest", made), (str(runs / "latest"), str(runs / made))):
        named = {"train.start_from": name, "mine.miner": name, "teacher.name": name}
        config = complete(resolve_config(named), runs)
        assert config.train.start_from == config.mine.miner == config.teacher.name == expected


def test_evaluating_with_other_vectors_mines_nothing(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    runs, data = beside(world, tmp_path / "runs"), rows_file()
    settings = {"train.hard_negatives": "mined", "mine.miner": "gone/for-good"}
    ((store, rows),) = RunData(run(runs, data, **settings)).trained_on
    assert len(rows) == 8
    assert set(store.entries()) == {"rows"}


def test_settings_without_effect_are_named(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    words = ("--data", rows_file(), "--steps", "1", "--batch-size", "4", "--device", "cpu")
    idle = ("--set", "adapter.rank=8", "--set", "mine.miner=bm25", "--set", "teacher=labse-tiny")
    said = hbr("train", *words, *idle, "--output-dir", beside(world, tmp_path / "runs"))
    assert said.code == 0, said.err
    for line in (
        "without effect: adapter.rank; that needs adapter=lora",
        "without effect: mine.miner; that needs train.hard_negatives=mined",
        "without effect: teacher.name; that needs an objective that asks a teacher",
    ):
        assert line in said.err


def test_languages_are_not_told_apart_where_batches_have_one(
    world: Path, tmp_path: Path, rows_file: Callable[..., Path]
) -> None:
    words = ("--data", rows_file(), "--steps", "1", "--batch-size", "4", "--device", "cpu")
    named = ("--sampler", "english", "--objective", "language-adversarial")
    said = hbr("train", *words, *named, "--output-dir", beside(world, tmp_path / "runs"))
    assert (said.code, "needs two languages" in said.err) == (2, True)
