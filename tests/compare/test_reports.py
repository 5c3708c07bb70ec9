"""Runs that differ in their seed alone are one row; what is told apart, and what holds, follows
from values by query.
"""

import csv
import io
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hbr.compare.claims import Claim
from hbr.compare.evidence import Evidence, Resampling, gather
from hbr.compare.fairness import unfair
from hbr.compare.model import Verdict
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, provenance, read_result
from hbr.compare.series import series
from hbr.compare.table import Table
from hbr.compare.tables import compare
from hbr.compare.verdicts import verdicts
from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.store import Store
from hbr.core.target import EvaluationTarget
from hbr.experiments.run_spec import complete, open_run
from hbr.report.formats.markdown import to_markdown
from hbr.report.formats.values import to_csv
from tests.support import finished

QUICK = Resampling(resamples=999)
CONCEPTS = 24
EASY = np.random.default_rng(0).normal(size=(CONCEPTS, 1))  # some questions are easier, for all
EASY = 0.05 * (EASY - EASY.mean())


def values(level: float = 0.5, distance: float = 50, *, own: int = 0, noise: float = 0.01) -> Any:
    """Mono map of `level`, cross .1 and multi .2 below it, with noise that has a mean of nothing.

    `own` is what the noise of a run is drawn from.
    """
    drawn = np.random.default_rng(own).normal(size=(CONCEPTS, 1))
    by_concept = EASY + noise * (drawn - drawn.mean())
    return {
        "mono map": level + by_concept,
        "mono recall@1": level / 2 + by_concept,
        "cross map": level - 0.1 + by_concept[..., None],
        "multi map": level - 0.2 + by_concept,
        "multi rank_distance": distance + 100 * by_concept,
    }


def result(run: Path, dataset: str = "embedded") -> Result:
    return read_result(*open_run(run), EvaluationTarget.parse(dataset))


def evidence(*runs: Path, expected: Any = (), resampling: Resampling = QUICK) -> Evidence:
    (found,) = gather([result(run) for run in runs], expected, resampling)
    return found


def config(sampler: str, **settings: Any) -> Any:
    named = {"sampler": sampler, "encoder": "xlm-r-tiny"} | settings
    return complete(resolve_config({key.replace("__", "."): v for key, v in named.items()}))


def shown(made: Table, column: tuple[str, str]) -> dict[str, float]:
    place = made.columns.index(column)
    return {row.label[1]: row.cells[place].mean for row in made.rows}


def daggers(made: Table) -> set[tuple[str, str]]:
    """Name the cells that have a dagger: sampler and setting."""
    return {
        (row.label[1], setting)
        for row in made.rows
        for cell, (setting, _) in zip(row.cells, made.columns, strict=True)
        if cell.dagger
    }


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


# Tables


def test_the_papers_columns_are_shown_where_they_were_computed(runs: Path) -> None:
    assert compare(evidence(finished(runs, "hybrid", values()))).columns == (
        ("mono", "map"),
        ("cross", "map"),
        ("multi", "map"),
        ("mono", "recall@1"),
        ("multi", "rank_distance"),
    )


def test_named_metrics_are_shown_in_every_setting_that_has_them(runs: Path) -> None:
    found = evidence(finished(runs, "hybrid", values()))
    made = compare(found, ["rank_distance", "recall@1"])
    assert made.columns == (("multi", "rank_distance"), ("mono", "recall@1"))


def test_a_data_set_without_the_papers_metrics_shows_what_it_has(runs: Path) -> None:
    made = compare(evidence(finished(runs, "hybrid", {"mono ndcg@10": 0.5})))
    assert made.columns == (("mono", "ndcg@10"),)


def test_a_metric_that_was_not_computed_is_answered_with_those_that_were(runs: Path) -> None:
    found = StudyResults("", [result(finished(runs, "hybrid", values()))])
    with pytest.raises(UserError, match=r"'mrr' was not computed; known: map, .*rank_distance"):
        assemble(found, Options(("mrr",)))
    with pytest.raises(UserError, match="did you mean recall@1"):
        assemble(found, Options(("recall@2",)))


def test_nothing_to_compare_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        assemble(StudyResults("", []), Options())


def test_seeds_are_averaged_with_their_deviation(runs: Path) -> None:
    levels = [0.5, 0.625, 0.75]
    made = compare(
        evidence(*(finished(runs, "hybrid", values(v), seed=s) for s, v in enumerate(levels)))
    )
    (row,) = made.rows
    assert (row.seeds, row.seeds_text, row.label) == (3, "3", ("xlm-r-tiny", "hybrid"))
    assert row.cells[0].mean == pytest.approx(0.625)
    assert row.cells[0].sd == pytest.approx(statistics.stdev(levels))
    assert row.cells[0].text("map") == ".625 ± .125"


def test_one_seed_has_no_deviation(runs: Path) -> None:
    assert compare(evidence(finished(runs, "hybrid", values()))).rows[0].cells[0].sd is None


def test_rows_come_in_the_order_of_the_samplers_and_encoders(runs: Path) -> None:
    samplers = ["hybrid", "monolingual", "untrained", "cross-lingual", "mixed", "english"]
    made = compare(evidence(*(finished(runs, s, values()) for s in samplers)))
    assert [row.label[1] for row in made.rows] == [
        *("untrained", "english", "mixed", "monolingual", "cross-lingual", "hybrid")
    ]


def test_the_best_is_high_but_for_distance_and_preference(runs: Path) -> None:
    more = {"multi same_language@10": 0.9, "multi peer@20": 0.25}
    made = compare(
        evidence(
            finished(runs, "monolingual", values(0.5, 90) | more),
            finished(
                runs,
                "cross-lingual",
                values(0.25, 10) | {"multi same_language@10": 0.3, "multi peer@20": 0.75},
            ),
            finished(
                runs,
                "hybrid",
                values(0.375, 50) | {"multi same_language@10": 0.5, "multi peer@20": 0.5},
            ),
        ),
        ["map", "rank_distance", "same_language@10", "peer@20"],
    )
    marks = [[cell.place for cell in row.cells] for row in made.rows]
    assert [row.label[1] for row in made.rows] == ["monolingual", "cross-lingual", "hybrid"]
    assert marks == [[0, 0, 0, *[None] * 3], [*[None] * 3, 0, 0, 0], [1] * 6]
    assert "**10" in to_markdown(made)


def test_encoders_are_marked_each_on_its_own(runs: Path) -> None:
    labse = {"encoder": "labse-tiny"}
    found = evidence(
        finished(runs, "hybrid", values(0.9)),
        finished(runs, "mixed", values(0.8)),
        finished(runs, "hybrid", values(0.1), **labse),
        finished(runs, "mixed", values(0.2), **labse),
    )
    made = compare(found, ["map"])
    assert [(*row.label, row.cells[0].place) for row in made.rows] == [
        ("labse-tiny", "mixed", 0),
        ("labse-tiny", "hybrid", 1),
        ("xlm-r-tiny", "mixed", 1),
        ("xlm-r-tiny", "hybrid", 0),
    ]


