"""Perturbed queries: what is evaluated, what it drops against clean ones, how it is shown."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hbr.core.config import resolve_config
from hbr.core.target import EvaluationTarget
from hbr.evaluation import attack as attacking
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec, open_run
from hbr.experiments.stages import load_vectors
from hbr.models.loading import load
from tests.support import beside, hbr

SPECS = ("typo:0.1", "case-upper:1", "code-switch:0.3", "attack-fgm:0.2")


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained and a trained run, evaluated under perturbations on a small task."""
    folder = beside(world, tmp_path_factory.mktemp("perturbed") / "runs")
    words = ["--encoder", "mbert-tiny", "--output-dir", folder]
    assert hbr("train", "--sampler", "hybrid", "--set", "train.max_steps=3", *words).code == 0
    assert hbr("train", "--sampler", "untrained", *words).code == 0
    perturb = [word for spec in ("typo:0,0.1", *SPECS[1:]) for word in ("--perturb", spec)]
    for run in folder.glob("*-mbert-tiny-*"):
        said = hbr("evaluate", *SMALL, "--run", run, "--output-dir", folder, *perturb)
        assert said.code == 0, said.err
    return folder


SMALL = ("--set", "evaluate.limit=12")


@pytest.fixture(scope="module")
def run(runs: Path) -> Path:
    return next(runs.glob("hybrid-*"))


def metrics(run: Path, change: str = "") -> dict[str, Any]:
    name = "embedded" + (f"~{change.replace(':', '-')}" if change else "")
    return json.loads((run / "evaluate" / name / "metrics.json").read_text())


def table(run: Path, change: str = "") -> Any:
    name = "embedded" + (f"~{change.replace(':', '-')}" if change else "")
    return pq.read_table(run / "evaluate" / name / "per_query.parquet").to_pandas()


@pytest.mark.parametrize("spec", SPECS)
def test_a_drop_is_clean_minus_perturbed_query_by_query(run: Path, spec: str) -> None:
    clean, changed = table(run), table(run, spec)
    keys = ["setting", "query", "query_language", "passage_language"]
    assert clean[keys].equals(changed[keys])
    for name in ("map", "recall@10", "mrr"):
        lost = clean[name] - changed[name]
        np.testing.assert_allclose(changed[f"drop_{name}"], lost, atol=1e-12)
    found = metrics(run, spec)
    before = metrics(run)["settings"]
    assert found["dataset"] == f"embedded~{spec}"
    assert spec in found["protocol"]
    for setting, own in found["drops"].items():
        told = own["map"]
        after = found["settings"][setting]
        assert told["clean"] == pytest.approx(before[setting]["map"])
        assert told["drop"] == pytest.approx(before[setting]["map"] - after["map"])
        assert after["drop_map"] == pytest.approx(told["drop"])
        assert told["interval"][0] <= told["drop"] <= told["interval"][1]


def test_a_strength_of_zero_changes_nothing(run: Path) -> None:
    found = metrics(run, "typo:0")
    assert found["perturbation"]["changed"] == 0
    assert all(own["map"]["drop"] == 0 for own in found["drops"].values())


def test_all_runs_are_asked_the_same_perturbed_queries(runs: Path) -> None:
    files = [run / "encode/embedded~typo-0.1/perturbed.jsonl" for run in runs.glob("*-mbert-*")]
    assert len(files) == 2
    one, other = (file.read_text() for file in files)
    assert one == other
    lines = [json.loads(line) for line in one.splitlines()]
    told = metrics(files[0].parents[2], "typo:0.1")["perturbation"]
    share = sum(line["clean"] != line["perturbed"] for line in lines) / len(lines)
    assert told["changed"] == pytest.approx(share)
    assert 0 < share < 1
    assert set(told["changed_by_language"]) == {line["language"] for line in lines}


def test_passages_are_encoded_once(run: Path) -> None:
    names = {path.name.partition("-")[0] for path in (run / "encode/embedded~typo-0.1").iterdir()}
    assert "queries" in names
    assert "passages" not in names


def test_what_is_up_to_date_is_not_done_again_and_another_seed_is(run: Path, runs: Path) -> None:
    place = run / "evaluate/embedded~typo-0.1/metrics.json"
    before = place.stat().st_mtime_ns
    again = ("evaluate", *SMALL, "--run", run, "--output-dir", runs, "--perturb", "typo:0.1")
    assert hbr(*again).code == 0
    assert place.stat().st_mtime_ns == before
    assert hbr(*again, "--set", "evaluate.seed=1").code == 0
    assert json.loads(place.read_text())["perturbation"]["seed"] == 1
    assert hbr(*again).code == 0


