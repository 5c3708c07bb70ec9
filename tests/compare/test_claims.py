"""Claims: how they are written, which cells they speak of, and what figures make of them."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hbr.compare import claims
from hbr.compare.claims import Amount, Claim, matches, words_of
from hbr.compare.comparisons import Comparison, Condition, absent, comparisons
from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding
from hbr.compare.verdicts import Estimate, judge, overall

FAST = settings(max_examples=60, deadline=None, derandomize=True)
NAN = math.nan
ALPHA = {"monolingual": 1.0, "cross-lingual": 0.0, "hybrid": 0.5}
SAMPLERS = ("monolingual", "cross-lingual", "hybrid")


def claim(**words: Any) -> Claim:
    return Claim.model_validate({"id": "c", "metric": "map", "setting": "mono", **words})


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


def estimates(comparison: Comparison, figures: Sequence[float]) -> list[Estimate]:
    """Return what means alone say of each test."""
    return [
        Estimate(sum(w * figures[i] for i, w in t.weights.items()) - t.bound)
        for t in comparison.conditions
    ]


def by_means(said: Claim, *figures: float) -> str:
    """Judge a claim on one hybrid (first) and one monolingual cell by their figures alone."""
    cells = [cell("hybrid"), cell("monolingual")]
    (only,) = compared(said, cells, figures)
    return judge(only.conditions, estimates(only, figures), NAN)


# How claims are written


def examples() -> list[dict[str, Any]]:
    """Return the claims that the module's own description shows."""
    (text,) = [part for part in claims.__doc__.split("\n\n") if part.lstrip().startswith("{")]
    return [yaml.safe_load("{" + part) for part in text.strip().removeprefix("{").split("\n    {")]


def test_every_form_that_the_description_shows_can_be_read():
    read = {said["id"]: Claim.model_validate(said) for said in examples()}
    assert len(read) == 5
    best = read["hybrid-best"]
    assert best.greater == {"sampler": "hybrid"}
    assert best.than == ({"sampler": "monolingual"}, {"sampler": "untrained"})
    assert best.by == Amount(0, False)
    less = read["less-bias"]
    assert (less.less, less.than) == ({"sampler": "hybrid"}, ({"sampler": "monolingual"},))
    assert less.by == (pytest.approx(0.1), True)
    assert read["no-worse"].by == Amount(-0.005, False)
    assert read["keeps-up"].margin == Amount(0.005, False)
    assert len(read["keeps-up"].to) == 2
    assert (read["rises"].trend, read["rises"].over) == ("up", "alpha")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10%", (0.1, True)),
        ("-10%", (-0.1, True)),
        (" 2.5 % ", (0.025, True)),
        (-0.005, (-0.005, False)),
        ("-.005", (-0.005, False)),
        ("1e-3", (0.001, False)),  # PyYAML reads it as text
        (50, (50, False)),
    ],
)
def test_an_amount_is_a_number_or_a_percentage(written, meant):
    value, relative = claim(greater="hybrid", than="monolingual", by=written).by
    assert (value, relative) == (pytest.approx(meant[0]), meant[1])