def test_encoders_of_one_name_from_two_folders_are_two(runs: Path, tmp_path: Path) -> None:
    found = evidence(
        *(
            finished(runs, sampler, values(level), encoder=str(tmp_path / folder / "encoder"))
            for folder in ("a", "b")
            for sampler, level in (("hybrid", 0.6), ("mixed", 0.5))
        )
    )
    made = compare(found, ["map"])
    assert len({row.label for row in made.rows}) == 4
    assert sorted(row.cells[0].place or 0 for row in made.rows) == [0, 0, 1, 1]


def test_untrained_rows_have_no_seeds_and_no_settings(runs: Path) -> None:
    found = evidence(
        finished(runs, "untrained", values(0.2)),
        finished(runs, "hybrid", values(0.5), settings={"alpha": 0.2}),
        finished(runs, "hybrid", values(0.4), settings={"alpha": 0.8}),
    )
    made = compare(found)
    assert made.heads == ("encoder", "sampler", "sampler.alpha")
    assert [(row.label, row.seeds_text) for row in made.rows] == [
        (("xlm-r-tiny", "untrained", ""), "–"),
        (("xlm-r-tiny", "hybrid", "0.2"), "1"),
        (("xlm-r-tiny", "hybrid", "0.8"), "1"),
    ]


def test_settings_in_which_cells_differ_are_columns_and_others_are_not(runs: Path) -> None:
    found = evidence(
        finished(runs, "hybrid", values(), settings={"train.max_steps": 10}),
        finished(
            runs, "hybrid", values(), settings={"train.max_steps": 20, "objective.mask": "none"}
        ),
        finished(runs, "mixed", values(), settings={"train.max_steps": 10}),
    )
    made = compare(found)
    assert made.heads == ("encoder", "sampler", "objective.mask", "train.max_steps")
    assert {row.label[1:] for row in made.rows} == {
        ("hybrid", "group", "10"),
        ("hybrid", "none", "20"),
        ("mixed", "group", "10"),
    }


def test_how_often_a_run_was_logged_tells_no_cells_apart(runs: Path) -> None:
    found = evidence(
        finished(runs, "hybrid", values(), settings={"train.logging_steps": 5}),
        finished(runs, "mixed", values(), settings={"train.logging_steps": 10}),
    )
    assert compare(found).heads == ("encoder", "sampler")


def test_cells_that_differ_in_their_learning_rate_alone_can_be_told_apart(runs: Path) -> None:
    rates = ({"learning_rate": 1e-3}, {"learning_rate": 1e-4})
    made = compare(evidence(*(finished(runs, "hybrid", values(), settings=r) for r in rates)))
    assert len({row.label for row in made.rows}) == len(made.rows) == 2


def test_alpha_makes_no_cells_of_samplers_that_have_none(runs: Path) -> None:
    found = evidence(
        finished(runs, "mixed", values(), settings={"alpha": 0.1}),
        finished(runs, "mixed", values(), settings={"alpha": 0.9}, seed=1),
    )
    made = compare(found, ["map"])
    assert [(row.label, row.seeds) for row in made.rows] == [(("xlm-r-tiny", "mixed"), 2)]


