"""Comparisons: which cells a claim speaks of, and what their values make of it."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.compare.claims import Claim, matches, words_of
from hbr.compare.comparisons import Comparison, absent, comparisons
from hbr.compare.verdicts import judge_means
from tests.compare.support import claim

FAST = settings(max_examples=60, deadline=None, derandomize=True)
NAN = math.nan
ALPHA = {"monolingual": 1.0, "cross-lingual": 0.0, "hybrid": 0.5}
SAMPLERS = ("monolingual", "cross-lingual", "hybrid")


def cell(sampler: str, encoder: str = "xlm-r-tiny", **more: Any) -> dict[str, Any]:
    """Settings of a cell as a comparison gives them: full names, last words, effective α."""
    alpha = more.pop("alpha", ALPHA.get(sampler))
    known = {} if alpha is None else {"alpha": alpha, "sampler.alpha": alpha}
    short = {key.partition(".")[2]: value for key, value in more.items()}
    return {"sampler": sampler, "encoder": encoder, **known, **short, **more}


CELLS = [cell("untrained"), *map(cell, SAMPLERS)]  # untrained, monolingual, cross-lingual, hybrid


def compared(
    said: Claim,
    cells: Sequence[Mapping[str, Any]] = CELLS,
    figures: Sequence[float] | None = None,
    varied: Sequence[str] = ("encoder",),
) -> list[Comparison]:
    return list(comparisons(said, cells, figures or [0.5] * len(cells), varied))


def against(found: Sequence[Comparison]) -> set[tuple[int, int]]:
    """Return the pairs of cells that are compared."""
    pairs = set()
    for comparison in found:
        assert comparison.missing == ""
        (one,) = (i for i, weight in comparison.effect.items() if weight == 1)
        (other,) = (i for i, weight in comparison.effect.items() if weight == -1)
        pairs.add((one, other))
    return pairs


def effect(comparison: Comparison, values: Sequence[float]) -> float:
    """Return the difference that a comparison shows."""
    return sum(weight * values[i] for i, weight in comparison.effect.items())


def by_values(comparison: Comparison, values: Sequence[float]) -> bool | None:
    """Judge a comparison by means alone."""
    return judge_means(
        [
            c.side * (sum(w * values[i] for i, w in c.weights.items()) - c.bound)
            for c in comparison.conditions
        ]
    )


def by_means(said: Claim, *figures: float) -> bool | None:
    """Judge a claim on one hybrid (first) and one monolingual cell by their figures alone."""
    cells = [cell("hybrid"), cell("monolingual")]
    (only,) = compared(said, cells, figures)
    return by_values(only, figures)


# Which cells are compared
def test_a_selector_names_the_cells_that_have_all_of_its_values():
    some = cell("hybrid", alpha=0.2, **{"train.learning_rate": 1e-3})
    assert matches(some, {})
    assert matches(some, {"sampler": "hybrid", "learning_rate": 1e-3, "train.learning_rate": 1e-3})
    assert matches(some, {"alpha": [0.2, 0.5]})
    assert not matches(some, {"alpha": [0.5, 0.8]})
    assert not matches(some, {"sampler": "hybrid", "alpha": 0.5})
    assert not matches(cell("untrained"), {"alpha": None})  # it has no α at all
    assert words_of({"alpha": 0.2, "sampler": "hybrid"}) == "hybrid alpha 0.2"


def test_a_side_is_compared_with_every_baseline():
    found = compared(claim(greater="hybrid", than=["monolingual", "cross-lingual"]))
    assert against(found) == {(3, 1), (3, 2)}
    assert [c.label for c in found] == [
        "xlm-r-tiny: hybrid vs monolingual",
        "xlm-r-tiny: hybrid vs cross-lingual",
    ]
    (base,) = {tuple(c.base.items()) for c in found[:1]}
    assert base == ((1, 1.0),)


def test_every_cell_with_another_alpha_is_compared():
    cells = [*(cell("hybrid", alpha=a) for a in (0.2, 0.5, 0.8)), cell("monolingual")]
    found = compared(claim(greater="hybrid", than="monolingual"), cells)
    assert against(found) == {(0, 3), (1, 3), (2, 3)}
    assert found[0].label == "xlm-r-tiny: hybrid α=0.2 vs monolingual"
    verdicts = [by_values(c, [0.6, 0.7, 0.4, 0.5]) for c in found]
    assert verdicts == [True, True, False]  # and so the claim does not hold


def test_a_selector_may_name_one_alpha():
    cells = [*(cell("hybrid", alpha=a) for a in (0.2, 0.5, 0.8)), cell("monolingual")]
    said = claim(greater={"sampler": "hybrid", "alpha": 0.5}, than={"alpha": [0.2, 0.8]})
    assert against(compared(said, cells)) == {(1, 0), (1, 2)}


def test_pairs_agree_in_what_the_study_varies():
    cells = [cell(s, e) for e in ("xlm-r-tiny", "mbert-tiny") for s in ("monolingual", "hybrid")]
    said = claim(greater="hybrid", than="monolingual")
    assert against(compared(said, cells)) == {(1, 0), (3, 2)}
    steps = [cell(s, **{"train.max_steps": n}) for n in (10, 20) for s in ("monolingual", "hybrid")]
    assert against(compared(said, steps, varied=("encoder", "train.max_steps"))) == {(1, 0), (3, 2)}


def test_within_says_in_what_pairs_agree():
    cells = [
        cell(s, e, **{"train.max_steps": n})
        for e in ("a", "b")
        for n in (10, 20)
        for s in ("monolingual", "hybrid")
    ]
    varied = ("encoder", "train.max_steps")
    said = claim(greater="hybrid", than="monolingual", within="encoder")
    assert against(compared(said, cells, varied=varied)) == {
        *((1, 0), (1, 2), (3, 0), (3, 2)),
        *((5, 4), (5, 6), (7, 4), (7, 6)),
    }
    everywhere = claim(greater="hybrid", than="monolingual", within=[])
    assert len(compared(everywhere, cells, varied=varied)) == 16


def test_where_says_which_cells_are_spoken_of():
    cells = [cell(s, e) for e in ("a", "b") for s in ("monolingual", "hybrid")]
    said = claim(greater="hybrid", than="monolingual", where={"encoder": "b"})
    assert against(compared(said, cells)) == {(3, 2)}


def test_cells_with_centred_vectors_are_spoken_of_where_a_side_names_them():
    key = "evaluate.center_languages"
    cells = [cell(s, **{key: c}) for s in ("monolingual", "hybrid") for c in (False, True)]
    varied = ("encoder", key)
    plain = claim(greater="hybrid", than="monolingual")
    assert against(compared(plain, cells, varied=varied)) == {(2, 0)}
    centred = {"sampler": "monolingual", "center_languages": True}
    beats = claim(greater="hybrid", than=centred)
    assert against(compared(beats, cells, varied=varied)) == {(2, 1)}
    among = claim(greater="hybrid", than="monolingual", where={"center_languages": True})
    assert against(compared(among, cells, varied=varied)) == {(3, 1)}
    gains = claim(greater={"center_languages": True}, than={"center_languages": False})
    assert against(compared(gains, cells, varied=varied)) == {(1, 0), (3, 2)}


def test_an_untrained_cell_is_a_baseline_of_every_cell_of_its_encoder():
    steps = [cell("hybrid", e, **{"train.max_steps": n}) for e in ("a", "b") for n in (10, 20)]
    cells = [*steps, cell("untrained", "a"), cell("untrained", "b")]
    found = compared(
        claim(greater="hybrid", than="untrained"), cells, varied=("encoder", "train.max_steps")
    )
    assert against(found) == {(0, 4), (1, 4), (2, 5), (3, 5)}
    back = compared(
        claim(less="untrained", than="hybrid"), cells, varied=("encoder", "train.max_steps")
    )
    assert against(back) == {(4, 0), (4, 1), (5, 2), (5, 3)}


def test_a_side_that_names_encoders_is_compared_across_them():
    cells = [cell("hybrid", "a"), cell("hybrid", "b")]
    said = claim(greater={"encoder": "a"}, than={"encoder": "b"})
    assert against(compared(said, cells)) == {(0, 1)}


def test_a_side_that_names_encoders_alone_is_compared_within_each_sampler():
    cells = [cell(s, e) for e in ("a", "b") for s in ("monolingual", "hybrid")]
    said = claim(greater={"encoder": "a"}, than={"encoder": "b"})
    assert against(compared(said, cells)) == {(0, 2), (1, 3)}


@pytest.mark.parametrize("key", ["train.learning_rate", "learning_rate"])
def test_a_side_may_name_a_setting_that_varies_by_its_full_name_or_its_last_word(key):
    cells = [cell("hybrid", **{"train.learning_rate": lr}) for lr in (1e-3, 1e-4)]
    said = claim(greater={"sampler": "hybrid", key: 1e-3}, than={"sampler": "hybrid", key: 1e-4})
    assert against(compared(said, cells, varied=("encoder", "train.learning_rate"))) == {(0, 1)}


def test_a_cell_is_not_compared_with_itself():
    said = claim(greater="hybrid", than=[{"encoder": "xlm-r-tiny"}], within=[])
    assert against(compared(said)) == {(3, 0), (3, 1), (3, 2)}


def missing(found: Sequence[Comparison]) -> list[str]:
    return [c.missing for c in found]


def test_cells_that_are_not_in_the_study_are_told():
    assert missing(compared(claim(greater="mixed", than="hybrid"))) == ["no cell of mixed"]
    assert missing(compared(claim(greater="hybrid", than=["mixed", "monolingual"]))) == [
        "no cell of mixed in xlm-r-tiny",
        "",
    ]
    assert missing(compared(claim(greater="hybrid", than="mixed", within=[]))) == [
        "no cell of mixed"
    ]
    assert compared(claim(greater="mixed", than="hybrid"))[0] == absent("no cell of mixed")


def test_an_encoder_that_lacks_the_baseline_is_told():
    cells = [cell("hybrid", "a"), cell("hybrid", "b"), cell("monolingual", "a")]
    found = compared(claim(greater="hybrid", than="monolingual"), cells)
    assert missing(found) == ["", "no cell of monolingual in b"]


@pytest.mark.parametrize("lacking", [1, 3])
def test_cells_that_were_not_run_are_told(lacking):
    figures = [0.5] * 4
    figures[lacking] = NAN
    (found,) = compared(claim(greater="hybrid", than="monolingual"), figures=figures)
    assert found.missing == "not all of its cells were run"
    assert set(found.effect) == {1, 3}


# Equality with the best


def test_equal_means_the_better_baseline():
    said = claim(equal="hybrid", to=["monolingual", "cross-lingual"], margin=0.01)
    assert against(compared(said, figures=[0, 0.6, 0.7, 0.5])) == {(3, 2)}
    assert against(compared(said, figures=[0, 0.7, 0.6, 0.5])) == {(3, 1)}


@pytest.mark.parametrize("metric", ["rank_distance", "same_language@10"])
def test_the_better_baseline_is_the_lower_one_where_lower_is_better(metric):
    said = claim(equal="hybrid", to=["monolingual", "cross-lingual"], margin=5, metric=metric)
    assert against(compared(said, figures=[0, 60, 70, 50])) == {(3, 1)}


def test_equal_with_a_baseline_that_is_not_in_the_study_cannot_be_judged():
    said = claim(equal="hybrid", to=["monolingual", "mixed"], margin=0.01)
    assert missing(compared(said)) == ["no cell of mixed in xlm-r-tiny"]


def test_equal_with_a_baseline_that_was_not_run_cannot_be_judged():
    said = claim(equal="hybrid", to=["monolingual", "cross-lingual"], margin=0.01)
    found = compared(said, figures=[0.1, 0.5, NAN, 0.5])  # cross-lingual may be far better
    assert found
    assert all(missing(found))


# Amounts


@pytest.mark.parametrize(
    ("words", "figures", "holds"),
    [
        ({"greater": "hybrid"}, (0.6, 0.5), True),
        ({"greater": "hybrid"}, (0.5, 0.6), False),
        ({"greater": "hybrid"}, (0.5, 0.5), None),
        ({"less": "hybrid"}, (0.5, 0.6), True),
        ({"less": "hybrid"}, (0.6, 0.5), False),
        ({"greater": "hybrid", "by": 0.2}, (0.75, 0.5), True),
        ({"greater": "hybrid", "by": 0.2}, (0.625, 0.5), False),
        ({"greater": "hybrid", "by": -0.125}, (0.5, 0.5625), True),  # no worse by .125
        ({"greater": "hybrid", "by": -0.125}, (0.5, 0.75), False),
        ({"less": "hybrid", "by": "10%"}, (89, 100), True),
        ({"less": "hybrid", "by": "10%"}, (91, 100), False),
        ({"less": "hybrid", "by": "-10%"}, (109, 100), True),  # at most a tenth above
        ({"less": "hybrid", "by": "-10%"}, (111, 100), False),
        ({"greater": "hybrid", "by": "10%"}, (111, 100), True),
        ({"greater": "hybrid", "by": "10%"}, (109, 100), False),
        ({"greater": "hybrid", "by": "-10%"}, (91, 100), True),
        ({"greater": "hybrid", "by": "-10%"}, (89, 100), False),
    ],
)
def test_differences_are_at_least_so_much(words, figures, holds):
    assert by_means(claim(than="monolingual", **words), *figures) is holds


@pytest.mark.parametrize(
    ("margin", "figures", "status"),
    [
        (0.125, (0.5, 0.5), True),
        (0.125, (0.5625, 0.5), True),
        (0.125, (0.4375, 0.5), True),
        (0.125, (0.75, 0.5), False),
        (0.125, (0.25, 0.5), False),
        (0.125, (0.625, 0.5), None),  # on the margin
        ("10%", (109, 100), True),
        ("10%", (91, 100), True),
        ("10%", (111, 100), False),
        ("10%", (89, 100), False),
    ],
)
def test_equals_differ_by_less_than_the_margin_either_way(margin, figures, status):
    said = claim(equal="hybrid", to="monolingual", margin=margin)
    assert by_means(said, *figures) == status


@pytest.mark.parametrize("figures", [(0.7, 0.705), (0.3, 0.305), (0.8121, 0.8171), (0.69, 0.695)])
def test_figures_on_the_bound_but_for_rounding_are_on_the_bound(figures):
    no_worse = claim(greater="hybrid", than="monolingual", by=-0.005)
    assert by_means(no_worse, *figures) == by_means(claim(less="hybrid", than="monolingual"), 1, 1)


# Trends


ALPHAS = [cell("hybrid", alpha=a) for a in (0.0, 0.25, 0.5, 1.0)]


def test_a_trend_is_the_change_of_a_line_over_the_whole_range():
    (found,) = compared(claim(trend="up"), ALPHAS, figures=[0.1, 0.2, 0.3, 0.5])
    assert found.label == "xlm-r-tiny: alpha 0 to 1"
    assert effect(found, [0.1, 0.2, 0.3, 0.5]) == pytest.approx(0.4)
    assert sum(found.base.values()) == pytest.approx(1)


def test_a_trend_is_of_cells_that_agree_in_each_setting():
    settings = ({"mine.range_min": 8, "mine.range_max": None},)
    settings += ({"mine.range_min": None, "mine.range_max": 8},)
    cells = [cell("hybrid", alpha=alpha, **more) for more in settings for alpha in (0.0, 0.5, 1.0)]
    varied = ("encoder", "mine.range_min", "mine.range_max")
    found = compared(claim(trend="up"), cells, [0.1, 0.2, 0.3, 0.3, 0.2, 0.1], varied)
    assert [sorted(one.effect) for one in found] == [[0, 1, 2], [3, 4, 5]]


@FAST
@given(
    st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), min_size=3, max_size=9).filter(
        lambda points: len({x for x, _ in points}) > 2
    )
)
def test_a_trend_is_the_slope_of_numpys_line_times_the_range(points):
    at, figures = zip(*points, strict=True)
    cells = [cell("hybrid", **{"train.max_steps": x}) for x in at]
    (found,) = compared(claim(trend="up", over="train.max_steps"), cells, figures)
    slope = np.polyfit(at, figures, 1)[0]
    assert effect(found, figures) == pytest.approx(slope * (max(at) - min(at)), abs=1e-9)
    (test,) = found.conditions
    assert (dict(test.weights), test.bound, test.side) == (dict(found.effect), 0, 1)


@pytest.mark.parametrize(
    ("words", "figures", "holds"),
    [
        ({"trend": "up"}, (0.1, 0.2, 0.3, 0.5), True),
        ({"trend": "down"}, (0.1, 0.2, 0.3, 0.5), False),
        ({"trend": "down"}, (0.5, 0.4, 0.3, 0.1), True),
        ({"trend": "up", "by": 0.3}, (0.1, 0.2, 0.3, 0.5), True),  # it rises by .4
        ({"trend": "up", "by": 0.45}, (0.1, 0.2, 0.3, 0.5), False),
        ({"trend": "down", "by": 0.3}, (0.5, 0.4, 0.3, 0.1), True),
        ({"trend": "down", "by": 0.45}, (0.5, 0.4, 0.3, 0.1), False),
        ({"trend": "up", "by": "140%"}, (0.1, 0.2, 0.3, 0.5), True),  # of a mean of .275
        ({"trend": "up", "by": "150%"}, (0.1, 0.2, 0.3, 0.5), False),
        ({"trend": "flat", "margin": 0.07}, (0.5, 0.53, 0.47, 0.5), True),
        ({"trend": "flat", "margin": 0.05}, (0.5, 0.53, 0.47, 0.5), False),  # .06 apart
        ({"trend": "flat", "margin": 0.1}, (0.5, 0.3, 0.4, 0.5), False),  # a valley
        ({"trend": "flat", "margin": 0.3}, (0.1, 0.2, 0.3, 0.5), False),
        ({"trend": "flat", "margin": 0.3}, (0.5, 0.4, 0.3, 0.1), False),
        ({"trend": "flat", "margin": "150%"}, (0.5, 0.4, 0.3, 0.1), True),
        ({"trend": "flat", "margin": "140%"}, (0.1, 0.2, 0.3, 0.5), False),
    ],
)
def test_trends_by_hand(words, figures, holds):
    (found,) = compared(claim(**words), ALPHAS, figures)
    assert by_values(found, figures) is holds


def test_each_encoder_has_a_trend_of_its_own():
    cells = [cell("hybrid", e, alpha=a) for a in (0.0, 0.5, 1.0) for e in ("a", "b")]
    found = compared(claim(trend="up"), cells)
    assert [set(c.effect) for c in found] == [{0, 2, 4}, {1, 3, 5}]


def test_the_trend_over_alpha_runs_from_cross_lingual_over_hybrid_to_monolingual():
    cells = [*CELLS, cell("mixed"), cell("hybrid", alpha=[0.8, 0.2])]  # without one α
    (found,) = compared(claim(trend="up"), cells)
    assert set(found.effect) == {1, 2, 3}


@pytest.mark.parametrize("over", ["train.max_steps", "max_steps"])
def test_a_trend_may_run_over_another_setting_by_its_full_name_or_its_last_word(over):
    cells = [cell("hybrid", **{"train.max_steps": n}) for n in (10, 20, 40)]
    found = compared(claim(trend="up", over=over), cells, varied=("encoder", "train.max_steps"))
    assert [set(c.effect) for c in found] == [{0, 1, 2}]


def test_a_trend_over_another_setting_is_judged_within_each_sampler():
    cells = [
        cell(s, **{"train.max_steps": n}) for s in ("monolingual", "hybrid") for n in (1, 2, 3)
    ]
    figures = [0.5, 0.4, 0.3, 0.1, 0.5, 0.9]  # one falls, the other rises by more
    found = compared(
        claim(trend="up", over="train.max_steps"), cells, figures, ("encoder", "train.max_steps")
    )
    assert [set(c.effect) for c in found] == [{0, 1, 2}, {3, 4, 5}]


def test_a_trend_needs_three_values():
    assert "fewer than three values of alpha" in missing(compared(claim(trend="up"), CELLS[:3]))[0]
    assert missing(compared(claim(trend="up", over="max_steps"))) == [
        "no cell has a number for max_steps"
    ]


def test_a_trend_with_a_cell_that_was_not_run_cannot_be_judged():
    found = compared(claim(trend="up"), ALPHAS, figures=[0.1, NAN, 0.3, 0.5])
    assert missing(found) == ["not all of its cells were run"]


@FAST
@given(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.floats(0.01, 0.5))
def test_greater_and_less_are_never_both_supported_and_equal_is_in_between(figures, amount):
    found = {
        "greater": by_means(claim(greater="hybrid", than="monolingual", by=amount), *figures),
        "equal": by_means(claim(equal="hybrid", to="monolingual", margin=amount), *figures),
        "less": by_means(claim(less="hybrid", than="monolingual", by=amount), *figures),
    }
    assert list(found.values()).count(True) <= 1
    assert not any(a is b is True for a, b in pairwise(found.values()))


MINED = [
    cell(sampler, **{"train.hard_negatives": how})
    for how in ("given", "mined")
    for sampler in ("monolingual", "cross-lingual")
]
GAP = {"less": {"hard_negatives": "mined"}, "than": {"hard_negatives": "given"}}


def test_a_gap_is_the_difference_of_two_differences():
    said = claim(**GAP, gap=["monolingual", "cross-lingual"])
    figures = [0.6, 0.4, 0.65, 0.55]  # .2 as the data give them, .1 once mined
    (found,) = compared(said, MINED, figures, ("train.hard_negatives",))
    assert found.effect == {2: 1.0, 3: -1.0, 0: -1.0, 1: 1.0}
    assert effect(found, figures) == pytest.approx(-0.1)
    assert by_values(found, figures)
    assert not by_values(found, [0.6, 0.4, 0.9, 0.55])
    assert found.label == "hard_negatives mined vs hard_negatives given"


def test_a_gap_without_its_ends_is_missing_and_one_of_an_equality_is_refused():
    said = claim(**GAP, gap=["monolingual", "hybrid"])
    (found,) = compared(said, MINED, varied=("train.hard_negatives",))
    assert found.missing == "no gap in hard_negatives given"
    with pytest.raises(ValueError, match="gap goes with greater or less"):
        claim(equal="hybrid", to="monolingual", margin=0.1, gap=["monolingual", "hybrid"])


def test_cells_of_one_value_are_one_point_of_a_trend():
    """Two samplers at three lengths of training: no step leads from one sampler to the other."""
    cells = [cell(s, **{"train.max_steps": n}) for n in (1, 2, 3) for s in ("hybrid", "mixed")]
    words = {"over": "train.max_steps", "within": "encoder"}
    (up,) = compared(claim(trend="up", **words), cells, [0.5, 0.1, 0.6, 0.2, 0.7, 0.3])
    steps = [dict(veto.weights) for veto in up.vetoes]
    assert steps == [{2: 0.5, 3: 0.5, 0: -0.5, 1: -0.5}, {4: 0.5, 5: 0.5, 2: -0.5, 3: -0.5}]
    (flat,) = compared(claim(trend="flat", margin=0.1, **words), cells, [0.5, 0.1] * 3)
    assert len(flat.conditions) == 2 * 3  # three pairs of values, two bounds each
