"""The commands as a person types them, mistakes above all: one clear line, the right exit code."""

import csv
import io
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hbr.cli.app import COMMANDS
from tests.support import Said, beside, finished, hbr, only_run, tabulars

KEYS = ("setting", "concept", "query", "query_language", "passage_language", "pool_rank")
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


@pytest.mark.slow
def test_evaluate_writes_a_trec_run_that_ir_measures_reads(trained: Path) -> None:
    import ir_measures

    said = hbr("evaluate", "--output-dir", trained, "--trec", "--json")
    folder = only_run(trained) / "evaluate" / "embedded"
    own = "qaa:"  # one language of ten: the run has three million lines
    run = itertools.takewhile(
        lambda line: line.query_id.startswith(own),
        ir_measures.read_trec_run(str(folder / "run.trec.gz")),
    )
    every = ir_measures.read_trec_qrels(str(folder / "qrels.trec"))
    qrels = [line for line in every if line.query_id.startswith(own)]
    measure = ir_measures.parse_measure("R@10")
    by_query = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
    assert len(by_query) == 329
    told = json.loads(said.out)["by_query_language"]["multi"]["qaa"]["recall@10"]
    assert np.mean([*by_query.values()]) == pytest.approx(told, abs=1e-9)


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
    for same in ([], ["--set", "encode.unpadded=false"]):
        assert "up to date" in hbr("encode", *same, "--output-dir", trained).err
    assert stages(run)["encode/embedded"] == before
    assert "up to date" not in hbr("encode", "--output-dir", trained, "--force").err
    assert stages(run)["encode/embedded"]["id"] == before["id"]


def test_changed_training_data_make_everything_behind_them_stale(
    world: Path, tmp_path: Path
) -> None:
    from hbr.data import synthetic

    runs, file = beside(world, tmp_path / "runs"), tmp_path / "rows.jsonl"
    rows = list(synthetic.rows("validation"))
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


def test_centred_results_stand_apart_from_plain_ones(trained: Path) -> None:
    plain = json.loads(hbr("evaluate", "--output-dir", trained, "--json").out)
    centred = ("evaluate", "--center-languages", "--output-dir", trained)
    found = json.loads(hbr(*centred, "--json").out)
    assert (plain["dataset"], found["dataset"]) == ("embedded", "embedded~center")
    assert plain["settings"] != found["settings"]
    run = only_run(trained)
    assert json.loads((run / "evaluate/embedded~center/metrics.json").read_text()) == found
    assert json.loads((run / "evaluate/embedded/metrics.json").read_text()) == plain
    compared = hbr("compare", run, "--output-dir", trained, "--format", "csv").out
    assert "centred" in compared.replace("\n", ",").split(",")
    for also in (("--perturb", "typo"), ("--index", "flat")):
        said = hbr(*centred, *also)
        assert (said.code, "goes without --perturb and --index" in said.err) == (2, True)


def test_rows_that_are_all_one_group_are_refused_before_training(rows_file, tmp_path) -> None:
    rows = [
        {"id": f"r{i}", "query": {"en": f"what {i}?"}, "passage": {"en": "the same"}}
        for i in range(8)
    ]
    plan = ("plan", "--batch-size", "4", "--sampler", "mixed", "--data", rows_file(rows))
    said = hbr(*plan, "--output-dir", tmp_path)
    assert said.code == 2
    assert "rows: all 8 rows are one group" in said.err
    assert hbr(*plan, "--set", "objective.mask=none", "--output-dir", tmp_path).code == 0
    rows[0]["negatives"] = {"en": ["another"]}
    given = (*plan[:-1], rows_file(rows, name="given.jsonl"), "--output-dir", tmp_path)
    assert hbr(*given).code == 0