def test_the_same_run_named_twice_is_one_seed(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    (row,) = compare(evidence(run, run)).rows
    assert row.seeds == 1


def test_what_one_run_lacks_is_shown_as_a_dash(runs: Path) -> None:
    lacking = {k: v for k, v in values().items() if k != "multi rank_distance"}
    made = compare(
        evidence(finished(runs, "hybrid", values(0.4)), finished(runs, "mixed", lacking))
    )
    assert math.isnan(shown(made, ("multi", "rank_distance"))["mixed"])
    assert shown(made, ("multi", "rank_distance"))["hybrid"] == pytest.approx(50)
    assert "| – |" in to_markdown(made)
    assert "nan" not in to_csv([made])


def test_a_value_that_is_not_defined_is_a_dash(runs: Path) -> None:
    undefined = values() | {"multi rank_distance": math.nan}
    found = evidence(finished(runs, "hybrid", undefined), finished(runs, "mixed", values()))
    assert math.isnan(shown(compare(found), ("multi", "rank_distance"))["hybrid"])


def test_a_mean_over_seeds_of_which_one_lacks_the_value_is_not_given(runs: Path) -> None:
    lacking = {k: v for k, v in values().items() if k != "mono map"}
    found = evidence(finished(runs, "hybrid", values()), finished(runs, "hybrid", lacking, seed=1))
    (row,) = compare(found, ["map"]).rows
    assert math.isnan(row.cells[compare(found, ["map"]).columns.index(("mono", "map"))].mean)


def test_what_the_first_run_lacks_is_shown_all_the_same(runs: Path) -> None:
    lacking = {k: v for k, v in values().items() if k != "multi rank_distance"}
    found = evidence(finished(runs, "english", lacking), finished(runs, "hybrid", values(0.4, 7)))
    assert shown(compare(found), ("multi", "rank_distance"))["hybrid"] == pytest.approx(7)


def test_csv_gives_means_and_deviations_in_full(runs: Path) -> None:
    levels = [0.1, 0.2, 0.4]
    found = [result(finished(runs, "hybrid", values(v), seed=s)) for s, v in enumerate(levels)]
    made = compare(gather(found, resampling=QUICK)[0], ["rank_distance", "map"])
    lines = list(csv.DictReader(io.StringIO(to_csv([made]))))
    line = lines[1]
    means = [r.metrics["settings"]["mono"]["map"] for r in found]
    assert [(x["setting"], x["metric"]) for x in lines] == list(made.columns)
    assert float(line["mean"]) == statistics.fmean(means)
    assert float(line["sd"]) == statistics.stdev(means)
    assert float(line["low"]) < float(line["mean"]) < float(line["high"])
    assert line["seeds"] == "3"


# Groups of languages


def by_group(found: Evidence, by: str, column: tuple[str, str]) -> dict[str | None, float]:
    made = compare(found, [column[1]], by=by)
    place = made.columns.index(column)
    means = {row.group: row.cells[place].mean for row in made.rows}
    return {group: round(mean, 6) for group, mean in means.items() if not math.isnan(mean)}


@pytest.fixture
def apart(runs: Path) -> Evidence:
    """A run whose languages, de en so th, have a map of .1 .2 .3 .4, and pairs their product."""
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    pairs = levels[:, None] * levels
    return evidence(
        finished(runs, "hybrid", {"mono map": levels, "cross map": pairs, "multi map": levels / 2})
    )


def test_query_languages_have_rows_below_their_cell(apart: Evidence) -> None:
    made = compare(apart, ["map"], by="language")
    found = [(row.group, round(row.cells[0].mean, 6)) for row in made.rows]
    assert found == [(None, 0.25), ("de", 0.1), ("en", 0.2), ("so", 0.3), ("th", 0.4)]
    de = 0.1 * (0.2 + 0.3 + 0.4) / 3
    assert by_group(apart, "language", ("cross", "map"))["de"] == pytest.approx(de)
    assert made.group_head == "language"


def test_languages_are_grouped_by_how_much_text_there_is(apart: Evidence) -> None:
    assert by_group(apart, "resource", ("mono", "map")) == {
        None: 0.25,
        "high": pytest.approx((0.1 + 0.2 + 0.4) / 3, abs=1e-6),
        "low": 0.3,
    }
    pairs = by_group(apart, "resource", ("cross", "map"))
    assert pairs.keys() == {None, "high→high", "high→low", "low→high"}
    assert pairs["high→low"] == pytest.approx(0.3 * (0.1 + 0.2 + 0.4) / 3, abs=1e-6)
    assert pairs["high→high"] == pytest.approx((0.02 + 0.04 + 0.08) / 3, abs=1e-6)


def test_languages_are_grouped_by_script_and_by_family(apart: Evidence) -> None:
    scripts = by_group(apart, "script", ("mono", "map"))
    assert scripts == {None: 0.25, "latin": pytest.approx(0.2), "thai": 0.4}
    families = by_group(apart, "family", ("multi", "map"))
    assert families == {None: 0.125, "germanic": 0.075, "cushitic": 0.15, "kra-dai": 0.2}
    assert by_group(apart, "family", ("cross", "map"))["germanic→germanic"] == 0.02


def test_languages_are_grouped_by_whether_they_were_trained_on(apart: Evidence) -> None:
    assert by_group(apart, "seen", ("mono", "map")) == {
        None: 0.25,
        "seen": pytest.approx((0.1 + 0.2 + 0.4) / 3, abs=1e-6),
        "unseen": 0.3,
    }


def test_pairs_are_grouped_by_how_far_apart_they_are(apart: Evidence) -> None:
    found = by_group(apart, "distance", ("cross", "map"))
    assert found["same family and script"] == 0.02  # German and English
    assert found["same family or script"] == pytest.approx((0.03 + 0.06) / 2)  # Somali
    assert found["neither"] == pytest.approx(0.4 * (0.1 + 0.2 + 0.3) / 3)  # Thai
    assert by_group(apart, "distance", ("mono", "map")) == {None: 0.25, "same language": 0.25}


def test_an_empty_group_has_no_row_and_marks_are_given_within_one(runs: Path) -> None:
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    found = evidence(
        finished(runs, "hybrid", {"mono map": levels}),
        finished(runs, "mixed", {"mono map": 0.26 + 0 * levels}),
    )
    made = compare(found, by="resource")
    assert [(row.label[1], row.group, row.cells[0].place) for row in made.rows] == [
        *(("mixed", None, 0), ("mixed", "high", 0), ("mixed", "low", 1)),
        *(("hybrid", None, 1), ("hybrid", "high", 1), ("hybrid", "low", 0)),
    ]


# What is missing


def test_missing_seeds_and_cells_are_shown_as_missing(runs: Path) -> None:
    expected = [config(s, seed=n) for s in ("monolingual", "hybrid") for n in (0, 1)]
    expected.append(config("untrained"))
    found = evidence(finished(runs, "hybrid", values()), expected=expected)
    made = compare(found)
    assert [(row.label[1], row.seeds_text) for row in made.rows] == [
        ("untrained", "0 of 1"),
        ("monolingual", "0 of 2"),
        ("hybrid", "1 of 2"),
    ]
    assert [cell.text("map") for cell in made.rows[1].cells] == ["–"] * len(made.columns)
    assert "provisional: 4 of the study's runs have no results yet" in made.notes


def test_a_study_that_is_whole_is_not_provisional(runs: Path) -> None:
    found = evidence(finished(runs, "hybrid", values()), expected=[config("hybrid")])
    assert not any("provisional" in note for note in compare(found).notes)


def test_few_seeds_are_warned_of_and_five_are_not(runs: Path) -> None:
    made = [finished(runs, "hybrid", values(own=s), seed=s) for s in range(5)]
    notes = {n: " ".join(compare(evidence(*made[:n])).notes) for n in (1, 2, 5)}
    assert "1 seed a cell: too few to speak of seeds" in notes[1]
    assert "2 seeds a cell: too few to speak of seeds" in notes[2]
    assert "seed" not in notes[5]
    untrained = evidence(finished(runs, "untrained", values()))
    assert compare(untrained).notes == ()


# Chance


def test_intervals_agree_with_the_normal_approximation(runs: Path) -> None:
    noise = np.random.default_rng(5).normal(size=(200, 4)) * 0.1
    run = finished(runs, "hybrid", {"mono map": 0.5 + noise}, concepts=200)
    cell = compare(evidence(run, resampling=Resampling(4999))).rows[0].cells[0]
    by_concept = 0.5 + noise.mean(1)
    half = 1.96 * by_concept.std(ddof=1) / math.sqrt(200)
    assert cell.low == pytest.approx(by_concept.mean() - half, abs=0.1 * half)
    assert cell.high == pytest.approx(by_concept.mean() + half, abs=0.1 * half)


def test_seeds_that_differ_widen_the_interval(runs: Path) -> None:
    alike = [finished(runs / "a", "hybrid", values(0.5), seed=s) for s in (0, 1)]
    apart = [finished(runs / "b", "hybrid", values(0.4 + s / 5), seed=s) for s in (0, 1)]
    one, other = (compare(evidence(*found)).rows[0].cells[0] for found in (alike, apart))
    assert other.mean == pytest.approx(one.mean)
    assert other.high - other.low > 2 * (one.high - one.low)


def test_a_real_difference_has_a_dagger_and_noise_has_none(runs: Path) -> None:
    better = values(0.7, own=1)
    better["cross map"] = values(0.505, own=2, noise=0.1)["cross map"]
    made = compare(
        evidence(finished(runs, "hybrid", better), finished(runs, "mixed", values(0.5))), ["map"]
    )
    assert daggers(made) == {("hybrid", "mono"), ("hybrid", "multi")}
    assert made.rows[1].cells[0].text("map") == ".700†"
    (note,) = [note for note in made.notes if note.startswith("†")]
    assert "the second best of its encoder" in note
    assert "999 draws" in note
    assert "Holm over 3 tests" in note


def test_daggers_against_a_baseline_stand_at_all_that_differs_from_it(runs: Path) -> None:
    found = evidence(
        finished(runs, "monolingual", values(0.5)),
        finished(runs, "cross-lingual", values(0.3, own=1)),
        finished(runs, "hybrid", values(0.7, own=2)),
        finished(runs, "mixed", values(0.5, own=3, noise=0.1)),
    )
    made = compare(found, ["recall@1"], baseline="monolingual")
    assert daggers(made) == {("cross-lingual", "mono"), ("hybrid", "mono")}
    assert any(note.startswith("† differs from monolingual: ") for note in made.notes)


def test_a_baseline_that_was_not_run_is_a_users_mistake(runs: Path) -> None:
    found = [finished(runs, "hybrid", values()), finished(runs, "mixed", values(0.4))]
    with pytest.raises(UserError, match="no cell of 'monolingual'; known: hybrid, mixed"):
        assemble(StudyResults("", list(map(result, found))), Options(baseline="monolingual"))


def test_a_baseline_may_be_written_with_an_underscore(runs: Path) -> None:
    levels = {"hybrid": 0.7, "cross-lingual": 0.4}
    found = [result(finished(runs, s, values(v, own=i))) for i, (s, v) in enumerate(levels.items())]
    options = Options(("recall@1",), baseline="cross_lingual", resampling=QUICK)
    (made,) = assemble(StudyResults("", found), options).tables
    assert daggers(made) == {("hybrid", "mono")}


def test_a_baseline_is_the_one_that_agrees_in_what_else_is_varied(runs: Path) -> None:
    levels = {(1e-3, "monolingual"): 0.4, (1e-3, "hybrid"): 0.6}
    levels |= {(1e-4, "monolingual"): 0.6, (1e-4, "hybrid"): 0.6}
    found = evidence(
        *(
            finished(
                runs, sampler, values(level, own=own, noise=0.02), settings={"learning_rate": lr}
            )
            for own, ((lr, sampler), level) in enumerate(levels.items())
        )
    )
    made = compare(found, ["recall@1"], baseline="monolingual")
    marked = {row.label[1:] for row in made.rows if row.cells[0].dagger}
    assert marked == {("hybrid", "0.001")}


def test_a_run_alone_has_no_dagger(runs: Path) -> None:
    made = compare(evidence(finished(runs, "hybrid", values())))
    assert daggers(made) == set()
    assert not any("†" in note for note in made.notes)


def test_the_same_seed_gives_the_same_table_and_another_nearly_so(runs: Path) -> None:
    found = [finished(runs, s, values(0.5, own=i)) for i, s in enumerate(("hybrid", "mixed"))]
    one, same = (compare(evidence(*found, resampling=Resampling(999, 4))) for _ in range(2))
    other = compare(evidence(*found, resampling=Resampling(999, 5)))
    assert one == same
    assert one != other
    assert other.rows[0].cells[0].low == pytest.approx(one.rows[0].cells[0].low, abs=0.01)


# What is compared with what


def test_protocols_never_share_a_table(runs: Path) -> None:
    found = [
        result(finished(runs, "hybrid", values())),
        result(finished(runs, "mixed", values())),
        result(finished(runs, "english", values(), about={"protocol": "another"})),
        result(finished(runs, "monolingual", values(), about={"search": "faiss flat"})),
    ]
    made = {own.protocol: [r.config.sampler.name for r in own.results] for own in gather(found)}
    assert made == {
        "by hand": ["mixed", "hybrid"],
        "another": ["english"],
        "by hand; search: faiss flat": ["monolingual"],
    }
    report = assemble(StudyResults("", found), Options(resampling=QUICK))
    assert {t.protocol: len(t.rows) for t in report.tables} == {p: len(m) for p, m in made.items()}


def test_runs_under_different_protocols_are_refused_when_strict(runs: Path) -> None:
    found = [
        result(finished(runs, "hybrid", values())),
        result(finished(runs, "mixed", values(), about={"protocol": "another"})),
    ]
    with pytest.raises(UserError, match="protocol"):
        assemble(StudyResults("", found), Options(resampling=QUICK, strict=True))


def test_data_sets_have_tables_of_their_own(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    finished(runs, "hybrid", values(0.3), dataset="other")
    report = assemble(
        StudyResults("study", [result(run), result(run, "other")]), Options(resampling=QUICK)
    )
    assert [table.title for table in report.tables] == ["study: embedded", "study: other"]
    assert [round(t.rows[0].cells[0].mean, 6) for t in report.tables] == [0.5, 0.3]


def test_a_metric_that_one_data_set_has_is_shown_there(runs: Path) -> None:
    run = finished(runs, "hybrid", values() | {"mono mrr": 0.5})
    finished(runs, "hybrid", values(), dataset="other")
    material = StudyResults("", [result(run), result(run, "other")])
    report = assemble(material, Options(("mrr",), resampling=QUICK))
    assert report.tables[0].columns == (("mono", "mrr"),)


def test_runs_evaluated_on_different_versions_of_the_data_are_not_compared(runs: Path) -> None:
    one = finished(runs, "hybrid", values())
    other = finished(runs, "monolingual", values(), about={"task": "task-2"})
    with pytest.raises(UserError, match=r"on different versions of embedded; .*the same --source"):
        evidence(one, other)


def test_runs_that_answer_other_queries_are_not_compared(runs: Path) -> None:
    one = finished(runs, "hybrid", values())
    fewer = {name: value[: CONCEPTS - 1] for name, value in values().items()}
    other = finished(runs, "monolingual", fewer, concepts=CONCEPTS - 1)
    with pytest.raises(UserError, match=r"holds other queries than .*hbr evaluate --force"):
        compare(evidence(one, other))


def stage(run: Store, name: str, content: str, inputs: dict[str, str] | None = None) -> None:
    def make(folder: Path) -> None:
        (folder / "metrics.json").write_text(content)

    run.build(name, make, settings={}, inputs=inputs)


def test_results_are_read_from_the_run_unless_they_are_stale(tmp_path: Path) -> None:
    made = result(finished(tmp_path / "made", "hybrid", values()))
    own, run = made.config, Store(tmp_path / "run")
    stage(run, "train", "first")
    stage(run, "encode/small", "", {"train": run.completion("train")})
    inputs = {"encode": run.completion("encode/small")}
    stage(run, "evaluate/small", json.dumps(made.metrics), inputs)
    read = read_result(run, own, EvaluationTarget("small"))
    assert (read.metrics, read.name) == (made.metrics, "run")
    assert read.stages["train"]["id"] == run.completion("train")
    with pytest.raises(UserError, match="hbr evaluate --dataset other --run"):
        read_result(run, own, EvaluationTarget("other"))
    (run.path / "evaluate" / "small" / "metrics.json").write_text('{"settings"')
    with pytest.raises(UserError, match=r"is missing or damaged; renew it: `[^`]* --force`"):
        read_result(run, own, EvaluationTarget("small"))
    stage(run, "train", "second", {"rows": "changed"})
    with pytest.raises(UserError, match="the results on small are stale; renew them"):
        read_result(run, own, EvaluationTarget("small"))


def test_results_of_an_older_hbr_are_named_with_what_renews_them(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    path = run / "evaluate" / "embedded" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics.pop("training")
    path.write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=r"older hbr's.*`hbr evaluate .*--force`"):
        result(run)  # without --force they count as up to date


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", None])
def test_values_by_query_that_are_damaged_are_named(runs: Path, content: bytes | None) -> None:
    run = finished(runs, "hybrid", values())
    path = run / "evaluate" / "embedded" / "per_query.parquet"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"per_query.parquet is missing.*hbr evaluate.*--force"):
        compare(evidence(run))


# Fairness and contamination


def test_unfair_differences_are_named_with_who_differs(runs: Path) -> None:
    found = evidence(
        finished(runs, "hybrid", values(), settings={"train.batch_size": 32}),
        finished(runs, "mixed", values()),
        finished(runs, "english", values()),
    )
    told = unfair(found, ())
    (line,) = [line for line in told if "train.batch_size" in line]
    assert line.startswith("runs differ in train.batch_size: 64 (")
    assert " and 1 more), 32 (hybrid-xlm-r-tiny-s0-" in line
    assert set(told) <= set(compare(found).notes)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("train.precision", {"settings": {"train.precision": "bf16"}}),
        ("encoder.query_max_seq_length", {"settings": {"encoder.query_max_seq_length": 32}}),
        ("encoder.pooling", {"settings": {"encoder.pooling": "cls"}}),
        ("encode.precision", {"settings": {"encode.precision": "bf16"}}),
        ("encoder.revision", {"settings": {"encoder.revision": "abc"}}),
        ("steps done", {"done": {"steps": 7}}),
        ("pairs seen", {"done": {"pairs": 7}}),
        ("data (rows embedded)", {"done": {"inputs": {"rows embedded": "rows-9"}}}),
        ("encoder files", {"done": {"inputs": {"encoder": "files-9"}}}),
    ],
)
def test_each_thing_that_is_not_compared_must_be_the_same(
    runs: Path, what: str, changed: Any
) -> None:
    one, other = finished(runs, "hybrid", values()), finished(runs, "mixed", values(), **changed)
    told = unfair(evidence(one, other), ())
    assert [line for line in told if line.startswith(f"runs differ in {what}: ")]
    with pytest.raises(UserError, match="--strict: the comparison is not fair\nruns differ in"):
        assemble(
            StudyResults("", [result(one), result(other)]), Options(resampling=QUICK, strict=True)
        )


