"""Runs that differ in their seed alone are one row; what is best is marked; groups have rows."""

import csv
import io
import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hbr.compare.evidence import Evidence, gather
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result
from hbr.compare.robustness import _queries_changed, beside, with_shares
from hbr.compare.tables import Column, compare
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.report.formats.markdown import to_markdown
from hbr.report.formats.values import to_csv
from tests.compare.support import gathered, result, shown, values
from tests.support import finished


def test_the_papers_columns_are_shown_where_they_were_computed(runs: Path) -> None:
    assert compare(gathered(finished(runs, "hybrid", values()))).columns == (
        ("mono", "map"),
        ("cross", "map"),
        ("multi", "map"),
        ("mono", "recall@1"),
        ("multi", "rank_distance"),
    )


def test_named_metrics_are_shown_in_every_setting_that_has_them(runs: Path) -> None:
    evidence = gathered(finished(runs, "hybrid", values()))
    table = compare(evidence, ["rank_distance", "recall@1"])
    assert table.columns == (("multi", "rank_distance"), ("mono", "recall@1"))


def test_a_data_set_without_the_papers_metrics_shows_what_it_has(runs: Path) -> None:
    table = compare(gathered(finished(runs, "hybrid", {"mono ndcg@10": 0.5})))
    assert table.columns == (("mono", "ndcg@10"),)


def test_a_metric_that_was_not_computed_is_answered_with_those_that_were(runs: Path) -> None:
    results = StudyResults("", [result(finished(runs, "hybrid", values()))])
    with pytest.raises(UserError, match=r"'mrr' was not computed; known: map, .*rank_distance"):
        assemble(results, Options(("mrr",)))
    with pytest.raises(UserError, match="did you mean recall@1"):
        assemble(results, Options(("recall@2",)))


def test_nothing_to_compare_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        assemble(StudyResults("", []), Options())


def test_seeds_are_averaged_with_their_deviation(runs: Path) -> None:
    levels = [0.5, 0.625, 0.75]
    table = compare(
        gathered(*(finished(runs, "hybrid", values(v), seed=s) for s, v in enumerate(levels)))
    )
    (row,) = table.rows
    assert (row.seeds, row.seeds_text, row.label) == (3, "3", ("xlm-r-tiny", "hybrid"))
    assert row.cells[0].mean == pytest.approx(0.625)
    assert row.cells[0].sd == pytest.approx(statistics.stdev(levels))
    assert row.cells[0].text("map") == ".625 ± .125"


def test_one_seed_has_no_deviation(runs: Path) -> None:
    assert compare(gathered(finished(runs, "hybrid", values()))).rows[0].cells[0].sd is None


def test_rows_come_in_the_order_of_the_samplers_and_encoders(runs: Path) -> None:
    samplers = ["hybrid", "monolingual", "untrained", "cross-lingual", "mixed", "english"]
    table = compare(gathered(*(finished(runs, s, values()) for s in samplers)))
    assert [row.label[1] for row in table.rows] == [
        *("untrained", "english", "mixed", "monolingual", "cross-lingual", "hybrid")
    ]


