"""Every measure of language bias by hand, and PEER against loops written from its formula."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.evaluation.bias import (
    NOWHERE,
    Pool,
    exposure,
    exposure_distance,
    first_passage,
    lang_ndcg,
    mean_ranks,
    peer,
    pool_share,
    preference,
    rank_distance,
    same_language,
    spread,
)

FAST = settings(max_examples=80, deadline=None, derandomize=True)
RNG = st.integers(0, 10**6).map(np.random.default_rng)
INF = float("inf")


class Order(NamedTuple):
    """How one query orders a pool: the language of each passage, best first, and what is relevant.

    `lost` are the languages of relevant passages that a search did not find.
    """

    languages: Sequence[int]
    relevant: Sequence[int]  # ranks, counted from 1
    lost: Sequence[int] = ()
    asked: int = 0


def pool(*orders: Order, top: int | None = None, share: Sequence[float] | None = None) -> Pool:
    """Lay some orders out as the arrays that measures take."""
    most = max(len(o.relevant) + len(o.lost) for o in orders)
    ranks = np.full((len(orders), most), INF)
    languages = np.full((len(orders), most), NOWHERE)
    for line, order in enumerate(orders):
        own = [order.languages[rank - 1] for rank in order.relevant]
        ranks[line, : len(own)] = order.relevant
        languages[line, : len(own) + len(order.lost)] = [*own, *order.lost]
    return Pool(
        ranks,
        languages,
        np.array([len(o.relevant) + len(o.lost) for o in orders]),
        np.array([o.languages[:top] for o in orders]),
        np.array([o.asked for o in orders]),
        np.full(9, 1 / 9) if share is None else np.array(share),
    )


def at(*ranks: list[float], relevant: list[int] | None = None) -> Pool:
    """A pool of which only the ranks of relevant passages matter."""
    table = np.array(ranks)
    count = np.array(relevant or [len(line) for line in ranks])
    nothing = np.zeros((len(table), 0), int)
    asked = np.zeros(len(table), int)
    return Pool(table, np.zeros(table.shape, int), count, nothing, asked, np.ones(1))


# Rank distance


def test_rank_distance_is_the_last_rank_minus_the_first():
    assert rank_distance(at([1, 4, 9], [2, 3, INF], relevant=[3, 2])).tolist() == [8, 1]


def test_one_relevant_passage_has_no_distance():
    assert rank_distance(at([7, INF], relevant=[1])).tolist() == [0]


def test_the_distance_is_undefined_where_a_relevant_passage_was_not_found():
    found = rank_distance(at([2, INF], [2, 5]))
    assert np.isnan(found[0])
    assert found[1] == 3


def test_the_distance_is_undefined_where_no_relevant_passage_was_found():
    found = rank_distance(at([INF] * 3, [INF] * 3, relevant=[1, 3]))
    assert np.isnan(found).all()


def test_equal_treatment_of_n_languages_gives_n_minus_1():
    assert rank_distance(at(list(np.arange(1.0, 12)))).tolist() == [10]


# The language of the first passages


def test_same_language_is_the_share_of_the_query_s_own_among_the_first():
    orders = Order([0, 1, 0, 2], [1], asked=0), Order([0, 1, 0, 2], [1], asked=2)
    assert same_language(pool(*orders), 4).tolist() == [1 / 2, 1 / 4]
    assert same_language(pool(*orders), 3).tolist() == [2 / 3, 0]
    assert same_language(pool(*orders), 1).tolist() == [1, 0]


def test_a_passage_that_an_index_did_not_find_is_in_no_language():
    assert same_language(pool(Order([0, NOWHERE, 0, NOWHERE], [1])), 4).tolist() == [1 / 2]


def test_a_language_s_share_of_the_pool_is_that_of_its_passages():
    assert pool_share(np.array([0, 0, 0, 1]), 3).tolist() == [3 / 4, 1 / 4, 0]


def test_an_order_by_chance_has_the_expected_share():
    rng = np.random.default_rng(0)
    languages = np.repeat([0, 1, 2], [50, 30, 20])
    orders = [Order(rng.permutation(languages).tolist(), [1], asked=i % 3) for i in range(3000)]
    some = pool(*orders, top=10)
    expected = pool_share(languages, 3)[some.query_language]
    assert same_language(some, 10).mean() == pytest.approx(expected.mean(), abs=0.01)


# The language of the query, preferred


def test_the_preference_rate_asks_which_relevant_passage_comes_first():
    orders = (
        Order([1, 0, 2], [2, 3], asked=0),  # the first passage is not relevant
        Order([1, 0, 2], [1, 2], asked=0),
        Order([0, 1, 2], [3], lost=[0], asked=0),  # its own was not retrieved
    )
    assert preference(pool(*orders)).tolist() == [1, 0, 0]


def test_a_query_without_a_choice_of_language_has_no_preference():
    all_its_own, none_its_own = Order([0, 0], [1, 2], asked=0), Order([1, 2], [1, 2], asked=0)
    nothing_found = Order([3, 3], [], lost=[0, 1], asked=0)
    assert np.isnan(preference(pool(all_its_own, none_its_own, nothing_found))).all()


def test_lang_ndcg_by_hand():
    """Gains 1, 2 at the ranks 1, 3 of a query in language 0; the best order has 2, 1."""
    some = pool(Order([1, 2, 0, 1], [1, 3], asked=0))
    best = 2 + 1 / np.log2(3)
    assert lang_ndcg(some) == pytest.approx([(1 + 2 / 2) / best])
    assert lang_ndcg(some, 2) == pytest.approx([1 / best])
    assert lang_ndcg(pool(Order([0, 1, 2], [1, 2], asked=0))).tolist() == [1]


def test_lang_ndcg_counts_a_relevant_passage_that_was_lost_into_the_best_order():
    some = pool(Order([1, 2], [1], lost=[0], asked=0))
    assert lang_ndcg(some) == pytest.approx([1 / (2 + 1 / np.log2(3))])


def test_the_first_passage_is_in_one_of_four_cases():
    orders = (
        Order([0, 1], [1], asked=0),
        Order([1, 0], [1], asked=0),
        Order([0, 1], [2], asked=0),
        Order([1, 0], [2], asked=0),
        Order([NOWHERE, NOWHERE], [], lost=[0], asked=0),
    )
    cases = [(right, same) for right in (True, False) for same in (True, False)]
    found = [first_passage(pool(*orders), right=right, same=same) for right, same in cases]
    assert np.array(found)[:, :4].tolist() == np.eye(4).tolist()
    assert np.isnan(found)[:, 4].all()


# Exposure


def test_exposure_by_hand():
    """Ranks 1, 2, 3 weigh 1, 1 / log2(3) and 1/2; that of rank 4 was not found."""
    found = exposure(np.array([[0, 1, 0, NOWHERE], [NOWHERE] * 4]), 3)
    total = 1 + 1 / np.log2(3) + 1 / 2
    assert found[0] == pytest.approx([1.5 / total, 1 / np.log2(3) / total, 0])
    assert np.isnan(found[1]).all()


def test_the_distance_of_exposures_is_the_part_that_would_have_to_move():
    orders = Order([0, 0, 0], [1]), Order([0, 1, 2], [1])
    found = exposure_distance(pool(*orders, share=[1 / 2, 1 / 4, 1 / 4]), 1)
    assert found.tolist() == [1 / 2, 1 / 2]
    assert exposure_distance(pool(orders[0], share=[1, 0, 0]), 3).tolist() == [0]
    second = 1 / np.log2(3) / (1 + 1 / np.log2(3))
    found = exposure_distance(pool(orders[1], share=[1 / 2, 1 / 2, 0]), 2)
    assert found == pytest.approx([1 / 2 - second])


# Mean ranks


def test_mean_ranks_by_hand():
    ranks = np.array([1.0, 5, 3, 7, 2])
    asked, answered = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 0, 1, 1])
    found = mean_ranks(ranks, asked, answered, 3)
    assert found[0, :2].tolist() == [2, 5]
    assert found[1, 1] == 4.5
    assert np.isnan(found[[0, 1, 2, 2, 2], [2, 0, 0, 1, 2]]).all()


def test_languages_are_counted_beyond_what_small_integers_hold():
    asked = answered = np.array([199], dtype=np.int16)  # 199 * 200 + 199 is more than an int16
    assert mean_ranks(np.array([4.0]), asked, answered, 200)[199, 199] == 4


def test_spread_by_hand():
    found = spread(np.array([0.2, 0.6, 0.4]))
    assert found == pytest.approx({"lowest": 0.2, "highest": 0.6, "sd": np.sqrt(0.08 / 3)})


# PEER


def chi2(h: float, freedom: int) -> float:
    return float(scipy.stats.chi2.sf(h, freedom))


def test_peer_by_hand():
    some = pool(Order([0, 1, 0, 1, 0, 1], [1, 2]))
    # relevant: ranks 1 | 2 around 1.5: H = (2 - 1) (.5² + .5²) / (.5² + .5²) = 1
    # others: 3, 5 | 4, 6 around 4.5: H = (4 - 1) 2 (.5² + .5²) / (1.5² + .5² + .5² + 1.5²) = .6
    assert peer(some, 6) == pytest.approx([(chi2(1, 1) + chi2(0.6, 1)) / 2])
    assert peer(some) == pytest.approx([chi2(1, 1)])  # of the relevant alone


def test_peer_is_scipys_kruskal_where_ranks_have_no_gaps():
    languages = np.random.default_rng(0).integers(0, 3, 40)
    places = np.arange(1, 41)
    groups = [places[languages == code] for code in range(3)]
    expected = scipy.stats.kruskal(*groups).pvalue
    everything = pool(Order(languages.tolist(), places.tolist()))
    assert peer(everything) == pytest.approx([expected])
    assert peer(everything, 40) == pytest.approx([(expected + 1) / 2])  # no others: fair


def test_relevant_passages_behind_the_cut_share_the_ranks_that_follow_it():
    some = pool(Order([0, 1, 0, 1, 0, 0, 1, 1], [1, 2, 6, 8]))
    # with a cut at 4 the ranks are 1, 5.5 | 2, 5.5, around 3.5 the means 3.25 and 3.75
    own = 3 * (2 * 0.25**2 + 2 * 0.25**2) / (2.5**2 + 1.5**2 + 2 * 2**2)
    # the others in the first four are 3 | 4
    assert peer(some, 4) == pytest.approx([(chi2(own, 1) + chi2(1, 1)) / 2])


def test_peer_is_1_where_a_single_language_is_ranked():
    some = pool(Order([3, 3, 3, 3], [1, 3], asked=0))
    assert peer(some, 4).tolist() == [1]
    assert peer(some).tolist() == [1]


def test_peer_is_1_where_all_relevant_are_behind_the_cut_and_the_others_are_of_one_language():
    assert peer(pool(Order([0, 0, 1, 0, 1], [3, 4, 5])), 2).tolist() == [1]


def test_one_relevant_passage_a_language_tells_no_order_from_another():
    fair, unfair = Order([0, 1, 2, 0, 1, 2], [1, 2, 3]), Order([0, 1, 2, 0, 1, 2], [1, 5, 6])
    assert peer(pool(fair, unfair)) == pytest.approx([chi2(2, 2)] * 2)


def test_a_fair_order_has_more_peer_than_one_that_puts_a_language_first():
    fair, biased = [0, 1] * 10, [0] * 10 + [1] * 10
    found = peer(pool(Order(fair, [1, 2]), Order(biased, [1, 11])), 20)
    assert found[1] < found[0] / 2


def kruskal(ranks: list[float], languages: list[int]) -> float:
    """The p of a Kruskal–Wallis test on ranks as they are, by loops."""
    groups = defaultdict(list)
    for rank, language in zip(ranks, languages, strict=True):
        groups[language].append(rank)
    if len(groups) < 2:
        return 1.0
    mean = sum(ranks) / len(ranks)
    within = sum((rank - mean) ** 2 for rank in ranks)
    between = sum(len(own) * (sum(own) / len(own) - mean) ** 2 for own in groups.values())
    return chi2((len(ranks) - 1) * between / within, len(groups) - 1) if within else 1.0


def naive_peer(order: Order, cutoff: int | None) -> float:
    relevant = [(float(rank), order.languages[rank - 1]) for rank in order.relevant]
    if cutoff is None:
        return kruskal([r for r, _ in relevant], [code for _, code in relevant])
    kept = [(rank, code) for rank, code in relevant if rank <= cutoff]
    behind = [*(code for rank, code in relevant if rank > cutoff), *order.lost]
    shared = np.mean([cutoff + 1 + i for i in range(len(behind))]) if behind else 0
    own = kruskal(
        [*(r for r, _ in kept), *(float(shared) for _ in behind)], [*(c for _, c in kept), *behind]
    )
    others = [
        (float(rank), code)
        for rank, code in enumerate(order.languages[:cutoff], start=1)
        if rank not in order.relevant and code != NOWHERE
    ]
    return (own + kruskal([r for r, _ in others], [code for _, code in others])) / 2


def random_orders(rng: np.random.Generator, passages: int) -> list[Order]:
    """Some orders of a pool, with languages that are missing, lost passages and lost places."""
    codes = rng.choice(9, rng.integers(1, 5), replace=False)
    orders = []
    for _ in range(rng.integers(1, 5)):
        languages = rng.choice(codes, passages)
        relevant = np.sort(rng.choice(passages, rng.integers(1, passages + 1), replace=False)) + 1
        nowhere = rng.random(passages) < rng.choice([0, 0.2])
        nowhere[relevant - 1] = False
        lost = rng.choice(codes, rng.integers(0, 3)).tolist()
        shown = np.where(nowhere, NOWHERE, languages).tolist()
        orders.append(Order(shown, relevant.tolist(), lost, int(rng.choice(codes))))
    return orders


@FAST
@given(rng=RNG, passages=st.integers(1, 25), cutoff=st.none() | st.integers(1, 30))
def test_peer_equals_a_naive_loop_and_is_a_probability(rng, passages, cutoff):
    orders = random_orders(rng, passages)
    found = peer(pool(*orders, top=cutoff), cutoff)
    assert found == pytest.approx([naive_peer(order, cutoff) for order in orders])
    assert ((found >= 0) & (found <= 1)).all()


@FAST
@given(rng=RNG, passages=st.integers(1, 15), cutoff=st.integers(1, 10))
def test_more_of_the_top_than_the_cut_off_changes_nothing(rng, passages, cutoff):
    orders = random_orders(rng, passages)
    whole, cut = pool(*orders), pool(*orders, top=cutoff)
    for measure in (peer, same_language, exposure_distance, lang_ndcg):
        assert measure(whole, cutoff) == pytest.approx(measure(cut, cutoff), nan_ok=True)


@FAST
@given(rng=RNG, passages=st.integers(1, 20), cutoff=st.integers(1, 20))
def test_the_names_of_languages_do_not_matter(rng, passages, cutoff):
    orders = random_orders(rng, passages)
    names = {NOWHERE: NOWHERE, **dict(enumerate(rng.permutation(9).tolist()))}
    renamed = [
        Order([names[c] for c in shown], relevant, [names[c] for c in lost], names[asked])
        for shown, relevant, lost, asked in orders
    ]
    for measure in (peer, same_language, rank_distance, preference, lang_ndcg, exposure_distance):
        one, other = measure(pool(*orders), cutoff), measure(pool(*renamed), cutoff)
        assert one == pytest.approx(other, nan_ok=True)


def test_the_arrays_that_are_measured_stay_as_they_are():
    some = pool(*random_orders(np.random.default_rng(1), 12), top=12)
    before = [array.copy() for array in some]
    for measure in (peer, same_language, rank_distance, preference, lang_ndcg, exposure_distance):
        measure(some, 5)
    assert all(np.array_equal(a, b) for a, b in zip(some, before, strict=True))
