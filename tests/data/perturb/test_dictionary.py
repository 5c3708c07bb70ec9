"""The miner on sentences where the answer is known, and on real ones."""

import json

import numpy as np
import pytest

from hbr.core.store import Store
from hbr.data.perturb.dictionary import (
    _log_likelihood_ratio,
    mine_dictionary,
    row_dictionary,
)
from hbr.data.row_writer import write_rows
from hbr.data.rows import open_rows


def sentences(count: int, seed: int = 0, words: int = 60) -> list[tuple[str, str]]:
    """Sentences of invented words, w7 being x7 in the other language, in another order."""
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(words, 6, replace=False) for _ in range(count)]
    return [
        (" ".join(f"w{i}a" for i in own) + "?", " ".join(f"X{i}b" for i in rng.permutation(own)))
        for own in drawn
    ]


def test_words_find_their_translations():
    mined = mine_dictionary(sentences(400))
    assert mined == {f"w{i}a": (f"X{i}b",) for i in range(60)}


def test_words_seen_together_too_seldom_are_left_out():
    pairs = [*sentences(400), ("rare thing", "seltenes Ding"), ("rare thing", "seltenes Ding,")]
    assert "rare" not in mine_dictionary(pairs)


def test_words_that_cannot_be_told_apart_are_left_out():
    named = [(f"old lady {a}", f"alte Dame {b}") for a, b in sentences(50)]
    mined = mine_dictionary([*named, *sentences(200, seed=1)])
    assert not {"old", "lady"} & set(mined)
    assert "w1a" in mined


def test_words_that_avoid_each_other_are_no_translations():
    pairs = [(f"yes n{i}", f"q{i}") for i in range(20)] + [(f"n{i}", f"ja q{i}") for i in range(20)]
    pairs += [("yes m", "ja r")]
    assert mine_dictionary(pairs, least=1, overlap=0).get("yes") != ("ja",)


def test_a_common_word_is_no_translation_of_a_rare_one():
    pairs = [(f"of {a}", f"von {b}") for a, b in sentences(300)]
    assert mine_dictionary(pairs)["w1a"] == ("X1b",)


def test_translations_are_spelled_as_within_sentences():
    asked = [
        (f"Why {a}", f"Warum {b}") if i % 2 else (a, b) for i, (a, b) in enumerate(sentences(200))
    ]
    mined = mine_dictionary(asked)
    assert mined["why"] == ("warum",)
    assert mined["w1a"] == ("X1b",)


def test_equal_words_and_repeated_pairs_do_not_count():
    named = [
        (a + " NFL", b + " NFL") if i % 3 else (a, b) for i, (a, b) in enumerate(sentences(90))
    ]
    assert "nfl" not in mine_dictionary(named)
    pair = ("red house", "rotes Haus")
    assert mine_dictionary([pair] * 10 + [("red car", "rotes Auto")]) == {}


def test_a_language_says_how_case_is_changed():
    pairs = [("I" + a[1:], b) for a, b in sentences(200, words=30)]
    assert all("ı" in word for word in mine_dictionary(pairs, "tr") if not word.startswith("w"))


def test_sentences_without_words_are_refused():
    for pairs in ([], [("黑豹队", "黑豹")]):
        with pytest.raises(ValueError, match="no words"):
            mine_dictionary(pairs)


def test_the_score_is_dunnings():
    """By hand: words in 3 of 10 pairs each, always together."""
    both, size = np.array([3.0]), 10
    entropy = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert _log_likelihood_ratio(both, both, both, size)[0] == pytest.approx(2 * size * entropy)
    assert _log_likelihood_ratio(np.array([2.0]), np.array([4.0]), np.array([5.0]), 10)[0] == (
        pytest.approx(0)
    )


def test_real_questions_give_real_translations(shared_data):
    lines = (shared_data / "xquad-heldout" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    pairs = [(row[part]["en"], row[part]["de"]) for row in rows for part in ("query", "passage")]
    mined = mine_dictionary(pairs, "en")
    known = {"university": "Universität", "and": "und", "january": "Januar", "many": "viele"}
    assert {word: mined[word][0] for word in known} == known
    assert 300 < len(mined) < 700


def test_words_of_languages_that_are_left_out_are_no_translations(tmp_path):
    texts = [{"en": one, "de": other, "fr": other.upper()} for one, other in sentences(200)]
    rows = [{"id": str(n), "query": text, "passage": text} for n, text in enumerate(texts)]
    store = Store(tmp_path)
    store.build("rows", lambda at: write_rows(at, "x", rows, "en"), settings={})
    data = open_rows(tmp_path / "rows")
    every, few = row_dictionary(store, data)[1], row_dictionary(store, data, ["en", "de"])[1]
    assert any(word.isupper() for words in every["en"].values() for word in words)
    assert not any(word.isupper() for words in few["en"].values() for word in words)
    assert sorted(few) == ["de", "en"]