def test_runs_that_differ_in_sampler_encoder_and_seed_alone_are_fair(runs: Path) -> None:
    found = [
        result(finished(runs, sampler, values(), encoder=encoder, seed=seed))
        for sampler in ("monolingual", "hybrid")
        for encoder in ("xlm-r-tiny", "labse-tiny")
        for seed in (0, 1)
    ]
    found.append(result(finished(runs, "untrained", values())))
    assert unfair(gather(found)[0], ()) == []
    assert assemble(StudyResults("", found), Options(resampling=QUICK, strict=True)).tables


def test_what_a_study_varies_on_purpose_is_fair(runs: Path) -> None:
    found = [
        result(finished(runs, "hybrid", values(), settings={"learning_rate": lr, "alpha": alpha}))
        for lr in (1e-3, 1e-4)
        for alpha in (0.2, 0.8)
    ]
    material = StudyResults("", found, varied={"train.learning_rate", "sampler.alpha"})
    assert assemble(material, Options(resampling=QUICK, strict=True)).tables
    with pytest.raises(UserError, match=r"runs differ in train\.learning_rate: 0\.001"):
        assemble(StudyResults("", found), Options(resampling=QUICK, strict=True))


@pytest.mark.parametrize("setting", ["train.max_steps", "train.batch_size"])
def test_what_follows_from_what_is_varied_is_fair_too(runs: Path, setting: str) -> None:
    found = [result(finished(runs, "hybrid", values(), settings={setting: n})) for n in (32, 64)]
    assert unfair(gather(found)[0], {setting}) == []


