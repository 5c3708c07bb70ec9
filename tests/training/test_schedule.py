"""Batches: what every sampler promises, and that a batch depends on seed and step alone."""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from hbr.core.errors import UserError
from hbr.training import samplers, schedule, summary
from hbr.training.samplers import Mode, Weight
from hbr.training.schedule import Batch, BatchSchedule, schedule_hash

FAST = settings(max_examples=30, deadline=None, derandomize=True)
ALPHABET = ("en", "de", "fr", "zh")
SAMPLERS = {
    "monolingual": samplers.MONOLINGUAL.mix(0.5),
    "cross-lingual": samplers.CROSS_LINGUAL.mix(0.5),
    "hybrid": samplers.HYBRID.mix(0.5),
    "mixed": samplers.MIXED.mix(0.5),
    "english": samplers.ENGLISH.mix(0.5),
}


@dataclass
class Data:
    """As much of a data set as sampling sees."""

    has: np.ndarray
    name: str = "toy"
    pivot: str | None = "en"
    group: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    translations: bool = False

    def __post_init__(self) -> None:
        self.has = np.asarray(self.has, dtype=bool)
        if not len(self.group):
            self.group = np.arange(len(self.has))

    @property
    def languages(self) -> tuple[str, ...]:
        return ALPHABET[: self.has.shape[1]]


def parallel(rows: int, languages: int = 3, **about: Any) -> Data:
    return Data(np.ones((rows, languages)), **about)


def make(
    data: list[Data], sampler: Mapping[Mode, Weight], size: int, seed: int = 0, steps: int = 100
) -> BatchSchedule:
    return BatchSchedule(data, sampler, batch_size=size, seed=seed, steps=steps)


def draw(plan: BatchSchedule, count: int) -> list[Batch]:
    return [plan.batch(step) for step in range(count)]


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def is_likely(counts: Any, shares: Any) -> bool:
    """Return whether counts can have come from such shares (chi-square, seeds fixed)."""
    counts, shares = np.array(counts), np.array(shares, dtype=float)
    return chisquare(counts, shares / shares.sum() * counts.sum()).pvalue > 1e-3


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Data], int]:
    """One to three data sets, full or ragged, one of them with several languages; batch size."""
    size = draw(st.integers(1, 7))
    found = []
    for number in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(size, 40))
        languages = draw(st.integers(1 if number else 2, 4))
        density = draw(st.sampled_from([0.3, 0.7, 1.0]))
        has = np.random.default_rng(draw(st.integers(0, 99))).random((rows, languages)) < density
        has[:size] = True  # every choice can fill a batch
        found.append(Data(has[::-1], name=f"data{number}"))
    return found, size


@FAST
@given(worlds(), st.integers(0, 2**31))
def test_hybrid_with_alpha_1_is_monolingual_and_with_alpha_0_cross_lingual(world, seed):
    data, size = world
    for alpha, name in ((1.0, "monolingual"), (0.0, "cross-lingual")):
        hybrid = draw(make(data, samplers.HYBRID.mix(alpha), size, seed), 60)
        pure = draw(make(data, SAMPLERS[name], size, seed), 60)
        assert all(map(equal, hybrid, pure))


@FAST
@given(worlds(), st.sampled_from(list(SAMPLERS)))
def test_batches_are_full_and_hold_no_row_twice_and_no_row_in_a_language_it_lacks(world, name):
    data, size = world
    for batch in draw(make(data, SAMPLERS[name], size), 60):
        has = data[batch.dataset].has
        assert len(np.unique(batch.rows)) == len(batch.rows) == size
        assert has[batch.rows, batch.query_language].all()
        assert has[batch.rows, batch.passage_language].all()
        if batch.mode == "monolingual":
            assert len({*batch.query_language, *batch.passage_language}) == 1
        if batch.mode == "cross-lingual":
            assert (batch.query_language != batch.passage_language).all()


@FAST
@given(worlds(), st.sampled_from(list(SAMPLERS)), st.permutations(range(40)))
def test_a_batch_is_the_same_whatever_was_asked_for_before(world, name, order):
    data, size = world
    in_order = draw(make(data, SAMPLERS[name], size), 40)
    shuffled = make(data, SAMPLERS[name], size)
    assert all(equal(shuffled.batch(step), in_order[step]) for step in order)


