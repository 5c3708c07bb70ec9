"""`hbr runs` and `hbr show`: what is there, how far it is, and what may go."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from hbr.core.lease import lease
from hbr.core.store import Store
from hbr.experiments.pruning import leftovers
from tests.support import beside, finished, hbr, only_run

QUICK = ("--steps", "3", "--batch-size", "16", "--device", "cpu")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two finished runs, the second on two data sets."""
    finished(tmp_path, "hybrid", {"multi map": 0.25, "mono map": 0.5})
    finished(tmp_path, "monolingual", {"multi map": 0.75, "mono map": 1.0})
    finished(tmp_path, "monolingual", {"mono map": 0.125}, dataset="miracl")
    return tmp_path


def listed(runs: Path, *words: str) -> list[dict]:
    return json.loads(hbr("runs", *words, "--output-dir", runs, "--json").out)


def test_a_list_has_the_score_in_the_pool_or_of_mono_where_there_is_none(runs: Path) -> None:
    found = {run["sampler"]: run for run in listed(runs)}
    assert found["hybrid"]["score"] == {
        "dataset": "embedded",
        "setting": "multi",
        "metric": "map",
        "value": 0.25,
    }
    assert found["monolingual"]["evaluated"] == ["embedded", "miracl"]
    (one,) = listed(runs, "--dataset", "miracl")
    assert (one["score"]["setting"], one["score"]["value"]) == ("mono", 0.125)


def test_filters_keep_the_runs_that_are_like_that(runs: Path) -> None:
    assert [run["sampler"] for run in listed(runs, "--sampler", "hybrid")] == ["hybrid"]
    assert listed(runs, "--encoder", "labse") == []
    assert len(listed(runs, "--state", "evaluated", "--encoder", "xlm-r-tiny")) == 2
    assert "no run like that" in hbr("runs", "--sampler", "x", "--output-dir", runs).err


def test_a_damaged_run_is_named_and_the_others_are_listed(runs: Path) -> None:
    damaged = next(runs.glob("hybrid*"))
    (damaged / "manifest.json").write_text("{")
    said = hbr("runs", "--output-dir", runs, "--json")
    assert [run["sampler"] for run in json.loads(said.out)] == ["monolingual"]
    assert f"{damaged.name} is left out" in said.err