def test_contamination_is_marked_on_rows_in_notes_and_in_csv(runs: Path) -> None:
    found = evidence(
        finished(runs, "hybrid", values(), contamination=(3, 0)),
        finished(runs, "mixed", values()),
    )
    made = compare(found)
    assert [(row.label[1], row.marked) for row in made.rows] == [("mixed", False), ("hybrid", True)]
    (note,) = [note for note in made.notes if note.startswith("‡")]
    assert "3 of 96 queries and 0 of 960 passages are among the training texts" in note
    assert "| hybrid‡ |" in to_markdown(made)
    lines = csv.DictReader(io.StringIO(to_csv([made])))
    assert {(line["sampler"], line["contaminated"]) for line in lines} == {
        ("mixed", "0"),
        ("hybrid", "1"),
    }


# Verdicts


def claim(**said: Any) -> Claim:
    usual = {"id": "c", "metric": "map", "setting": "mono"}
    return Claim.model_validate(usual | said)


def judged(found: Evidence, **said: Any) -> Verdict:
    (verdict,) = verdicts([claim(**said)], [found])
    return verdict


BETTER = {"greater": "hybrid", "than": "monolingual"}


def pair(runs: Path, ours: float, theirs: float, *, noise: float = 0.01, **more: Any) -> Evidence:
    """Return a hybrid run and a monolingual one."""
    return evidence(
        finished(runs, "hybrid", values(ours, own=1, noise=noise)),
        finished(runs, "monolingual", values(theirs, own=2, noise=noise)),
        **more,
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "noise", "status"),
    [
        (0.6, 0.5, 0.01, "supported"),
        (0.5, 0.6, 0.01, "refuted"),
        (0.5, 0.5, 0.1, "open"),
        (0.505, 0.5, 0.1, "open"),
    ],
)
def test_a_claim_is_supported_refuted_or_open(
    runs: Path, ours: float, theirs: float, noise: float, status: str
) -> None:
    verdict = judged(pair(runs, ours, theirs, noise=noise), **BETTER)
    (finding,) = verdict.findings
    assert (verdict.status, finding.status) == (status, status)
    assert finding.label == "xlm-r-tiny: hybrid vs monolingual"
    assert finding.effect == pytest.approx(ours - theirs)
    assert finding.low < finding.effect < finding.high
    assert finding.relative == pytest.approx((ours - theirs) / theirs)
    assert (finding.concepts, finding.seeds) == (CONCEPTS, 1)
    assert [name.partition("-xlm")[0] for name in finding.cells] == ["monolingual", "hybrid"]
    assert (finding.p < 0.05) == (status != "open")


