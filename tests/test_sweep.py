"""Sweeps: a grid becomes runs, once; what fails stops no other."""

import json
import textwrap
from pathlib import Path

import pytest

from hbr.pipeline import slug
from hbr.sweep import configs, read_study
from tests.support import beside, hbr

STUDY = """
    title: two samplers
    base: {train: {steps: 2, batch_size: 8}}
    grid:
      sampler: [monolingual, hybrid]
      seed: [0, 1]
    evaluate: [embedded]
"""


def study(folder: Path, text: str = STUDY) -> Path:
    path = folder / "small.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_grid_becomes_its_product_and_the_untrained_encoders(tmp_path: Path) -> None:
    found = configs(read_study(study(tmp_path)), {})
    assert [config.sampler.name for config in found] == [
        *["monolingual"] * 2,
        *["hybrid"] * 2,
        "untrained",
    ]
    assert [config.seed for config in found] == [0, 1, 0, 1, 0]
    assert {config.train.steps for config in found} == {2}


def test_cells_that_are_the_same_run_stand_once(tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "alpha: [0.2, 0.8]")
    found = configs(read_study(study(tmp_path, text)), {})
    names = [slug(config) for config in found]
    assert len(names) == len(set(names)) == 4  # monolingual does not depend on alpha
    assert [config.sampler.alpha for config in found[1:3]] == [0.2, 0.8]


def test_a_sweep_is_done_once_and_then_shows_its_table(world: Path, tmp_path: Path) -> None:
    runs, path = beside(world, tmp_path / "runs"), study(tmp_path)
    plan = hbr("sweep", path, "--dry-run", "--output-dir", runs)
    assert plan.out.count("to do") == 5
    said = hbr("sweep", path, "--jobs", "2", "--output-dir", runs)
    assert said.code == 0, said.err
    assert "5 cells, 0 up to date" in said.err
    assert "two samplers: embedded" in said.out
    lines = (runs / "studies" / "small" / "embedded.md").read_text().splitlines()
    assert sum(line.startswith("| xlm-r-tiny | ") for line in lines) == 3
    assert "±" in said.out
    again = hbr("sweep", path, "--output-dir", runs)
    assert "5 cells, 5 up to date" in again.err
    assert again.out == said.out
    plan = hbr("sweep", path, "--dry-run", "--output-dir", runs)
    assert plan.out.count("up to date") == 5


def test_a_cell_that_fails_stops_no_other_and_is_named(world: Path, tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "lr: [1e-3, 1e38]").replace("hybrid", "english")
    runs, path = beside(world, tmp_path / "runs"), study(tmp_path, text)
    said = hbr("sweep", path, "--output-dir", runs)
    assert said.code == 3
    failures = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 2
    assert "the loss or its gradient is not finite" in failures[0]
    logs = runs / "studies" / "small" / "logs"
    assert "not finite" in next(logs.glob("monolingual*-*.log")).read_text() or any(
        "not finite" in log.read_text() for log in logs.glob("*.log")
    )
    done = [p for p in runs.glob("*/evaluate/embedded/metrics.json") if "latest" not in str(p)]
    assert len(done) == 3
    assert json.loads(done[0].read_text())["dataset"] == "embedded"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (STUDY.replace("grid", "gird"), "there is no 'gird' in a study; did you mean grid"),
        (STUDY.replace("sampler:", "samplr:"), "there is no setting 'samplr'"),
        (STUDY.replace("[monolingual, hybrid]", "[]"), "grid.sampler"),
        (STUDY.replace("evaluate: [embedded]", ""), "evaluate: field required"),
        (STUDY.replace("hybrid]", "hibrid]"), "there is no sampler 'hibrid'"),
        (STUDY.replace("[embedded]", "[embeded]"), "there is no task 'embeded'; did you mean"),
        (STUDY.replace("[embedded]", "[embedded, embedded]"), "evaluate names a data set twice"),
        (
            STUDY.replace("[embedded]", "[{dataset: lareqa, source: gone}]"),
            "gone: there is no such file or folder",
        ),
    ],
)
def test_a_mistake_in_a_study_is_named(tmp_path: Path, text: str, told: str) -> None:
    said = hbr("sweep", study(tmp_path, text), "--output-dir", tmp_path / "runs")
    assert (said.code, told in said.err) == (2, True), said.err


@pytest.mark.parametrize("path", sorted(Path("experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_study_can_be_read(path: Path) -> None:
    assert len(configs(read_study(path), {})) > 1


def test_a_worker_that_is_killed_takes_its_own_cell_along_only(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = "import os, signal\ndef sampler(alpha): os.kill(os.getpid(), signal.SIGKILL)\n"
    (tmp_path / "deadly.py").write_text(deadly)
    monkeypatch.syspath_prepend(tmp_path)
    text = STUDY.replace("hybrid", "'deadly:sampler'").replace("seed: [0, 1]", "seed: [0]")
    runs, path = beside(world, tmp_path / "runs"), study(tmp_path, text)
    said = hbr("sweep", path, "--jobs", "2", "--output-dir", runs)
    failures = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert said.code == 3
    assert len(failures) == 1
    assert "deadly.sampler-xlm-r-tiny" in failures[0]
    assert "its process was killed" in failures[0]
    done = [p for p in runs.glob("*/evaluate/embedded/metrics.json") if "latest" not in str(p)]
    assert len(done) == 2
