"""`hbr inspect`: queries by value, with what is relevant and what stands before it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hbr.compare.queries import failed_by_all, query_lines
from hbr.compare.results import read_result
from hbr.core.target import EvaluationTarget
from hbr.experiments.run_spec import open_run
from tests.support import beside, finished, hbr

QUICK = ("--steps", "3", "--batch-size", "16", "--device", "cpu")


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs, both evaluated on the embedded data."""
    folder = beside(world, tmp_path_factory.mktemp("inspected"))
    made = []
    for words in (["--untrained"], QUICK):
        made.append(Path(hbr("train", *words, "--output-dir", folder).out.strip()))
        assert hbr("evaluate", "--output-dir", folder).code == 0
    return made[0], made[1]


def by_query(run: Path, setting: str, metric: str) -> dict[tuple[str, str, str | None], float]:
    table = pq.read_table(run / "evaluate" / "embedded" / "per_query.parquet").to_pylist()
    keys = ("query", "query_language", "passage_language")
    return {tuple(r[k] for k in keys): r[metric] for r in table if r["setting"] == setting}


def test_lists_hold_the_extremes_with_exact_ranks(runs: tuple[Path, Path]) -> None:
    words = ("--against", runs[1], "--setting", "mono", "--metric", "mrr", "-n", "4", "--json")
    found = json.loads(hbr("inspect", runs[0], *words).out)
    values, others = (by_query(run, "mono", "mrr") for run in runs)
    assert [q["value"] for q in found["worst"]] == sorted(values.values())[:4]
    assert [q["value"] for q in found["best"]] == sorted(values.values())[::-1][:4]
    changes = sorted((values[key] - others[key] for key in values), key=abs)[::-1][:4]
    assert [q["change"] for q in found["most changed"]] == changes
    for query in (*found["worst"], *found["best"]):
        assert 1 / query["relevant"][0]["rank"] == pytest.approx(query["value"])
        best = query["relevant"][0]
        for hit in query["before"]:
            assert hit["rank"] < best["rank"]
            assert hit["margin"] == pytest.approx(hit["score"] - best["score"])
    assert all(q["before"] == [] for q in found["best"] if q["value"] == 1)


def test_it_is_shown_within_80_columns(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = hbr("inspect", runs[1], "--against", runs[0], "--language", "qab", "-n", "2")
    assert said.code == 0
    assert "worst: multi mAP" in said.out
    assert "most changed" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert "qab→all" in said.out


def test_what_every_run_fails_is_listed_apart(tmp_path: Path) -> None:
    """Concept 3 fails in both runs and all languages, concept 5 in one run alone."""
    results = []
    for sampler, bad in (("hybrid", [3, 5]), ("monolingual", [3])):
        found = np.ones((24, 1))
        found[bad] = 0
        run = finished(tmp_path, sampler, {"mono recall@10": found, "mono map": found})
        results.append(read_result(*open_run(run), EvaluationTarget("embedded")))
    failed = failed_by_all(results, "mono", 10)
    assert [(one.concept, one.failed, one.pairs) for one in failed] == [(3, 4, 4)]
    (one,) = failed
    assert one.query_language == one.passage_language == "en"
    lines = query_lines(results, "mono", "map", "de")
    assert [line.concept for line in lines if line.change] == [5]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--metric", "mpa"], "has no mpa by query"),
        (["--language", "xx"], "there are no queries in xx"),
        (["--dataset", "xquad-r"], "has no results on xquad-r; get them with"),
    ],
)
def test_mistakes_are_one_line(runs: tuple[Path, Path], words: list[str], told: str) -> None:
    said = hbr("inspect", runs[0], *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