def test_the_p_is_that_of_scipys_permutation_test(runs: Path) -> None:
    ours, theirs = values(0.51, own=1, noise=0.05), values(0.5, own=2, noise=0.05)
    found = evidence(
        finished(runs, "hybrid", ours),
        finished(runs, "monolingual", theirs),
        resampling=Resampling(9_999),
    )
    (finding,) = judged(found, **BETTER).findings
    means = [own["mono map"][:, 0] for own in (ours, theirs)]
    known = stats.permutation_test(
        means,
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=9_999,
        rng=np.random.default_rng(3),
    )
    assert 0.02 < known.pvalue < 0.5
    assert finding.p == pytest.approx(known.pvalue, abs=0.02)
    difference = means[0] - means[1]
    assert finding.d == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_the_same_seed_gives_the_same_p_whatever_else_is_claimed(runs: Path) -> None:
    pair(runs, 0.51, 0.5, noise=0.05)
    paths = sorted(runs.iterdir())
    first = claim(**BETTER)
    other = claim(id="d", greater="monolingual", than="hybrid", setting="multi")

    def p(claims: list[Claim], seed: int) -> float:
        found = [evidence(*paths, resampling=Resampling(999, seed))]
        return verdicts(claims, found)[-1].findings[0].p

    assert p([first], 0) == p([first], 0) == p([other, first], 0)
    assert p([first], 0) != p([first], 1)
    assert p([first], 0) == pytest.approx(p([first], 1), abs=0.1)


def test_p_is_adjusted_over_all_comparisons_of_all_claims(runs: Path) -> None:
    found = pair(runs, 0.6, 0.5)
    claims = [claim(id=s, setting=s, **BETTER) for s in ("mono", "cross", "multi")]
    made = verdicts(claims, [found])
    assert [v.findings[0].p for v in made] == [0.001] * 3
    assert [v.findings[0].adjusted for v in made] == [pytest.approx(0.003)] * 3
    (alone,) = verdicts(claims[:1], [found])
    assert alone.findings[0].adjusted == 0.001


def test_a_claim_speaks_for_every_encoder(runs: Path) -> None:
    found = evidence(
        *(
            finished(runs, sampler, values(level, own=i), encoder=encoder)
            for encoder, levels in (("xlm-r-tiny", (0.6, 0.5)), ("labse-tiny", (0.4, 0.5)))
            for i, (sampler, level) in enumerate(
                zip(("hybrid", "monolingual"), levels, strict=True)
            )
        )
    )
    verdict = judged(found, **BETTER)
    assert [(f.label.partition(":")[0], f.status) for f in verdict.findings] == [
        ("labse-tiny", "refuted"),
        ("xlm-r-tiny", "supported"),
    ]
    assert verdict.status == "refuted"
    alone = judged(found, **BETTER, where={"encoder": "xlm-r-tiny"})
    assert (alone.status, len(alone.findings)) == ("supported", 1)


def test_encoders_of_one_name_from_two_folders_are_judged_each_on_its_own(
    runs: Path, tmp_path: Path
) -> None:
    found = evidence(
        *(
            finished(runs, sampler, values(level, own=i), encoder=str(tmp_path / folder / "enc"))
            for folder, levels in (("a", (0.6, 0.5)), ("b", (0.4, 0.3)))
            for i, (sampler, level) in enumerate(
                zip(("hybrid", "monolingual"), levels, strict=True)
            )
        )
    )
    assert [f.status for f in judged(found, **BETTER).findings] == ["supported"] * 2


def test_a_claim_with_cells_that_were_not_run_is_open(runs: Path) -> None:
    expected = [config("mixed")]
    found = pair(runs, 0.6, 0.5, expected=expected)
    verdict = judged(found, greater="hybrid", than=["monolingual", "mixed"])
    assert [f.status for f in verdict.findings] == ["supported", "open"]
    assert (verdict.status, verdict.note) == ("open", "not all of its cells were run")
    absent = judged(found, greater="hybrid", than=["monolingual", "english"])
    assert (absent.status, absent.note) == ("open", "no cell of english in xlm-r-tiny")
    nobody = judged(found, greater="english", than="hybrid")
    assert (nobody.status, nobody.note) == ("open", "no cell of english")


def test_a_claim_with_a_seed_that_was_not_run_is_open(runs: Path) -> None:
    found = pair(runs, 0.6, 0.5, expected=[config("hybrid", seed=1)])
    assert judged(found, **BETTER).status == "open"


def test_a_claim_on_a_data_set_that_was_not_evaluated_is_open(runs: Path) -> None:
    found = pair(runs, 0.6, 0.5)
    verdict = judged(found, **BETTER, dataset=["embedded", "xquad-r"])
    assert [(f.dataset, f.status) for f in verdict.findings] == [
        ("embedded", "supported"),
        ("xquad-r", "open"),
    ]
    assert (verdict.status, verdict.note) == ("open", "not evaluated")
    assert judged(found, **BETTER, dataset="embedded").status == "supported"


def test_a_metric_that_no_run_has_leaves_a_claim_open(runs: Path) -> None:
    verdict = judged(pair(runs, 0.6, 0.5), **BETTER | {"metric": "ndcg@10"})
    assert (verdict.status, verdict.note) == ("open", "mono ndcg@10 was not measured")


@pytest.mark.parametrize("lacking", ["recall@1", "map"])  # map: in one setting alone
def test_a_metric_that_one_run_lacks_leaves_open_what_is_claimed_of_it_alone(
    runs: Path, lacking: str
) -> None:
    ours, theirs = values(0.6, own=1), values(0.4, own=2)
    fewer = {k: v for k, v in values(0.5).items() if k != f"mono {lacking}"}
    found = evidence(
        finished(runs, "hybrid", ours),
        finished(runs, "monolingual", fewer),
        finished(runs, "mixed", theirs),
    )
    assert judged(found, **BETTER, metric=lacking).status == "open"
    (finding,) = judged(found, greater="hybrid", than="mixed", metric=lacking).findings
    assert finding.effect == pytest.approx(0.2 if lacking == "map" else 0.1)
    assert (finding.status, finding.p, finding.note) == ("supported", 0.001, "")
    made = compare(found, [lacking])
    assert ("hybrid", "mono") in daggers(made)


def test_a_metric_without_values_by_query_cannot_be_tested(runs: Path) -> None:
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    found = evidence(
        finished(runs, "hybrid", {"mono map": 0.2 + levels / 10}),
        finished(runs, "monolingual", {"mono map": levels}),
    )
    verdict = judged(found, metric="map_spread", less="hybrid", than="monolingual")
    assert math.isnan(verdict.findings[0].p)
    assert (verdict.status, "no values by query" in verdict.note) == ("open", True)
    assert verdict.findings[0].effect == pytest.approx(-0.9 * levels.std())


def test_a_claim_may_speak_of_some_languages_alone(runs: Path) -> None:
    only_somali = np.array([0, 0, 0.2, 0])
    ours, theirs = values(0.5, own=1), values(0.5, own=2)
    found = evidence(
        finished(runs, "hybrid", ours | {"mono map": ours["mono map"] + only_somali}),
        finished(runs, "monolingual", theirs),
    )
    low = judged(found, **BETTER, among={"resource": "low"})
    high = judged(found, **BETTER, among={"resource": "high"})
    assert (low.status, high.status) == ("supported", "open")
    assert low.findings[0].effect == pytest.approx(0.2)
    assert high.findings[0].effect == pytest.approx(0)
    assert judged(found, **BETTER).findings[0].effect == pytest.approx(0.05)
    unseen = judged(found, **BETTER, among={"seen": "unseen", "script": "latin"})
    assert unseen.findings[0].effect == pytest.approx(0.2)
    nobody = judged(found, **BETTER, among={"script": "greek"})
    assert (nobody.status, "was not measured among" in nobody.note) == ("open", True)


