"""Cells of a study by themselves: by number or name, on array tasks, on clusters, beside others."""

import json
import multiprocessing
import os
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hbr.core.errors import UserError
from hbr.core.lease import lease
from hbr.core.progress import Progress
from hbr.experiments import cluster, sweep, work
from hbr.experiments.board import Board
from hbr.experiments.cells import cell_of, cells
from hbr.experiments.status import status
from hbr.experiments.study import read_study, trial
from tests.support import beside, hbr

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
    title: two samplers
    base: {train: {max_steps: 2, batch_size: 8}}
    grid:
      sampler: [monolingual, hybrid]
    untrained: false
    evaluate: [embedded]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(textwrap.dedent(STUDY))
    return path


def test_a_cell_has_a_number_a_name_and_an_array_task(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    first, second = every = cells(read_study(study), tmp_path, {})
    assert cell_of(every, "1") is second
    assert cell_of(every, first.run.name) is first
    with pytest.raises(UserError, match="neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX"):
        cell_of(every, "")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    assert cell_of(every, "") is first
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert cell_of(every, "") is second
    with pytest.raises(UserError, match="there is no cell 2: the study has 2, from 0 on"):
        cell_of(every, "2")
    with pytest.raises(UserError, match="did you mean hybrid-xlm-r-tiny"):
        cell_of(every, "hybrid-xlm-r-tiny-s0")


def test_a_whole_sweep_on_several_ranks_is_refused(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for words in ([], ["--prepare"], ["--report"]):
        said = hbr("sweep", study, *words)
        assert (said.code, "--cell K" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cell", "1", "--prepare"], "--cell and --prepare: say one of them"),
        (["--wait"], "--wait goes with --cluster"),
        (["--cell"], "--cell needs a number or a name"),
        (["--cell", "9"], "there is no cell 9"),
    ],
)
def test_parts_of_a_sweep_that_make_no_sense_are_named(
    study: Path, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    said = hbr("sweep", study, *words)
    assert (said.code, told in said.err) == (2, True), said.err


def test_gpus_are_dealt_out_among_the_workers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "")  # put back afterwards
    monkeypatch.setattr(Progress, "listener", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    gpus = sweep.visible_gpus("auto", 3)
    assert gpus == ["4", "6"]
    assert sweep.visible_gpus("cuda:1", 3) == sweep.visible_gpus("cpu", 3) == []
    assert sweep.visible_gpus("auto", 1) == []  # one job may have all
    count, seen = multiprocessing.Value("i", 0), []
    for _ in range(3):
        sweep._start_worker(1, gpus, count, Board(multiprocessing, 3))
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["4", "6", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert sweep.visible_gpus("auto", 3) == []


def test_a_trial_may_begin_twice(study: Path, tmp_path: Path) -> None:
    folders = {trial(read_study(study), 4, tmp_path / "runs")[1] for _ in range(2)}
    assert [folder.name for folder in folders] == ["limit-4"]


@pytest.mark.slow
def test_a_cell_that_another_process_works_on_is_in_progress_and_no_failure(
    world: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = beside(world, tmp_path / "runs")
    first, second = cells(read_study(study), runs, {})
    with lease(first.run.path, wait=False):
        said = hbr("sweep", study, "--output-dir", runs)
        assert said.code == 75, said.err
        assert f"in use by process {os.getpid()}" in said.err
        assert "failed" not in said.err.lower()
        listed = hbr("sweep", study, "--status", "--output-dir", runs).out.splitlines()
    assert [line.split()[1] for line in listed] == ["running", "done"]
    assert (second.run.path / "evaluate/embedded/metrics.json").exists()
    job = yaml.safe_load((ROOT / "docs/scripts/cells.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")  # as Kubernetes does
    places = {"/study/study.yaml": study, "/runs": runs}
    assert hbr(*(places.get(word, word) for word in container["command"][1:])).code == 0
    said = hbr("sweep", study, "--report", "--output-dir", runs)
    assert (said.code, "hybrid" in said.out) == (0, True)


@pytest.mark.slow
def test_a_study_goes_through_submitit_and_failures_are_named(
    world: Path, study: Path, tmp_path: Path
) -> None:
    runs, cluster = beside(world, tmp_path / "runs"), tmp_path / "cluster.yaml"
    cluster.write_text("{cluster: debug, gpu_per_node: 1}")
    said = hbr("sweep", study, "--cluster", cluster, "--output-dir", runs)
    assert (said.code, "gpu" in said.err) == (2, True)
    cluster.write_text("{cluster: debug, timeout_min: 5}")
    said = hbr("sweep", study, "--cluster", cluster, "--output-dir", runs)
    assert said.code == 0, said.err
    assert json.loads((runs / "studies/small/report.json").read_text())["title"] == "two samplers"
    states = hbr("sweep", study, "--status", "--output-dir", runs).out
    assert states.count("done") == 2
    study.write_text(
        study.read_text().replace("batch_size: 8", "batch_size: 8, learning_rate: 1e6")
    )
    said = hbr("sweep", study, "--cluster", cluster, "--output-dir", runs)
    assert said.code == 3
    assert "not finite" in said.err
    assert hbr("sweep", study, "--status", "--output-dir", runs).out.count(" failed ") == 2


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("encode.precision: [fp32, bf16]", "encode.precision makes one run, not several"),
        ("nprobe: [1, 8]", "index.nprobe makes one run, not several"),
        ("metrics: [[map], [mrr]]", "evaluate.metrics makes one run, not several"),
        ("train.logging_steps: [1, 2]", "it changes the log or the speed"),
    ],
)
def test_a_grid_over_what_makes_no_run_is_refused(
    study: Path, tmp_path: Path, key: str, told: str
) -> None:
    study.write_text(study.read_text().replace("grid:\n", f"grid:\n  {key}\n"))
    with pytest.raises(UserError, match=told):
        cells(read_study(study), tmp_path / "runs", {})


def test_cells_of_a_later_round_are_an_array_after_those_of_the_one_before(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write_text(study.read_text() + "rounds: [{seed: 0}, {seed: 1}]\n")
    read = read_study(study)
    todo = cells(read, tmp_path / "runs", {})
    submitted: list[tuple[str, list[str]]] = []

    class Queue:
        def __init__(self, *_: object) -> None:
            self.after = _[-1].get("slurm_dependency", "")

        def submit(self, *_: object) -> SimpleNamespace:
            return self.map_array(None, [None])[0]

        def map_array(self, _: object, some: list, *__: object) -> list[SimpleNamespace]:
            submitted.append((self.after, [cell.run.name for cell in some if cell]))
            number = len(submitted)
            return [SimpleNamespace(job_id=f"{number}_{task}") for task in range(len(some))]

    monkeypatch.setattr(cluster, "_executor", Queue)
    monkeypatch.setattr(cluster, "queued", dict)
    cluster.submit(read, todo, todo, tmp_path, {"cluster": "slurm"})
    first, second = ([c.run.name for c in todo if c.config.train.round == n] for n in (1, 2))
    assert len(first) == len(second) == 2
    assert submitted == [
        ("", []),  # prepare
        ("afterok:1_0", first),
        ("afterok:1_0,afterany:2", second),
        ("afterany:3", []),  # the report
    ]
    jobs = json.loads((tmp_path / "jobs.json").read_text())
    assert set(jobs) == {"prepare", "report", *first, *second}


def test_a_job_that_ended_without_a_word_is_no_success(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed for memory or cancelled, a cell's job writes no reason."""
    monkeypatch.setattr(cluster, "submit", lambda *_: None)
    file = tmp_path / "cluster.yaml"
    file.write_text("{cluster: local}")
    said = hbr("sweep", study, "--cluster", file, "--output-dir", tmp_path / "runs")
    assert said.code == 3
    assert said.err.count("failed: ") == 2
    assert "its job has ended" in said.err


def test_what_a_job_says_of_its_failure_is_one_line() -> None:
    trace = 'Traceback (most recent call last):\n  File "a.py"\n'
    line = "-" * 22
    for kind in ("hbr.core.errors.UserError: ", ""):
        told = f"{line}\n{trace}{kind}no data\n\n{line}\nlogs"
        error = RuntimeError(f"Job failed during processing with trace:\n{told}")
        assert cluster._reason(error) == "no data"
    assert cluster._reason(RuntimeError("no data\nsecond line")) == "no data"


def test_a_queue_that_does_not_answer_is_not_an_empty_one(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Cells that wait there would be submitted twice; waiting for them would end at once."""
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Socket timed out' >&2\nexit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    folder, file = tmp_path / "runs" / "studies" / "small", tmp_path / "cluster.yaml"
    words = ("sweep", study, "--output-dir", tmp_path / "runs")
    assert hbr(*words, "--status").code == 0  # nothing was submitted
    folder.mkdir(parents=True)
    (folder / "jobs.json").write_text('{"prepare": "1"}')
    file.write_text("{}")
    for more in (("--status",), ("--cluster", file)):
        said = hbr(*words, *more)
        assert (said.code, "(slurm_load_jobs error: Socket timed out)" in said.err) == (1, True)


def test_waiting_goes_on_while_the_queue_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jobs.json").write_text('{"prepare": "1"}')
    monkeypatch.setattr(cluster, "POLL", 0)
    answers = iter([UserError("silent"), UserError("silent"), {"1": "running"}, {}])

    def queued() -> dict[str, str]:
        answer = next(answers)
        if isinstance(answer, UserError):
            raise answer
        return answer

    monkeypatch.setattr(cluster, "queued", queued)
    cluster.wait_for(tmp_path)
    assert next(answers, None) is None
    assert caplog.text.count("silent: waiting goes on") == 1


@pytest.mark.parametrize("part", ["--status", "--report", "--prepare"])
def test_force_with_a_part_that_repeats_nothing_is_refused(study: Path, part: str) -> None:
    said = hbr("sweep", study, part, "--force")
    assert (said.code, f"--force goes without {part}" in said.err) == (2, True)


def test_force_on_a_cluster_is_refused(study: Path, tmp_path: Path) -> None:
    said = hbr("sweep", study, "--cluster", tmp_path / "c.yaml", "--force")
    assert (said.code, "would begin again" in said.err) == (2, True)


def test_a_failure_of_several_lines_is_a_failure_in_the_status(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, *_ = cells(read_study(study), tmp_path / "runs", {})

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(work, "update", fail)
    outcome = work.work(cell, tmp_path / "logs", wait=True)
    assert outcome.reason == "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB"
    (known,) = status([cell], tmp_path / "logs", {})
    assert (known.state, known.reason) == ("failed", outcome.reason)
