"""The commands as a person types them, mistakes above all: one clear line, the right exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import beside, hbr, only_run

QUICK = ("--steps", "3", "--batch-size", "16", "--device", "cpu")


@pytest.fixture(scope="module")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one trained run, evaluated on the embedded data."""
    runs = beside(world, tmp_path_factory.mktemp("trained"))
    assert hbr("train", *QUICK, "--output-dir", runs).code == 0
    assert hbr("evaluate", "--output-dir", runs).code == 0
    return runs


def test_train_says_where_the_run_is_and_what_to_do_next(world: Path, tmp_path: Path) -> None:
    runs = beside(world, tmp_path)
    said = hbr("train", "--sampler", "hybrid", *QUICK, "--output-dir", runs)
    assert said.code == 0
    run = only_run(runs)
    assert said.out.strip() == str(run)
    assert run.name.startswith("hybrid-xlm-r-tiny-s0-")
    assert "next: hbr evaluate" in said.err
    assert (runs / "latest").resolve() == run.resolve()
    again = hbr("train", "--sampler", "hybrid", *QUICK, "--output-dir", runs)
    assert "up to date" in again.err


def test_the_config_of_a_run_makes_the_same_run(trained: Path) -> None:
    run = only_run(trained)
    said = hbr("train", "-C", run / "config.yaml", "--output-dir", trained)
    assert (said.out.strip(), "up to date" in said.err) == (str(run), True)


def test_evaluate_takes_the_last_run_and_says_so(trained: Path) -> None:
    said = hbr("evaluate", "--output-dir", trained, "--json")
    assert said.code == 0
    assert f"run: {trained / only_run(trained).name}" in said.err
    metrics = json.loads(said.out)
    assert metrics["settings"].keys() == {"mono", "cross", "multi"}
    assert len(metrics["by_pair"]) == 100


def test_evaluate_writes_a_trec_run_that_ir_measures_reads(trained: Path) -> None:
    import ir_measures

    said = hbr("evaluate", "--output-dir", trained, "--trec", "--json")
    folder = only_run(trained) / "evaluate" / "embedded"
    run = ir_measures.read_trec_run(str(folder / "run.trec.gz"))
    qrels = ir_measures.read_trec_qrels(str(folder / "qrels.trec"))
    measure = ir_measures.parse_measure("R@10")
    by_query = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
    by_language: dict[str, list[float]] = {}
    for query, value in by_query.items():
        by_language.setdefault(query.partition(":")[0], []).append(value)
    mean = np.mean([np.mean(values) for values in by_language.values()])
    told = json.loads(said.out)["settings"]["multi"]["recall@10"]
    assert mean == pytest.approx(told, abs=1e-3)  # ties are broken by another rule


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw", "pq"])
def test_index_reports_its_recall_and_evaluate_uses_it(trained: Path, kind: str) -> None:
    said = hbr("index", "--kind", kind, "--output-dir", trained, "--json")
    assert said.code == 0
    recall = json.loads(said.out)["recall@10_of_exact"]
    assert (recall > 0.999) if kind == "flat" else (0.2 < recall <= 1)
    said = hbr("evaluate", "--index", kind, "--output-dir", trained, "--json")
    assert said.code == 0
    metrics = json.loads(said.out)
    assert metrics["search"] == f"faiss {kind}"
    exact = json.loads(hbr("evaluate", "--output-dir", trained, "--json").out)
    if kind == "flat":
        near = pytest.approx(exact["settings"]["mono"]["recall@10"], abs=1e-3)
        assert metrics["settings"]["mono"]["recall@10"] == near


def stages(run: Path) -> dict[str, dict[str, object]]:
    return json.loads((run / "manifest.json").read_text())["stages"]


def test_a_stage_is_done_once_and_again_only_when_forced(trained: Path) -> None:
    run = only_run(trained)
    hbr("encode", "--output-dir", trained)
    before = stages(run)["encode/embedded"]
    assert "up to date" in hbr("encode", "--output-dir", trained).err
    assert stages(run)["encode/embedded"] == before
    assert "up to date" not in hbr("encode", "--output-dir", trained, "--force").err
    assert stages(run)["encode/embedded"]["id"] == before["id"]


