"""Trackers, without a network: training, results by language and verdicts arrive; by name again."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hbr.compare.model import REFUTED, Verdict
from hbr.core.config import flat, resolve_config
from hbr.core.errors import UserError
from hbr.experiments.tracking import result_values, track_results, track_verdicts
from hbr.training.log import Log
from hbr.training.trackers import Place, check, open_writers, report
from tests.support import beside, finished, only_run

PLACE = Place("hybrid-s0", {"train": {"max_steps": 2}, "seed": 0})
QUICK = ("--steps", "2", "--batch-size", "16", "--logging-steps", "1", "--device", "cpu")


def reported(name: str) -> None:
    """Report to a run twice, in a process whose end sends what is left."""
    code = (
        "from hbr.training.trackers import Place, report\n"
        "place = Place('hybrid-s0', {'seed': 0})\n"
        f"report([{name!r}], place, {{'loss': 0.5}}, 1)\n"
        f"report([{name!r}], place, {{'map': 1.0}}, 2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_none_is_nowhere_and_unknown_names_are_mistakes() -> None:
    assert resolve_config({"report_to": "none"}).train.report_to == ()
    assert resolve_config({"report_to": ["wandb", "mlflow"]}).train.report_to == ("wandb", "mlflow")
    with pytest.raises(UserError, match="did you mean wandb"):
        resolve_config({"report_to": "wanbd"})


def test_a_tracker_that_is_not_installed_is_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"report_to=wandb needs wandb: pip install 'hbr\[wandb\]'"):
        check(["wandb"])


def test_no_tracker_is_imported_unless_it_is_chosen(world: Path, tmp_path: Path) -> None:
    runs = beside(world, tmp_path)
    words = ["train", *QUICK, "--report-to", "none", "--output-dir", str(runs)]
    code = (
        f"import sys; sys.argv = ['hbr', *{words!r}]\nfrom hbr.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('tensorboard', 'wandb', 'mlflow', 'trackio')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    assert not (only_run(runs) / "train" / "tensorboard").exists()


def test_results_are_named_by_data_set_setting_and_language() -> None:
    metrics = {
        "dataset": "d",
        "settings": {"mono": {"map": 0.5, "rank_distance": None}},
        "by_query_language": {"mono": {"de": {"map": 0.25}}},
    }
    assert result_values(metrics) == {"d/mono/map": 0.5, "d/mono/de/map": 0.25}
    assert flat(PLACE.settings) == {"train.max_steps": 2, "seed": 0}


def test_wandb_offline_keeps_a_run_in_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("wandb", reason="needs hbr[wandb]")
    for name, value in (("MODE", "offline"), ("DIR", str(tmp_path)), ("SILENT", "true")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    reported("wandb")
    logs = sorted(tmp_path.glob("wandb/offline-run-*/run-hybrid-s0.wandb"))
    written = b"".join(log.read_bytes() for log in logs)
    assert b"loss" in written
    assert b"map" in written


def test_mlflow_has_training_results_and_verdicts_in_one_run_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs hbr[mlflow]")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    config = resolve_config({"report_to": "mlflow", "max_steps": 2})
    run = finished(tmp_path, "hybrid", {"multi map": 0.25, "multi map@20": 0.5})
    with Log(run / "train", config) as log:
        log.write({"step": 1, "loss": 1.5, "mode": "monolingual"})
    track_results(config, run, run / "evaluate" / "embedded")
    track_verdicts("s", config, [Verdict("c", "a sentence", "map", "mono", REFUTED, ())])
    runs = mlflow.search_runs(experiment_names=["hbr"], output_format="list")
    found = {one.info.run_name: one.data for one in runs}
    assert found.keys() == {run.name, "study-s"}
    trained = found[run.name]
    assert trained.metrics["loss"] == 1.5
    assert trained.metrics["embedded/multi/th/map_at_20"] == 0.5
    assert trained.params["train.max_steps"] == "2"
    assert found["study-s"].metrics == {"claims/c": -1.0}


def test_mlflow_takes_names_of_tasks_of_mteb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs hbr[mlflow]")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    report(["mlflow"], PLACE, {"mteb:T/de,en/mono/mteb.ndcg@10": 0.5}, 2)
    (found,) = mlflow.search_runs(experiment_names=["hbr"], output_format="list")
    assert found.data.metrics == {"mteb:T/de_en/mono/mteb.ndcg_at_10": 0.5}


def test_trackio_keeps_a_run_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("trackio", reason="needs hbr[trackio]")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    reported("trackio")
    (database,) = tmp_path.glob("hbr*.db")
    rows = sqlite3.connect(database).execute("select step, metrics from metrics").fetchall()
    assert [(step, json.loads(text)) for step, text in rows] == [
        (1, {"loss": 0.5}),
        (2, {"map": 1.0}),
    ]


def test_tensorboard_takes_no_results_without_a_folder() -> None:
    assert open_writers(["tensorboard"], PLACE) == []
