"""Intervals and daggers follow from values by query; what is missing is shown as missing."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.tables import compare
from hbr.core.errors import UserError
from tests.compare.support import config, daggers, gathered, result, seeds, values
from tests.support import finished


def test_missing_seeds_and_cells_are_shown_as_missing(runs: Path) -> None:
    expected = [config(s, seed=n) for s in ("monolingual", "hybrid") for n in (0, 1)]
    expected.append(config("untrained"))
    evidence = gathered(finished(runs, "hybrid", values()), expected=expected)
    table = compare(evidence)
    assert [(row.label[1], row.seeds_text) for row in table.rows] == [
        ("untrained", "0 of 1"),
        ("monolingual", "0 of 2"),
        ("hybrid", "1 of 2"),
    ]
    assert [cell.text("map") for cell in table.rows[1].cells] == ["–"] * len(table.columns)
    assert "provisional: 4 of the study's runs have no results yet" in table.notes


def test_a_study_that_is_whole_is_not_provisional(runs: Path) -> None:
    evidence = gathered(finished(runs, "hybrid", values()), expected=[config("hybrid")])
    assert not any("provisional" in note for note in compare(evidence).notes)


ONE_RUN = "one run: says nothing of the method"


def test_one_seed_says_nothing_of_the_method_and_several_do(runs: Path) -> None:
    better = seeds(runs, "hybrid", 0.7, noise_seed=1, number=5)
    worse = seeds(runs, "mixed", 0.5, noise_seed=2, number=5)
    tables = {n: compare(gathered(*better[:n], *worse[:n]), ["recall@1"]) for n in (1, 2, 5)}
    assert f"not tested: {ONE_RUN}" in tables[1].notes
    assert daggers(tables[1]) == set()
    assert all(math.isnan(cell.low) for row in tables[1].rows for cell in row.cells)
    for n in (2, 5):
        assert f"not tested: {ONE_RUN}" not in tables[n].notes
        assert all(cell.low < cell.high for row in tables[n].rows for cell in row.cells)
    assert daggers(tables[5]) == {("hybrid", "mono")}
    untrained = gathered(finished(runs, "untrained", values()))
    assert all("a part of embedded" in note for note in compare(untrained).notes)


def test_of_one_seed_the_encoders_themselves_can_be_told_apart(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(0.7, noise_seed=1)),
        finished(runs, "mixed", values(0.5, noise_seed=2)),
    )
    table = compare(replace(evidence, over="concepts"), ["recall@1"])
    assert [row.cells[0].dagger for row in table.rows] == ["", "§"]
    assert [row.label[1] for row in table.rows] == ["mixed", "hybrid"]
    (note,) = [note for note in table.notes if note[0] == "§"]
    assert "t test over concepts" in note


def test_intervals_of_what_is_not_trained_are_those_of_students_t(runs: Path) -> None:
    noise = np.random.default_rng(5).normal(size=(200, 4)) * 0.1
    run = finished(runs, "untrained", {"mono map": 0.5 + noise}, concepts=200)
    cell = compare(gathered(run)).rows[0].cells[0]
    by_concept = 0.5 + noise.mean(1)
    low, high = stats.ttest_1samp(by_concept, 0).confidence_interval()
    assert (cell.low, cell.high) == pytest.approx((low, high), rel=1e-9)
    half = 1.96 * by_concept.std(ddof=1) / math.sqrt(200)
    assert cell.low == pytest.approx(by_concept.mean() - half, abs=0.1 * half)
    assert cell.high == pytest.approx(by_concept.mean() + half, abs=0.1 * half)


def test_seeds_that_differ_widen_the_interval(runs: Path) -> None:
    alike = [finished(runs / "a", "hybrid", values(0.5), seed=s) for s in (0, 1)]
    apart = [finished(runs / "b", "hybrid", values(0.4 + s / 5), seed=s) for s in (0, 1)]
    one, other = (compare(gathered(*results)).rows[0].cells[0] for results in (alike, apart))
    assert other.mean == pytest.approx(one.mean)
    assert other.high - other.low > 2 * (one.high - one.low)


def test_a_real_difference_has_a_dagger_and_noise_has_none(runs: Path) -> None:
    better = []
    for seed, level in enumerate((0.698, 0.7, 0.702)):
        own = values(level, noise_seed=10 + seed)
        own["cross map"] = values(0.505, noise_seed=20 + seed, noise=0.1)["cross map"]
        better.append(finished(runs, "hybrid", own, seed=seed))
    table = compare(gathered(*better, *seeds(runs, "mixed", 0.5)), ["map"])
    assert daggers(table) == {("hybrid", "mono"), ("hybrid", "multi")}
    assert table.rows[1].cells[0].text("map") == ".700 ± .002†"
    (note,) = [note for note in table.notes if note.startswith("†")]
    assert "the second best of its encoder" in note
    assert "t test over seeds and concepts" in note
    assert "Holm over 3 tests" in note


def test_daggers_against_a_baseline_stand_at_all_that_differs_from_it(runs: Path) -> None:
    evidence = gathered(
        *seeds(runs, "monolingual", 0.5),
        *seeds(runs, "cross-lingual", 0.3, noise_seed=1),
        *seeds(runs, "hybrid", 0.7, noise_seed=2),
        *seeds(runs, "mixed", 0.5, noise_seed=3, noise=0.1),
    )
    table = compare(evidence, ["recall@1"], baseline="monolingual")
    assert daggers(table) == {("cross-lingual", "mono"), ("hybrid", "mono")}
    assert any(note.startswith("† differs from monolingual: ") for note in table.notes)


def test_a_baseline_that_was_not_run_is_a_users_mistake(runs: Path) -> None:
    results = [finished(runs, "hybrid", values()), finished(runs, "mixed", values(0.4))]
    with pytest.raises(UserError, match="no cell of 'monolingual'; known: hybrid, mixed"):
        assemble(StudyResults("", list(map(result, results))), Options(baseline="monolingual"))


def test_a_baseline_may_be_written_with_an_underscore(runs: Path) -> None:
    levels = {"hybrid": 0.7, "cross-lingual": 0.4}
    results = [
        result(run)
        for i, (s, v) in enumerate(levels.items())
        for run in seeds(runs, s, v, noise_seed=i)
    ]
    options = Options(("recall@1",), baseline="cross_lingual")
    (table,) = assemble(StudyResults("", results), options).tables
    assert daggers(table) == {("hybrid", "mono")}


@pytest.mark.parametrize(
    ("setting", "first", "second", "label"),
    [("learning_rate", 1e-3, 1e-4, "0.001"), ("adapter.name", None, "lora", "")],
)
def test_a_baseline_is_the_one_that_agrees_in_what_else_is_varied(
    runs: Path, setting: str, first: object, second: object, label: str
) -> None:
    levels = {(first, "monolingual"): 0.4, (first, "hybrid"): 0.6}
    levels |= {(second, "monolingual"): 0.6, (second, "hybrid"): 0.6}
    evidence = gathered(
        *(
            run
            for number, ((value, sampler), level) in enumerate(levels.items())
            for run in seeds(
                *(runs, sampler, level),
                noise_seed=number,
                noise=0.02,
                settings={setting: value},
            )
        )
    )
    table = compare(evidence, ["recall@1"], baseline="monolingual")
    marked = {row.label[1:] for row in table.rows if row.cells[0].dagger}
    assert marked == {("hybrid", label)}
    assert any("Holm over 2 tests" in note for note in table.notes)


def test_a_baseline_is_that_of_samplers_of_any_alpha(runs: Path) -> None:
    hybrid = [
        run
        for number, alpha in enumerate((0.2, 0.5, 0.8))
        for run in seeds(runs, "hybrid", 0.7, noise_seed=number, settings={"alpha": alpha})
    ]
    evidence = gathered(*hybrid, *seeds(runs, "monolingual", 0.4, noise_seed=9))
    table = compare(evidence, ["recall@1"], baseline="monolingual")
    marked = [row.label[1:] for row in table.rows if row.cells[0].dagger]
    assert marked == [("hybrid", "0.2"), ("hybrid", "0.5"), ("hybrid", "0.8")]


def test_an_untrained_baseline_is_that_of_all_that_varies_in_training(runs: Path) -> None:
    untrained = finished(runs, "untrained", values(0.4))
    lora = seeds(runs, "hybrid", 0.6, noise_seed=1, settings={"adapter.name": "lora"})
    plain = seeds(runs, "hybrid", 0.6, noise_seed=2)
    table = compare(gathered(untrained, *lora, *plain), ["recall@1"], baseline="untrained")
    assert [bool(row.cells[0].dagger) for row in table.rows] == [False, True, True]


def test_all_that_are_best_differ_from_the_second(runs: Path) -> None:
    best = [run for sampler in ("hybrid", "mixed") for run in seeds(runs, sampler, 0.6)]
    second = seeds(runs, "english", 0.3, noise_seed=1)
    table = compare(gathered(*best, *second), ["recall@1"])
    assert daggers(table) == {("hybrid", "mono"), ("mixed", "mono")}


def test_a_run_alone_has_no_dagger(runs: Path) -> None:
    table = compare(gathered(finished(runs, "hybrid", values())))
    assert daggers(table) == set()
    assert not any("†" in note for note in table.notes)


def test_equal_results_give_an_equal_table(runs: Path) -> None:
    results = [
        run for i, s in enumerate(("hybrid", "mixed")) for run in seeds(runs, s, 0.5, noise_seed=i)
    ]
    one, same = (compare(gathered(*results)) for _ in range(2))
    assert not any(math.isnan(cell.low) for row in one.rows for cell in row.cells)
    assert one == same
