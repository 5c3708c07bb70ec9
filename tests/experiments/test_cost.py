"""What a study will cost: sums that follow from the pace of encoders; what is left out is said."""

from pathlib import Path

import pytest

from hbr.core.settings.train import Train
from hbr.experiments import cost as costs
from hbr.experiments import pace as pacing
from hbr.experiments.cells import Cell, cells
from hbr.experiments.cost import COPIES, cost
from hbr.experiments.pace import Pace
from hbr.experiments.study import read_study
from hbr.training.optimizer import resident_bytes
from tests.support import beside, hbr

STUDY = """
base: {train: {max_steps: 100}, encoder: {query_max_seq_length: 8}}
grid: {sampler: [hybrid, monolingual], encoder: [mbert-tiny]}
evaluate: [embedded]
"""


@pytest.fixture
def todo(world: Path, tmp_path: Path) -> list[Cell]:
    (tmp_path / "study.yaml").write_text(STUDY)
    return cells(read_study(tmp_path / "study.yaml"), beside(world, tmp_path / "runs"), {})


def test_hours_and_disk_follow_from_the_pace(
    todo: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def fixed(_folder, _config, lengths, _device):
        seen.append(lengths)
        return Pace(step=36.0, token=1e-3, parameters=10**9, trained=10**9, dimension=250)

    monkeypatch.setattr(pacing, "pace", fixed)
    monkeypatch.setattr(costs, "_tokens", lambda column, *_: 10.0)
    found = cost(todo)
    (line,) = found.lines
    assert (line.encoder, line.runs, line.step) == ("mbert-tiny", 3, 36.0)
    assert line.training == pytest.approx(2 * 100 * 36 / 3600)
    texts = 3 * (3290 + 3600)
    assert line.encoding == pytest.approx(texts * 10 * 1e-3 / 3600)
    assert line.disk == pytest.approx(4 * (2 * COPIES + 1) + 2 * 8 + 1e-9 * texts * 250 * 4)
    assert line.memory == pytest.approx(4 + 4 + 8)  # weights, gradients, two moments
    assert seen == [(10, 10)]
    assert found.downloads == found.notes == ()


@pytest.mark.parametrize(
    ("settings", "memory"),  # bytes of a weight, its gradient, its master and its two moments
    [
        ({"precision": "bf16"}, 4 + 4 + 8),
        ({"precision": "bf16-weights"}, 2 + 2 + 4 + 8),
        ({"optimizer": "adamw_8bit"}, 4 + 4 + 2),
        ({"optimizer": "adamw_8bit", "precision": "bf16-weights"}, 2 + 2 + 4 + 2),
    ],
    ids=str,
)
def test_memory_is_that_of_the_precision_and_the_optimizer(settings, memory):
    train = Train.model_validate(settings)
    assert resident_bytes(1000, 1000, train) == 1000 * memory
    frozen = 2 if "bf16-weights" in settings.values() else 4
    assert resident_bytes(1000, 10, train) == 990 * frozen + 10 * memory


def test_a_real_pace_gives_numbers(todo: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "LONG_ENOUGH", 0.01)
    (line,) = cost(todo).lines
    assert line.training is not None
    assert 0 < line.training < 1
    assert line.encoding is not None
    assert 0 < line.encoding < 1
    assert line.step is not None
    assert 0 < line.step < 60


def test_what_is_not_here_is_named_with_its_size_and_not_guessed(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HBR_DATA", raising=False)
    runs = beside(world, tmp_path / "runs")
    study = read_study(Path("experiments/xtreme-r-baselines.yaml"))
    found = cost(cells(study, runs, {}))
    assert [line.training for line in found.lines] == [None] * 3
    assert {"encoder xlm-r (1.1 GB)", "encoder mbert (0.7 GB)"} <= set(found.downloads)
    assert "tatoeba-xtreme-r (36,692 pairs)" in found.downloads
    assert "xlm-r is not here: its hours and disk are not among these" in found.notes
    assert not (runs / "downloads").exists()


def test_data_that_are_not_prepared_are_said(world: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("[embedded]", "[tatoeba]"))
    runs = beside(world, tmp_path / "runs")
    found = cost(cells(read_study(tmp_path / "study.yaml"), runs, {}))
    assert found.notes == ("tatoeba is not prepared: encoding it is not among these",)
    assert found.lines[0].encoding == 0


def test_a_dry_run_shows_it_and_does_nothing(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "LONG_ENOUGH", 0.01)
    (tmp_path / "study.yaml").write_text(STUDY)
    runs = beside(world, tmp_path / "runs")
    said = hbr("sweep", tmp_path / "study.yaml", "--dry-run", "--output-dir", runs)
    assert said.code == 0, said.err
    assert said.out.count("to do  ") == 3
    for word in ("mbert-tiny", "a step", "training", "GB", "downloads: nothing"):
        assert word in said.out
    assert not list(runs.glob("hybrid-*"))
