"""A metric from outside the package, through `hbr evaluate`: value, label, decimals, direction."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hbr.core.errors import UserError
from hbr.core.target import Measure
from hbr.evaluation.metrics import Metric
from tests.support import beside, hbr, only_run

WORST, SUCCESS = "outside_metrics:WORST_RANK", "outside_metrics:SUCCESS@5"
MODULE = """
import numpy as np
from hbr.evaluation.metrics import Metric

def worst_rank(ranks, relevant, cutoff=None):
    return ranks[np.arange(len(ranks)), relevant - 1]

def success(ranks, relevant, cutoff=None):
    return (ranks[:, 0] <= (cutoff or np.inf)).astype(float)

def gain_of_all(ranks, relevant, cutoff=None, *, gains):
    return gains.sum(1).astype(float)

WORST_RANK = Metric("worst_rank", "worst", worst_rank, higher_is_better=False, decimals=1)
SUCCESS = Metric("success", "S", success)
GAIN = Metric("gain", "gain", gain_of_all, graded=True)
"""


@pytest.fixture(scope="module")
def folder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module of metrics, and a run that is evaluated by them."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "outside_metrics.py").write_text(MODULE)
    runs = beside(world, folder / "runs")
    before = Path.cwd(), list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ("--output-dir", runs, "--encoder", "mbert-tiny", "--sampler", "untrained")
        assert hbr("train", *words).code == 0
        metrics = f"metrics=[map,{WORST},{SUCCESS},outside_metrics:GAIN]"
        words = ("--set", metrics, "--set", "evaluate.limit=6", "--output-dir", runs)
        said = hbr("evaluate", *words, "--run", only_run(runs), "--perturb", "typo:0.3")
        assert said.code == 0, said.err
        (folder / "said.txt").write_text(said.out)
        said = hbr("evaluate", *words, "--run", only_run(runs))
        (folder / "clean.txt").write_text(said.out)
    sys.path[:] = before[1]
    yield folder
    sys.modules.pop("outside_metrics", None)


@pytest.fixture(autouse=True)
def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)


def results(folder: Path, name: str = "embedded") -> tuple[dict, dict[str, np.ndarray]]:
    place = only_run(folder / "runs") / "evaluate" / name
    table = pq.read_table(place / "per_query.parquet").to_pandas()
    return json.loads((place / "metrics.json").read_text()), table


def test_its_values_stand_beside_the_others_by_query_and_in_the_means(folder: Path) -> None:
    metrics, table = results(folder)
    for setting in ("mono", "cross", "multi"):
        assert {"map", WORST, SUCCESS, "outside_metrics:GAIN"} <= set(metrics["settings"][setting])
    mono = table[table["setting"] == "mono"]
    # one relevant passage in each language: the average precision is one over its rank
    np.testing.assert_allclose(mono[WORST], 1 / mono["map"])
    assert (mono[SUCCESS] == (mono[WORST] <= 5)).all()
    means = mono.groupby("query_language")[WORST].mean()
    assert metrics["settings"]["mono"][WORST] == pytest.approx(means.mean())


def test_a_metric_that_says_so_gets_the_gains(folder: Path) -> None:
    _, table = results(folder)
    gains = table.groupby("setting")["outside_metrics:GAIN"].unique()
    assert [gains[setting].tolist() for setting in ("mono", "cross")] == [[1.0], [1.0]]
    assert (gains["multi"] > 1).all()


def test_it_is_shown_with_its_label_and_decimals(folder: Path) -> None:
    metrics, _ = results(folder)
    shown = (folder / "clean.txt").read_text()
    assert all(label in shown for label in (" worst ", " S@5 "))
    assert f"{metrics['settings']['multi'][WORST]:,.1f} " in shown
    assert "outside_metrics" not in shown


def test_what_it_loses_is_positive_where_it_gets_worse(folder: Path) -> None:
    clean, perturbed = results(folder)[0], results(folder, "embedded~typo-0.3")[0]
    for name, sign in ((WORST, -1), (SUCCESS, 1), ("map", 1)):
        for setting, values in perturbed["settings"].items():
            lost = sign * (clean["settings"][setting][name] - values[name])
            assert values[f"drop_{name}"] == pytest.approx(lost)
            assert perturbed["drops"][setting][name]["drop"] == pytest.approx(lost)
        assert Measure.parse(f"drop_{name}").lower_is_better


def test_a_name_with_a_cut_off_is_taken_apart_and_put_together() -> None:
    measure = Measure.parse(f"drop_{SUCCESS}")
    assert measure == Measure("outside_metrics:SUCCESS", 5, drop=True)
    assert str(measure) == f"drop_{SUCCESS}"
    assert isinstance(measure.metric, Metric)
    assert (measure.label, measure.decimals) == ("drop S@5", 3)
    assert Measure.parse(WORST).lower_is_better
    assert not Measure.parse(SUCCESS).lower_is_better


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("outside_metrics:worst_rank", "it must be a hbr.evaluation.metrics.Metric"),
        ("outside_metrics:NONE", "'outside_metrics:NONE' cannot be imported"),
        (f"{WORST}@0", "the cut-off of 'outside_metrics:WORST_RANK@0' is no positive number"),
    ],
)
def test_what_is_no_metric_is_refused(folder: Path, name: str, message: str) -> None:
    said = hbr("evaluate", "--set", f"metrics=[{name}]", "--output-dir", folder / "runs")
    assert (said.code, message in said.err) == (2, True), said.err
    if not name.endswith("@0"):
        with pytest.raises(UserError):
            _ = Measure.parse(name).metric
