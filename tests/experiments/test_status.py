"""Status without what a study was made from: what is finished is called so, and what is missing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.experiments import status
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec, complete
from hbr.experiments.stages import train
from hbr.models.sources import encoder_folder
from tests.support import Said, beside, hbr

FROM_THE_HUB = {"xlm-r": "FacebookAI/xlm-roberta-base", "org/small": "org/small"}  # by name


@pytest.fixture(params=list(FROM_THE_HUB))
def finished(
    request: pytest.FixtureRequest,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_file: Callable[..., Path],
) -> tuple[str, Callable[..., Said]]:
    """A study with an encoder in the hub's cache and data in `$HBR_DATA`, its one cell done."""
    name = request.param
    made = encoder_folder(world, "xlm-r-tiny", None)
    cache = tmp_path / "hub" / f"models--{FROM_THE_HUB[name].replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("c0ffee")
    shutil.copytree(made, cache / "snapshots" / "c0ffee")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    rows_file(name="data/parallel/rows.jsonl")
    monkeypatch.setenv("HBR_DATA", str(tmp_path / "data"))
    study = tmp_path / "small.yaml"
    study.write_text(f"grid: {{sampler: [untrained], encoder: [{name}]}}\nevaluate: [parallel]\n")

    def sweep(*words: str) -> Said:
        return hbr("sweep", study, "--output-dir", tmp_path / "runs", *words)

    beside(world, tmp_path / "runs")
    (tmp_path / "runs" / "data").unlink()  # of its own
    assert sweep("--cell", "0").code == 0
    assert sweep("--status").out.split()[1] == "done"
    return name, sweep


def test_a_finished_cell_is_done_where_its_data_are_not_here(
    finished: tuple[str, Callable[..., Said]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sweep = finished
    monkeypatch.delenv("HBR_DATA")
    shutil.rmtree(tmp_path / "runs" / "data")
    said = sweep("--status")
    assert said.out.split()[1] == "done"
    assert said.out.endswith("not checked\n")
    assert said.err.count("finished cells that were not checked: 1; --dataset parallel needs") == 1
    assert "1 cells, 1 up to date" in sweep("--dry-run").err


def test_a_finished_cell_is_done_where_its_encoder_is_not_here(
    finished: tuple[str, Callable[..., Said]], tmp_path: Path
) -> None:
    """If its name does not follow from the encoder's files: then it cannot be known."""
    from hbr.models import sources

    name, sweep = finished
    shutil.rmtree(tmp_path / "hub")
    sources._hub_configs.cache_clear()
    said = sweep("--status")
    assert said.code == 0
    if name == "org/small":
        assert said.out.split()[1] == "unknown"
        assert said.out.endswith("org/small is not here, which decides the run's name\n")
        return
    assert said.out.split()[1] == "done"
    assert "not checked: 1; encoder FacebookAI/xlm-roberta-base is not on this machine" in said.err
    assert "HF_HOME" in said.err
    changed = sweep("--status", "--set", "encode.dtype=float16")  # which is known without it
    assert changed.out.split()[1:3] == ["to", "do"]


def test_data_that_have_changed_are_done_again_and_never_taken_as_they_were(
    finished: tuple[str, Callable[..., Said]], rows_file: Callable[..., Path]
) -> None:
    _, sweep = finished
    rows_file(name="data/parallel/rows.jsonl", count=9)
    assert sweep("--status").out.split()[1:3] == ["to", "do"]


@pytest.mark.parametrize(
    "settings",
    [
        {"train.hard_negatives": "mined", "mine.miner": "org/other"},
        {"objective.name": "embedding-mse", "teacher.name": "org/other"},
    ],
)
def test_a_miner_and_a_teacher_are_not_downloaded_to_see_whether_a_run_is_done(
    settings: dict[str, str], world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def snapshot(*_: object, local_files_only: bool, **__: object) -> None:
        asked.append(local_files_only)
        raise FileNotFoundError

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    config = complete(resolve_config(settings | {"encoder.name": "xlm-r-tiny"}), world)
    stage = train(RunData(RunSpec(config, world), ready=True))
    with pytest.raises(UserError, match="encoder org/other is not on this machine"):
        stage.reads()
    assert asked == [True]


def test_a_finished_cell_is_done_though_a_process_died_there_since(
    finished: tuple[str, Callable[..., Said]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed as it wrote the card, say, and left its lease."""
    monkeypatch.setattr(status, "owner_of", lambda _: "process 1 on n1")
    monkeypatch.setattr(status, "in_use", lambda _: False)
    assert finished[1]("--status").out.split()[1] == "done"
