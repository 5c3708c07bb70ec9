"""MTEB inside a study: the numbers are MTEB's, hbr's tests stand on them, MTEB reads them back."""

import json
import re
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from hbr.core.target import EvaluationTarget
from hbr.experiments.study import read_study
from tests.support import beside, hbr, only_run

COLOURS = "mteb:docs.examples.mteb_task:Colours"
PARALLEL = "mteb:tests.mteb_tasks:Parallel"
TASKS = (COLOURS, PARALLEL)
STUDY = f"""
title: MTEB in a study
base:
  train: {{max_steps: 3, batch_size: 16, eval_steps: 3, report_to: none}}
grid: {{sampler: [hybrid, monolingual], seed: [0, 1]}}
untrained: false
evaluate:
  - {{dataset: "{COLOURS}", languages: [de, en]}}
  - "{PARALLEL}"
claims:
  - {{id: main, metric: mteb.main_score, setting: cross, greater: hybrid, than: monolingual}}
  - id: ten
    dataset: "{COLOURS}/de,en"
    metric: mteb.ndcg@10
    setting: mono
    greater: hybrid
    than: monolingual
"""


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that MTEB has evaluated on two tasks."""
    runs = beside(world, tmp_path_factory.mktemp("mteb"))
    short = ("--max-steps", 3, "--batch-size", 16, "--report-to", "none")
    assert hbr("train", *short, "--output-dir", runs).code == 0
    run = only_run(runs)
    for task in TASKS:
        said = hbr("evaluate", "--dataset", task, "--run", run, "--output-dir", runs)
        assert said.code == 0, said.err
    return run


def metrics(run: Path, dataset: str) -> dict[str, Any]:
    folder = run / "evaluate" / EvaluationTarget(dataset).folder
    return json.loads((folder / "metrics.json").read_text())


def mean_of(runs: Path, sampler: str, dataset: str, setting: str, metric: str) -> float:
    """Return the mean over the runs of a sampler."""
    found = [metrics(run, dataset)["settings"][setting] for run in runs.glob(f"{sampler}-*")]
    return fmean(values[metric] for values in found)


@pytest.mark.parametrize("dataset", TASKS)
def test_the_saved_model_has_the_same_scores_where_mteb_alone_runs_it(
    run: Path, dataset: str
) -> None:
    """By MTEB's own wrapper of sentence-transformers, which `mteb run` takes for hub models."""
    import mteb
    from sentence_transformers import SentenceTransformer

    from hbr.data.readers.mteb import open_task

    model = SentenceTransformer(str(run / "model"), device="cpu")
    result = mteb.evaluate(model, open_task(dataset), cache=None, show_progress_bar=False)[0]
    ours = metrics(run, dataset)
    assert ours["mteb"]["score"] == pytest.approx(result.get_score(), abs=1e-6)
    (folder,) = (run / "evaluate" / EvaluationTarget(dataset).folder).glob("mteb/results/*/*")
    kept = json.loads((folder / f"{result.task_name}.json").read_text())["scores"]
    for split, scores in result.scores.items():
        by_subset = {one["hf_subset"]: one for one in kept[split]}
        for one in scores:
            numbers = {k: v for k, v in one.items() if isinstance(v, float)}
            found = {name: by_subset[one["hf_subset"]][name] for name in numbers}
            assert found == pytest.approx(numbers, abs=1e-5, nan_ok=True)


@pytest.mark.slow
def test_a_study_is_judged_on_mtebs_numbers(world: Path, tmp_path: Path) -> None:
    """Two samplers, two seeds: tables, tests and claims, and a bundle that can be checked."""
    runs, study = beside(world, tmp_path / "runs"), tmp_path / "study.yaml"
    study.write_text(STUDY)
    chosen = f"{COLOURS}/de,en"
    assert [str(t) for t in read_study(study).targets] == [chosen, PARALLEL]
    trusted = ("--allow-code", "--output-dir", runs)
    said = hbr("sweep", study, "--jobs", 1, *trusted)
    assert said.code == 0, said.err
    bundle = tmp_path / "b.tar"
    said = hbr("compare", "--study", study, "--format", "json", "--bundle", bundle, *trusted)
    report = json.loads(said.out)
    columns = {t["dataset"]: {*r["values"]} for t in report["tables"] for r in t["rows"]}
    assert columns == {
        chosen: {"mono/mteb.main_score", "cross/mteb.main_score"},
        PARALLEL: {"cross/mteb.main_score"},
    }
    judged = {v["id"]: [f["dataset"] for f in v["findings"]] for v in report["claims"]}
    assert judged == {"main": [chosen, PARALLEL], "ten": [chosen]}
    of = {"main": ("cross", "mteb.main_score"), "ten": ("mono", "mteb.ndcg@10")}
    for verdict in report["claims"]:
        for finding in verdict["findings"]:
            key = (finding["dataset"], *of[verdict["id"]])
            difference = mean_of(runs, "hybrid", *key) - mean_of(runs, "monolingual", *key)
            assert finding["effect"] == pytest.approx(difference, abs=1e-9)
    assert hbr("compare", "--bundle-check", bundle, "--allow-code").code == 0


