"""Texts that were trained on are found by hash, whatever their case, width and spaces."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.data.contamination import near, occurring, open_hashes, text_hashes, write_hashes
from hbr.data.hashes import normalise

FAST = settings(max_examples=80, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who  is\tBo?\n", "who is bo?"),
        ("\u3000Ｗｈｏ\u00a0is Bo？", "who is bo?"),  # full width, and spaces of other kinds
        ("ﬁne", "fine"),
        ("STRASSE", "straße"),
        ("cafe\u0301", "caf\u00e9"),  # an accent of its own, or not
        ("ΟΔΟΣ", "οδος"),
        ("ทํา", "ทำ"),  # Thai sara am, in two characters or one
        ("क\u093c", "\u0958"),  # Hindi qa, likewise
    ],
)
def test_texts_that_are_the_same_to_a_reader_are_the_same(one, other):
    assert normalise(one) == normalise(other)
    first, second = text_hashes([one, other])
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("कल", "काल"),  # Hindi: a vowel sign
        ("हिंदी", "हिदी"),  # the dot above
        ("ปา", "ป่า"),  # Thai: a tone mark
        ("มา", "ม้า"),
        ("résumé", "resume"),
        ("is a", "isa"),
        ("Bo", "Bo."),
        ("", "."),
    ],
)
def test_combining_marks_spaces_and_points_are_kept(one, other):
    first, second = text_hashes([one, other])
    assert first != second


@FAST
@given(st.text(max_size=12))
def test_a_normalised_text_stays_as_it_is(text):
    assert normalise(normalise(text)) == normalise(text)
    assert normalise(f"  {text}\n") == normalise(text)


def test_a_hash_is_64_bits_of_blake2b():
    (found,) = text_hashes([" Bo "])
    expected = hashlib.blake2b(b"\0bo", digest_size=8).digest()
    assert found.dtype == np.int64
    assert found.tobytes() == expected
    assert text_hashes([]).shape == (0,)


def test_hashes_come_back_by_role_in_the_order_of_the_texts(tmp_path):
    chunks = pa.chunked_array([["Ann", "Bo"], [], ["Cy"]], pa.string())
    none = pa.chunked_array([], pa.string())
    write_hashes(tmp_path, {"query": chunks, "negatives": none})
    assert open_hashes(tmp_path, "query").tolist() == text_hashes(["ann", "bo", "cy"]).tolist()
    assert open_hashes(tmp_path, "negatives").shape == (0,)
    assert open_hashes(tmp_path, "negatives").dtype == np.int64


def numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_what_occurs_is_told_for_every_text_also_for_equal_ones():
    found = occurring(numbers(5, 2, 9, 5), [(numbers(7, 5, 1, 5), None)])
    assert found.tolist() == [True, False, False, True]


def test_only_texts_that_were_used_count():
    trained, used = numbers(7, 5, 2), np.array([True, False, True])
    assert occurring(numbers(5, 2, 7, 9), [(trained, used)]).tolist() == [False, True, True, False]
    assert not occurring(numbers(5, 2), [(trained, np.zeros(3, bool))]).any()


def test_nothing_occurs_in_nothing():
    none = numbers()
    assert occurring(none, [(numbers(1, 2), None)]).shape == (0,)
    assert occurring(numbers(1, 2), [(none, None)]).tolist() == [False, False]
    assert occurring(none, [(none, np.zeros(0, bool))]).shape == (0,)


def test_hashes_at_the_ends_of_the_range_are_found():
    least, most = -(2**63), 2**63 - 1
    found = occurring(numbers(least, most, 4), [(numbers(most, least), None)])
    assert found.tolist() == [True, True, False]
    assert occurring(numbers(4), [(numbers(most), None)]).tolist() == [False]


@FAST
@given(
    texts=st.lists(st.integers(0, 30), max_size=15),
    trained=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=40),
    chunk=st.integers(1, 9),
)
def test_a_look_up_in_pieces_equals_one_in_a_set(texts, trained, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hbr.data.contamination.CHUNK", chunk)
        known, used = numbers(*(t for t, _ in trained)), np.array([u for _, u in trained], bool)
        every = occurring(numbers(*texts), [(known, None)]).tolist()
        some = occurring(numbers(*texts), [(known, used)]).tolist()
    assert every == [t in {t for t, _ in trained} for t in texts]
    assert some == [t in {t for t, u in trained if u} for t in texts]


PARAGRAPH = (
    "The tower was built in 1889. It was meant to stand for twenty years, and stands today; "
    "its iron is painted anew every seven years by hand."
)


def test_a_sentence_in_a_training_passage_and_a_text_with_a_word_changed_are_near(tmp_path):
    sentence = "its iron is painted anew every seven years by hand"
    texts = {
        "query": ["When was the tower built?", "It was built in 1889, the tower"],
        "passage": [
            "The  Tower was built in 1889!",
            PARAGRAPH.replace("anew", "again"),
            sentence,
            "Something else entirely, of no tower.",
        ],
    }
    found = near(texts, iter([PARAGRAPH, "no more"]), 0.8)
    assert found["query"].tolist() == [False, False]
    assert found["passage"].tolist() == [True, True, False, False]
    assert near(texts, iter([sentence.upper()]), 0.8)["passage"].tolist()[2]
    assert not near(texts, iter(["a", ""]), 0.5)["query"].any()


def test_near_is_close_to_the_jaccard_similarity_counted_by_hand():
    """The sets of five characters have 16 and 20 elements, and 14 in common: 14 / 22."""
    one, other = "abcdefghijklmnopqrst", "abcdefghijklmnopqrxyzwvu"
    shingles = [{t[i : i + 5] for i in range(len(t) - 4)} for t in (one, other)]
    jaccard = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    assert jaccard == pytest.approx(14 / 22)
    assert near({"query": [one]}, [one], 1.0)["query"].tolist() == [True]
    assert near({"query": [one]}, [other], 0.8)["query"].tolist() == [False]