@pytest.mark.parametrize("alpha", [0.5, (1.0, 0.0)])
def test_a_fresh_plan_gives_the_same_batches_also_behind_the_last_step(alpha):
    data = [parallel(50), Data(np.random.default_rng(0).random((90, 4)) < 0.7, name="ragged")]
    walked = make(data, samplers.HYBRID.mix(alpha), 8, steps=6000)
    draw(walked, 200)
    walked.batch(20_000)
    for step in (0, 99, 3000, 4096, 5999, 6000, 9000):
        fresh = make(data, samplers.HYBRID.mix(alpha), 8, steps=6000)
        assert equal(fresh.batch(step), walked.batch(step))


@FAST
@given(st.integers(1, 40), st.data())
def test_every_row_is_seen_once_per_epoch_before_any_is_seen_twice(rows, data):
    size = data.draw(st.integers(1, rows))
    plan = make([parallel(rows)], SAMPLERS["hybrid"], size)
    seen = np.concatenate([batch.rows for batch in draw(plan, 3 * rows)])
    epochs = seen.reshape(-1, rows)  # 3 * size of them
    assert (np.sort(epochs, axis=1) == np.arange(rows)).all()


@pytest.mark.parametrize(("rows", "size"), [(20, 5), (23, 5), (20, 10)])
def test_every_epoch_has_another_order(rows, size):
    seen = np.concatenate(
        [b.rows for b in draw(make([parallel(rows)], SAMPLERS["mixed"], size), rows)]
    )
    epochs = {tuple(epoch) for epoch in seen[: len(seen) // rows * rows].reshape(-1, rows)}
    assert len(epochs) == size


def test_rows_fewer_than_two_batches_are_grouped_anew():
    batches = draw(make([parallel(5)], SAMPLERS["mixed"], 3), 50)
    assert len({frozenset(batch.rows.tolist()) for batch in batches}) == 10  # 5 over 3, all of them


def test_languages_that_the_same_rows_have_are_walked_together():
    has = np.ones((12, 3), dtype=bool)
    has[8:, 1:] = False  # de and fr: rows 0 to 7
    batches = draw(make([Data(has)], SAMPLERS["monolingual"], 4), 60)
    shared = [batch.rows for batch in batches if batch.query_language[0] != 0]
    epochs = np.concatenate(shared[: len(shared) // 2 * 2]).reshape(-1, 8)
    assert len(epochs) > 10
    assert (np.sort(epochs, axis=1) == np.arange(8)).all()
    english = [batch.rows for batch in batches if batch.query_language[0] == 0]
    epochs = np.concatenate(english[: len(english) // 3 * 3]).reshape(-1, 12)
    assert (np.sort(epochs, axis=1) == np.arange(12)).all()


@pytest.fixture(scope="module")
def many() -> list[Batch]:
    """10,000 hybrid batches of data sets of 25, 100 and, in one language, 400 rows."""
    data = [parallel(25, 3, name="a"), parallel(100, 4, name="b"), parallel(400, 1, name="c")]
    sampler = samplers.HYBRID.mix(0.3)
    return draw(
        BatchSchedule(data, sampler, batch_size=4, seed=1, steps=10_000, size_exponent=0.5), 10_000
    )


def test_the_share_of_monolingual_batches_is_alpha(many):
    modes = Counter(batch.mode for batch in many)
    assert is_likely([modes["monolingual"], modes["cross-lingual"]], [0.3, 0.7])


def test_data_sets_are_drawn_by_size_to_the_temperature_and_one_language_is_never_crossed(many):
    drawn = Counter((batch.mode, batch.dataset) for batch in many)
    assert is_likely([drawn["monolingual", i] for i in range(3)], [5, 10, 20])  # square roots
    assert is_likely([drawn["cross-lingual", i] for i in range(2)], [5, 10])
    assert drawn["cross-lingual", 2] == 0


def test_monolingual_batches_take_every_language_alike(many):
    for dataset, languages in ((0, 3), (1, 4)):
        here = [b for b in many if b.dataset == dataset and b.mode == "monolingual"]
        counts = np.bincount([b.query_language[0] for b in here], minlength=languages)
        assert is_likely(counts, np.ones(languages))


def test_cross_lingual_batches_take_every_ordered_pair_alike(many):
    for dataset, languages in ((0, 3), (1, 4)):
        here = [b for b in many if b.dataset == dataset and b.mode == "cross-lingual"]
        codes = np.concatenate([b.query_language * languages + b.passage_language for b in here])
        table = np.bincount(codes, minlength=languages**2).reshape(languages, languages)
        assert np.trace(table) == 0
        assert is_likely(table[~np.eye(languages, dtype=bool)], np.ones(languages**2 - languages))


@pytest.mark.parametrize(("name", "pairs"), [("cross-lingual", 6), ("mixed", 3)])
def test_a_ragged_row_takes_its_own_languages_alike(name, pairs):
    has = np.array([[1, 1, 0, 1]] * 4 + [[0, 1, 1, 1]] * 4 + [[1, 1, 1, 1]] * 4)
    counts = Counter(
        (int(query), int(passage))
        for batch in draw(make([Data(has)], SAMPLERS[name], 4), 2500)
        for row, query, passage in zip(*batch[3:], strict=True)
        if row < 4
    )
    assert len(counts) == pairs
    assert is_likely(list(counts.values()), np.ones(pairs))


def test_alpha_may_fall_from_the_first_step_to_the_last():
    plan = make([parallel(8)], samplers.HYBRID.mix((0.8, 0.2)), 2, steps=4000)
    alone = np.array([batch.mode == "monolingual" for batch in draw(plan, 4000)])
    assert alone.reshape(4, 1000).mean(1) == pytest.approx([0.725, 0.575, 0.425, 0.275], abs=0.05)


def test_an_alpha_from_1_to_0_begins_monolingual_and_ends_cross_lingual():
    for seed in range(20):
        plan = make([parallel(8)], samplers.HYBRID.mix((1.0, 0.0)), 2, seed, steps=10)
        modes = [plan.batch(step).mode for step in (0, 9, 10, 50)]
        assert modes == ["monolingual"] + ["cross-lingual"] * 3


def test_translations_serve_cross_lingual_batches_alone():
    data = [parallel(40, name="pairs"), parallel(400, name="bitext", translations=True)]
    plan = make(data, samplers.HYBRID.mix(0.5), 8)
    used = {(batch.mode, batch.dataset) for batch in draw(plan, 100)}
    assert used == {("monolingual", 0), ("cross-lingual", 0), ("cross-lingual", 1)}
    assert make(data[1:], samplers.CROSS_LINGUAL.mix(0.5), 8).batch(0).dataset == 0
    with pytest.raises(
        UserError, match="monolingual batches: bitext; translations serve --sampler"
    ):
        make(data[1:], samplers.HYBRID.mix(0.5), 8)


def test_english_takes_the_pivot_for_queries_and_passages():
    data = [parallel(9, name="a"), parallel(9, name="b", pivot="de"), parallel(9, pivot=None)]
    batches = draw(make(data, SAMPLERS["english"], 3), 50)
    assert {batch.dataset for batch in batches} == {0, 1}
    for batch in batches:
        assert {*batch.query_language, *batch.passage_language} == {batch.dataset}


def test_mixed_has_one_language_in_a_pair_and_several_in_a_batch():
    batches = draw(make([parallel(64, 4)], SAMPLERS["mixed"], 32), 20)
    assert all(np.array_equal(b.query_language, b.passage_language) for b in batches)
    assert all(len(set(b.query_language)) == 4 for b in batches)


@FAST
@given(worlds(), st.integers(1, 9))
def test_the_slices_of_all_ranks_join_to_the_batch_of_one(world, ranks):
    data, size = world
    for batch in draw(make(data, SAMPLERS["hybrid"], size), 5):
        parts = [batch.part(rank, ranks) for rank in range(ranks)]
        for at in (3, 4, 5):
            assert np.array_equal(np.concatenate([part[at] for part in parts]), batch[at])
        assert all(part[:3] == batch[:3] for part in parts)
        assert max(len(p.rows) for p in parts) - min(len(p.rows) for p in parts) <= 1


def test_a_batch_that_cannot_be_filled_is_an_error_before_the_first_step():
    has = np.ones((10, 2), dtype=bool)
    has[3:, 1] = False
    with pytest.raises(UserError, match=r"wiki: 3 rows .*\(de\).*batch size 4.*--batch-size"):
        make([parallel(10), Data(has, name="wiki")], SAMPLERS["monolingual"], 4)
    with pytest.raises(UserError, match=r"wiki: 3 rows .*cross-lingual.*--batch-size"):
        make([Data(has, name="wiki")], samplers.HYBRID.mix(0.0), 4)
    make([Data(has, name="wiki")], SAMPLERS["english"], 10)


def test_a_mode_that_no_data_set_can_serve_is_an_error():
    with pytest.raises(UserError, match="no data set can serve cross-lingual batches: wiki"):
        make([parallel(10, 1, name="wiki")], SAMPLERS["hybrid"], 4)
    make([parallel(10, 1, name="wiki")], samplers.HYBRID.mix(1.0), 4)


@pytest.mark.parametrize("weight", [-1.0, 0.0, float("nan"), float("inf"), (1.0, -0.5)])
def test_weights_that_are_no_probabilities_are_refused(weight):
    with pytest.raises(UserError, match="a sampler's weights are not negative"):
        make([parallel(10)], {samplers.X_X_MONO: weight}, 4)


def test_equal_plans_have_equal_hashes_and_another_seed_another():
    def hashed(seed: int, name: str = "hybrid") -> str:
        return schedule_hash(draw(make([parallel(30)], SAMPLERS[name], 4, seed), 20))

    assert hashed(0) == hashed(0)
    assert len({hashed(0), hashed(1), hashed(0, "mixed")}) == 3


def test_a_summary_counts_what_the_batches_hold():
    data = parallel(4, 2, group=np.array([7, 7, 8, 9]))
    counts = summary.summarise(make([data], SAMPLERS["cross-lingual"], 4), 3)
    assert counts.batches == 3
    assert counts.modes == {"cross-lingual": 3}
    assert counts.seen == {"toy": (4, 4, 12)}  # three epochs
    assert counts.false_negatives == pytest.approx(2 / 12)  # rows 0 and 1, both ways
    assert set(counts.pairs) == {("en", "de"), ("de", "en")}
    assert sum(counts.pairs.values()) == 12
    assert counts.query_languages["de"] == counts.pairs["de", "en"]
    assert counts.passage_languages["de"] == counts.pairs["en", "de"]
    assert counts.hash == schedule_hash(draw(make([data], SAMPLERS["cross-lingual"], 4), 3))


def test_rows_of_one_group_are_masked_and_a_row_is_not_masked_from_itself():
    masked = np.argwhere(schedule.same_group(np.array([5, 6, 5])))
    assert masked.tolist() == [[0, 2], [2, 0]]


def test_importing_sampling_imports_no_torch():
    code = "import sys, hbr.training.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("sampler", "rows"), [("monolingual", 6), ("cross-lingual", 3 + 4), ("english", 5)]
)
def test_rows_of_an_epoch_are_those_that_the_sampler_can_draw(sampler: str, rows: int) -> None:
    """Of six rows three are in two languages, five in the pivot; bitext is cross-lingual alone."""
    first = Data([[1, 1], [1, 1], [1, 1], [1, 0], [1, 0], [0, 1]])
    second = Data(np.ones((4, 2)), translations=True, pivot=None)
    assert make([first, second], SAMPLERS[sampler], size=2).eligible_rows == rows


def test_rows_of_modes_without_a_weight_are_in_no_epoch() -> None:
    data = Data([[1, 1], [1, 1], [1, 0]])
    for alpha, rows in ((0.0, 2), (0.5, 3)):
        assert make([data], samplers.HYBRID.mix(alpha), size=1).eligible_rows == rows
