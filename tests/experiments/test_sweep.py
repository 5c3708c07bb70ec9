"""Sweeps: a grid becomes runs, once; what fails stops no other."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hbr.compare.references import reference
from hbr.core.cores import available_cores
from hbr.core.lease import owner_of
from hbr.core.progress import Progress
from hbr.experiments import sweep
from hbr.experiments.board import Board
from hbr.experiments.cells import cells as cells_of
from hbr.experiments.run_spec import slug
from hbr.experiments.study import configs, read_study, trial
from tests.support import beside, hbr

STUDY = """
    title: two samplers
    base: {train: {max_steps: 2, batch_size: 8}}
    grid:
      sampler: [monolingual, hybrid]
      seed: [0, 1]
    evaluate: [embedded]
"""


CLAIMS = """
    claims:
      - {id: a, metric: map, setting: mono, greater: hybrid, than: monolingual}
"""


DEADLY = """
import os, signal
from hbr.training.samplers import Sampler
sampler = Sampler("deadly:sampler", lambda alpha: os.kill(os.getpid(), signal.SIGKILL))
"""


def at(runs: Path) -> tuple[str, Path]:
    return "--output-dir", runs


def study(folder: Path, text: str = STUDY) -> Path:
    path = folder / "small.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_grid_becomes_its_product_and_the_untrained_encoders(tmp_path: Path) -> None:
    found = configs(read_study(study(tmp_path)), {})
    assert [config.method for config in found] == [
        *["monolingual"] * 2,
        *["hybrid"] * 2,
        "untrained",
    ]
    assert [config.seed for config in found] == [0, 1, 0, 1, 0]
    assert [config.train.max_steps for config in found] == [2, 2, 2, 2, 0]


def test_cells_side_by_side_do_not_wait_for_one_encoder(tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "encoder: [xlm-r-tiny, labse-tiny]\n      seed: [0, 1]")
    cells = cells_of(read_study(study(tmp_path, text)), tmp_path, {})
    done = sweep._spread(cells)
    assert [cell.config.encoder.name for cell in done] == ["xlm-r-tiny", "labse-tiny"] * 5
    assert sorted(map(repr, done)) == sorted(map(repr, cells))


def test_cells_that_are_the_same_run_stand_once(tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "alpha: [0.2, 0.8]")
    found = configs(read_study(study(tmp_path, text)), {})
    names = [slug(config) for config in found]
    assert len(names) == len(set(names)) == 4  # monolingual does not depend on alpha
    assert [config.sampler.alpha for config in found[1:3]] == [0.2, 0.8]


def test_a_sweep_is_done_once_and_then_shows_its_table(world: Path, tmp_path: Path) -> None:
    runs, path = beside(world, tmp_path / "runs"), study(tmp_path)
    plan = hbr("sweep", path, "--dry-run", "--output-dir", runs)
    assert plan.out.count("to do  ") == 5
    said = hbr("sweep", path, "--jobs", "2", "--output-dir", runs)
    assert said.code == 0, said.err
    assert "5 cells, 0 up to date" in said.err
    assert "two samplers: embedded" in said.out
    folder = runs / "studies" / "small"
    lines = (folder / "report.md").read_text().splitlines()
    assert sum(line.startswith("| xlm-r-tiny | ") for line in lines) == 3
    assert {p.name for p in folder.iterdir()} == {
        *(f"report.{suffix}" for suffix in ("md", "tex", "csv", "json", "html")),
        "logs",
    }
    assert json.loads((folder / "report.json").read_text())["title"] == "two samplers"
    assert f"report: {folder / 'report.html'}" in said.err
    assert "±" in said.out
    again = hbr("sweep", path, "--output-dir", runs)
    assert "5 cells, 5 up to date" in again.err
    assert again.out == said.out
    text = STUDY.replace("two samplers", "better words") + CLAIMS
    assert "hybrid greater than monolingual" in hbr("sweep", study(tmp_path, text), *at(runs)).out
    for form in ("md", "tex", "json"):
        kept = (folder / f"report.{form}").read_text()
        assert "etter words" in kept, form  # a caption begins with a capital
        assert "hybrid greater than monolingual" in kept, form
    plan = hbr("sweep", path, "--dry-run", "--output-dir", runs)
    assert plan.out.count("up to date") == 5


def test_a_trial_cuts_what_the_grid_sets_too(tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "train.max_steps: [3, 60, 120]")
    plan, folder = trial(read_study(study(tmp_path, text)), 8, tmp_path / "runs")
    found = configs(plan, {"train.batch_size": 64})
    assert folder == tmp_path / "runs" / "limit-8"
    assert {(c.train.max_steps, c.train.batch_size) for c in found} <= {(3, 2), (8, 2), (0, 2)}
    assert {(c.data.limit, c.evaluate.limit) for c in found} == {(8, 8)}


def test_a_trial_uses_what_is_prepared(world: Path, tmp_path: Path) -> None:
    runs = beside(world, tmp_path / "runs")
    rows = [
        {"id": f"r{i}", "query": {"en": f"q {i}"}, "passage": {"en": f"p {i}"}} for i in range(9)
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare = ("prepare", "--dataset", "parallel", "--source", source, *at(runs))
    assert hbr(*prepare).code == 0
    source.unlink()
    path = study(tmp_path, STUDY.replace("[embedded]", "[parallel]"))
    said = hbr("sweep", path, "--limit", 4, *at(runs))
    assert said.code == 0, said.err
    assert "LIMITED to 4 concepts" in said.out


@pytest.mark.slow
def test_a_data_set_that_is_missing_fails_its_cells_and_stops_no_other(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HBR_DATA", raising=False)
    runs = beside(world, tmp_path / "runs")
    assert hbr("sweep", study(tmp_path), *at(runs)).code == 0
    path = study(tmp_path, STUDY.replace("[embedded]", "[embedded, mewsli-x]"))
    plan = hbr("sweep", path, "--dry-run", *at(runs))
    assert plan.code == 0, plan.err
    assert "downloads: mewsli-x" in " ".join(plan.out.split())
    said = hbr("sweep", path, *at(runs))
    assert said.code == 3
    assert said.err.count("failed: ") == 5
    assert "mAP" in said.out  # of embedded


def test_a_cell_that_fails_stops_no_other_and_is_named(world: Path, tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "learning_rate: [1e-3, 1e6]").replace("hybrid", "english")
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
    report = (runs / "studies" / "small" / "report.md").read_text()
    assert "provisional: 2 of the study's runs have no results yet" in report
    assert report.count("| 0 of 1 | – |") == 2
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
        (STUDY.replace("[embedded]", "[embeded]"), "there is no dataset 'embeded'; did you mean"),
        (STUDY.replace("[embedded]", "[embedded, embedded]"), "evaluate names a data set twice"),
        (STUDY.replace("[0, 1]", "[0, 1, 0]"), "grid: seed has 0 twice"),
        (STUDY.replace("[0, 1]", "[true]"), "seed = True: input should be a valid integer"),
        (
            STUDY.replace("[0, 1]", f"{list(range(9000))}"),
            "its grid has 18,000 cells; 10,000 is the most",
        ),
        (
            STUDY.replace("[embedded]", "[{dataset: lareqa, source: gone}]"),
            "gone: there is no such file or folder",
        ),
        *(
            (f"{STUDY}    claims:\n      - {{{one}}}", told)
            for one, told in (
                (
                    "id: a, metric: map, setting: mono, greter: hybrid, than: mixed",
                    "claims.0: there is no 'greter' in a claim; did you mean greater?",
                ),
                (
                    "id: a, metric: map, setting: mono, trend: up, dataset: xquad",
                    "claim 'a': there is no dataset 'xquad'; did you mean xquad-r?",
                ),
                (
                    "id: a, metric: map, setting: mano, greater: hybrid, than: mixed",
                    "claims.0.setting: input should be 'mono', 'cross' or 'multi'",
                ),
                (
                    "id: a, metric: map, setting: mono, greater: {samplr: hybrid}, than: mixed",
                    "claim 'a': there is no setting 'samplr'; did you mean sampler",
                ),
                (
                    "id: a, metric: map, setting: mono, trend: up, over: alfa",
                    "claim 'a': there is no setting 'alfa'; did you mean",
                ),
                (
                    "id: a, metric: map, setting: mono, greater: hybrid",
                    "claim 'a': greater needs 'than'",
                ),
                (
                    "id: a, metric: map, setting: mono, than: hybrid",
                    "claim 'a': say one of greater, less, equal",
                ),
                (
                    "id: a, metric: map, setting: mono, equal: hybrid, to: mixed",
                    "claim 'a': equal and flat need a positive margin",
                ),
                ("metric: map, setting: mono, trend: up", "claims.0.id: field required"),
                (
                    "id: a, metric: map, setting: mono, greater: hybrid, than: mixed, by: much",
                    "claims.0.by",
                ),
                (
                    "id: a, metric: map, setting: mono, trend: up, among: {resorce: low}",
                    "'resorce'",
                ),
                (
                    "id: a, metric: map, setting: mono, trend: up, among: {resource: lo}",
                    "'lo'",
                ),
                (
                    "id: a, metric: mapp, setting: mono, trend: up",
                    "there is no metric 'mapp'; did you mean map",
                ),
                (
                    "id: a, metric: map, setting: mono, greater: hybird, than: mixed",
                    "there is no sampler 'hybird'; did you mean hybrid",
                ),
            )
        ),
        (
            STUDY
            + "    claims:\n"
            + 2 * "      - {id: a, metric: map, setting: mono, trend: up}\n",
            "two claims have the id 'a'",
        ),
        (f"{STUDY}    claims: elmahdy2042", "did you mean elmahdy2024"),
        (f"{STUDY}    claims: gone.yaml", "gone.yaml: there is no such file"),
    ],
)
def test_a_mistake_in_a_study_is_named(tmp_path: Path, text: str, told: str) -> None:
    said = hbr("sweep", study(tmp_path, text), "--dry-run", "--output-dir", tmp_path / "runs")
    assert (said.code, told in said.err) == (2, True), said.err


def test_a_study_may_have_claims(tmp_path: Path) -> None:
    (claim,) = read_study(study(tmp_path, STUDY + CLAIMS)).claims
    assert claim.sentence == "mono map: hybrid greater than monolingual"
    assert read_study(study(tmp_path)).claims == []
    assert read_study(study(tmp_path, f"{STUDY}    claims:\n")).claims == []  # none yet


def test_claims_may_be_those_of_a_paper_or_of_a_file_beside(tmp_path: Path) -> None:
    paper = read_study(study(tmp_path, f"{STUDY}    claims: elmahdy2024")).claims
    assert tuple(paper) == reference("elmahdy2024").claims
    (tmp_path / "mine.yaml").write_text(textwrap.dedent(CLAIMS))
    own = read_study(study(tmp_path, f"{STUDY}    claims: mine.yaml")).claims
    assert own == read_study(study(tmp_path, STUDY + CLAIMS)).claims


def test_what_a_study_varies_is_known_by_its_full_name(tmp_path: Path) -> None:
    text = STUDY.replace("seed: [0, 1]", "learning_rate: [1e-3, 1e-4]")
    assert read_study(study(tmp_path, text)).varied == {"sampler.name", "train.learning_rate"}


@pytest.mark.parametrize("path", sorted(Path("experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_study_can_be_read(path: Path) -> None:
    assert len(configs(read_study(path), {})) > 1


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_its_own_cell_along_only(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    text = STUDY.replace("hybrid", "'deadly:sampler'").replace("seed: [0, 1]", "seed: [0]")
    runs, path = beside(world, tmp_path / "runs"), study(tmp_path, text)
    foreign = hbr("sweep", path, "--jobs", "2", "--output-dir", runs)
    assert foreign.code == 2
    assert "would import deadly" in foreign.err
    said = hbr("sweep", path, "--jobs", "2", "--output-dir", runs, "--allow-code")
    failures = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert said.code == 3
    assert len(failures) == 1
    assert "deadly.sampler-xlm-r-tiny" in failures[0]
    assert "its process was killed" in failures[0]
    done = [p for p in runs.glob("*/evaluate/embedded/metrics.json") if "latest" not in str(p)]
    assert len(done) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75), (signal.SIGHUP, 130)],
)
def test_no_worker_outlives_a_sweep(world: Path, tmp_path: Path, ending: int, code: int) -> None:
    if signal.getsignal(ending) is signal.SIG_IGN:
        pytest.skip(f"{signal.Signals(ending).name} is ignored here, as under nohup")
    runs = beside(world, tmp_path / "runs")
    path = study(tmp_path, STUDY.replace("max_steps: 2", "max_steps: 1000000"))
    command = [sys.executable, "-m", "hbr", "sweep", path, "--jobs", "2", "--output-dir", runs]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while len(list(runs.glob("*/.train.*.partial/log.jsonl"))) < 2 and process.poll() is None:
            time.sleep(0.05)
        owners = [owner_of(lease.parent).split()[1] for lease in runs.glob("*/.lease")]
        process.send_signal(ending)
        assert process.wait(30) == code
    deadline = time.monotonic() + 10
    while alive := [pid for pid in owners if Path("/proc", pid).exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
    assert len(owners) == 2


def test_a_worker_waits_without_spinning_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "")  # put back afterwards
    monkeypatch.setattr(Progress, "listener", None)
    for before, after in (("ACTIVE", "ACTIVE"), (None, "PASSIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
        if before is None:
            del os.environ["OMP_WAIT_POLICY"]
        board = Board(multiprocessing, 1)
        sweep._start_worker(2, [], multiprocessing.Value("i", 0), board)
        assert os.environ["OMP_WAIT_POLICY"] == after
    assert os.environ["OMP_NUM_THREADS"] == str(max(1, available_cores() // 2))


ROUNDS = """
title: Two rounds
untrained: false
base:
  train: {max_steps: 3, batch_size: 8, eval_steps: 3}
  encoder: xlm-r-tiny
  mine: {num_negatives: 1, pool: pivot}
  data: {limit: 40}
  evaluate: {limit: 10}
