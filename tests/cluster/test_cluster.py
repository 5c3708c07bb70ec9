"""A study on a two-node Slurm: the same bytes as a sweep here, whatever happens to its jobs.

`make test-cluster` runs this, as root, where Debian's Slurm is installed; see `slurm.sh`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "docs" / "scripts"
HBR = [sys.executable, "-m", "hbr"]
STUDY = {
    "title": "three cells",
    "base": {"train": {"max_steps": 60, "batch_size": 8, "logging_steps": 1, "save_steps": 1000}},
    "grid": {"sampler": ["monolingual", "hybrid", "cross-lingual"]},
    "untrained": False,
    "evaluate": ["embedded"],
}
CLUSTER = {"cluster": "slurm", "timeout_min": 20, "cpus_per_task": 1}

pytestmark = pytest.mark.skipif(
    os.environ.get("HBR_TEST_CLUSTER") != "1" or not shutil.which("slurmctld"),
    reason="make test-cluster sets up Slurm and runs this",
)


def on(node: str, *words: object, check: bool = True) -> str:
    """Run a command on a node; give what it prints, the log too."""
    command = ["bash", HERE / "slurm.sh", "on", node, *map(str, words)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory):
    os.environ["SLURM_TEST_STATE"] = str(tmp_path_factory.mktemp("slurm"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ |= {"OMP_NUM_THREADS": "1", "HBR_LEASE_SECONDS": "10", "PATH": path}
    os.environ |= {"GLOO_SOCKET_IFNAME": "eth1"}
    subprocess.run(["bash", HERE / "slurm.sh", "up"], check=True, timeout=60)
    yield
    subprocess.run(["bash", HERE / "slurm.sh", "down"], timeout=60)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study done by a sweep of one process, without Slurm."""
    folder = tmp_path_factory.mktemp("here")
    path = write_study(folder)
    subprocess.run([*HBR, "sweep", path, "--output-dir", folder / "runs"], check=True, timeout=900)
    return folder / "runs"


def write_study(folder: Path, **base: object) -> Path:
    content = STUDY | {"base": {"train": STUDY["base"]["train"] | base}}
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    (folder / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
    return folder / "study.yaml"


def sweep(folder: Path, *words: object, check: bool = True) -> str:
    place = ("--output-dir", folder / "runs")
    return on("n1", *HBR, "sweep", folder / "study.yaml", *place, *words, check=check)


def submit(folder: Path) -> dict[str, str]:
    """Submit the study; give the numbers of its jobs."""
    sweep(folder, "--cluster", folder / "cluster.yaml")
    return json.loads((folder / "runs/studies/study/jobs.json").read_text())


def until(what: str, true, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def ends(jobs: dict[str, str]) -> None:
    until("the queue is empty", lambda: jobs["report"] not in on("n1", "squeue", "-h", "-o", "%i"))


def weights(runs: Path) -> dict[str, bytes]:
    found = runs.glob("*/model/**/model.safetensors")
    return {path.relative_to(runs).parts[0]: path.read_bytes() for path in found}


def steps(runs: Path) -> dict[str, int]:
    """Return how many steps each cell that is being trained has in its log."""
    logs = runs.glob("*/.train.*.partial/log.jsonl")
    return {log.parts[-3]: len(log.read_bytes().splitlines()) for log in logs}


def test_cells_on_two_nodes_told_to_go_preempted_and_lost_end_in_the_same_bytes(
    tmp_path: Path, here: Path
) -> None:
    write_study(tmp_path)
    jobs = submit(tmp_path)
    runs = tmp_path / "runs"
    until("two cells train", lambda: sum(n >= 3 for n in steps(runs).values()) >= 2)
    assert " running " in sweep(tmp_path, "--status")
    first = next(name for name, n in steps(runs).items() if n >= 3)
    on("n1", "scancel", "--signal=USR2", jobs[first], check=False)  # its time is up
    preempting = ["-p", "urgent", "-n", "1", "-c", "2", "--exclusive", "-w", "n2", "sleep", "1"]
    on("n1", "srun", *preempting)
    ends(jobs)
    assert " running " not in sweep(tmp_path, "--status")
    jobs = jobs | submit(tmp_path)  # only what is stale, perhaps nothing
    ends(jobs)
    assert "told to go" in "".join(p.read_text() for p in runs.glob("studies/study/logs/*.log"))
    assert weights(runs) == weights(here)
    assert (runs / "studies/study/report.html").exists()


def test_a_cell_that_diverges_fails_alone_and_says_why(tmp_path: Path) -> None:
    write_study(tmp_path, learning_rate=1e6, weight_decay=1e6, max_steps=5)
    said = sweep(tmp_path, "--cluster", tmp_path / "cluster.yaml", "--wait", check=False)
    assert "not finite" in said
    assert sweep(tmp_path, "--status").count(" failed ") == 3


def test_a_node_that_is_lost_takes_its_cell_along_until_the_command_is_repeated(
    tmp_path: Path, here: Path
) -> None:
    write_study(tmp_path)
    jobs = submit(tmp_path)
    runs = tmp_path / "runs"
    until("a cell trains", lambda: any(n >= 3 for n in steps(runs).values()))
    pids = subprocess.run(["ip", "netns", "pids", "n2"], capture_output=True, encoding="utf-8")
    for pid in pids.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    time.sleep(20)  # SlurmdTimeout
    on("n2", "slurmd", "-N", "n2")
    ends(jobs)
    ends(jobs | submit(tmp_path))
    assert weights(runs) == weights(here)


def test_the_scripts_of_the_docs_do_cells_on_tasks_and_a_cell_on_two_nodes(
    tmp_path: Path, here: Path
) -> None:
    study = write_study(tmp_path)
    names = {"STUDY": study, "HBR_RUNS": tmp_path / "runs", "CELL": "2"}
    given = ["--export", ",".join(["ALL", *(f"{k}={v}" for k, v in names.items())])]
    log = ["-o", tmp_path / "log-%j"]
    sweep(tmp_path, "--prepare")
    on("n1", "sbatch", "--wait", *given, *log, "--array=0-1", SCRIPTS / "cells.sbatch")
    on("n1", "sbatch", "--wait", *given, *log, SCRIPTS / "ranks.sbatch")
    assert sweep(tmp_path, "--status").count(" done ") == 3
    (run,) = (tmp_path / "runs").glob("cross-lingual-*")
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["stages"]["train"]["ranks"] == 2
    alone = {name: bytes for name, bytes in weights(here).items() if name != run.name}
    assert alone.items() <= weights(tmp_path / "runs").items()