def refused(**words: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        claim(**words)
    return str(raised.value)


@pytest.mark.parametrize("amount", ["ten", "10%x", "%", [1], None])
def test_an_amount_that_is_no_number_is_refused(amount):
    refused(greater="hybrid", than="monolingual", by=amount)


def test_a_claim_says_one_relation():
    assert "say one of greater, less, equal, trend" in refused()
    assert "say one of" in refused(greater="hybrid", less="hybrid", than="monolingual")
    assert "say one of" in refused(greater="hybrid", than="monolingual", trend="up")


def test_a_relation_needs_its_other_side():
    assert "greater needs 'than'" in refused(greater="hybrid")
    assert "less has no 'to'" in refused(less="hybrid", to="monolingual")
    assert "less needs 'than'" in refused(less="hybrid")
    assert "equal needs 'to'" in refused(equal="hybrid", margin=0.1)
    refused(greater="hybrid", than=[])


@pytest.mark.parametrize("margin", [{}, {"margin": 0}, {"margin": -0.1}, {"margin": "0%"}])
def test_equality_and_flatness_need_a_positive_margin(margin):
    assert "need a positive margin" in refused(equal="hybrid", to="monolingual", **margin)
    assert "need a positive margin" in refused(trend="flat", **margin)


def test_unknown_words_are_refused():
    assert "better" in refused(greater="hybrid", than="monolingual", better=1)
    assert "setting" in refused(greater="hybrid", than="monolingual", setting="both")
    assert "trend" in refused(trend="sideways")


@pytest.mark.parametrize(
    "words",
    [
        {"greater": "hybrid", "than": "monolingual", "margin": 0.005},
        {"greater": "hybrid", "than": "monolingual", "to": "cross-lingual"},
        {"equal": "hybrid", "to": "monolingual", "margin": 0.005, "by": "10%"},
        {"trend": "up", "than": "monolingual"},
        {"trend": "up", "margin": 0.005},
    ],
    ids=lambda words: " ".join(words),
)
def test_words_that_would_change_nothing_are_refused(words):
    refused(**words)


def test_one_name_and_a_list_of_names_are_read_alike():
    one, other = (claim(greater="hybrid", than=t) for t in ("monolingual", ["monolingual"]))
    assert one == other
    assert claim(trend="up", dataset="a").dataset == claim(trend="up", dataset=["a"]).dataset
    assert claim(trend="up", within="encoder").within == ("encoder",)


def test_a_claim_knows_which_settings_it_names():
    said = claim(
        greater={"sampler": "hybrid", "learning_rate": 1},
        than=["monolingual", {"encoder": "x"}],
        within=["train.max_steps"],
        where={"mask": "none"},
    )
    assert said.keys == {"sampler", "learning_rate", "encoder", "train.max_steps", "mask"}
    assert claim(trend="up", over="learning_rate").keys == {"learning_rate"}


def test_a_claim_has_a_sentence_its_own_or_one_of_its_form():
    assert claim(trend="up", says="It rises").sentence == "It rises"
    assert claim(trend="up").sentence == "mono map: up over alpha"
    said = claim(less={"sampler": "hybrid", "alpha": 0.2}, than=["monolingual", "untrained"])
    assert said.sentence == "mono map: hybrid alpha 0.2 less than monolingual and untrained"
    assert "hybrid equal to mixed" in claim(equal="hybrid", to="mixed", margin=1).sentence


def test_a_selector_names_the_cells_that_have_all_of_its_values():
    some = cell("hybrid", alpha=0.2, **{"train.learning_rate": 1e-3})
    assert matches(some, {})
    assert matches(some, {"sampler": "hybrid", "learning_rate": 1e-3, "train.learning_rate": 1e-3})
    assert matches(some, {"alpha": [0.2, 0.5]})
    assert not matches(some, {"alpha": [0.5, 0.8]})
    assert not matches(some, {"sampler": "hybrid", "alpha": 0.5})
    assert not matches(cell("untrained"), {"alpha": None})  # it has no α at all
    assert words_of({"alpha": 0.2, "sampler": "hybrid"}) == "hybrid alpha 0.2"


# Which cells are compared


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
    verdicts = [judge(c.conditions, estimates(c, [0.6, 0.7, 0.4, 0.5]), NAN) for c in found]
    assert verdicts == [SUPPORTED, SUPPORTED, REFUTED]  # and so the claim does not hold


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
    ("words", "figures", "status"),
    [
        ({"greater": "hybrid"}, (0.6, 0.5), SUPPORTED),
        ({"greater": "hybrid"}, (0.5, 0.6), REFUTED),
        ({"greater": "hybrid"}, (0.5, 0.5), OPEN),
        ({"less": "hybrid"}, (0.5, 0.6), SUPPORTED),
        ({"less": "hybrid"}, (0.6, 0.5), REFUTED),
        ({"greater": "hybrid", "by": 0.2}, (0.75, 0.5), SUPPORTED),
        ({"greater": "hybrid", "by": 0.2}, (0.625, 0.5), REFUTED),
        ({"greater": "hybrid", "by": -0.125}, (0.5, 0.5625), SUPPORTED),  # no worse by .125
        ({"greater": "hybrid", "by": -0.125}, (0.5, 0.75), REFUTED),
        ({"less": "hybrid", "by": "10%"}, (89, 100), SUPPORTED),
        ({"less": "hybrid", "by": "10%"}, (91, 100), REFUTED),
        ({"less": "hybrid", "by": "-10%"}, (109, 100), SUPPORTED),  # at most a tenth above
        ({"less": "hybrid", "by": "-10%"}, (111, 100), REFUTED),
        ({"greater": "hybrid", "by": "10%"}, (111, 100), SUPPORTED),
        ({"greater": "hybrid", "by": "10%"}, (109, 100), REFUTED),
        ({"greater": "hybrid", "by": "-10%"}, (91, 100), SUPPORTED),
        ({"greater": "hybrid", "by": "-10%"}, (89, 100), REFUTED),
    ],
)
def test_differences_are_at_least_so_much(words, figures, status):
    assert by_means(claim(than="monolingual", **words), *figures) == status


