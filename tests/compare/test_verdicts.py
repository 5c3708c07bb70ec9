"""What holds follows from values by query."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hbr.compare.claims import Claim
from hbr.compare.evidence import Evidence
from hbr.compare.tables import compare
from hbr.compare.verdicts import verdicts
from tests.compare.support import (
    BETTER,
    CONCEPTS,
    claim,
    config,
    daggers,
    gathered,
    judged,
    pair,
    seeds,
    values,
)
from tests.support import finished


@pytest.mark.parametrize(
    ("ours", "theirs", "noise", "status"),
    [
        (0.6, 0.5, 0.01, "holds for these encoders"),
        (0.5, 0.6, 0.01, "fails for these encoders"),
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


ONE_RUN = "one run: says nothing of the method"


def test_one_seed_leaves_a_claim_about_methods_open_and_says_why(runs: Path) -> None:
    verdict = judged(pair(runs, 0.6, 0.5), **BETTER, evidence="methods")
    (finding,) = verdict.findings
    assert (verdict.status, verdict.note) == ("open", ONE_RUN)
    assert (finding.status, finding.note, finding.seeds) == ("open", ONE_RUN, 1)
    assert finding.effect == pytest.approx(0.1)
    assert all(math.isnan(x) for x in (finding.p, finding.adjusted, finding.low, finding.high))


def test_one_seed_of_one_method_is_not_enough_though_the_other_has_several(runs: Path) -> None:
    evidence = gathered(
        *seeds(runs, "hybrid", 0.6, noise_seed=1),
        finished(runs, "monolingual", values(0.5, noise_seed=2)),
    )
    assert judged(evidence, **BETTER, evidence="methods").note == ONE_RUN


def test_an_untrained_encoder_needs_no_seeds(runs: Path) -> None:
    evidence = gathered(
        *seeds(runs, "hybrid", 0.6, noise_seed=1),
        finished(runs, "untrained", values(0.5, noise_seed=2)),
    )
    verdict = judged(evidence, greater="hybrid", than="untrained", evidence="methods")
    assert (verdict.status, verdict.findings[0].seeds) == ("supported", 3)


@pytest.mark.parametrize(
    ("ours", "theirs", "spread", "status", "here"),
    [
        (0.6, 0.5, 0.005, "supported", "holds for these encoders"),
        (0.5, 0.6, 0.005, "refuted", "fails for these encoders"),
        (0.6, 0.5, 0.1, "open", "holds for these encoders"),  # seeds differ by as much
        (0.5, 0.6, 0.1, "open", "fails for these encoders"),
    ],
)
def test_three_seeds_speak_of_methods_and_these_encoders_have_words_of_their_own(
    runs: Path, ours: float, theirs: float, spread: float, status: str, here: str
) -> None:
    evidence = gathered(
        *seeds(runs, "hybrid", ours, noise_seed=1, spread=spread),
        *seeds(runs, "monolingual", theirs, noise_seed=2, spread=spread),
    )
    verdict = judged(evidence, **BETTER, evidence="methods")
    (finding,) = verdict.findings
    assert (verdict.status, finding.status, finding.seeds) == (status, status, 3)
    assert finding.effect == pytest.approx(ours - theirs)
    assert (finding.p < 0.05) == (status != "open")
    assert judged(evidence, **BETTER).status == here
    best, marks = ("hybrid" if ours > theirs else "monolingual"), ("†" if status != "open" else "")
    for over, mark in (("seeds and concepts", marks), ("concepts", "§")):
        table = compare(replace(evidence, over=over), ["recall@1"])
        (row,) = [row for row in table.rows if row.label[1] == best]
        assert row.cells[0].dagger == mark


def test_seeds_that_differ_make_the_p_of_methods_larger_than_that_of_these_encoders(
    runs: Path,
) -> None:
    levels = {"hybrid": (0.50, 0.52, 0.54), "monolingual": (0.48, 0.49, 0.50)}
    every = {
        sampler: [
            values(level, noise_seed=10 * i + seed, noise=0.05) for seed, level in enumerate(own)
        ]
        for i, (sampler, own) in enumerate(levels.items())
    }
    evidence = gathered(
        *(
            finished(runs, sampler, own, seed=seed)
            for sampler, several in every.items()
            for seed, own in enumerate(several)
        )
    )
    (finding,) = judged(evidence, **BETTER, evidence="methods").findings
    (here,) = judged(evidence, **BETTER).findings
    by_concept = [np.mean([v["mono map"][:, 0] for v in own], axis=0) for own in every.values()]
    assert here.p == pytest.approx(stats.ttest_rel(*by_concept).pvalue)
    assert finding.p > here.p
    assert finding.high - finding.low > here.high - here.low


def test_two_claims_on_one_comparison_count_once(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5)
    twins = [claim(id="one", **BETTER), claim(id="two", **BETTER)]
    one, two = verdicts(twins, [evidence])
    assert (one.note, two.note) == ("", "the comparison of one")
    assert one.findings[0].adjusted == two.findings[0].adjusted == one.findings[0].p
    other = claim(id="three", setting="multi", **BETTER)
    one, two, three = verdicts([*twins, other], [evidence])
    p = one.findings[0].p
    for verdict in (one, two, three):  # two comparisons
        assert verdict.findings[0].adjusted == pytest.approx(2 * p, rel=1e-6, abs=0)
    assert three.note == ""


def test_another_bound_or_other_evidence_is_another_comparison(runs: Path) -> None:
    evidence = gathered(
        *seeds(runs, "hybrid", 0.6, noise_seed=1), *seeds(runs, "monolingual", 0.5, noise_seed=2)
    )
    claims = [
        claim(id="one", **BETTER),
        claim(id="two", **BETTER, by=0.01),
        claim(id="three", **BETTER, evidence="methods"),
    ]
    assert [verdict.note for verdict in verdicts(claims, [evidence])] == [""] * 3


@pytest.mark.parametrize("words", [{**BETTER, "by": "10%"}, {"less": "hybrid", "by": "10%"}])
def test_a_share_of_a_baseline_that_is_not_positive_is_open(
    runs: Path, words: dict[str, Any]
) -> None:
    words = {"than": "monolingual", **words}
    verdict = judged(pair(runs, -0.4, -0.5), **words)
    assert (verdict.status, "baseline that is not positive" in verdict.note) == ("open", True)
    absolute = judged(pair(runs / "b", -0.4, -0.5), **BETTER, by=0.05)
    assert absolute.status == "holds for these encoders"


@pytest.mark.parametrize("evidence", ["methods", "these-encoders"])
def test_a_value_that_is_not_known_leaves_a_claim_open(runs: Path, evidence: str) -> None:
    results = [
        *seeds(runs, "hybrid", 0.6, noise_seed=1)[1:],
        *seeds(runs, "monolingual", 0.5, noise_seed=2),
    ]
    lacking = values(0.6, noise_seed=1)
    lacking["mono recall@1"] = lacking["mono recall@1"].copy()
    lacking["mono recall@1"][3] = np.nan
    results.append(finished(runs / "b", "hybrid", lacking))
    verdict = judged(gathered(*results), **BETTER, metric="recall@1", evidence=evidence)
    assert verdict.status == "open"
    assert all(math.isnan(finding.p) for finding in verdict.findings)
    assert verdict.note


def correct(runs: Path, sampler: str, wrong: int) -> list[Path]:
    """Return runs that answer all concepts but the first few at once, in every language."""
    at_once = (np.arange(CONCEPTS) >= wrong).astype(float)[:, None]
    return [finished(runs, sampler, {"mono recall@1": at_once}, seed=seed) for seed in range(3)]


@pytest.mark.parametrize("evidence", ["methods", "these-encoders"])
@pytest.mark.parametrize("differing", [0, 1, 5])
def test_too_few_concepts_that_differ_leave_no_worse_open(
    runs: Path, differing: int, evidence: str
) -> None:
    results = [*correct(runs, "hybrid", differing), *correct(runs, "monolingual", 0)]
    no_worse = {**BETTER, "metric": "recall@1", "by": -0.5, "evidence": evidence}
    verdict = judged(gathered(*results), **no_worse)
    assert verdict.status == "open"
    assert (
        verdict.note
        == f"the difference varies on {differing} of {CONCEPTS} concepts, too few for a test"
    )


def test_the_p_of_these_encoders_is_that_of_scipys_paired_t_test(runs: Path) -> None:
    ours, theirs = values(0.51, noise_seed=1, noise=0.05), values(0.5, noise_seed=2, noise=0.05)
    evidence = gathered(
        finished(runs, "hybrid", ours),
        finished(runs, "monolingual", theirs),
    )
    (finding,) = judged(evidence, **BETTER).findings
    means = [one["mono map"][:, 0] for one in (ours, theirs)]
    known = stats.ttest_rel(*means)
    assert 0.02 < known.pvalue < 0.5
    assert finding.p == pytest.approx(known.pvalue)
    interval = known.confidence_interval()
    assert (finding.low, finding.high) == pytest.approx((interval.low, interval.high))
    difference = means[0] - means[1]
    assert finding.d == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_equal_results_give_an_equal_p_whatever_else_is_claimed(runs: Path) -> None:
    pair(runs, 0.51, 0.5, noise=0.05)
    paths = sorted(runs.iterdir())
    first = claim(**BETTER)
    other = claim(id="d", greater="monolingual", than="hybrid", setting="multi")

    def p(*claims: Claim) -> float:
        return verdicts(claims, [gathered(*paths)])[-1].findings[0].p

    assert 0 < p(first) < 1
    assert p(first) == p(first) == p(other, first)


def test_p_is_adjusted_over_all_comparisons_of_all_claims(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5)
    claims = [claim(id=s, setting=s, **BETTER) for s in ("mono", "cross", "multi")]
    judgements = verdicts(claims, [evidence])
    (alone,) = verdicts(claims[:1], [evidence])
    p = alone.findings[0].p
    assert 0 < p < 0.001
    assert alone.findings[0].adjusted == p
    for verdict in judgements:  # all three differ alike
        assert verdict.findings[0].p == pytest.approx(p, rel=1e-6, abs=0)
        assert verdict.findings[0].adjusted == pytest.approx(3 * p, rel=1e-6, abs=0)


def test_a_claim_speaks_for_every_encoder(runs: Path) -> None:
    evidence = gathered(
        *(
            finished(runs, sampler, values(level, noise_seed=i), encoder=encoder)
            for encoder, levels in (("xlm-r-tiny", (0.6, 0.5)), ("labse-tiny", (0.4, 0.5)))
            for i, (sampler, level) in enumerate(
                zip(("hybrid", "monolingual"), levels, strict=True)
            )
        )
    )
    verdict = judged(evidence, **BETTER)
    assert [(f.label.partition(":")[0], f.status) for f in verdict.findings] == [
        ("labse-tiny", "fails for these encoders"),
        ("xlm-r-tiny", "holds for these encoders"),
    ]
    assert verdict.status == "fails for these encoders"
    alone = judged(evidence, **BETTER, where={"encoder": "xlm-r-tiny"})
    assert (alone.status, len(alone.findings)) == ("holds for these encoders", 1)


def test_encoders_of_one_name_from_two_folders_are_judged_each_on_its_own(
    runs: Path, tmp_path: Path
) -> None:
    evidence = gathered(
        *(
            finished(
                runs, sampler, values(level, noise_seed=i), encoder=str(tmp_path / folder / "enc")
            )
            for folder, levels in (("a", (0.6, 0.5)), ("b", (0.4, 0.3)))
            for i, (sampler, level) in enumerate(
                zip(("hybrid", "monolingual"), levels, strict=True)
            )
        )
    )
    assert [f.status for f in judged(evidence, **BETTER).findings] == [
        "holds for these encoders"
    ] * 2


def test_a_claim_with_cells_that_were_not_run_is_open(runs: Path) -> None:
    expected = [config("mixed")]
    evidence = pair(runs, 0.6, 0.5, expected=expected)
    verdict = judged(evidence, greater="hybrid", than=["monolingual", "mixed"])
    assert [f.status for f in verdict.findings] == ["holds for these encoders", "open"]
    assert (verdict.status, verdict.note) == ("open", "not all of its cells were run")
    absent = judged(evidence, greater="hybrid", than=["monolingual", "english"])
    assert (absent.status, absent.note) == ("open", "no cell of english in xlm-r-tiny")
    nobody = judged(evidence, greater="english", than="hybrid")
    assert (nobody.status, nobody.note) == ("open", "no cell of english")


def test_a_claim_with_a_seed_that_was_not_run_is_open(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5, expected=[config("hybrid", seed=1)])
    assert judged(evidence, **BETTER).status == "open"


@pytest.mark.parametrize("study", [["embedded"], ["embedded", "miracl"], []])
def test_a_claim_is_open_while_a_data_set_that_it_names_is_not_in_the_study(
    runs: Path, study: list[str]
) -> None:
    named = claim(**BETTER, dataset=["embedded", "xquad-r"])
    (verdict,) = verdicts([named], [pair(runs, 0.6, 0.5)], study)
    assert [finding.dataset for finding in verdict.findings] == ["embedded", "xquad-r"]
    assert (verdict.status, verdict.note) == ("open", "not evaluated")


def test_a_claim_on_a_data_set_that_was_not_evaluated_is_open(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5)
    verdict = judged(evidence, **BETTER, dataset=["embedded", "xquad-r"])
    assert [(f.dataset, f.status) for f in verdict.findings] == [
        ("embedded", "holds for these encoders"),
        ("xquad-r", "open"),
    ]
    assert (verdict.status, verdict.note) == ("open", "not evaluated")
    assert judged(evidence, **BETTER, dataset="embedded").status == "holds for these encoders"


def test_a_metric_that_no_run_has_leaves_a_claim_open(runs: Path) -> None:
    verdict = judged(pair(runs, 0.6, 0.5), **BETTER | {"metric": "ndcg@10"})
    assert (verdict.status, verdict.note) == ("open", "mono ndcg@10 was not measured")


@pytest.mark.parametrize("lacking", ["recall@1", "map"])  # map: in one setting alone
def test_a_metric_that_one_run_lacks_leaves_open_what_is_claimed_of_it_alone(
    runs: Path, lacking: str
) -> None:
    ours, theirs = values(0.6, noise_seed=1), values(0.4, noise_seed=2)
    fewer = {k: v for k, v in values(0.5).items() if k != f"mono {lacking}"}
    evidence = gathered(
        finished(runs, "hybrid", ours),
        finished(runs, "monolingual", fewer),
        finished(runs, "mixed", theirs),
    )
    assert judged(evidence, **BETTER, metric=lacking).status == "open"
    (finding,) = judged(evidence, greater="hybrid", than="mixed", metric=lacking).findings
    assert finding.effect == pytest.approx(0.2 if lacking == "map" else 0.1)
    assert (finding.status, finding.note) == ("holds for these encoders", "")
    assert 0 < finding.p < 0.001
    table = compare(replace(evidence, over="concepts"), [lacking])
    assert ("hybrid", "mono") in daggers(table)


def test_a_metric_without_values_by_query_cannot_be_tested(runs: Path) -> None:
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    evidence = gathered(
        finished(runs, "hybrid", {"mono map": 0.2 + levels / 10}),
        finished(runs, "monolingual", {"mono map": levels}),
    )
    verdict = judged(evidence, metric="map_spread", less="hybrid", than="monolingual")
    assert math.isnan(verdict.findings[0].p)
    assert (verdict.status, "no values by query" in verdict.note) == ("open", True)
    assert verdict.findings[0].effect == pytest.approx(-0.9 * levels.std())


def test_a_claim_may_speak_of_some_languages_alone(runs: Path) -> None:
    only_somali = np.array([0, 0, 0.2, 0])
    ours, theirs = values(0.5, noise_seed=1), values(0.5, noise_seed=2)
    evidence = gathered(
        finished(runs, "hybrid", ours | {"mono map": ours["mono map"] + only_somali}),
        finished(runs, "monolingual", theirs),
    )
    low = judged(evidence, **BETTER, among={"resource": "low"})
    high = judged(evidence, **BETTER, among={"resource": "high"})
    assert (low.status, high.status) == ("holds for these encoders", "open")
    assert low.findings[0].effect == pytest.approx(0.2)
    assert high.findings[0].effect == pytest.approx(0)
    assert judged(evidence, **BETTER).findings[0].effect == pytest.approx(0.05)
    unseen = judged(evidence, **BETTER, among={"seen": "unseen", "script": "latin"})
    assert unseen.findings[0].effect == pytest.approx(0.2)
    nobody = judged(evidence, **BETTER, among={"script": "greek"})
    assert (nobody.status, "was not measured among" in nobody.note) == ("open", True)


def test_a_claim_may_speak_of_some_pairs_alone(runs: Path) -> None:
    ours, theirs = values(0.5, noise_seed=1), values(0.5, noise_seed=2)
    to_thai = np.zeros((4, 4)) + np.array([0, 0, 0, 0.2])
    evidence = gathered(
        finished(runs, "hybrid", ours | {"cross map": ours["cross map"] + to_thai}),
        finished(runs, "monolingual", theirs),
    )
    thai = judged(evidence, **BETTER, setting="cross", among={"script": "latin→thai"})
    assert (thai.status, round(thai.findings[0].effect, 6)) == ("holds for these encoders", 0.2)
    latin = judged(evidence, **BETTER, setting="cross", among={"script": "latin→latin"})
    assert (latin.status, round(latin.findings[0].effect, 6)) == ("open", 0)


@pytest.mark.parametrize(
    ("by", "status"),
    [
        ("10%", "holds for these encoders"),
        ("30%", "fails for these encoders"),
        ("19.9%", "open"),
        (5, "holds for these encoders"),
        (15, "fails for these encoders"),
    ],
)
def test_a_difference_may_have_to_have_a_size(runs: Path, by: Any, status: str) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(0.5, 40, noise_seed=1)),
        finished(runs, "monolingual", values(0.5, 50, noise_seed=2)),
    )
    distance = {"metric": "rank_distance", "setting": "multi"}
    verdict = judged(evidence, less="hybrid", than="monolingual", by=by, **distance)
    assert verdict.status == status
    assert verdict.findings[0].effect == pytest.approx(-10)
    assert verdict.findings[0].relative == pytest.approx(-0.2)


def test_no_worse_than_is_better_by_less_than_nothing(runs: Path) -> None:
    evidence = pair(runs, 0.498, 0.5, noise=0.001)
    assert judged(evidence, **BETTER).status == "fails for these encoders"
    assert judged(evidence, **BETTER, by=-0.005).status == "holds for these encoders"
    assert judged(evidence, **BETTER, by=-0.001).status == "fails for these encoders"


@pytest.mark.parametrize(
    ("ours", "noise", "status"),
    [
        (0.501, 0.002, "holds for these encoders"),
        (0.52, 0.002, "fails for these encoders"),
        (0.501, 0.1, "open"),
    ],
)
def test_equal_means_within_a_margin_by_two_one_sided_tests(
    runs: Path, ours: float, noise: float, status: str
) -> None:
    verdict = judged(
        pair(runs, ours, 0.5, noise=noise), equal="hybrid", to="monolingual", margin=0.005
    )
    assert verdict.status == status


def test_equal_is_to_the_best_of_several(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(0.5, 50, noise_seed=1, noise=0.001)),
        finished(runs, "monolingual", values(0.5, 90, noise_seed=2, noise=0.001)),
        finished(runs, "cross-lingual", values(0.3, 50, noise_seed=3, noise=0.001)),
    )
    both = {"equal": "hybrid", "to": ["monolingual", "cross-lingual"]}
    (finding,) = judged(evidence, **both, margin=0.005).findings
    assert (finding.label, finding.status) == (
        "xlm-r-tiny: hybrid vs monolingual",
        "holds for these encoders",
    )
    distance = {"metric": "rank_distance", "setting": "multi"}
    (finding,) = judged(evidence, **both, margin="2%", **distance).findings
    assert (finding.label, finding.status) == (
        "xlm-r-tiny: hybrid vs cross-lingual",
        "holds for these encoders",
    )


def test_equal_to_the_best_is_open_while_a_baseline_is_missing(runs: Path) -> None:
    evidence = pair(runs, 0.5, 0.5, noise=0.001, expected=[config("cross-lingual")])
    both = ["monolingual", "cross-lingual"]
    assert judged(evidence, equal="hybrid", to=both, margin=0.005).status == "open"


def by_alpha(runs: Path, *levels: float) -> Evidence:
    names = [("cross-lingual", None), ("hybrid", 0.5), ("monolingual", None)]
    return gathered(
        *(
            finished(
                runs,
                sampler,
                values(level, noise_seed=i),
                settings={} if alpha is None else {"alpha": alpha},
            )
            for i, ((sampler, alpha), level) in enumerate(zip(names, levels, strict=False))
        )
    )


def test_a_trend_is_the_change_along_a_line(runs: Path) -> None:
    evidence = by_alpha(runs, 0.3, 0.35, 0.5)
    up = judged(evidence, trend="up")
    (finding,) = up.findings
    slope = stats.linregress([0, 0.5, 1], [0.3, 0.35, 0.5]).slope
    assert finding.effect == pytest.approx(slope)
    assert (up.status, finding.label) == ("holds for these encoders", "xlm-r-tiny: alpha 0 to 1")
    assert judged(evidence, trend="down").status == "fails for these encoders"
    assert judged(evidence, trend="up", by=0.1).status == "holds for these encoders"
    assert judged(evidence, trend="up", by=0.3).status == "fails for these encoders"
    assert judged(evidence, trend="flat", margin=0.01).status == "fails for these encoders"


def test_a_flat_trend_stays_within_its_margin(runs: Path) -> None:
    evidence = by_alpha(runs, 0.5, 0.5, 0.5)
    assert judged(evidence, trend="flat", margin=0.02).status == "holds for these encoders"
    assert judged(evidence, trend="up").status == "open"


@pytest.mark.parametrize("evidence", ["methods", "these-encoders"])
def test_a_valley_is_neither_flat_nor_up_though_its_line_is(runs: Path, evidence: str) -> None:
    names = [("cross-lingual", None), ("hybrid", 0.5), ("monolingual", None)]
    words = ("supported", "refuted")
    holds, fails = (
        words if evidence == "methods" else [f"{w} for these encoders" for w in ("holds", "fails")]
    )

    def at(folder: Path, *levels: float) -> Evidence:
        return gathered(
            *(
                run
                for i, ((sampler, alpha), level) in enumerate(zip(names, levels, strict=True))
                for run in seeds(
                    *(folder, sampler, level),
                    noise_seed=i,
                    settings={} if alpha is None else {"alpha": alpha},
                )
            )
        )

    valley = at(runs / "valley", 0.5, 0.4, 0.5)
    flat = judged(valley, trend="flat", margin=0.05, evidence=evidence)
    assert (flat.status, round(flat.findings[0].effect, 9)) == (fails, 0)
    assert judged(valley, trend="flat", margin=0.2, evidence=evidence).status == holds
    rising = at(runs / "rising", 0.5, 0.4, 0.6)  # the line rises by .1
    up = judged(rising, trend="up", evidence=evidence)
    assert (up.status, round(up.findings[0].effect, 9)) == (fails, 0.1)
    without = at(runs / "without", 0.5, 0.52, 0.6)
    assert judged(without, trend="up", evidence=evidence).status == holds


def test_a_trend_needs_three_points(runs: Path) -> None:
    verdict = judged(by_alpha(runs, 0.3, 0.5), trend="up")
    assert (verdict.status, "fewer than three values of alpha" in verdict.note) == ("open", True)
    assert judged(by_alpha(runs / "b", 0.3, 0.5), trend="up", over="learning_rate").status == "open"


@pytest.mark.parametrize("name", ["train.max_steps", "max_steps"])
def test_a_setting_may_be_called_by_its_last_word(runs: Path, name: str) -> None:
    levels = {100: 0.3, 200: 0.4, 300: 0.5}
    evidence = gathered(
        *(
            finished(runs, "hybrid", values(level, noise_seed=steps), settings={"max_steps": steps})
            for steps, level in levels.items()
        )
    )
    assert judged(evidence, trend="up", over=name).status == "holds for these encoders"
    sides = {"greater": {name: 300}, "than": {name: 100}}
    assert judged(evidence, **sides).status == "holds for these encoders"


def test_a_contaminated_cell_is_noted_with_the_claim(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(0.6, noise_seed=1), contamination=(0, 5)),
        finished(runs, "monolingual", values(0.5, noise_seed=2)),
    )
    assert judged(evidence, **BETTER).note == "‡ contaminated"


def test_a_claim_in_its_own_words_or_in_those_of_its_form(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5)
    assert judged(evidence, **BETTER).sentence == "mono map: hybrid greater than monolingual"
    assert judged(evidence, **BETTER, says="Hybrid wins").sentence == "Hybrid wins"


def test_a_claim_may_name_the_objective(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(0.6, noise_seed=1), settings={"objective": "smoothing"}),
        finished(runs, "hybrid", values(0.5, noise_seed=2), settings={"objective": "infonce"}),
    )
    verdict = judged(
        evidence,
        greater={"objective": "smoothing"},
        than={"objective": "infonce"},
        within="encoder",
    )
    assert verdict.status == "holds for these encoders"
    assert verdict.findings[0].label == "xlm-r-tiny: hybrid smoothing vs hybrid infonce"


def test_a_trend_with_one_run_at_a_step_is_open(runs: Path) -> None:
    ends = [
        finished(runs, sampler, values(level + spread, noise_seed=seed), seed=seed)
        for sampler, level in (("cross-lingual", 0.3), ("monolingual", 0.7))
        for seed, spread in enumerate((-0.005, 0.0, 0.005))
    ]
    middle = finished(runs, "hybrid", values(0.5, noise_seed=9))
    verdict = judged(gathered(*ends, middle), trend="up", over="alpha", evidence="methods")
    assert verdict.status == "open"
    assert "one run" in verdict.note
