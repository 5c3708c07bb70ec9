"""Things defined outside the package, one file each: they appear with everything.

The files are those of `docs/examples/`; nothing else is touched.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.support import hbr

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
STUDY = """
title: Everything from outside
base:
  train: {max_steps: 2, batch_size: 8, eval_steps: 2}
  data: {train: rows.jsonl, validation: null}
  evaluate: {metrics: [map, "metric:WORST_RANK"]}
grid:
  sampler: ["sampler:INTO_ENGLISH", monolingual]
  objective: ["objective:FOCAL"]
  objective.gamma: [1.5]
  seed: [0, 1]
untrained: false
evaluate:
  - {dataset: "dataset:FAQ", source: faq.tsv, perturb: ["perturbation:SHOUT:0.5"]}
claims:
  - id: shorter
    metric: metric:WORST_RANK
    setting: multi
    less: sampler:INTO_ENGLISH
    than: monolingual
"""
LANGUAGES = ("de", "en", "fr")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own: the examples, rows to train on, questions to evaluate."""
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLES, folder)
    rows = [
        {
            "id": f"r{n}",
            "query": {language: f"{language} what is {n} ?" for language in LANGUAGES},
            "passage": {language: f"{language} it is {n} ." for language in LANGUAGES},
        }
        for n in range(40)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{x}\t{x} what is {n} ?\t{x} it is {n} .\n" for x in LANGUAGES for n in range(30)]
    (folder / "faq.tsv").write_text("".join(lines))
    (folder / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(folder)
    return folder


def test_an_edited_reader_prepares_its_data_anew(outside: Path) -> None:
    words = ("prepare", "--dataset", "dataset:FAQ", "--source", "faq.tsv", "--output-dir", "runs")
    assert "prepared dataset:FAQ" in hbr(*words).err
    assert "prepared" not in hbr(*words).err
    with (outside / "dataset.py").open("a") as file:
        file.write("# edited\n")
    assert "prepared dataset:FAQ" in hbr(*words).err


@pytest.mark.slow
def test_a_study_of_things_from_outside_goes_from_config_to_claims(outside: Path) -> None:
    result = hbr("sweep", "study.yaml", "--output-dir", "runs")
    assert result.code == 0, result.err
    reports = outside / "runs" / "studies" / "study"
    page = (reports / "report.html").read_text(encoding="utf-8")
    markdown = (reports / "report.md").read_text(encoding="utf-8")
    for text in (page, markdown):
        assert "worst rank" in text
        assert "INTO_ENGLISH" in text
        assert "SHOUT" in text
    assert "<svg" in page
    (claim,) = json.loads((reports / "report.json").read_text())["claims"]
    assert claim["findings"][0]["effect"] is not None
    written = hbr(
        *("compare", "--study", "study.yaml", "--output-dir", "runs"),
        *("--format", "format:WIKI", "--output", "report.wiki"),
    )
    assert written.code == 0, written.err
    assert '{| class="wikitable"' in (outside / "report.wiki").read_text()


@pytest.mark.slow
def test_the_lowest_value_of_a_metric_that_is_better_when_lower_is_marked_best(
    outside: Path,
) -> None:
    assert hbr("sweep", "study.yaml", "--output-dir", "runs").code == 0
    (table, *_) = json.loads((outside / "runs/studies/study/report.json").read_text())["tables"]
    values = [row["values"]["multi/metric:WORST_RANK"] for row in table["rows"]]
    assert min(values, key=lambda value: value["mean"])["place"] == 0
    assert values[0]["mean"] != values[1]["mean"]


def test_mistakes_in_settings_of_ones_own_are_named(outside: Path) -> None:
    train = ["train", "--data", "rows.jsonl", "--set", "objective=objective:FOCAL"]
    wrong = hbr(*train, "--set", "objective.gamma=-1")
    assert wrong.code == 2
    assert "objective.gamma" in wrong.err
    unknown = hbr(*train, "--set", "objective.gama=1")
    assert unknown.code == 2
    assert "gamma" in unknown.err


def test_settings_of_ones_own_are_part_of_a_runs_identity(outside: Path) -> None:
    shown = hbr(
        *("train", "--set", "objective=objective:FOCAL", "--set", "objective.gamma=1.5"),
        "--print-config",
    )
    assert shown.code == 0, shown.err
    assert "gamma: 1.5" in shown.out
    assert "floor: 0.0" in shown.out


def test_a_mode_of_ones_own_trains_on_bitext(outside: Path) -> None:
    folder = outside / "bitext"
    folder.mkdir()
    for language in ("de", "en"):
        lines = [f"{language} line {n}\n" for n in range(40)]
        (folder / f"corpus.de-en.{language}").write_text("".join(lines))
    words = ["plan", "--data", "bitext", "--sampler", "sampler:INTO_ENGLISH", "--alpha", "1"]
    assert hbr("prepare", "--data", "bitext", "--source", folder).code == 0
    plan = hbr(*words, "--batch-size", "8", "--batches", "5", "--json")
    assert plan.code == 0, plan.err
    assert set(json.loads(plan.out)["pairs"]) == {"de->en"}


def test_an_unknown_name_from_outside_is_one_line(outside: Path) -> None:
    for words in (
        ["train", "--sampler", "sampler:NOWHERE"],
        ["evaluate", "--dataset", "nowhere:FAQ"],
        ["train", "--set", "objective=objective:NOWHERE"],
    ):
        result = hbr(*words)
        assert result.code == 2
        assert len(result.err.strip().splitlines()) == 1