def test_a_claim_may_speak_of_some_pairs_alone(runs: Path) -> None:
    ours, theirs = values(0.5, own=1), values(0.5, own=2)
    to_thai = np.zeros((4, 4)) + np.array([0, 0, 0, 0.2])
    found = evidence(
        finished(runs, "hybrid", ours | {"cross map": ours["cross map"] + to_thai}),
        finished(runs, "monolingual", theirs),
    )
    thai = judged(found, **BETTER, setting="cross", among={"script": "latin→thai"})
    assert (thai.status, round(thai.findings[0].effect, 6)) == ("supported", 0.2)
    latin = judged(found, **BETTER, setting="cross", among={"script": "latin→latin"})
    assert (latin.status, round(latin.findings[0].effect, 6)) == ("open", 0)


@pytest.mark.parametrize(
    ("by", "status"),
    [
        ("10%", "supported"),
        ("30%", "refuted"),
        ("19.9%", "open"),
        (5, "supported"),
        (15, "refuted"),
    ],
)
def test_a_difference_may_have_to_have_a_size(runs: Path, by: Any, status: str) -> None:
    found = evidence(
        finished(runs, "hybrid", values(0.5, 40, own=1)),
        finished(runs, "monolingual", values(0.5, 50, own=2)),
    )
    distance = {"metric": "rank_distance", "setting": "multi"}
    verdict = judged(found, less="hybrid", than="monolingual", by=by, **distance)
    assert verdict.status == status
    assert verdict.findings[0].effect == pytest.approx(-10)
    assert verdict.findings[0].relative == pytest.approx(-0.2)


def test_no_worse_than_is_better_by_less_than_nothing(runs: Path) -> None:
    found = pair(runs, 0.498, 0.5, noise=0.001)
    assert judged(found, **BETTER).status == "refuted"
    assert judged(found, **BETTER, by=-0.005).status == "supported"
    assert judged(found, **BETTER, by=-0.001).status == "refuted"


@pytest.mark.parametrize(
    ("ours", "noise", "status"),
    [(0.501, 0.002, "supported"), (0.52, 0.002, "refuted"), (0.501, 0.1, "open")],
)
def test_equal_means_within_a_margin_by_two_one_sided_tests(
    runs: Path, ours: float, noise: float, status: str
) -> None:
    verdict = judged(
        pair(runs, ours, 0.5, noise=noise), equal="hybrid", to="monolingual", margin=0.005
    )
    assert verdict.status == status


def test_equal_is_to_the_best_of_several(runs: Path) -> None:
    found = evidence(
        finished(runs, "hybrid", values(0.5, 50, own=1, noise=0.001)),
        finished(runs, "monolingual", values(0.5, 90, own=2, noise=0.001)),
        finished(runs, "cross-lingual", values(0.3, 50, own=3, noise=0.001)),
    )
    both = {"equal": "hybrid", "to": ["monolingual", "cross-lingual"]}
    (finding,) = judged(found, **both, margin=0.005).findings
    assert (finding.label, finding.status) == ("xlm-r-tiny: hybrid vs monolingual", "supported")
    distance = {"metric": "rank_distance", "setting": "multi"}
    (finding,) = judged(found, **both, margin="2%", **distance).findings
    assert (finding.label, finding.status) == ("xlm-r-tiny: hybrid vs cross-lingual", "supported")


def test_equal_to_the_best_is_open_while_a_baseline_is_missing(runs: Path) -> None:
    found = pair(runs, 0.5, 0.5, noise=0.001, expected=[config("cross-lingual")])
    both = ["monolingual", "cross-lingual"]
    assert judged(found, equal="hybrid", to=both, margin=0.005).status == "open"


def by_alpha(runs: Path, *levels: float) -> Evidence:
    names = [("cross-lingual", None), ("hybrid", 0.5), ("monolingual", None)]
    return evidence(
        *(
            finished(
                runs,
                sampler,
                values(level, own=i),
                settings={} if alpha is None else {"alpha": alpha},
            )
            for i, ((sampler, alpha), level) in enumerate(zip(names, levels, strict=False))
        )
    )


def test_a_trend_is_the_change_along_a_line(runs: Path) -> None:
    found = by_alpha(runs, 0.3, 0.35, 0.5)
    up = judged(found, trend="up")
    (finding,) = up.findings
    slope = stats.linregress([0, 0.5, 1], [0.3, 0.35, 0.5]).slope
    assert finding.effect == pytest.approx(slope)
    assert (up.status, finding.label) == ("supported", "xlm-r-tiny: alpha 0 to 1")
    assert judged(found, trend="down").status == "refuted"
    assert judged(found, trend="up", by=0.1).status == "supported"
    assert judged(found, trend="up", by=0.3).status == "refuted"
    assert judged(found, trend="flat", margin=0.01).status == "refuted"


def test_a_flat_trend_stays_within_its_margin(runs: Path) -> None:
    found = by_alpha(runs, 0.5, 0.5, 0.5)
    assert judged(found, trend="flat", margin=0.02).status == "supported"
    assert judged(found, trend="up").status == "open"


def test_a_trend_needs_three_points(runs: Path) -> None:
    verdict = judged(by_alpha(runs, 0.3, 0.5), trend="up")
    assert (verdict.status, "fewer than three values of alpha" in verdict.note) == ("open", True)
    assert judged(by_alpha(runs / "b", 0.3, 0.5), trend="up", over="learning_rate").status == "open"


@pytest.mark.parametrize("name", ["train.max_steps", "max_steps"])
def test_a_setting_may_be_called_by_its_last_word(runs: Path, name: str) -> None:
    levels = {100: 0.3, 200: 0.4, 300: 0.5}
    found = evidence(
        *(
            finished(runs, "hybrid", values(level, own=steps), settings={"max_steps": steps})
            for steps, level in levels.items()
        )
    )
    assert judged(found, trend="up", over=name).status == "supported"
    sides = {"greater": {name: 300}, "than": {name: 100}}
    assert judged(found, **sides).status == "supported"


def test_a_contaminated_cell_is_noted_with_the_claim(runs: Path) -> None:
    found = evidence(
        finished(runs, "hybrid", values(0.6, own=1), contamination=(0, 5)),
        finished(runs, "monolingual", values(0.5, own=2)),
    )
    assert judged(found, **BETTER).note == "‡ contaminated"


def test_a_claim_in_its_own_words_or_in_those_of_its_form(runs: Path) -> None:
    found = pair(runs, 0.6, 0.5)
    assert judged(found, **BETTER).sentence == "mono map: hybrid greater than monolingual"
    assert judged(found, **BETTER, says="Hybrid wins").sentence == "Hybrid wins"


