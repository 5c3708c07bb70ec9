"""Runs that differ in their seed alone are one row; what else they differ in is a column."""

import csv
import io
import json
import math
import statistics

import pytest

from hbr.config import resolve_config
from hbr.errors import UserError
from hbr.report.table import to_csv, to_markdown
from hbr.runs import Store
from hbr.stages.compare import Result, compare, read_result


def result(sampler: str, value: float, distance: float = 50, *, seed: int = 0, **more) -> Result:
    config = {"sampler": sampler, "seed": seed, "encoder": "xlm-r-tiny", "lr": 1e-3}
    config |= {key.replace("__", "."): v for key, v in more.items()}
    settings = {
        "mono": {"map": value, "recall@1": value / 2},
        "multi": {"map": value / 4, "rank_distance": distance},
    }
    by_language = {
        "mono": {"de": {"map": value - 0.125}, "en": {"map": value + 0.125}},
        "multi": {"de": {"rank_distance": distance + 1}, "en": {"rank_distance": distance - 1}},
    }
    metrics = {
        "dataset": "small",
        "protocol": "by hand",
        "settings": settings,
        "by_query_language": by_language,
        "languages": ["en", "de"],
    }
    return Result(resolve_config(config), metrics)


def shown(made, column: tuple[str, str]) -> dict[str, float]:
    place = made.columns.index(column)
    return {row.label[1]: row.cells[place].mean for row in made.rows}


def test_the_papers_columns_are_shown_where_they_were_computed():
    assert compare([result("hybrid", 0.5)]).columns == (
        ("mono", "map"),
        ("multi", "map"),
        ("mono", "recall@1"),
        ("multi", "rank_distance"),
    )


def test_named_metrics_are_shown_in_every_setting_that_has_them():
    made = compare([result("hybrid", 0.5)], ["rank_distance", "map"])
    assert made.columns == (("multi", "rank_distance"), ("mono", "map"), ("multi", "map"))


def test_a_metric_that_was_not_computed_is_answered_with_those_that_were():
    with pytest.raises(UserError, match="known: map, rank_distance, recall@1"):
        compare([result("hybrid", 0.5)], ["mrr"])


def test_nothing_to_compare_is_a_users_mistake():
    with pytest.raises(UserError, match="nothing to compare"):
        compare([])


def test_seeds_are_averaged_with_their_deviation():
    values = [0.5, 0.625, 0.75]
    made = compare([result("hybrid", v, seed=s) for s, v in enumerate(values)], ["map"])
    (row,) = made.rows
    assert (row.seeds, row.label) == (3, ("xlm-r-tiny", "hybrid"))
    assert row.cells[0].mean == 0.625
    assert row.cells[0].sd == statistics.stdev(values) == 0.125
    assert row.cells[0].text("map") == ".625 ± .125"


def test_one_seed_has_no_deviation():
    assert compare([result("hybrid", 0.5)]).rows[0].cells[0].sd is None


def test_rows_come_in_the_order_of_the_samplers_and_encoders():
    samplers = ["hybrid", "monolingual", "untrained", "cross-lingual", "mixed", "english"]
    made = compare([result(s, 0.5) for s in samplers])
    assert [row.label[1] for row in made.rows] == [
        *("untrained", "english", "mixed", "monolingual", "cross-lingual", "hybrid")
    ]


def test_the_best_is_high_but_for_rank_distance():
    made = compare(
        [
            result("monolingual", 0.5, 90),
            result("cross-lingual", 0.25, 10),
            result("hybrid", 0.375, 50),
        ]
    )
    marks = [[cell.place for cell in row.cells] for row in made.rows]
    assert [row.label[1] for row in made.rows] == ["monolingual", "cross-lingual", "hybrid"]
    assert marks == [[0, 0, 0, None], [None, None, None, 0], [1, 1, 1, 1]]
    assert "**10**" in to_markdown(made)


def test_encoders_are_marked_each_on_its_own():
    made = compare(
        [
            result("hybrid", 0.9),
            result("mixed", 0.8),
            result("hybrid", 0.1, encoder="labse-tiny"),
            result("mixed", 0.2, encoder="labse-tiny"),
        ],
        ["map"],
    )
    assert [(*row.label, row.cells[0].place) for row in made.rows] == [
        ("labse-tiny", "mixed", 0),
        ("labse-tiny", "hybrid", 1),
        ("xlm-r-tiny", "mixed", 1),
        ("xlm-r-tiny", "hybrid", 0),
    ]


def test_untrained_rows_have_no_seeds_and_no_settings():
    made = compare(
        [
            result("untrained", 0.1),
            result("hybrid", 0.5, alpha=0.2),
            result("hybrid", 0.4, alpha=0.8),
        ]
    )
    assert made.heads == ("encoder", "sampler", "sampler.alpha")
    assert [(row.label, row.seeds) for row in made.rows] == [
        (("xlm-r-tiny", "untrained", ""), 0),
        (("xlm-r-tiny", "hybrid", "0.2"), 1),
        (("xlm-r-tiny", "hybrid", "0.8"), 1),
    ]