def test_the_best_is_high_but_for_distance_and_preference(runs: Path) -> None:
    more = {"multi same_language@10": 0.9, "multi peer@20": 0.25}
    table = compare(
        gathered(
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
    marks = [[cell.place for cell in row.cells] for row in table.rows]
    assert [row.label[1] for row in table.rows] == ["monolingual", "cross-lingual", "hybrid"]
    assert marks == [[0, 0, 0, *[None] * 3], [*[None] * 3, 0, 0, 0], [1] * 6]
    assert "**10" in to_markdown(table)


def test_encoders_are_marked_each_on_its_own(runs: Path) -> None:
    labse = {"encoder": "labse-tiny"}
    evidence = gathered(
        finished(runs, "hybrid", values(0.9)),
        finished(runs, "mixed", values(0.8)),
        finished(runs, "hybrid", values(0.1), **labse),
        finished(runs, "mixed", values(0.2), **labse),
    )
    table = compare(evidence, ["map"])
    assert [(*row.label, row.cells[0].place) for row in table.rows] == [
        ("labse-tiny", "mixed", 0),
        ("labse-tiny", "hybrid", 1),
        ("xlm-r-tiny", "mixed", 1),
        ("xlm-r-tiny", "hybrid", 0),
    ]


def test_encoders_of_one_name_from_two_folders_are_two(runs: Path, tmp_path: Path) -> None:
    evidence = gathered(
        *(
            finished(runs, sampler, values(level), encoder=str(tmp_path / folder / "encoder"))
            for folder in ("a", "b")
            for sampler, level in (("hybrid", 0.6), ("mixed", 0.5))
        )
    )
    table = compare(evidence, ["map"])
    assert len({row.label for row in table.rows}) == 4
    assert sorted(row.cells[0].place or 0 for row in table.rows) == [0, 0, 1, 1]


def test_untrained_rows_have_no_seeds_and_no_settings(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "untrained", values(0.2)),
        finished(runs, "hybrid", values(0.5), settings={"alpha": 0.2}),
        finished(runs, "hybrid", values(0.4), settings={"alpha": 0.8}),
    )
    table = compare(evidence)
    assert table.heads == ("encoder", "sampler", "alpha")
    assert [(row.label, row.seeds_text) for row in table.rows] == [
        (("xlm-r-tiny", "untrained", ""), "–"),
        (("xlm-r-tiny", "hybrid", "0.2"), "1"),
        (("xlm-r-tiny", "hybrid", "0.8"), "1"),
    ]


def test_settings_in_which_cells_differ_are_columns_and_others_are_not(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(), settings={"train.max_steps": 10}),
        finished(
            runs, "hybrid", values(), settings={"train.max_steps": 20, "objective.mask": "none"}
        ),
        finished(runs, "mixed", values(), settings={"train.max_steps": 10}),
    )
    table = compare(evidence)
    assert table.heads == ("encoder", "sampler", "mask", "max_steps")
    assert {row.label[1:] for row in table.rows} == {
        ("hybrid", "group", "10"),
        ("hybrid", "none", "20"),
        ("mixed", "group", "10"),
    }


def test_how_often_a_run_was_logged_tells_no_cells_apart(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(), settings={"train.logging_steps": 5}),
        finished(runs, "mixed", values(), settings={"train.logging_steps": 10}),
    )
    assert compare(evidence).heads == ("encoder", "sampler")


def test_cells_that_differ_in_their_learning_rate_alone_can_be_told_apart(runs: Path) -> None:
    rates = ({"learning_rate": 1e-3}, {"learning_rate": 1e-4})
    table = compare(gathered(*(finished(runs, "hybrid", values(), settings=r) for r in rates)))
    assert len({row.label for row in table.rows}) == len(table.rows) == 2


def test_alpha_makes_no_cells_of_samplers_that_have_none(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "mixed", values(), settings={"alpha": 0.1}),
        finished(runs, "mixed", values(), settings={"alpha": 0.9}, seed=1),
    )
    table = compare(evidence, ["map"])
    assert [(row.label, row.seeds) for row in table.rows] == [(("xlm-r-tiny", "mixed"), 2)]