# The whole of a comparison


def test_a_report_holds_tables_verdicts_warnings_series_and_provenance(runs: Path) -> None:
    found = [result(finished(runs, "hybrid", values(0.6, own=s), seed=s)) for s in (0, 1)] + [
        result(finished(runs, "monolingual", values(0.5, own=9)))
    ]
    expected = [config("monolingual"), config("monolingual", seed=1)]
    material = StudyResults("study", found, expected, [claim(**BETTER)])
    report = assemble(material, Options(resampling=QUICK))
    assert (report.title, report.tables[0].title) == ("study", "study: embedded")
    assert [v.status for v in report.verdicts] == ["open"]
    assert "provisional: 1 of the study's runs have no results yet" in report.warnings
    assert not any(note.startswith("†") for note in report.warnings)
    assert [(s.sampler, s.alpha) for s in report.series] == [("monolingual", 1), ("hybrid", 0.5)]
    assert len(report.provenance) == 3
    assert "999 draws" in report.statistics
    assert "seed 0" in report.statistics


def test_a_claim_of_a_study_is_open_until_all_its_data_sets_are_evaluated(runs: Path) -> None:
    one, other = finished(runs, "hybrid", values(0.6)), finished(runs, "monolingual", values(0.5))
    finished(runs, "hybrid", values(0.6), dataset="other")
    found = [result(one), result(other), result(one, "other")]
    expected = [config("hybrid"), config("monolingual")]
    report = assemble(
        StudyResults("s", found, expected, [claim(**BETTER)]), Options(resampling=QUICK)
    )
    assert [(f.dataset, f.status) for f in report.verdicts[0].findings] == [
        ("embedded", "supported"),
        ("other", "open"),
    ]
    assert report.verdicts[0].status == "open"


def test_an_unknown_group_is_answered_with_those_there_are(runs: Path) -> None:
    found = [result(finished(runs, "hybrid", values()))]
    with pytest.raises(UserError, match="--by 'colour': one of language, resource, script"):
        assemble(StudyResults("", found), Options(by="colour"))


def test_series_average_seeds_and_keep_a_curve_for_each(runs: Path) -> None:
    found = evidence(
        *(finished(runs, "hybrid", values(v), seed=s) for s, v in enumerate((0.4, 0.6))),
        finished(runs, "untrained", values(0.2)),
        expected=[config("mixed")],
    )
    untrained, hybrid = series(found)
    assert (hybrid.encoder, hybrid.sampler, hybrid.name, hybrid.alpha) == (
        *("xlm-r-tiny", "hybrid", "hybrid", 0.5),
    )
    assert hybrid.settings["mono"]["map"] == pytest.approx(0.5)
    assert hybrid.by_language["multi"].keys() == {"de", "en", "so", "th"}
    assert hybrid.mean_rank["de"].keys() == {"de", "en", "so", "th"}
    assert hybrid.losses == [[(10, 2.5), (20, 1.5)]] * 2
    assert hybrid.validation == [[(20, 1.25)]] * 2
    assert (untrained.sampler, untrained.alpha) == ("untrained", None)


def test_provenance_is_a_line_a_run_whatever_its_data_sets(runs: Path) -> None:
    run = finished(runs, "hybrid", values(), done={"steps": 1200, "seconds": 3661.0})
    finished(runs, "hybrid", values(), dataset="other")
    (line,) = provenance([result(run), result(run, "other")])
    assert (line["run"], line["steps"], line["seconds"]) == (run.name, "1,200", "3,661")
    assert line["hbr"] == "0.1.0, abc1234"
    assert line["finished"] == "2031-01-01 00:00"


# Printed figures


def on_xquad(runs: Path) -> list[Result]:
    return [
        result(finished(runs, s, values(v, own=i), dataset="xquad-r", encoder="labse"), "xquad-r")
        for i, (s, v) in enumerate((("hybrid", 0.6), ("monolingual", 0.5)))
    ]


def test_printed_figures_stand_in_tables_of_their_own(runs: Path) -> None:
    options = Options(resampling=QUICK, reference="elmahdy2024")
    report = assemble(StudyResults("ours", on_xquad(runs)), options)
    ours, theirs = report.tables
    assert (ours.dataset, ours.protocol, len(ours.rows)) == ("xquad-r", "by hand", 2)
    assert (theirs.dataset, theirs.protocol) == ("xquad-r", "as printed in arXiv 2408.10536")
    assert len(theirs.rows) == 6
    assert {row.seeds_text for row in theirs.rows} == {"–"}
    assert daggers(theirs) == set()
    assert not any("seed" in note for note in theirs.notes)
    cells = [cell for row in theirs.rows for cell in row.cells]
    assert all(math.isnan(cell.low) and cell.sd is None for cell in cells)


def test_claims_on_printed_figures_are_judged_by_means_alone(runs: Path) -> None:
    options = Options(resampling=QUICK, reference="elmahdy2024")
    report = assemble(StudyResults("ours", on_xquad(runs), claims=[claim(**BETTER)]), options)
    own, *printed = report.verdicts
    assert (own.id, own.status, own.note) == ("c", "supported", "")
    assert {v.id.partition(" ")[2] for v in printed} == {"(elmahdy2024)"}
    assert all("no per-query data" in v.note for v in printed)
    findings = [f for v in printed for f in v.findings]
    assert all(math.isnan(f.p) and math.isnan(f.low) and f.seeds == 0 for f in findings)
    alone = assemble(StudyResults("", []), options)
    assert [(v.id, v.status) for v in alone.verdicts] == [(v.id, v.status) for v in printed]


def test_what_must_be_known_of_printed_figures_stands_with_their_table(runs: Path) -> None:
    report = assemble(StudyResults("", []), Options(reference="elmahdy2024"))
    (xquad,) = [table for table in report.tables if table.dataset == "xquad-r"]
    assert any("prints 0.8167" in note for note in xquad.notes)
    assert any("prints 0.8167" in warning for warning in report.warnings)


def test_metrics_that_the_paper_did_not_print_are_no_mistake(runs: Path) -> None:
    found = [result(finished(runs, "hybrid", values() | {"mono mrr": 0.5}))]
    options = Options(("mrr",), resampling=QUICK, reference="elmahdy2024")
    assert assemble(StudyResults("", found), options).tables[0].columns == (("mono", "mrr"),)


def test_what_a_paper_trained_on_is_not_known(runs: Path) -> None:
    report = assemble(StudyResults("", []), Options(by="seen", reference="elmahdy2024"))
    groups = {row.group for table in report.tables for row in table.rows}
    assert not groups & {"seen", "unseen"}


def test_a_run_alone_without_claims_makes_a_report(runs: Path) -> None:
    found = [result(finished(runs, "untrained", values()))]
    report = assemble(StudyResults("", found), Options(resampling=QUICK))
    assert (len(report.tables), list(report.verdicts)) == (1, [])