def test_compare_lines_runs_up(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / only_run(trained).name
    shutil.copytree(only_run(trained), run)
    shutil.rmtree(run / "evaluate")
    assert hbr("evaluate", "--run", run, "--output-dir", trained).code == 0
    said = hbr("compare", run, "--dataset", "embedded", "--format", "csv")
    assert said.code == 0
    heads = "dataset,protocol,encoder,sampler,language,seeds,contaminated,setting,metric,mean,sd,"
    assert said.out.startswith(f"{heads}low,high\n")
    lines = list(csv.DictReader(io.StringIO(said.out)))
    assert {line["setting"] for line in lines} == {"mono", "cross", "multi"}
    assert all(float(line["mean"]) >= 0 for line in lines)
    assert {(line["low"], line["high"]) for line in lines} == {("", "")}  # of one run


def test_made_up_runs_have_the_form_of_real_ones(trained: Path, tmp_path: Path) -> None:
    real = only_run(trained) / "evaluate" / "embedded"
    names = [n for n in pq.read_schema(real / "per_query.parquet").names if n not in KEYS]
    values = {f"{s} {n}": 0.5 for s in ("mono", "cross", "multi") for n in names}
    made = finished(tmp_path, "hybrid", values) / "evaluate" / "embedded"
    assert pq.read_schema(made / "per_query.parquet") == pq.read_schema(real / "per_query.parquet")
    real_metrics, made_metrics = (
        json.loads((f / "metrics.json").read_text()) for f in (real, made)
    )
    assert made_metrics.keys() == real_metrics.keys()
    assert made_metrics["training"].keys() == real_metrics["training"].keys()
    assert made_metrics["settings"].keys() == real_metrics["settings"].keys()
    for setting in ("mono", "cross", "multi"):
        assert made_metrics["settings"][setting].keys() >= real_metrics["settings"][setting].keys()
    entries = stages(made.parents[1])["train"], stages(real.parents[1])["train"]
    assert entries[0].keys() <= entries[1].keys()


def test_results_of_an_older_hbr_are_renewed_by_what_the_message_says(
    trained: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(only_run(trained), tmp_path / "run")
    for shared in ("data", "encoders"):
        (tmp_path / shared).symlink_to((trained / shared).resolve())
    path = run / "evaluate" / "embedded" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics.pop("training")
    path.write_text(json.dumps(metrics))
    said = hbr("compare", run, "--dataset", "embedded")
    assert (said.code, "an older hbr's" in said.err) == (2, True)
    program, *words = shlex.split(said.err.split("`")[1])
    assert program == "hbr"
    assert hbr(*words, "--output-dir", tmp_path).code == 0
    assert hbr("compare", run).code == 0


def test_a_batch_is_shown_with_the_brackets_of_its_texts(
    world: Path, tmp_path: Path, rows_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    query, told = {"en": "array[index] of x"}, "see [/INST] here"
    rows = [{"id": f"r{n}", "query": query, "passage": {"en": f"{told}, {n}"}} for n in range(3)]
    file = rows_file(rows)
    words = ("--data", file, "--batch-size", "2", "--step", "0", "--sampler", "monolingual")
    said = hbr("plan", *words, "--output-dir", beside(world, tmp_path / "runs"))
    assert said.code == 0, said.err
    assert "array[index] of x" in said.out
    assert "see [/INST] here" in said.out


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
    (tmp_path / "a.yaml").write_text("train: {max_steps: 1, learning_rate: 1e-5}\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("train: {max_steps: 2}\n")
    files = ["-C", tmp_path / "a.yaml", "-C", tmp_path / "b.yaml"]
    words = [*files, "--set", "batch_size=50", "--seed", "9", "--print-config"]
    shown = hbr("train", *words).out
    assert "steps: 2\n" in shown
    assert "learning_rate: 1.0e-05\n" in shown
    assert "batch_size: 50\n" in shown
    assert shown.startswith("seed: 9\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--sampler", "hybird"], "there is no sampler 'hybird'; did you mean hybrid?"),
        (["train", "--encoder", "xlmr"], "there is no encoder 'xlmr'; did you mean xlm-r"),
        (
            ["train", "--data", "embeded"],
            "there is no training data 'embeded'; did you mean embedded",
        ),
        (["train", "--data", "missing.jsonl"], "--data missing.jsonl: there is no such file"),
        (["train", "--alpha", "2"], "sampler.alpha"),
        (["train", "--alpha", "x"], "sampler.alpha = 'x': input should be a valid number"),
        (["train", "-C", "missing.yaml"], "missing.yaml: there is no such file"),
        (
            ["train", "--set", "stepz=1"],
            "there is no setting 'stepz'; did you mean train.max_steps?",
        ),
        (["train", "--set", "objective.name=infonec"], "did you mean infonce"),
        (["train", "--batch-size", "400"], "325 rows can serve monolingual batches (qae)"),
        (["train", "--set", "data.languages=[qaa, xx]"], "the training data have no language 'xx'"),
        (["train", *QUICK, "--device", "cuda:9"], "--device cuda:9:"),
        (["evaluate"], "has no run yet; `hbr train` makes one"),
        (["evaluate", "--run", "nowhere"], "nowhere is no run"),
        (["compare"], "name runs to compare, or a study with --study FILE"),
        (["sweep", "missing.yaml"], "missing.yaml: there is no such file"),
        (["plan", "--sampler", "untrained"], "an untrained encoder sees no batches"),
        (["prepare", "--dataset", "xquadr"], "there is no dataset 'xquadr'; did you mean xquad-r?"),
        (
            ["prepare", "--dataset", "lareqa"],
            "`hbr prepare --dataset lareqa --source DIR`",
        ),
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
    (tmp_path / "c.yaml").write_text("train: {stepz: 1, learning_rate: fast}\nsamplr: hybrid\n")
    said = hbr("train", "-C", tmp_path / "c.yaml")
    assert said.code == 2
    assert "'samplr'" in said.err
    (tmp_path / "c.yaml").write_text("train: {stepz: 1, learning_rate: fast}\n")
    said = hbr("train", "-C", tmp_path / "c.yaml")
    assert "'train.stepz'; did you mean train.max_steps?" in said.err
    assert "train.learning_rate = 'fast'" in said.err


def test_a_broken_line_of_training_data_is_named(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    row = {"id": "a", "query": {"en": "q", "de": "f"}, "passage": {"en": "p", "de": "a"}}
    runs = beside(world, tmp_path / "runs")
    broken = [
        ("{not json", "not JSON"),
        (json.dumps({**row, "passage": {"en": "p"}}), "same languages in query and passage"),
        (json.dumps({**row, "query": {"en": ""}}), "is blank"),
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
    assert "put ar.json … zh.json into a folder and name it with --source FOLDER" in said.err
    assert "HBR_DATA" in said.err


def test_two_files_of_one_name_are_two_inputs(world: Path, tmp_path: Path) -> None:
    from hbr.data import synthetic

    runs, rows = beside(world, tmp_path / "runs"), list(synthetic.rows("validation"))
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


@pytest.mark.slow
def test_a_trec_run_is_kept_and_index_settings_too(trained: Path, tmp_path: Path) -> None:
    folder = only_run(trained) / "evaluate" / "embedded"
    assert hbr("evaluate", "--output-dir", trained, "--trec").code == 0
    assert hbr("evaluate", "--output-dir", trained).code == 0
    assert (folder / "run.trec.gz").exists()
    said = hbr("evaluate", "--output-dir", trained, "--trec", "--index", "flat")
    assert (said.code, "--trec writes the exact ranking" in said.err) == (2, True)
    words = ("--kind", "ivf", "--set", "index.nlist=4", "--output-dir", trained)
    assert hbr("index", *words).code == 0
    assert hbr("evaluate", "--index", "ivf", "--output-dir", trained).code == 0
    assert stages(only_run(trained))["index/embedded@ivf"]["settings"]["nlist"] == 4
    file = tmp_path / "nlist.yaml"
    file.write_text("index: {nlist: 6}")
    assert hbr("evaluate", "--index", "ivf", "-C", file, "--output-dir", trained).code == 0
    assert stages(only_run(trained))["index/embedded@ivf"]["settings"]["nlist"] == 6
    shallow = ("--index", "flat", "--set", "index.top_k=1", "--output-dir", trained, "--json")
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
        assert said.code == 2, said.err
        assert f"{shard} is not what was written there; restore it, or delete" in said.err
    for command in ("encode", "evaluate"):
        said = hbr(command, "--output-dir", trained, "--force")
        assert said.code == 0, said.err


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
    for manifest in (path.parents[1] / "manifest.json", path.parents[1] / "train" / ".stage.json"):
        content = json.loads(manifest.read_text())
        content.get("stages", {"train": content})["train"].pop("files")  # of an older hbr
        manifest.write_text(json.dumps(content))
    said = hbr("evaluate", "--output-dir", runs)
    assert said.code == 1
    assert "gives no finite vector for" in said.err


def test_settings_of_training_cannot_be_changed_afterwards(trained: Path) -> None:
    said = hbr("evaluate", "--set", "seed=3", "--output-dir", trained)
    assert (said.code, "a trained run keeps these settings" in said.err) == (2, True)


@pytest.mark.parametrize(
    "command",
    [*COMMANDS],
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

    monkeypatch.setattr("hbr.data.prepare.rows", interrupted)
    said = hbr("plan", "--output-dir", tmp_path)
    assert (said.code, "the same command goes on from here" in said.err) == (130, True)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "cells.arrow")

    monkeypatch.setattr("hbr.data.prepare.rows", full)
    said = hbr("plan", "--output-dir", tmp_path)
    assert (said.code, "no space left on device (cells.arrow)" in said.err) == (1, True)

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("hbr.data.prepare.rows", bug)
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


# Comparing


STUDY = """
title: two samplers
grid: {sampler: [monolingual, hybrid], seed: [0, 1, 2]}
evaluate: [embedded]
claims:
  - {id: best, metric: map, setting: mono, greater: hybrid, than: monolingual}
"""


def values(level: float, own: int) -> dict[str, Any]:
    noise = 0.02 * np.random.default_rng(own).normal(size=(24, 1))
    return {
        "mono map": level + noise,
        "mono recall@1": level / 2 + noise,
        "cross map": level + noise[..., None],
        "multi map": level + noise,
        "multi rank_distance": 100 * level + noise,
    }


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a study and, beside them, its file."""
    folder = tmp_path_factory.mktemp("compared")
    for own, (sampler, level) in enumerate((("hybrid", 0.6), ("monolingual", 0.4))):
        for seed in (0, 1, 2):
            finished(folder / "runs", sampler, values(level, 3 * own + seed), seed=seed)
    finished(folder / "runs", "untrained", values(0.1, 9))
    (folder / "small.yaml").write_text(STUDY)
    return folder


def compare(folder: Path, *words: object) -> Said:
    study = ("--study", folder / "small.yaml", "--output-dir", folder / "runs")
    return hbr("compare", *study, *words)


def test_compare_shows_a_study_with_its_claims(compared: Path) -> None:
    said = compare(compared)
    assert (said.code, said.err) == (0, "")
    for words in ("two samplers: embedded", ".600 ±", "mono map: hybrid greater than monolingual"):
        assert words in said.out
    assert "✓ supported" in said.out


@pytest.mark.parametrize("format", ["markdown", "latex", "csv", "json"])
def test_compare_writes_each_format_to_the_screen_and_to_a_file(
    compared: Path, tmp_path: Path, format: str
) -> None:
    said = compare(compared, "--format", format)
    assert said.code == 0
    if format == "json":
        assert json.loads(said.out)["claims"][0]["status"] == "supported"
    elif format == "csv":
        lines = list(csv.DictReader(io.StringIO(said.out)))
        assert {line["sampler"] for line in lines} == {"monolingual", "hybrid", "untrained"}
        bounds = [tuple(float(line[key]) for key in ("low", "mean", "high")) for line in lines]
        assert all(low < mean < high for low, mean, high in bounds)
    elif format == "latex":
        assert len(tabulars(said.out)) == 3  # too wide for one, and the claims
    else:
        assert said.out.startswith("### two samplers: embedded\n\n| encoder | sampler |")
    path = tmp_path / "report"
    wrote = compare(compared, "--format", format, "--output", path)
    assert (wrote.out, wrote.err) == ("", f"written: {path}\n")
    assert path.read_text() == said.out


def test_equal_results_give_an_equal_report(compared: Path) -> None:
    one, same = (compare(compared, "--format", "json").out for _ in range(2))
    assert json.loads(one)["claims"][0]["findings"][0]["p"] < 0.05
    assert one == same


def test_a_file_needs_a_format_and_a_folder_that_is_there(compared: Path, tmp_path: Path) -> None:
    said = compare(compared, "--output", tmp_path / "a.html")
    assert (said.code, "--output needs --format" in said.err) == (2, True)
    for option in (("--format", "csv", "--output"), ("--bundle",)):
        path = tmp_path / "gone" / "file"
        said = compare(compared, *option, path)
        made = said.code == 0 and path.exists()
        assert made or (said.code, ".partial" in said.err) == (2, False), said.err


@pytest.mark.parametrize("by", ["language", "resource", "script", "family", "seen", "distance"])
def test_compare_by_groups_of_languages(compared: Path, by: str) -> None:
    said = compare(compared, "--by", by, "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(said.out)))
    groups = {line[by] for line in lines}
    assert "" in groups
    assert len(groups) > 2
    if by == "language":
        assert groups == {"", "de", "en", "so", "th"}
        assert compare(compared, "--by-language", "--format", "csv").out == said.out
    else:
        assert compare(compared, "--by-language", "--by", by).code == 2


def test_compare_by_what_is_no_group_says_which_there_are(compared: Path) -> None:
    said = compare(compared, "--by", "colour")
    assert (said.code, "--by 'colour': one of language, resource" in said.err) == (2, True)


def test_metrics_may_be_listed_with_spaces(compared: Path) -> None:
    for words in ("recall@1,map", "recall@1, map"):
        said = compare(compared, "--metrics", words, "--format", "csv")
        assert said.code == 0, said.err
        lines = list(csv.DictReader(io.StringIO(said.out)))
        assert {line["metric"] for line in lines} == {"recall@1", "map"}
    said = compare(compared, "--metrics", "recal@1")
    assert (said.code, "did you mean recall@1" in said.err) == (2, True)


def test_a_baseline_is_what_daggers_tell_apart_from(compared: Path) -> None:
    said = compare(compared, "--baseline", "monolingual", "--format", "json")
    (table,) = json.loads(said.out)["tables"]
    marks = {r["sampler"]: r["values"]["mono/map"]["dagger"] for r in table["rows"]}
    assert marks == {"untrained": "†", "monolingual": "", "hybrid": "†"}
    here = ("--evidence", "these-encoders", "--format", "json")
    (table,) = json.loads(compare(compared, "--baseline", "monolingual", *here).out)["tables"]
    marks = {r["sampler"]: r["values"]["mono/map"]["dagger"] for r in table["rows"]}
    assert marks == {"untrained": "§", "monolingual": "", "hybrid": "§"}
    said = compare(compared, "--baseline", "hybird")
    assert (said.code, "'hybird'; did you mean hybrid" in said.err) == (2, True)


def test_printed_figures_stand_beside_ours_or_alone(compared: Path) -> None:
    said = compare(compared, "--reference", "elmahdy2024", "--format", "json")
    report = json.loads(said.out)
    assert [t["protocol"] for t in report["tables"]][:2] == [
        "by hand",
        "as printed in arXiv 2408.10536",
    ]
    alone = hbr("compare", "--reference", "elmahdy2024")
    assert alone.code == 0
    assert "as printed in arXiv 2408.10536" in alone.out
    assert "no per-query data" in alone.out
    said = hbr("compare", "--reference", "elmahdy2042")
    assert (said.code, "did you mean elmahdy2024" in said.err) == (2, True)


def test_the_misprint_is_told_wherever_its_figure_is_shown() -> None:
    for format in ("table", "markdown", "latex"):
        said = hbr("compare", "--reference", "elmahdy2024", "--format", format)
        assert "0.8167" in said.out, format


def test_strict_refuses_what_is_unfair(compared: Path, tmp_path: Path) -> None:
    assert compare(compared, "--strict").code == 0
    one = next((compared / "runs").glob("monolingual-*"))
    other = finished(tmp_path, "hybrid", values(0.6, 1), settings={"train.batch_size": 32})
    said = hbr("compare", one, other, "--format", "markdown")
    assert (said.code, "\nruns differ in train.batch_size: 64 (mono" in said.out) == (0, True)
    said = hbr("compare", one, other, "--strict")
    assert (said.code, said.out) == (2, "")
    assert "--strict: the comparison is not fair\nruns differ in train.batch_size" in said.err


def test_results_are_written_in_mtebs_shape(compared: Path, tmp_path: Path) -> None:
    runs = sorted((compared / "runs").glob("hybrid-*"))
    said = hbr("compare", *runs, "--mteb", tmp_path / "made")
    assert said.code == 0
    files = sorted(p.name for p in (tmp_path / "made").rglob("*.json"))
    settings = [f"embedded.{s}.json" for s in ("cross", "mono", "multi")]
    assert files == sorted([*settings, "model_meta.json"] * 3)
    assert said.err.count("written: ") == 12
    mono = json.loads(next((tmp_path / "made").rglob("embedded.mono.json")).read_text())
    scores = [line["main_score"] for line in mono["scores"]["test"]]
    assert np.mean(scores) == pytest.approx(values(0.6, 0)["mono map"].mean(), abs=0.01)


def test_runs_are_compared_on_every_data_set_they_share(tmp_path: Path) -> None:
    one, other = (
        finished(tmp_path, "hybrid", values(0.6, 0)),
        finished(tmp_path, "mixed", values(0.4, 1)),
    )
    for run, sampler in ((one, "hybrid"), (other, "mixed")):
        assert finished(tmp_path, sampler, values(0.5, 2), dataset="xquad-r") == run
    finished(tmp_path, "hybrid", values(0.5, 3), dataset="lareqa")
    found = json.loads(hbr("compare", one, other, "--format", "json").out)["tables"]
    assert sorted(table["dataset"] for table in found) == ["embedded", "xquad-r"]
    words = ("--dataset", "xquad_r", "--format", "json")
    (only,) = json.loads(hbr("compare", one, other, *words).out)["tables"]
    assert only["dataset"] == "xquad-r"
    said = hbr("compare", one, other, "--set", "seed=0")
    assert (said.code, "--set chooses among the cells of a study" in said.err) == (2, True)
    said = hbr("compare", one, other, "--dataset", "lareqa")
    assert said.code == 2
    assert f"{other} has no results on lareqa; get them with `hbr evaluate" in said.err


def test_a_run_that_was_not_evaluated_is_named_with_what_to_do(tmp_path: Path) -> None:
    done, bare = finished(tmp_path, "hybrid", values(0.6, 0)), tmp_path / "bare"
    bare.mkdir()
    shutil.copy(done / "config.yaml", bare)
    for words in ([bare], [done, bare]):
        said = hbr("compare", *words)
        assert said.code == 2
        assert str(bare) in said.err
        assert "hbr evaluate" in said.err


def test_a_study_without_results_says_what_makes_them(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(STUDY)
    said = compare(tmp_path)
    assert (said.code, said.out) == (2, "")
    assert "hbr sweep" in said.err
    said = hbr("compare", tmp_path, "--study", tmp_path / "small.yaml")
    assert (said.code, "not both" in said.err) == (2, True)


def test_a_data_set_that_a_study_does_not_evaluate_is_named(compared: Path) -> None:
    said = compare(compared, "--dataset", "xquad-r")
    assert said.code == 2
    assert "xquad-r" in said.err


def test_an_unfinished_study_is_provisional_and_its_claims_are_open(
    compared: Path, tmp_path: Path
) -> None:
    shutil.copytree(compared / "runs", tmp_path / "runs")
    shutil.rmtree(next((tmp_path / "runs").glob("hybrid-*-s1-*")))
    (tmp_path / "small.yaml").write_text(STUDY)
    said = compare(tmp_path)
    assert said.code == 0
    assert "1 results are missing (-v says which)" in said.err
    for words in ("2 of 3", "provisional: 1 of the study's runs", "? open"):
        assert words in said.out
    assert "hybrid-xlm-r-tiny-s1" in hbr("-v", *_words(tmp_path)).err


def _words(folder: Path) -> list[object]:
    study = ["--study", folder / "small.yaml", "--output-dir", folder / "runs"]
    return ["compare", *study]


def test_a_claim_is_open_while_a_data_set_of_the_study_has_no_results(
    compared: Path, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    sets = f"evaluate: [embedded, {{dataset: lareqa, source: {tmp_path / 'files'}}}]"
    (tmp_path / "small.yaml").write_text(STUDY.replace("evaluate: [embedded]", sets))
    (tmp_path / "runs").symlink_to(compared / "runs")
    said = compare(tmp_path, "--format", "json")
    (claim,) = json.loads(said.out)["claims"]
    assert claim["status"] == "open"
    assert "lareqa" in {finding["dataset"] for finding in claim["findings"]}


def test_names_with_odd_characters_are_shown_as_they_are(tmp_path: Path) -> None:
    encoder = tmp_path / "50% [x] a|b & ไทย"
    encoder.mkdir()
    runs = [
        finished(tmp_path / "my runs", s, values(v, i), encoder=str(encoder))
        for i, (s, v) in enumerate((("hybrid", 0.6), ("mixed", 0.5)))
    ]
    for format in ("table", "csv", "json", "markdown"):
        said = hbr("compare", *runs, "--format", format)
        assert said.code == 0, said.err
        assert "50% [x] a" in said.out
    study = tmp_path / "small.yaml"
    claim = STUDY.replace("[monolingual, hybrid], seed: [0, 1, 2]", "[mixed, hybrid]")
    claim = claim.replace("than: monolingual", "than: mixed")
    claim = claim.replace("title: two samplers", 'title: "[/x] [draft]"')
    study.write_text(claim + f"base: {{encoder: {json.dumps(str(encoder))}}}\nuntrained: false\n")
    said = hbr("compare", "--study", study, "--output-dir", tmp_path / "my runs")
    assert said.code == 0, said.err
    assert "50% [x] a|b & ไทย: hybrid vs mixed" in said.out


def test_an_encoder_given_as_a_folder_can_be_named_in_a_claim(tmp_path: Path) -> None:
    encoder = tmp_path / "mine" / "model"
    encoder.mkdir(parents=True)
    for i, (sampler, level) in enumerate((("hybrid", 0.6), ("monolingual", 0.5))):
        for seed in (0, 1, 2):
            own = values(level, 3 * i + seed)
            finished(tmp_path / "runs", sampler, own, encoder=str(encoder), seed=seed)
    for name in ("mine", str(encoder)):
        text = STUDY.replace("seed: [0, 1, 2]", f"seed: [0, 1, 2], encoder: [{encoder}]")
        text = text.replace("than: monolingual", f"than: monolingual, where: {{encoder: {name}}}")
        (tmp_path / "small.yaml").write_text(text + "untrained: false\n")
        said = compare(tmp_path, "--format", "json")
        assert json.loads(said.out)["claims"][0]["status"] == "supported", name


def test_a_run_that_is_not_trained_is_not_pushed(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(only_run(trained) / "config.yaml", tmp_path / "bare")
    said = hbr("push", tmp_path / "bare", "--repo", "org/name")
    assert said.code == 2
    assert "is not trained yet" in said.err
    said = hbr("push", tmp_path, "--repo", "org/name")
    assert (said.code, "is no run" in said.err) == (2, True)
    said = hbr("push", "--repo", "org/name", "--output-dir", tmp_path)
    assert (said.code, "made none of its runs; name one" in said.err) == (2, True)
    said = hbr("push", "--repo", "org/name", "--output-dir", tmp_path / "bare")
    assert (said.code, "has no run yet" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("command", "work"),
    [
        ("mine", "hbr.experiments.negatives.Miner.build"),
        ("score", "hbr.experiments.teachers.Teacher.scored"),
        ("prepare", "hbr.data.prepare.task"),
    ],
)
def test_what_takes_long_goes_when_told(
    command: str, work: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    said = hbr(command, "--output-dir", world)
    assert said.code == 75
    assert "told to go (SIGTERM); what is finished is kept; the same command goes" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("compare --bundle-check a.tar --strict", "--bundle-check goes without --strict"),
        ("compare --bundle-check a.tar runs/a", "--bundle-check goes without "),
        ("compare --reference elmahdy2024 --dataset xquad-r", "name some"),
        ("prepare --list --force", "--list goes without --force"),
        ("prepare --from-bundle a.tar --data x.jsonl", "--from-bundle goes without --data"),
        ("plan --step 3 --batches 4", "say one of them"),
    ],
)
def test_an_option_without_an_effect_is_refused(words: str, message: str) -> None:
    said = hbr(*words.split())
    assert (said.code, message in said.err) == (2, True), said.err


def test_results_by_an_index_are_compared(trained: Path) -> None:
    assert hbr("evaluate", "--index", "flat", "--output-dir", trained).code == 0
    words = ("compare", only_run(trained), "--dataset", "embedded@flat", "--format", "json")
    said = hbr(*words)
    assert said.code == 0, said.err