@pytest.mark.parametrize("width", ["80", "160"])
def test_lists_fit_the_terminal_and_cut_no_number(
    runs: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    said = hbr("runs", "--output-dir", runs, "--dataset", "embedded")
    assert "embedded .750" in said.out
    assert max(map(len, said.out.splitlines())) <= int(width)


def test_a_stage_made_from_what_was_made_anew_since_is_stale(runs: Path) -> None:
    run = next(runs.glob("hybrid*"))
    shown = json.loads(hbr("show", run, "--json").out)
    assert {line["stage"]: line["state"] for line in shown["stages"]} == {
        "train": "done",
        "encode/embedded": "done",
        "evaluate/embedded": "done",
    }
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["stages"]["train"]["id"] = "another"
    (run / "manifest.json").write_text(json.dumps(manifest))
    shown = json.loads(hbr("show", run, "--json").out)
    assert [line["state"] for line in shown["stages"]] == ["done", "stale", "stale"]


def test_runs_are_chosen_by_names_in_any_spelling(tmp_path: Path) -> None:
    run = finished(tmp_path, "cross-lingual", {"mono map": 0.5})
    words = ("--sampler", "cross_lingual", "--encoder", "xlm_r_tiny", "--json")
    (found,) = json.loads(hbr("runs", "--output-dir", tmp_path, *words).out)
    assert Path(found["run"]).name == run.name
    said = hbr("runs", "--prune", "--sampler", "hybrid", "--output-dir", tmp_path)
    assert said.code == 2
    said = hbr("runs", "--prune", "--json", "--output-dir", tmp_path)
    assert (said.code, "--prune goes without --" in said.err) == (2, True)


def test_show_has_only_the_settings_that_differ(tmp_path: Path) -> None:
    run = finished(tmp_path, "hybrid", {"mono map": 0.5}, settings={"train.batch_size": 32})
    shown = json.loads(hbr("show", run, "--json").out)
    changed = {line["setting"]: (line["value"], line["default"]) for line in shown["settings"]}
    assert changed["train.batch_size"] == (32, 64)
    assert "train.max_steps" not in changed
    assert shown["scores"][0] == {
        "dataset": "embedded",
        "setting": "mono",
        "map": 0.5,
        "map_spread": 0.0,
    }
    text = hbr("show", run).out
    assert "train.batch_size" in text
    assert ".500" in text
    said = hbr("show", tmp_path / "nowhere")
    assert (said.code, "nowhere is no run" in said.err) == (2, True)


def test_a_finished_run_keeps_no_optimizer_state_unless_asked(world: Path, tmp_path: Path) -> None:
    for folder, words in (("plain", []), ("kept", ["--keep-checkpoint"])):
        runs = beside(world, tmp_path / folder)
        assert hbr("train", *QUICK, *words, "--output-dir", runs).code == 0
    plain, kept = only_run(tmp_path / "plain"), only_run(tmp_path / "kept")
    assert plain.name == kept.name
    states = [(run / "train" / "checkpoint-last").exists() for run in (plain, kept)]
    assert states == [False, True]
    best = json.loads(hbr("show", plain, "--json").out)["best"]
    assert f"validation loss {best['validation_loss']:.4f}" in hbr("show", plain).out
    pruned = hbr("runs", "--prune", "--output-dir", tmp_path / "kept")
    assert kept.name not in pruned.out  # the data beside it are those of other tests too
    assert "up to date" in hbr("train", *QUICK, "--output-dir", tmp_path / "plain").err


def test_files_of_a_model_are_read_by_whom_the_umask_lets(world: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        runs = beside(world, tmp_path)
        assert hbr("train", *QUICK, "--untrained", "--output-dir", runs).code == 0
    finally:
        os.umask(before)
    files = [f for f in (only_run(runs) / "model").rglob("*") if f.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o644}


def test_pruning_removes_what_serves_nothing_and_nothing_else(runs: Path) -> None:
    run = next(runs.glob("hybrid*"))
    state = run / "train" / "checkpoint-last"
    state.mkdir()
    (state / "state.safetensors").write_bytes(b"x" * 5_000_000)
    partial = run / "encode" / ".embedded.partial"
    partial.mkdir(parents=True)
    (partial / "queries-00000.npy").write_bytes(b"y" * 1000)
    download = runs / "downloads" / "miracl"
    download.mkdir(parents=True)
    (download / "file").write_bytes(b"z" * 2000)
    waiting = runs / "downloads" / "beir-scifact"
    waiting.mkdir()
    (run / "model").mkdir()
    (run / "model" / "model.safetensors").write_bytes(b"weights")
    earlier, exported = (run / "exported" / f"openvino-{name}" for name in ("earlier", "now"))
    for folder in (earlier, exported):
        folder.mkdir(parents=True)
        (folder / "encoder.xml").write_text("")
    os.utime(earlier, (0, 0))  # before the encoder was trained
    later = time.time() + 60
    os.utime(run / "model", (later, later))  # a new card, as after each evaluation
    Store(runs / "data" / "miracl-123456").build(
        "task", lambda folder: {"source": str(download)}, settings={}
    )
    before = {f: f.read_bytes() for f in run.rglob("*") if f.is_file() and "part" not in f"{f}"}
    del before[earlier / "encoder.xml"]
    said = hbr("runs", "--prune", "--output-dir", runs)
    assert (said.code, "would free 5 MB; say --yes" in said.err) == (2, True)
    assert "unfinished: encode/embedded" in said.out
    assert state.exists()
    assert hbr("runs", "--prune", "--yes", "--output-dir", runs).out.endswith("5 MB freed\n")
    assert not state.exists()
    assert not partial.exists()
    assert not download.exists()
    assert not earlier.exists()
    assert exported.exists()
    assert waiting.exists()
    del before[state / "state.safetensors"]
    assert {f: f.read_bytes() for f in run.rglob("*") if f in before} == before
    assert "nothing to remove" in hbr("runs", "--prune", "--output-dir", runs).out


def test_of_downloads_from_the_hub_only_prepared_repositories_go(tmp_path: Path) -> None:
    org = tmp_path / "downloads" / "clips"
    for name, marks in {"mfaq": (".whole-1",), "other": (".whole-1",), "coming": ()}.items():
        (org / name).mkdir(parents=True)
        for mark in marks:
            (org / name / mark).write_text("commit")

    def prepared(label: str, source: Path) -> None:
        Store(tmp_path / "data" / label).build(
            "rows", lambda folder: {"source": str(source)}, settings={}
        )

    prepared("mfaq-1", org / "mfaq")
    assert [item.path for item in leftovers(tmp_path)] == [org / "mfaq"]
    with lease(org / "coming", wait=False):  # it may need what is there
        assert leftovers(tmp_path) == []
    prepared("both-1", org)  # from several repositories
    assert [item.path for item in leftovers(tmp_path)] == [org / "mfaq", org / "other"]


def test_what_a_process_is_at_is_running_and_stays(runs: Path) -> None:
    run = next(runs.glob("hybrid*"))
    (run / ".train.partial").mkdir()
    with lease(run, wait=False):
        assert {r["sampler"]: r["state"] for r in listed(runs)}["hybrid"] == "running"
        assert "nothing to remove" in hbr("runs", "--prune", "--yes", "--output-dir", runs).out
    assert "freed" in hbr("runs", "--prune", "--yes", "--output-dir", runs).out


def test_real_rows_are_told_that_the_default_encoder_is_a_toy_and_what_to_evaluate(
    world: Path, tmp_path: Path, rows_file
) -> None:
    data = rows_file(count=40)
    words = ("train", "--data", data, *QUICK, "--output-dir", beside(world, tmp_path / "runs"))
    said = hbr(*words)
    assert said.code == 0
    assert "xlm-r-tiny is a toy for the made-up languages" in said.err
    assert "next: hbr evaluate --dataset NAME" in said.err
