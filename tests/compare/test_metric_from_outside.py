"""A metric from outside the package is a full citizen: its label, its direction, its columns."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hbr.compare.claims import Claim
from hbr.compare.evidence import Evidence, gather
from hbr.compare.results import read_result
from hbr.compare.table import Table, digits, lower_is_better, name
from hbr.compare.tables import compare
from hbr.compare.verdicts import verdicts
from hbr.core.target import EvaluationTarget
from hbr.evaluation.metrics import Metric
from hbr.experiments.run_spec import open_run
from tests.support import finished

EFFORT = "mine_effort:EFFORT"
NOISE = np.random.default_rng(7).normal(size=(24, 1)) * 0.01


@pytest.fixture(autouse=True)
def effort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer a metric that is better when lower, in a module beside the package."""
    module: Any = ModuleType("mine_effort")
    module.EFFORT = Metric(
        "effort",
        "effort",
        lambda ranks, _relevant, _cutoff=None: ranks[:, 0],
        higher_is_better=False,
        decimals=1,
        columns=(("mono", 5),),
    )
    monkeypatch.setitem(sys.modules, "mine_effort", module)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """Hybrid takes less effort than monolingual, and that less than mixed; equal in mAP."""
    results = []
    for own, (sampler, level) in enumerate({"hybrid": 2, "monolingual": 3, "mixed": 4}.items()):
        noise = NOISE * (1 + own)
        for seed in range(3):
            own_level = level + 0.02 * (seed - 1)
            values = {"mono map": 0.5 + 0 * NOISE, f"mono {EFFORT}@5": own_level + noise}
            run = finished(tmp_path / "runs", sampler, values, seed=seed)
            results.append(read_result(*open_run(run), EvaluationTarget("embedded")))
    (evidence,) = gather(results)
    return evidence


def places(table: Table, column: tuple[str, str]) -> dict[str, int | None]:
    at = table.columns.index(column)
    return {row.label[1]: row.cells[at].place for row in table.rows}


def test_its_facts_are_read_from_its_entry() -> None:
    assert name(f"{EFFORT}@5") == "effort@5"
    assert digits(EFFORT) == 1
    assert lower_is_better(f"{EFFORT}@5")
    assert lower_is_better(f"drop_{EFFORT}")


def test_the_lowest_is_marked_as_the_best(evidence: Evidence) -> None:
    table = compare(evidence, [f"{EFFORT}@5"])
    assert places(table, ("mono", f"{EFFORT}@5")) == {"hybrid": 0, "monolingual": 1, "mixed": None}
    (best,) = [row for row in table.rows if row.label[1] == "hybrid"]
    assert best.cells[0].text(f"{EFFORT}@5") == "2.0 ± .0†"


def test_it_has_the_columns_that_it_says_behind_those_of_the_package(evidence: Evidence) -> None:
    assert compare(evidence).columns == (("mono", "map"), ("mono", f"{EFFORT}@5"))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"less": "hybrid", "than": "monolingual"}, "supported"),
        ({"less": "hybrid", "than": "monolingual", "by": "30%"}, "supported"),
        ({"less": "hybrid", "than": "monolingual", "by": "40%"}, "refuted"),
        ({"greater": "hybrid", "than": "monolingual"}, "refuted"),
        ({"greater": "mixed", "than": ["hybrid", "monolingual"]}, "supported"),
        # the best of several is the lowest
        ({"equal": "hybrid", "to": ["monolingual", "mixed"], "margin": 1.5}, "supported"),
        ({"equal": "mixed", "to": ["hybrid", "monolingual"], "margin": 1.5}, "refuted"),
    ],
    ids=str,
)
def test_greater_and_less_mean_what_they_say(
    evidence: Evidence, words: dict[str, Any], status: str
) -> None:
    claim = Claim.model_validate({"id": "c", "metric": f"{EFFORT}@5", "setting": "mono", **words})
    (verdict,) = verdicts([claim], [evidence])
    assert verdict.status == status


def test_a_claim_about_a_metric_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no metric 'mpa'; did you mean map"):
        Claim.model_validate({"id": "c", "metric": "mpa", "setting": "mono", "trend": "up"})