def test_changed_training_data_make_everything_behind_them_stale(
    world: Path, tmp_path: Path
) -> None:
    from hbr.data import invitro

    runs, file = beside(world, tmp_path / "runs"), tmp_path / "rows.jsonl"
    rows = list(invitro.rows("validation"))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = ("train", "--data", file, *QUICK, "--output-dir", runs)
    assert hbr(*train).code == hbr("evaluate", "--output-dir", runs).code == 0
    run = only_run(runs)
    before = stages(run)
    file.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    assert "up to date" not in hbr(*train).err
    assert only_run(runs) == run
    assert hbr("evaluate", "--output-dir", runs).code == 0
    after = stages(run)
    for stage in ("train", "encode/embedded", "evaluate/embedded"):
        assert before[stage]["id"] != after[stage]["id"], stage


def test_compare_lines_runs_up(trained: Path) -> None:
    said = hbr("compare", only_run(trained), "--format", "csv")
    assert said.code == 0
    assert said.out.startswith("encoder,sampler,query_language,seeds,mono map,mono map sd")


def test_plan_shows_a_batch_and_a_summary_without_torch(world: Path, tmp_path: Path) -> None:
    runs = beside(world, tmp_path)
    said = hbr("plan", "--sampler", "hybrid", "--batches", "50", "--output-dir", runs, "--json")
    summary = json.loads(said.out)
    assert summary["batches"] == 50
    assert sum(summary["modes"].values()) == 50
    again = hbr("plan", "--sampler", "hybrid", "--batches", "50", "--output-dir", runs, "--json")
    assert json.loads(again.out)["hash"] == summary["hash"]
    batch = json.loads(hbr("plan", "--step", "1234", "--output-dir", runs, "--json").out)
    assert batch["step"] == 1234
    assert len(batch["pairs"]) == 64
    code = (
        "import sys; sys.argv = ['hbr', 'plan', '-h'][:2] + ['--batches', '5', '--output-dir', "
        f"{str(runs)!r}]\nfrom hbr.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'faiss', 'datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_underscores_and_dashes_are_the_same(world: Path, tmp_path: Path) -> None:
    runs = beside(world, tmp_path)
    said = hbr("plan", "--sampler", "cross_lingual", "--batch_size", "8", "--output_dir", runs)
    assert said.code == 0


def test_layers_win_in_order_and_print_config_shows_the_result(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("train: {steps: 1, lr: 1e-5}\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("train: {steps: 2}\n")
    files = ["-C", tmp_path / "a.yaml", "-C", tmp_path / "b.yaml"]
    words = [*files, "--set", "batch_size=50", "--seed", "9", "--print-config"]
    shown = hbr("train", *words).out
    assert "steps: 2\n" in shown
    assert "lr: 1.0e-05\n" in shown
    assert "batch_size: 50\n" in shown
    assert shown.startswith("seed: 9\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--sampler", "hybird"], "there is no sampler 'hybird'; did you mean hybrid?"),
        (["train", "--encoder", "xlmr"], "there is no encoder 'xlmr'; did you mean xlm-r"),
        (["train", "--data", "embeded"], "there is no rows 'embeded'; did you mean embedded"),
        (["train", "--data", "missing.jsonl"], "--data missing.jsonl: there is no such file"),
        (["train", "--alpha", "2"], "sampler.alpha"),
        (["train", "--alpha", "x"], "--alpha 'x': give a number, or START,END"),
        (["train", "-C", "missing.yaml"], "missing.yaml: there is no such file"),
        (["train", "--set", "stepz=1"], "there is no setting 'stepz'; did you mean steps"),
        (["train", "--set", "train.objective=infonec"], "did you mean infonce"),
        (["train", "--batch-size", "400"], "325 rows can serve monolingual batches (qae)"),
        (["train", "--set", "data.languages=[qaa, xx]"], "the training data have no language 'xx'"),
        (["train", *QUICK, "--device", "cuda:9"], "--device cuda:9:"),
        (["evaluate"], "has no run yet; `hbr train` makes one"),
        (["evaluate", "--run", "nowhere"], "nowhere is no run"),
        (["compare"], "name the runs to compare"),
        (["sweep", "missing.yaml"], "missing.yaml: there is no such file"),
        (["plan", "--sampler", "untrained"], "an untrained encoder sees no batches"),
        (["prepare", "--dataset", "xquadr"], "there is no task 'xquadr'; did you mean xquad-r?"),
        (["prepare", "--dataset", "lareqa"], "--dataset lareqa needs --source DIR"),
        (["prepare", "--dataset", "lareqa", "--source", "gone"], "--source gone: there is no such"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2(
    world: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    runs = beside(world, tmp_path)
    said = hbr(*words, "--output-dir", runs)
    assert told in said.err
    assert (said.code, said.out) == (2, "")
    assert said.err.strip().splitlines()[-1].startswith("hbr: ")
    assert "Traceback" not in said.err


def test_every_mistake_in_a_config_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("train: {stepz: 1, lr: fast}\nsamplr: hybrid\n")
    said = hbr("train", "-C", tmp_path / "c.yaml")
    assert said.code == 2
    assert "'samplr'" in said.err
    (tmp_path / "c.yaml").write_text("train: {stepz: 1, lr: fast}\n")
    said = hbr("train", "-C", tmp_path / "c.yaml")
    assert "'train.stepz'; did you mean steps" in said.err
    assert "train.lr = 'fast'" in said.err


def test_a_broken_line_of_training_data_is_named(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    row = {"id": "a", "query": {"en": "q", "de": "f"}, "passage": {"en": "p", "de": "a"}}
    runs = beside(world, tmp_path / "runs")
    broken = [
        ("{not json", "not JSON"),
        (json.dumps({**row, "passage": {"en": "p"}}), "its passage lacks de"),
        (json.dumps({**row, "query": {"en": ""}}), "is empty or no text"),
    ]
    for line, told in broken:
        file.write_text(json.dumps(row) + "\n" + line + "\n")
        said = hbr("train", "--data", file, *QUICK, "--output-dir", runs)
        assert said.code == 2
        assert f"{file}:2: " in said.err
        assert told in said.err


def test_an_evaluation_set_that_cannot_be_downloaded_says_how_to_hand_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.error

    def no_network(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.delenv("HBR_DATA", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    said = hbr("prepare", "--dataset", "xquad-r", "--output-dir", tmp_path)
    assert said.code == 1
    assert "put ar.json … zh.json into a folder and say --source FOLDER" in said.err
    assert "HBR_DATA" in said.err


def test_two_files_of_one_name_are_two_inputs(world: Path, tmp_path: Path) -> None:
    from hbr.data import invitro

    runs, rows = beside(world, tmp_path / "runs"), list(invitro.rows("validation"))
    files = [tmp_path / name / "rows.jsonl" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("train", "--data", files[0], "--data", files[1], *QUICK, "--output-dir", runs)
    assert hbr(*words).code == 0
    files[0].write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    assert "up to date" not in hbr(*words).err


def test_the_source_of_a_data_set_is_never_guessed(
    world: Path, tmp_path: Path, trained: Path
) -> None:
    document = {"version": "1.1", "data": []}
    for name in ("a", "b"):
        context = f"One {name}. Two."
        answer = {"text": "One", "answer_start": 0}
        questions = [{"id": "q", "question": "?", "answers": [answer]}]
        paragraph = {"context": context, "qas": questions, "sentence_breaks": [[0, 6], [7, 11]]}
        document["data"] = [{"title": "t", "paragraphs": [paragraph]}]
        (tmp_path / name).mkdir()
        (tmp_path / name / "en.json").write_text(json.dumps(document))
    words = ("prepare", "--dataset", "lareqa", "--output-dir", tmp_path)
    assert hbr(*words, "--source", tmp_path / "a").code == 0
    assert hbr(*words).code == 0
    assert hbr(*words, "--source", tmp_path / "b").code == 0
    said = hbr(*words)
    assert (said.code, "was prepared from several sources" in said.err) == (2, True)
    said = hbr("evaluate", "--source", tmp_path / "a", "--output-dir", trained)
    assert (said.code, "embedded takes no files" in said.err) == (2, True)


def test_a_trec_run_is_kept_and_index_settings_too(trained: Path) -> None:
    folder = only_run(trained) / "evaluate" / "embedded"
    assert hbr("evaluate", "--output-dir", trained, "--trec").code == 0
    assert hbr("evaluate", "--output-dir", trained).code == 0
    assert (folder / "run.trec.gz").exists()
    said = hbr("evaluate", "--output-dir", trained, "--trec", "--index", "flat")
    assert (said.code, "--trec writes the exact ranking" in said.err) == (2, True)
    words = ("--kind", "ivf", "--set", "index.lists=4", "--output-dir", trained)
    assert hbr("index", *words).code == 0
    assert hbr("evaluate", "--index", "ivf", "--output-dir", trained).code == 0
    assert stages(only_run(trained))["index/embedded@ivf"]["settings"]["lists"] == 4
    shallow = ("--index", "flat", "--set", "index.depth=1", "--output-dir", trained, "--json")
    metrics = json.loads(hbr("evaluate", *shallow).out)
    assert metrics["depth"] == 1
    assert metrics["settings"]["mono"]["recall@100"] == metrics["settings"]["mono"]["recall@1"]


def test_synthetic_data_are_called_so(trained: Path) -> None:
    for words in (["evaluate"], ["compare", only_run(trained)]):
        assert "synthetic" in hbr(*words, "--output-dir", trained).out


def test_a_damaged_shard_is_named(trained: Path) -> None:
    shard = next((only_run(trained) / "encode" / "embedded").glob("passages-*.npy"))
    whole = shard.read_bytes()
    for damage in (whole[:-10], whole[:-1] + b"x", None):
        shard.unlink()
        if damage is not None:
            shard.write_bytes(damage)
        else:
            shard.touch()
        said = hbr("evaluate", "--output-dir", trained, "--force")
        assert said.code == 2
        assert f"{shard} is damaged; delete {shard.parent} and run the command again" in said.err
    assert hbr("encode", "--output-dir", trained, "--force").code == 0
    assert hbr("evaluate", "--output-dir", trained, "--force").code == 0


def test_weights_that_are_not_finite_are_refused_while_encoding(
    world: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    runs = beside(world, tmp_path)
    assert hbr("train", "--sampler", "untrained", "--output-dir", runs).code == 0
    path = only_run(runs) / "model" / "model.safetensors"
    weights = load_file(path)
    weights["embeddings.LayerNorm.bias"][0] = float("nan")
    save_file(weights, path, {"format": "pt"})
    said = hbr("evaluate", "--output-dir", runs)
    assert said.code == 1
    assert "gives no finite vector for" in said.err


def test_a_run_in_use_is_refused(world: Path, tmp_path: Path) -> None:
    from hbr.runs import lock

    runs = beside(world, tmp_path)
    assert hbr("train", "--sampler", "untrained", "--output-dir", runs).code == 0
    run = only_run(runs)
    with lock(run, wait=False):
        said = hbr("encode", "--output-dir", runs)
    assert said.code == 2
    assert f"{run} is in use by process {os.getpid()}" in said.err


def test_settings_of_training_cannot_be_changed_afterwards(trained: Path) -> None:
    said = hbr("evaluate", "--set", "seed=3", "--output-dir", trained)
    assert (said.code, "a trained run keeps these settings" in said.err) == (2, True)


@pytest.mark.parametrize(
    "command", ["prepare", "train", "encode", "index", "evaluate", "compare", "sweep", "plan"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    said = hbr(command, "--help")
    assert said.code == 0
    assert f"hbr {command}" in said.out.split("Examples:")[1]


def test_an_interrupt_is_exit_code_130_and_a_bug_points_to_debug(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hbr.stages.prepare.rows", interrupted)
    said = hbr("plan", "--output-dir", tmp_path)
    assert (said.code, "the same command goes on from here" in said.err) == (130, True)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "cells.arrow")

    monkeypatch.setattr("hbr.stages.prepare.rows", full)
    said = hbr("plan", "--output-dir", tmp_path)
    assert (said.code, "no space left on device (cells.arrow)" in said.err) == (1, True)

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("hbr.stages.prepare.rows", bug)
    said = hbr("plan", "--output-dir", tmp_path)
    assert (said.code, "--debug` shows where" in said.err) == (1, True)
    with pytest.raises(ZeroDivisionError):
        hbr("plan", "--output-dir", tmp_path, "--debug")


def test_answers_outside_every_sentence_are_counted_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    context = "One two. Three four."
    questions = [
        {"id": name, "question": "?", "answers": [{"text": "x", "answer_start": start}]}
        for name, start in (("a", 0), ("b", 9), ("c", 500))
    ]
    paragraph = {"context": context, "qas": questions, "sentence_breaks": [[0, 8], [9, 20]]}
    document = {"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]}
    for language in ("en", "de"):
        (folder / f"{language}.json").write_text(json.dumps(document))
    words = ["--dataset", "lareqa", "--source", folder, "--output-dir", tmp_path]
    said = hbr("prepare", *words)
    assert "4 queries, 4 passages in 2 languages" in said.err
    assert "2 questions whose answer starts in no sentence, left out" in said.err
