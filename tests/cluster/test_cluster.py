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
from typing import NamedTuple

import pytest
import yaml

from hbr.core.lease import owner_of

HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "docs" / "scripts"
HBR = [sys.executable, "-m", "hbr"]
MAX_STEPS = 60
TRAIN = {"max_steps": MAX_STEPS, "batch_size": 8, "logging_steps": 1, "save_steps": 1000}
STUDY = {
    "title": "three cells",
    "base": {"train": TRAIN},
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


@pytest.fixture(autouse=True)
def jobs_end_with_their_test(slurm):
    yield
    on("n1", "scancel", "--user=root", check=False)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study done by a sweep of one process, without Slurm."""
    folder = tmp_path_factory.mktemp("here")
    path = write_study(folder)
    subprocess.run([*HBR, "sweep", path, "--output-dir", folder / "runs"], check=True, timeout=900)
    return folder / "runs"


def write_study(folder: Path, **parts: object) -> Path:
    content = STUDY | parts
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
        time.sleep(0.05)


def ends(jobs: dict[str, str]) -> None:
    until("the queue is empty", lambda: jobs["report"] not in on("n1", "squeue", "-h", "-o", "%i"))


def weights(runs: Path) -> dict[str, bytes]:
    found = runs.glob("*/model/**/model.safetensors")
    return {path.relative_to(runs).parts[0]: path.read_bytes() for path in found}


class Trained(NamedTuple):
    """A cell that is being trained, and by which process."""

    cell: str
    process: int


def hold(runs: Path) -> dict[str, Trained]:
    """Stop the process that first trains a few steps on each of the nodes."""
    held: dict[str, Trained] = {}

    def both() -> bool:
        for log in runs.glob("*/.train.*.partial/log.jsonl"):
            _, process, _, host = owner_of(log.parents[1]).split()  # process P on H
            if host not in held and len(log.read_bytes().splitlines()) >= 3:
                os.kill(int(process), signal.SIGSTOP)
                held[host] = Trained(log.parts[-3], int(process))
        return len(held) == 2

    until("a cell trains on each node", both)
    return held


def test_cells_on_two_nodes_told_to_go_preempted_and_lost_end_in_the_same_bytes(
    tmp_path: Path, here: Path
) -> None:
    write_study(tmp_path)
    jobs = submit(tmp_path)
    runs = tmp_path / "runs"
    trained = hold(runs)
    assert f"running  {trained['n1'].cell}  step " in sweep(tmp_path, "--status")
    on("n1", "scancel", "--signal=USR2", jobs[trained["n1"].cell])  # its time is up
    preempting = ["-p", "urgent", "-n", "1", "-c", "2", "--exclusive", "-w", "n2", "sleep", "1"]
    for each in trained.values():
        os.kill(each.process, signal.SIGCONT)
    on("n1", "srun", *preempting)
    ends(jobs)
    assert sweep(tmp_path, "--status").count(" done ") == 3
    assert submit(tmp_path) == jobs  # nothing is left to do
    assert "told to go" in "".join(p.read_text() for p in runs.glob("studies/study/logs/*.log"))
    assert weights(runs) == weights(here)
    assert (runs / "studies/study/report.html").exists()


def test_a_cell_that_diverges_fails_alone_and_says_why(tmp_path: Path) -> None:
    base = {"train": TRAIN | {"weight_decay": 1e6}}
    write_study(tmp_path, base=base, grid={"learning_rate": [1e-9, 1e6]})
    said = sweep(tmp_path, "--cluster", tmp_path / "cluster.yaml", "--wait", check=False)
    assert said.count("failed: ") == 1
    assert "not finite" in said
    status = sweep(tmp_path, "--status")
    assert (status.count(" done "), status.count(" failed ")) == (1, 1)


def test_a_cell_of_a_node_that_is_lost_goes_on_elsewhere(tmp_path: Path, here: Path) -> None:
    write_study(tmp_path)
    jobs = submit(tmp_path)
    runs = tmp_path / "runs"
    trained = hold(runs)
    pids = subprocess.run(["ip", "netns", "pids", "n2"], capture_output=True, encoding="utf-8")
    for pid in map(int, pids.stdout.split()):
        os.kill(pid, signal.SIGKILL)
    os.kill(trained["n1"].process, signal.SIGCONT)
    ends(jobs)
    assert weights(runs) == weights(here)
    on("n2", "slurmd", "-N", "n2")
    until("n2 is back", lambda: on("n1", "sinfo", "-h", "-t", "idle", "-o", "%D").split()[0] == "2")


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