def test_results_are_copied_into_one_cache_that_mteb_reads(run: Path, tmp_path: Path) -> None:
    import mteb

    folder = tmp_path / "theirs"
    for task in TASKS:
        said = hbr("compare", run, run, "--dataset", task, "--mteb", folder)
        assert said.code == 0, said.err
    cache = mteb.ResultCache(folder)
    results = cache.load_results(models=[f"hbr/{run.name}"]).to_dataframe()
    scores = dict(zip(results["task_name"], results[f"hbr/{run.name}"], strict=True))
    expected = {metrics(run, t)["mteb"]["task"]: metrics(run, t)["mteb"]["score"] for t in TASKS}
    assert scores == pytest.approx(expected, abs=1e-5)
    (settings,) = folder.glob("results/*/*/run_settings.jsonl")
    assert len(settings.read_text().splitlines()) == len(TASKS)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--trec"], "is evaluated by MTEB; leave out --trec"),
        (["--perturb", "typo"], "is evaluated by MTEB; leave out --trec"),
        (["--set", "evaluate.limit=5"], "is evaluated by MTEB, in whole; leave out a limit"),
        (["--languages", "de,tr"], "has no language 'tr'; known: de, en"),
        (["--set", "evaluate.metrics=[mteb.ndcg@10]"], "comes with data sets of mteb:"),
    ],
)
def test_what_mteb_does_not_do_is_refused_in_one_line(
    run: Path, words: list[str], told: str
) -> None:
    said = hbr("evaluate", "--dataset", COLOURS, "--run", run, *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err.splitlines()[-1]


def test_a_finished_evaluation_is_not_done_again(run: Path) -> None:
    folder = run / "evaluate" / EvaluationTarget(COLOURS).folder
    before = (folder / "metrics.json").stat().st_mtime_ns
    assert hbr("evaluate", "--dataset", COLOURS, "--run", run).code == 0
    assert (folder / "metrics.json").stat().st_mtime_ns == before


def test_a_misspelt_task_is_found_before_a_sweep_trains(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(re.sub(r'- "mteb:.*"', '- "mteb:BelebeleRetrievel"', STUDY))
    said = hbr("sweep", study, "--allow-code", "--output-dir", tmp_path / "runs")
    assert (said.code, len(list((tmp_path / "runs").glob("*/train")))) == (2, 0)
    assert "did you mean BelebeleRetrieval" in said.err


@pytest.mark.slow
def test_a_trial_leaves_mtebs_tasks_out_and_says_how_many(world: Path, tmp_path: Path) -> None:
    study, runs = tmp_path / "study.yaml", beside(world, tmp_path / "runs")
    for others, done in ((["embedded"], ["embedded"]), ([], [])):
        plan = {"grid": {"sampler": ["untrained"]}, "evaluate": [COLOURS, PARALLEL, *others]}
        study.write_text(json.dumps(plan))
        words = ("--limit", 4 + len(others), "--allow-code", "--output-dir", runs)
        said = hbr("sweep", study, *words)
        assert said.code == 0, said.err
        assert "leaves out data sets that MTEB evaluates, in whole: 2" in said.err
        (run,) = (runs / f"limit-{4 + len(others)}").glob("untrained-*")
        assert [path.name for path in run.glob("evaluate/*")] == done


def test_an_encoder_that_is_no_run_is_sent_to_mteb() -> None:
    import hbr as package
    from hbr.core.errors import UserError

    with pytest.raises(UserError, match=r"give a run, or call mteb\.evaluate"):
        package.evaluate(lambda texts: [[1.0]] * len(texts), COLOURS)