rounds: [{sampler: english}, {hard_negatives: mined}]
grid: [{sampler: [monolingual], seed: [0, 1]}, {sampler: [cross-lingual], seed: [0]}]
evaluate: [embedded]
claims:
  - {id: later, metric: map, setting: mono, greater: {round: 2}, than: {round: 1}, within: []}
"""


@pytest.mark.slow
def test_each_round_starts_from_the_one_before_which_is_trained_once(world, tmp_path):
    runs, file = beside(world, tmp_path / "runs"), tmp_path / "rounds.yaml"
    file.write_text(ROUNDS)
    said = hbr("sweep", file, "--output-dir", runs)
    assert said.code == 0, said.err
    folders = sorted(path.parent for path in runs.glob("*/manifest.json"))
    names = [folder.name.rpartition("-")[0] for folder in folders]
    first = [f"english-xlm-r-tiny-s{seed}" for seed in (0, 1)]
    later = [f"monolingual-xlm-r-tiny-r2-s{seed}" for seed in (0, 1)]
    assert names == ["cross-lingual-xlm-r-tiny-r2-s0", *first, *later]
    trained = {}
    for name, folder in zip(names, folders, strict=True):
        stages = json.loads((folder / "manifest.json").read_text())["stages"]
        trained[name] = stages["train"]
    for name in (names[0], *later):
        earlier = folders[names.index(f"english-xlm-r-tiny-s{name[-1]}")]
        assert trained[name]["started_from"] == str(earlier / "model")
        assert trained[name]["inputs"]["miner"] == trained[name]["inputs"]["encoder"]
    assert hbr("sweep", file, "--output-dir", runs).err.count("5 up to date") == 1
    report = json.loads((runs / "studies/rounds/report.json").read_text())
    assert not [line for line in report["warnings"] if "start_from" in line or "files" in line]
    (earlier,) = [folder for folder in folders if folder.name.startswith("english-xlm-r-tiny-s1")]
    (earlier / "manifest.json").unlink()  # as if the first round of seed 1 were to be done
    dry = hbr("sweep", file, "--output-dir", runs, "--status")
    assert dry.out.count("to do") >= 1