def test_several_perturbations_are_one_table(run: Path, runs: Path) -> None:
    words = ("evaluate", *SMALL, "--run", run, "--output-dir", runs)
    said = hbr(*words, "--perturb", "typo:0,0.1", "--perturb", "case-upper")
    assert said.code == 0, said.err
    for word in ("typo:0 ", "typo:0.1 ", "case-upper:1 ", "changed", "drop", "95 % interval"):
        assert word in said.out
    told = json.loads(hbr(*words, "--perturb", "typo:0.1", "--json").out)
    assert [one["dataset"] for one in told["perturbed"]] == ["embedded~typo:0.1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--perturb", "typpo"), "there is no perturbation 'typpo'; did you mean typo"),
        (("--perturb", "typo:2"), "the strength of 'typo:2' is no number between 0 and 1"),
        (("--perturb", "typo", "--trec"), "--perturb measures by exact search"),
        (("--perturb", "typo", "--index", "flat"), "--perturb measures by exact search"),
    ],
)
def test_what_cannot_be_is_refused(run: Path, runs: Path, words: tuple, told: str) -> None:
    said = hbr("evaluate", *SMALL, "--run", run, "--output-dir", runs, *words)
    assert (said.code, told in said.err) == (2, True), said.err


def test_a_comparison_sets_drops_beside_the_clean_value(runs: Path) -> None:
    every = sorted(runs.glob("*-mbert-tiny-*"))
    said = hbr("compare", *every, "--output-dir", runs, "--format", "json")
    assert said.code == 0, said.err
    report = json.loads(said.out)
    tables = {table["title"]: table for table in report["tables"]}
    shown = next(t for title, t in tables.items() if "multi mAP, and its drop" in title)
    for row in shown["rows"]:
        run = next(r for r in every if r.name.startswith(row["sampler"]))
        clean = metrics(run)["settings"]["multi"]["map"]
        assert next(iter(row["values"])) == "embedded/multi/map"
        assert row["values"]["embedded/multi/map"]["mean"] == clean
        drop = row["values"]["embedded~typo:0.1/multi/drop_map"]
        expected = metrics(run, "typo:0.1")["settings"]["multi"]["drop_map"]
        assert drop["mean"] == pytest.approx(expected)
        assert drop["share"] == pytest.approx(expected / clean)
        assert drop["place"] is None
    assert any(note.startswith("queries changed: ") for note in shown["notes"])
    assert not any(note[0] in "†§" for note in shown["notes"])
    assert not any("~" in title for title in tables)


def test_results_of_other_clean_queries_are_refused(run: Path, runs: Path) -> None:
    words = ("evaluate", "--run", run, "--output-dir", runs)
    assert hbr(*words, "--set", "evaluate.limit=7").code == 0
    said = hbr("compare", run, "--output-dir", runs)
    assert said.code == 2
    assert "other clean queries; renew them: `hbr evaluate --dataset embedded --perturb" in said.err
    perturb = [word for spec in ("typo:0,0.1", *SPECS[1:]) for word in ("--perturb", spec)]
    assert hbr(*words, *SMALL, *perturb).code == 0


def test_a_perturbed_name_may_be_spelled_shorter(run: Path, runs: Path) -> None:
    words = ("encode", *SMALL, "--run", run, "--output-dir", runs, "--dataset")
    said = hbr(*words, "embedded~case-upper")
    assert said.code == 0, said.err
    assert "embedded~case-upper-1" in said.out
    said = hbr(*words, "embedded~typo:7")
    assert (said.code, "no number between 0 and 1" in said.err) == (2, True)


def test_claims_about_drops_speak_of_perturbed_queries_and_others_of_clean_ones() -> None:
    from hbr.compare.claims import Claim
    from hbr.core.target import EvaluationTarget

    drop = Claim.model_validate(
        {"id": "d", "metric": "drop_map", "setting": "mono", "less": "hybrid", "than": "mixed"}
    )
    plain = Claim.model_validate(
        {"id": "p", "metric": "map", "setting": "mono", "greater": "hybrid", "than": "mixed"}
    )
    assert drop.concerns(EvaluationTarget.parse("x~typo:0.1"))
    assert not drop.concerns(EvaluationTarget.parse("x"))
    assert plain.concerns(EvaluationTarget.parse("x"))
    assert not plain.concerns(EvaluationTarget.parse("x~typo:0.1"))
    named = drop.model_copy(update={"dataset": ("x",)})
    assert named.concerns(EvaluationTarget.parse("x~typo:0.1"))
    assert not named.concerns(EvaluationTarget.parse("y~typo:0.1"))
    assert not named.concerns(EvaluationTarget.parse("x"))


