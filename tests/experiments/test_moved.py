"""The queries that moved most: of every comparison of a study's claims, by values set by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from hbr.compare.claims import Claim
from hbr.compare.model import Moved
from hbr.compare.queries import QueryLine, moved_key
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, read_result
from hbr.core.target import EvaluationTarget
from hbr.experiments import inspection, moved
from hbr.experiments.moved import NUMBER, moved_queries
from hbr.experiments.run_spec import RunSpec, open_run
from tests.support import beside, finished, hbr

CLAIM = {"id": "c", "metric": "map", "setting": "mono", "greater": "hybrid", "than": "monolingual"}
LANGUAGES = ("de", "en")
INSPECTOR = inspection.Inspector


class Texts:
    """Stands for an inspector: a query is shown by its place, and what it moved by."""

    made: ClassVar[list[str]] = []

    def __init__(
        self, runs: Sequence[RunSpec], dataset: str, source: Path | None, *, ready: bool
    ) -> None:
        assert ready  # a report prepares nothing
        Texts.made.append(f"{runs[0].path.name} {dataset} {source}")

    def values_of(self, line: QueryLine) -> dict[str, Any]:
        return {"place": (line.concept, line.query_language, round(line.change, 6))}


@pytest.fixture(autouse=True)
def no_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "Inspector", Texts)
    monkeypatch.setattr(Texts, "made", [])


def result(run: Path, dataset: str = "embedded") -> Result:
    store, config = open_run(run)
    return read_result(store, config, EvaluationTarget.parse(dataset))


def found(runs: Sequence[Path], *claims: Mapping[str, Any], **source: Path) -> dict[str, Moved]:
    """Judge claims on some runs; give what moved by its key, which the report's page asks by."""
    results = [result(run) for run in runs]
    specs = [RunSpec(open_run(run)[1], run.parent, "cpu", run) for run in runs]
    cells: Any = [SimpleNamespace(run=spec, sources=source) for spec in specs]
    judged = [Claim.model_validate(claim) for claim in claims or (CLAIM,)]
    report = assemble(StudyResults("", results, claims=judged), Options())
    moved = moved_queries(results, cells, report.verdicts)
    keys = {moved_key(v, f) for v in report.verdicts for f in v.findings}
    assert moved.keys() <= keys
    return moved


def lines(moved: Moved) -> list[tuple[int, str, float]]:
    return [query["place"] for query in moved.queries]


def run_of(runs: Path, sampler: str, values: np.ndarray, **more: Any) -> Path:
    """Write a run of mono mAP (concepts, languages)."""
    return finished(
        *(runs, sampler, {"mono map": values}),
        languages=LANGUAGES,
        concepts=len(values),
        trained_on=("de",),
        **more,
    )


def test_sides_are_means_over_seeds_and_the_greatest_change_comes_first(tmp_path: Path) -> None:
    """Question 1 in German: (.8 + .4) / 2 - .2 = .4; question 0 in English: .1 - .9 = -.8."""
    hybrids = [
        run_of(tmp_path, "hybrid", np.array([[0.5, 0.1], [0.8, 0.5]]), seed=0),
        run_of(tmp_path, "hybrid", np.array([[0.5, 0.1], [0.4, 0.5]]), seed=1),
    ]
    other = run_of(tmp_path, "monolingual", np.array([[0.5, 0.9], [0.2, 0.5]]))
    (moved,) = found([*hybrids, other], embedded=Path("files")).values()
    assert lines(moved) == [(0, "en", -0.8), (1, "de", 0.4)]  # those that did not move are left out
    assert (moved.setting, moved.metric) == ("mono", "map")
    assert moved.label == "xlm-r-tiny: hybrid vs monolingual, embedded"
    assert Texts.made == [f"{hybrids[0].name} embedded files"]