def test_settings_in_which_cells_differ_are_columns_and_others_are_not():
    made = compare(
        [
            result("hybrid", 0.5, train__steps=10),
            result("hybrid", 0.6, train__steps=20, train__mask="none"),
            result("mixed", 0.7, train__steps=10),
        ]
    )
    assert made.heads == ("encoder", "sampler", "train.mask", "train.steps")
    assert {row.label[1:] for row in made.rows} == {
        ("hybrid", "group", "10"),
        ("hybrid", "none", "20"),
        ("mixed", "group", "10"),
    }


def test_cells_that_differ_in_their_learning_rate_alone_can_be_told_apart():
    made = compare([result("hybrid", 0.5, lr=1e-3), result("hybrid", 0.6, lr=1e-4)])
    assert len({row.label for row in made.rows}) == len(made.rows) == 2


def test_alpha_makes_no_cells_of_samplers_that_have_none():
    results = [result("mixed", 0.5, alpha=0.1), result("mixed", 0.7, alpha=0.9, seed=1)]
    made = compare(results, ["map"])
    assert [(row.label, row.seeds) for row in made.rows] == [(("xlm-r-tiny", "mixed"), 2)]


def test_the_same_run_named_twice_is_one_seed():
    (row,) = compare([result("hybrid", 0.5), result("hybrid", 0.5)]).rows
    assert row.seeds == 1


def test_what_one_run_lacks_is_shown_as_a_dash():
    lacking = result("mixed", 0.5)
    del lacking.metrics["settings"]["multi"]["rank_distance"]
    made = compare([result("hybrid", 0.25), lacking])
    assert math.isnan(shown(made, ("multi", "rank_distance"))["mixed"])
    assert "| – |" in to_markdown(made)
    assert "nan" not in to_csv(made)


def test_a_mean_over_seeds_of_which_one_lacks_the_value_is_not_given():
    lacking = result("hybrid", 0.5, seed=1)
    del lacking.metrics["settings"]["mono"]["map"]
    (row,) = compare([result("hybrid", 0.25), lacking], ["map"]).rows
    assert math.isnan(row.cells[0].mean)


def test_what_the_first_run_lacks_is_shown_all_the_same():
    lacking = result("english", 0.5)
    del lacking.metrics["settings"]["multi"]
    made = compare([lacking, result("hybrid", 0.25, 7)])
    assert shown(made, ("multi", "rank_distance"))["hybrid"] == 7


def test_query_languages_have_rows_below_their_cell():
    made = compare([result("hybrid", 0.5), result("mixed", 0.25)], ["map"], by_language=True)
    found = [(row.label[1], row.language, row.cells[0].mean) for row in made.rows]
    assert found == [
        ("mixed", None, 0.25),
        ("mixed", "de", 0.125),
        ("mixed", "en", 0.375),
        ("hybrid", None, 0.5),
        ("hybrid", "de", 0.375),
        ("hybrid", "en", 0.625),
    ]
    assert [row.cells[0].place for row in made.rows] == [1, 1, 1, 0, 0, 0]


def test_csv_gives_means_and_deviations_in_full():
    values = [0.1, 0.2, 0.4]
    made = compare([result("hybrid", v, seed=s) for s, v in enumerate(values)], ["map"])
    (line,) = csv.DictReader(io.StringIO(to_csv(made)))
    assert float(line["mono map"]) == statistics.fmean(values)
    assert float(line["mono map sd"]) == statistics.stdev(values)
    assert line["seeds"] == "3"


def test_all_protocols_are_named_once():
    other = result("mixed", 0.5)
    other.metrics["protocol"] = "another"
    made = compare([result("hybrid", 0.5), result("hybrid", 0.5, seed=1), other])
    assert made.protocols == ("another", "by hand")


def stage(run: Store, name: str, content: str, inputs: dict[str, str] | None = None) -> None:
    def make(folder):
        (folder / "metrics.json").write_text(content)

    run.build(name, make, settings={}, inputs=inputs)


def test_results_are_read_from_the_run_unless_they_are_stale(tmp_path):
    made, run = result("hybrid", 0.5), Store(tmp_path)
    stage(run, "train", "first")
    stage(run, "encode/small", "", {"train": run.completion("train")})
    inputs = {"encode": run.completion("encode/small")}
    stage(run, "evaluate/small", json.dumps(made.metrics), inputs)
    assert read_result(run, made.config, "small") == made
    with pytest.raises(UserError, match="hbr evaluate --dataset other --run"):
        read_result(run, made.config, "other")
    (tmp_path / "evaluate" / "small" / "metrics.json").write_text('{"settings"')
    with pytest.raises(UserError, match="is missing or damaged; renew it"):
        read_result(run, made.config, "small")
    stage(run, "train", "second", {"rows": "changed"})
    with pytest.raises(UserError, match="the results on small are stale; renew them"):
        read_result(run, made.config, "small")


def test_runs_evaluated_on_different_versions_of_the_data_are_not_compared():
    one, other = result("hybrid", 0.5), result("monolingual", 0.5)
    one.metrics["task"], other.metrics["task"] = "a", "b"
    with pytest.raises(UserError, match="on different versions of the data set"):
        compare([one, other])