def test_the_same_run_named_twice_is_one_seed(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    (row,) = compare(gathered(run, run)).rows
    assert row.seeds == 1


def test_what_one_run_lacks_is_shown_as_a_dash(runs: Path) -> None:
    lacking = {k: v for k, v in values().items() if k != "multi rank_distance"}
    table = compare(
        gathered(finished(runs, "hybrid", values(0.4)), finished(runs, "mixed", lacking))
    )
    assert math.isnan(shown(table, ("multi", "rank_distance"))["mixed"])
    assert shown(table, ("multi", "rank_distance"))["hybrid"] == pytest.approx(50)
    assert "| – |" in to_markdown(table)
    assert "nan" not in to_csv([table])


def test_a_value_that_is_not_defined_is_a_dash(runs: Path) -> None:
    undefined = values() | {"multi rank_distance": math.nan}
    evidence = gathered(finished(runs, "hybrid", undefined), finished(runs, "mixed", values()))
    assert math.isnan(shown(compare(evidence), ("multi", "rank_distance"))["hybrid"])


def test_a_mean_over_seeds_of_which_one_lacks_the_value_is_not_given(runs: Path) -> None:
    lacking = {k: v for k, v in values().items() if k != "mono map"}
    evidence = gathered(
        finished(runs, "hybrid", values()), finished(runs, "hybrid", lacking, seed=1)
    )
    (row,) = compare(evidence, ["map"]).rows
    assert math.isnan(row.cells[compare(evidence, ["map"]).columns.index(("mono", "map"))].mean)


def test_what_the_first_run_lacks_is_shown_all_the_same(runs: Path) -> None:
    lacking = {k: v for k, v in values().items() if k != "multi rank_distance"}
    evidence = gathered(
        finished(runs, "english", lacking), finished(runs, "hybrid", values(0.4, 7))
    )
    assert shown(compare(evidence), ("multi", "rank_distance"))["hybrid"] == pytest.approx(7)


def test_csv_gives_means_and_deviations_in_full(runs: Path) -> None:
    levels = [0.1, 0.2, 0.4]
    results = [result(finished(runs, "hybrid", values(v), seed=s)) for s, v in enumerate(levels)]
    table = compare(gather(results)[0], ["rank_distance", "map"])
    lines = list(csv.DictReader(io.StringIO(to_csv([table]))))
    line = lines[1]
    means = [r.metrics["settings"]["mono"]["map"] for r in results]
    assert [(x["setting"], x["metric"]) for x in lines] == list(table.columns)
    assert float(line["mean"]) == statistics.fmean(means)
    assert float(line["sd"]) == statistics.stdev(means)
    assert float(line["low"]) < float(line["mean"]) < float(line["high"])
    assert line["seeds"] == "3"


# Groups of languages


def by_group(evidence: Evidence, by: str, column: tuple[str, str]) -> dict[str | None, float]:
    table = compare(evidence, [column[1]], by=by)
    place = table.columns.index(column)
    means = {row.group: row.cells[place].mean for row in table.rows}
    return {group: round(mean, 6) for group, mean in means.items() if not math.isnan(mean)}


@pytest.fixture
def apart(runs: Path) -> Evidence:
    """A run whose languages, de en so th, have a map of .1 .2 .3 .4, and pairs their product."""
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    pairs = levels[:, None] * levels
    return gathered(
        finished(runs, "hybrid", {"mono map": levels, "cross map": pairs, "multi map": levels / 2})
    )


def test_query_languages_have_rows_below_their_cell(apart: Evidence) -> None:
    table = compare(apart, ["map"], by="language")
    results = [(row.group, round(row.cells[0].mean, 6)) for row in table.rows]
    assert results == [(None, 0.25), ("de", 0.1), ("en", 0.2), ("so", 0.3), ("th", 0.4)]
    de = 0.1 * (0.2 + 0.3 + 0.4) / 3
    assert by_group(apart, "language", ("cross", "map"))["de"] == pytest.approx(de)
    assert table.group_head == "language"


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
    results = by_group(apart, "distance", ("cross", "map"))
    assert results["same family and script"] == 0.02  # German and English
    assert results["same family or script"] == pytest.approx((0.03 + 0.06) / 2)  # Somali
    assert results["neither"] == pytest.approx(0.4 * (0.1 + 0.2 + 0.3) / 3)  # Thai
    assert by_group(apart, "distance", ("mono", "map")) == {None: 0.25, "same language": 0.25}


def test_an_empty_group_has_no_row_and_marks_are_given_within_one(runs: Path) -> None:
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    evidence = gathered(
        finished(runs, "hybrid", {"mono map": levels}),
        finished(runs, "mixed", {"mono map": 0.26 + 0 * levels}),
    )
    table = compare(evidence, by="resource")
    assert [(row.label[1], row.group, row.cells[0].place) for row in table.rows] == [
        *(("mixed", None, 0), ("mixed", "high", 0), ("mixed", "low", 1)),
        *(("hybrid", None, 1), ("hybrid", "high", 1), ("hybrid", "low", 0)),
    ]


def test_where_all_perturbations_are_attacks_nothing_is_said_of_changed_queries(
    runs: Path,
) -> None:
    attack = Result(
        Config(), {"dataset": "a~attack-fgm:0.1", "perturbation": {"name": "attack-fgm"}}
    )
    told = _queries_changed([Evidence((attack,))])
    column = Column(gathered(finished(runs, "hybrid", values())), "mono", "map")
    assert with_shares([column], ["clean"], "", None, [told, "shares"]).notes == ("shares",)


def test_perturbed_queries_stand_beside_clean_ones_of_whole_vectors() -> None:
    names = ("a", "a~64d", "a~typo:0.1", "b~typo:0.1")
    evidence = [Evidence((Result(Config(), {"dataset": name}),)) for name in names]
    alone, pairs = beside(evidence, lambda target: replace(target, perturbation=""))
    assert [one.dataset for one in alone] == ["a", "a~64d", "b~typo:0.1"]
    assert [(clean.dataset, [e.dataset for e in some]) for clean, some in pairs] == [
        ("a", ["a~typo:0.1"])
    ]