@pytest.mark.parametrize(
    ("margin", "figures", "status"),
    [
        (0.125, (0.5, 0.5), SUPPORTED),
        (0.125, (0.5625, 0.5), SUPPORTED),
        (0.125, (0.4375, 0.5), SUPPORTED),
        (0.125, (0.75, 0.5), REFUTED),
        (0.125, (0.25, 0.5), REFUTED),
        (0.125, (0.625, 0.5), OPEN),  # on the margin
        ("10%", (109, 100), SUPPORTED),
        ("10%", (91, 100), SUPPORTED),
        ("10%", (111, 100), REFUTED),
        ("10%", (89, 100), REFUTED),
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
    (estimate,) = estimates(found, [0.1, 0.2, 0.3, 0.5])
    assert estimate.value == pytest.approx(0.4)
    assert sum(found.base.values()) == pytest.approx(1)


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
    (estimate,) = estimates(found, figures)
    assert estimate.value == pytest.approx(slope * (max(at) - min(at)), abs=1e-9)
    (test,) = found.conditions
    assert (dict(test.weights), test.bound, test.side) == (dict(found.effect), 0, 1)


@pytest.mark.parametrize(
    ("words", "figures", "status"),
    [
        ({"trend": "up"}, (0.1, 0.2, 0.3, 0.5), SUPPORTED),
        ({"trend": "down"}, (0.1, 0.2, 0.3, 0.5), REFUTED),
        ({"trend": "down"}, (0.5, 0.4, 0.3, 0.1), SUPPORTED),
        ({"trend": "up", "by": 0.3}, (0.1, 0.2, 0.3, 0.5), SUPPORTED),  # it rises by .4
        ({"trend": "up", "by": 0.45}, (0.1, 0.2, 0.3, 0.5), REFUTED),
        ({"trend": "down", "by": 0.3}, (0.5, 0.4, 0.3, 0.1), SUPPORTED),
        ({"trend": "down", "by": 0.45}, (0.5, 0.4, 0.3, 0.1), REFUTED),
        ({"trend": "up", "by": "140%"}, (0.1, 0.2, 0.3, 0.5), SUPPORTED),  # of a mean of .275
        ({"trend": "up", "by": "150%"}, (0.1, 0.2, 0.3, 0.5), REFUTED),
        ({"trend": "flat", "margin": 0.05}, (0.5, 0.53, 0.47, 0.5), SUPPORTED),
        ({"trend": "flat", "margin": 0.3}, (0.1, 0.2, 0.3, 0.5), REFUTED),
        ({"trend": "flat", "margin": 0.3}, (0.5, 0.4, 0.3, 0.1), REFUTED),
        ({"trend": "flat", "margin": "150%"}, (0.5, 0.4, 0.3, 0.1), SUPPORTED),
        ({"trend": "flat", "margin": "140%"}, (0.1, 0.2, 0.3, 0.5), REFUTED),
    ],
)
def test_trends_by_hand(words, figures, status):
    (found,) = compared(claim(**words), ALPHAS, figures)
    assert judge(found.conditions, estimates(found, figures), NAN) == status


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


# Verdicts


UP, DOWN = Condition({0: 1.0}, 0.0, 1), Condition({0: 1.0}, 0.0, -1)


@pytest.mark.parametrize(
    ("low", "high", "p", "status"),
    [
        (0.1, 0.3, 0.049, SUPPORTED),
        (0.1, 0.3, 0.05, OPEN),  # not below
        (0.0, 0.3, 0.001, OPEN),  # the interval touches the bound
        (-0.1, 0.3, 0.001, OPEN),
        (-0.3, -0.1, 0.049, REFUTED),
        (-0.3, -0.1, 0.05, OPEN),
        (-0.3, 0.0, 0.001, OPEN),
        (NAN, NAN, 0.001, OPEN),
    ],
)
def test_a_difference_is_judged_by_its_interval_and_its_adjusted_p(low, high, p, status):
    value = (low + high) / 2 if not math.isnan(low) else 0.2
    assert judge([UP], [Estimate(value, low, high, p)], p) == status
    assert judge([DOWN], [Estimate(-value, -high, -low, p)], p) == status


def test_the_adjusted_p_decides_and_not_the_own_one():
    assert judge([UP], [Estimate(0.2, 0.1, 0.3, 0.01)], 0.06) == OPEN


def two_sided(low: float, high: float, p: float, margin: float = 1.0) -> str:
    """Judge the equivalence of an effect with this interval."""
    tests = Condition({0: 1.0}, -margin, 1), Condition({0: 1.0}, margin, -1)
    middle = (low + high) / 2
    found = [Estimate(middle - t.bound, low - t.bound, high - t.bound, p) for t in tests]
    return judge(tests, found, p)


def test_equivalence_is_two_one_sided_tests():
    assert two_sided(-0.5, 0.9, 0.01) == SUPPORTED
    assert two_sided(-0.5, 0.9, 0.2) == OPEN
    assert two_sided(-0.5, 1.1, 0.01) == OPEN
    assert two_sided(-1.1, 0.5, 0.01) == OPEN
    assert two_sided(-2.0, 2.0, 0.9) == OPEN
    assert two_sided(1.1, 1.5, 0.01) == REFUTED
    assert two_sided(-1.5, -1.1, 0.01) == REFUTED
    assert two_sided(1.1, 1.5, 0.2) == OPEN
    assert two_sided(0.9, 1.5, 0.99) == OPEN


def test_where_only_means_are_known_they_decide():
    assert judge([UP], [Estimate(0.1)], NAN) == SUPPORTED
    assert judge([UP], [Estimate(-0.1)], NAN) == REFUTED
    assert judge([UP], [Estimate(0.0)], NAN) == OPEN
    assert judge([DOWN], [Estimate(-0.1)], NAN) == SUPPORTED
    assert judge([UP, DOWN], [Estimate(0.1), Estimate(0.1)], NAN) == REFUTED
    assert judge([UP, UP], [Estimate(0.1), Estimate(0.0)], NAN) == OPEN


def test_what_has_no_value_is_open():
    assert judge([UP], [Estimate(NAN)], NAN) == OPEN
    assert judge([UP, UP], [Estimate(0.1), Estimate(NAN)], NAN) == OPEN
    assert judge([UP, UP], [Estimate(0.1, 0.1, 0.1, 0.0), Estimate(NAN)], 0.0) == OPEN


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, OPEN], OPEN),
        ([SUPPORTED, OPEN, REFUTED], REFUTED),
        ([OPEN], OPEN),
        ([], OPEN),
    ],
)
def test_a_claim_holds_if_all_that_it_stands_for_does(statuses, status):
    assert overall([Finding("small", "a vs b", found) for found in statuses]) == status


@FAST
@given(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.floats(0.01, 0.5))
def test_greater_and_less_are_never_both_supported_and_equal_is_in_between(figures, amount):
    found = {
        "greater": by_means(claim(greater="hybrid", than="monolingual", by=amount), *figures),
        "equal": by_means(claim(equal="hybrid", to="monolingual", margin=amount), *figures),
        "less": by_means(claim(less="hybrid", than="monolingual", by=amount), *figures),
    }
    assert list(found.values()).count(SUPPORTED) <= 1
    assert not any(a == b == SUPPORTED for a, b in pairwise(found.values()))


def test_a_claim_is_open_while_something_of_it_was_not_run():
    refuted = Finding("d", "a vs b", REFUTED)
    missing = Finding("d", "a vs c", OPEN, missing=True)
    assert overall([refuted]) == REFUTED
    assert overall([refuted, missing]) == OPEN
