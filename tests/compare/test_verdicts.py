"""What holds follows from values by query."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hbr.compare.claims import Claim
from hbr.compare.evidence import Evidence, Resampling
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
    values,
)
from tests.support import finished


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
    ours, theirs = values(0.51, noise_seed=1, noise=0.05), values(0.5, noise_seed=2, noise=0.05)
    evidence = gathered(
        finished(runs, "hybrid", ours),
        finished(runs, "monolingual", theirs),
        resampling=Resampling(9_999),
    )
    (finding,) = judged(evidence, **BETTER).findings
    means = [one["mono map"][:, 0] for one in (ours, theirs)]
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
        results = [gathered(*paths, resampling=Resampling(999, seed))]
        return verdicts(claims, results)[-1].findings[0].p

    assert p([first], 0) == p([first], 0) == p([other, first], 0)
    assert p([first], 0) != p([first], 1)
    assert p([first], 0) == pytest.approx(p([first], 1), abs=0.1)


def test_p_is_adjusted_over_all_comparisons_of_all_claims(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5)
    claims = [claim(id=s, setting=s, **BETTER) for s in ("mono", "cross", "multi")]
    judgements = verdicts(claims, [evidence])
    assert [v.findings[0].p for v in judgements] == [0.001] * 3
    assert [v.findings[0].adjusted for v in judgements] == [pytest.approx(0.003)] * 3
    (alone,) = verdicts(claims[:1], [evidence])
    assert alone.findings[0].adjusted == 0.001


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
        ("labse-tiny", "refuted"),
        ("xlm-r-tiny", "supported"),
    ]
    assert verdict.status == "refuted"
    alone = judged(evidence, **BETTER, where={"encoder": "xlm-r-tiny"})
    assert (alone.status, len(alone.findings)) == ("supported", 1)


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
    assert [f.status for f in judged(evidence, **BETTER).findings] == ["supported"] * 2


def test_a_claim_with_cells_that_were_not_run_is_open(runs: Path) -> None:
    expected = [config("mixed")]
    evidence = pair(runs, 0.6, 0.5, expected=expected)
    verdict = judged(evidence, greater="hybrid", than=["monolingual", "mixed"])
    assert [f.status for f in verdict.findings] == ["supported", "open"]
    assert (verdict.status, verdict.note) == ("open", "not all of its cells were run")
    absent = judged(evidence, greater="hybrid", than=["monolingual", "english"])
    assert (absent.status, absent.note) == ("open", "no cell of english in xlm-r-tiny")
    nobody = judged(evidence, greater="english", than="hybrid")
    assert (nobody.status, nobody.note) == ("open", "no cell of english")


def test_a_claim_with_a_seed_that_was_not_run_is_open(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5, expected=[config("hybrid", seed=1)])
    assert judged(evidence, **BETTER).status == "open"


def test_a_claim_on_a_data_set_that_was_not_evaluated_is_open(runs: Path) -> None:
    evidence = pair(runs, 0.6, 0.5)
    verdict = judged(evidence, **BETTER, dataset=["embedded", "xquad-r"])
    assert [(f.dataset, f.status) for f in verdict.findings] == [
        ("embedded", "supported"),
        ("xquad-r", "open"),
    ]
    assert (verdict.status, verdict.note) == ("open", "not evaluated")
    assert judged(evidence, **BETTER, dataset="embedded").status == "supported"


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
    assert (finding.status, finding.p, finding.note) == ("supported", 0.001, "")
    table = compare(evidence, [lacking])
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
    assert (low.status, high.status) == ("supported", "open")
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
    assert (thai.status, round(thai.findings[0].effect, 6)) == ("supported", 0.2)
    latin = judged(evidence, **BETTER, setting="cross", among={"script": "latin→latin"})
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
    assert judged(evidence, **BETTER).status == "refuted"
    assert judged(evidence, **BETTER, by=-0.005).status == "supported"
    assert judged(evidence, **BETTER, by=-0.001).status == "refuted"


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
    evidence = gathered(
        finished(runs, "hybrid", values(0.5, 50, noise_seed=1, noise=0.001)),
        finished(runs, "monolingual", values(0.5, 90, noise_seed=2, noise=0.001)),
        finished(runs, "cross-lingual", values(0.3, 50, noise_seed=3, noise=0.001)),
    )
    both = {"equal": "hybrid", "to": ["monolingual", "cross-lingual"]}
    (finding,) = judged(evidence, **both, margin=0.005).findings
    assert (finding.label, finding.status) == ("xlm-r-tiny: hybrid vs monolingual", "supported")
    distance = {"metric": "rank_distance", "setting": "multi"}
    (finding,) = judged(evidence, **both, margin="2%", **distance).findings
    assert (finding.label, finding.status) == ("xlm-r-tiny: hybrid vs cross-lingual", "supported")


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
    assert (up.status, finding.label) == ("supported", "xlm-r-tiny: alpha 0 to 1")
    assert judged(evidence, trend="down").status == "refuted"
    assert judged(evidence, trend="up", by=0.1).status == "supported"
    assert judged(evidence, trend="up", by=0.3).status == "refuted"
    assert judged(evidence, trend="flat", margin=0.01).status == "refuted"


def test_a_flat_trend_stays_within_its_margin(runs: Path) -> None:
    evidence = by_alpha(runs, 0.5, 0.5, 0.5)
    assert judged(evidence, trend="flat", margin=0.02).status == "supported"
    assert judged(evidence, trend="up").status == "open"


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
    assert judged(evidence, trend="up", over=name).status == "supported"
    sides = {"greater": {name: 300}, "than": {name: 100}}
    assert judged(evidence, **sides).status == "supported"


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
    assert verdict.status == "supported"
    assert verdict.findings[0].label == "xlm-r-tiny: hybrid smoothing vs hybrid infonce"