def test_an_attack_stays_in_its_ball_and_harms_more_than_chance(run: Path, runs: Path) -> None:
    """Against random shifts of the same length, by what the attack makes high."""
    store, own = open_run(run)
    config = resolve_config(own.model_dump(mode="json"), {"evaluate.limit": 12})
    data = RunData(RunSpec(config, runs, folder=store.path))
    task = data.task("embedded")
    encoder = load(run / "model")
    radius = 0.2 * float(encoder.token_embeddings.detach().norm(dim=1).mean())
    texts = [f"Query: {text}" for text in task.queries["text"][:8].to_pylist()]
    batch = encoder.pad(encoder.tokenize(texts, 64))
    told = torch.from_numpy(
        np.asarray(load_vectors(data, EvaluationTarget("embedded"))[1]).astype(np.float32)
    )
    corpus = np.arange(len(told))
    answers = attacking._relevant(task, np.arange(8), corpus)
    candidates = attacking._candidates(task, np.arange(8), corpus, answers)
    with torch.inference_mode():
        against = attacking._nearest(encoder(*batch) @ told.T, answers, candidates)
    relevant = torch.from_numpy(answers)
    encoder.requires_grad_(False)
    assert not (against & relevant).any()
    assert (against.sum(1) == attacking.AGAINST).all()

    def harm(shift: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            scores = encoder(*batch, shift) @ told.T / attacking.TEMPERATURE
        return attacking._over(scores, against) - attacking._over(scores, relevant)

    worst = [
        attacking._worst(encoder, batch, told, (relevant, against), radius, steps)
        for steps in (1, 5)
    ]
    generator = torch.Generator().manual_seed(0)
    mask = batch[1][..., None]
    random = torch.randn(worst[0].shape, generator=generator) * mask
    random *= radius / random.norm(dim=(1, 2), keepdim=True)
    for shift in worst:
        assert (shift.norm(dim=(1, 2)) <= radius * (1 + 1e-5)).all()
        assert (shift * (1 - mask) == 0).all()
        assert (harm(shift) > harm(random)).all()
        assert (harm(shift) > harm(torch.zeros_like(shift))).all()
    assert (harm(worst[1]) >= harm(torch.zeros_like(worst[1]))).all()


def test_an_attack_aims_at_what_a_query_is_ranked_against(run: Path, runs: Path) -> None:
    """Not at excluded passages, and without a pool at those in the languages of its answers."""
    store, own = open_run(run)
    config = resolve_config(own.model_dump(mode="json"), {"evaluate.limit": 12})
    task = RunData(RunSpec(config, runs, folder=store.path)).task("embedded")
    corpus, some = np.arange(len(task.passage_language)), np.arange(5)
    excluded = np.full(len(task.excluded), 7)
    task = dataclasses.replace(task, excluded=excluded)
    met = attacking._candidates(task, some, corpus, attacking._relevant(task, some, corpus))
    assert met.sum(1).tolist() == [len(corpus) - 1] * 5
    assert not met[:, 7].any()
    answer = np.flatnonzero(task.passage_language == 0)[:1]
    apart = dataclasses.replace(
        task,
        settings=("mono",),
        indptr=np.arange(len(task.indptr)),
        relevant=np.repeat(answer, len(task.indptr)),
    )
    met = attacking._candidates(apart, some, corpus, attacking._relevant(apart, some, corpus))
    assert met.any(1).all()
    assert not met[:, task.passage_language != 0].any()


def test_diagnostics_are_written_shown_and_compared(run: Path, runs: Path) -> None:
    words = ("evaluate", *SMALL, "--run", run, "--output-dir", runs, "--diagnose")
    said = hbr(*words)
    assert said.code == 0, said.err
    for word in ("alignment (cross)", "probe (passages)", "linear probe", "hubs"):
        assert word in said.out
    found = json.loads((run / "diagnose/embedded/diagnostics.json").read_text())
    assert json.loads(hbr(*words, "--json").out)["diagnostics"] == found
    assert found["passages"]["language_probe"]["chance"] < 0.2
    said = hbr("compare", run, "--output-dir", runs, "--format", "json")
    shown = next(t for t in json.loads(said.out)["tables"] if t["title"] == "embedded: vectors")
    values = shown["rows"][0]["values"]
    assert values["cross/alignment"]["mean"] == pytest.approx(found["alignment"]["cross"])
    again = ("encode", *SMALL, "--run", run, "--output-dir", runs, "--force")
    assert hbr(*again, "--set", "encode.dtype=float16").code == 0
    assert hbr("evaluate", *SMALL, "--set", "encode.dtype=float16", *again[3:-1]).code == 0
    said = hbr("compare", run, "--output-dir", runs, "--dataset", "embedded", "--format", "json")
    assert "embedded: vectors" not in said.out  # of other vectors than those that stand there now