def test_no_more_than_twenty_are_shown(tmp_path: Path) -> None:
    """Of 24 questions, question n moves by n hundredths: 24 to 5 are the twenty most."""
    steps = np.arange(1, 25) / 100
    base = np.full((24, 2), 0.5)
    above = base + np.stack([steps, np.zeros(24)], axis=1)
    runs = [run_of(tmp_path, "hybrid", above), run_of(tmp_path, "monolingual", base)]
    (moved,) = found(runs).values()
    assert NUMBER == 20
    assert lines(moved) == [(n - 1, "de", n / 100) for n in range(24, 4, -1)]


def test_a_claim_on_a_group_of_languages_has_queries_of_that_group_alone(tmp_path: Path) -> None:
    """Trained on German alone: of unseen languages there is English."""
    above, below = np.array([[0.9, 0.6], [0.9, 0.5]]), np.array([[0.1, 0.5], [0.1, 0.7]])
    runs = [run_of(tmp_path, "hybrid", above), run_of(tmp_path, "monolingual", below)]
    claims = [CLAIM, CLAIM | {"id": "unseen", "among": {"seen": "unseen"}}]
    every, unseen = found(runs, *claims).values()
    assert lines(every) == [
        (0, "de", 0.8),
        (1, "de", 0.8),
        (1, "en", -0.2),
        (0, "en", 0.1),
    ]
    assert lines(unseen) == [(1, "en", -0.2), (0, "en", 0.1)]
    assert unseen.label.endswith("embedded, seen: unseen")


def test_claims_on_one_comparison_share_its_queries(tmp_path: Path) -> None:
    above, below = np.array([[0.9, 0.6], [0.9, 0.5]]), np.array([[0.1, 0.5], [0.1, 0.7]])
    runs = [run_of(tmp_path, "hybrid", above), run_of(tmp_path, "monolingual", below)]
    assert len(found(runs, CLAIM, CLAIM | {"id": "again", "by": 0.01})) == 1


def test_large_data_sets_and_runs_that_are_missing_are_left_out(tmp_path: Path) -> None:
    values = np.array([[0.9, 0.6], [0.9, 0.5]])
    large = {"passages": moved.PASSAGES + 1}
    runs = [
        run_of(tmp_path, "hybrid", values, about=large),
        run_of(tmp_path, "monolingual", values / 2, about=large),
    ]
    assert found(runs) == {}
    assert found([run_of(tmp_path / "alone", "hybrid", values)]) == {}


@pytest.mark.slow
def test_a_studys_report_shows_each_query_with_its_text_and_what_stood_before(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real encoders, against the values by query that two runs have."""
    monkeypatch.undo()
    runs, study = beside(world, tmp_path / "runs"), tmp_path / "s.yaml"
    study.write_text(
        json.dumps(
            {
                "base": {"train": {"max_steps": 3, "batch_size": 16, "report_to": "none"}},
                "grid": {"sampler": ["hybrid", "monolingual"]},
                "untrained": False,
                "evaluate": ["embedded"],
                "claims": [CLAIM],
            }
        )
    )
    assert hbr("sweep", study, "--jobs", 1, "--output-dir", runs).code == 0
    page = (runs / "studies" / "s" / "report.html").read_text()
    tables = [
        read_result(*open_run(next(runs.glob(f"{name}-*"))), EvaluationTarget("embedded"))
        .columns(["setting", "query", "query_language", "map"])
        .to_pandas()
        for name in ("hybrid", "monolingual")
    ]
    mono = [table[table["setting"] == "mono"] for table in tables]
    change = (mono[0]["map"].to_numpy() - mono[1]["map"].to_numpy()).round(3)
    assert 'id="queries"' in page
    most = f"{abs(change).max():.3f}".removeprefix("0")
    assert most in page[page.index('id="queries"') :]


def test_a_report_leaves_out_the_queries_of_vectors_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The figures of these runs are there, no vectors: a report is written all the same."""
    monkeypatch.setattr(inspection, "Inspector", INSPECTOR)
    values = np.arange(4.0).reshape(2, 2) / 4
    runs = [run_of(tmp_path, name, values) for name in ("hybrid", "monolingual")]
    assert found(runs) == {}
    assert "comparisons without their queries in the report: 1; " in caplog.text
