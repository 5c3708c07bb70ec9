"""Typos letter by letter: what a letter is in each script, and which keys lie beside which."""

import unicodedata
from collections import Counter

import pytest
import regex

from hbr.core.languages import language
from hbr.data.perturb import PerturbationSpec, perturb
from hbr.data.perturb.keyboards import _layouts, beside, keyboard, replacements


def all_of(text: str, code: str, name: str, strength: float = 1.0, seeds: int = 40) -> set[str]:
    return {
        perturb([text], [code], PerturbationSpec(name, strength), seed)[0] for seed in range(seeds)
    }


def test_letters_are_swapped_within_words_in_pairs():
    assert all_of("abcd efg 12", "en", "typo-swap") == {"badc feg 12"}


def test_dropping_leaves_a_letter_of_every_word():
    assert all_of("abc de, f 12", "en", "typo-drop") == {"c e, f 12"}


@pytest.mark.parametrize(
    ("code", "text", "swapped"),
    [
        ("hi", "किया", "याकि"),
        ("hi", "क्षमा", "माक्ष"),  # a conjunct is one letter
        ("th", "ที่นี", "นีที่"),
        ("ar", "كَتَب", "تَكَب"),
        ("ko", "한국", "국한"),
        ("zh", "黑豹队", "豹黑队"),
        ("vi", "bế", "ếb"),
        ("en", "e\u0301a", "ae\u0301"),
    ],
)
def test_grapheme_clusters_stay_whole(code, text, swapped):
    assert all_of(text, code, "typo-swap", seeds=3) == {swapped}


@pytest.mark.parametrize(
    ("code", "letter", "others"),
    [
        ("en", "g", "fhtyvb"),
        ("en", "q", "wa"),
        ("en", "G", "FHTYVB"),
        ("de", "z", "tugh"),
        ("de", "ö", "läpü"),
        ("fr", "a", "zqé"),
        ("tr", "i", "şğü"),
        ("tr", "İ", "ŞĞÜ"),
        ("tr", "I", "UOJK"),
        ("ru", "п", "аренми"),
        ("el", "σ", "αδςεζχ"),
        ("ar", "ب", "يلقفؤر"),
        ("he", "ע", "כיאטהנ"),
        ("hi", "क", "रतगदसख"),
        ("th", "ก", "หดพปฏ"),
        ("ko", "ㄹ", "ㅇㅎㄱㅅㅊㅍ"),
    ],
)
def test_keys_that_touch_are_neighbours(code, letter, others):
    assert set(replacements(letter, code)) == set(others)


def test_a_letter_that_is_not_on_the_keyboard_is_typed_without_its_marks():
    assert set(replacements("é", "es")) == set("wrsd")
    assert set(replacements("ё", "ru")) == set(replacements("е", "ru"))
    assert replacements("ж", "en") == ()


def test_marks_that_are_typed_on_their_own_stay():
    assert "ती" in replacements("की", "hi")
    assert all(r.endswith("ี่") and len(r) == 3 for r in replacements("ที่", "th"))
    assert "तो" in replacements("क\u093cो", "hi")  # but no dot of another letter's
    assert all(r.endswith("َ") for r in replacements("كَ", "ar"))


def test_one_jamo_of_a_korean_syllable_is_replaced():
    def jamo(syllable: str) -> str:
        return unicodedata.normalize("NFD", syllable)

    options = replacements("국", "ko")
    assert {"둑", "숙", "극", "귝"} & set(options) >= {"둑", "숙"}
    for other in options:
        assert len(other) == 1
        assert "가" <= other <= "힣"
        assert sum(a != b for a, b in zip(jamo("국"), jamo(other), strict=True)) == 1


def test_consonants_are_replaced_by_consonants_in_scripts_that_need_it():
    assert all(regex.fullmatch(r"\p{InSC=Consonant}", one) for one in replacements("भ", "hi"))
    assert set(replacements("ไ", "th")) <= set("แโใเ")


@pytest.mark.parametrize("code", ["zh", "ja", "xx"])
def test_without_a_keyboard_letters_are_swapped_and_dropped_only(code):
    assert keyboard(code) is None
    text = "黑豹队的防守丢了多少分"
    assert all_of(text, code, "typo-insert") == all_of(text, code, "typo-keyboard") == {text}
    assert all(not Counter(told) - Counter(text) for told in all_of(text, code, "typo", 0.4))
    assert len(all_of(text, code, "typo", 0.4)) > 10


def test_an_inserted_letter_is_that_of_the_key_or_its_neighbour():
    assert set(beside("g", "en")) == set("gftyhvb")
    assert beside("한", "ko")[0] == "ㅎ"
    for told in all_of("gg", "en", "typo-insert"):
        assert regex.fullmatch("g[gftyhvb]g[gftyhvb]", told)


def test_the_mixture_makes_all_four_kinds():
    lengths = Counter(len(told) - 6 for told in all_of("abcdef", "en", "typo", 0.2, 300))
    assert {-1, 0, 1} <= set(lengths)


def test_about_the_share_of_letters_is_touched():
    text = "n" * 200
    after = [
        perturb([text], ["en"], PerturbationSpec("typo-keyboard", 0.1), seed)[0]
        for seed in range(40)
    ]
    assert 0.08 < sum(one != "n" for told in after for one in told) / 8000 < 0.12


def test_layouts_are_well_formed():
    seen: Counter[str] = Counter()
    for layout in {id(one): one for one in _layouts().values()}.values():
        rows = [row for level in ("keys", "shift") for row in layout.get(level, "").split()]
        letters = [one for row in rows for one in row if one != "."]
        assert len(layout["keys"].split()) == 4, layout
        assert all(len(row) <= 12 for row in rows), layout
        assert len(letters) == len(set(letters)), layout
        assert all(one == unicodedata.normalize("NFKC", one) for one in letters if one < "ㄱ"), (
            layout
        )
        assert all(unicodedata.category(one)[0] == "L" for one in letters), layout
        seen.update(layout["languages"])
    assert set(seen.values()) == {1}
    assert all((found := language(code)) and found.code == code for code in seen)


@pytest.mark.parametrize("code", sorted(_layouts()))
def test_every_keyboard_has_neighbours(code):
    board = keyboard(code)
    lonely = [letter for letter, others in board.items() if not others]
    assert len(lonely) <= len(board) / 4, lonely
    assert all(letter in board[other] for letter, others in board.items() for other in others)


def test_words_in_another_script_than_the_keyboards_are_swapped_and_dropped():
    assert all_of("ab", "sr", "typo") == all_of("ab", "xx", "typo")  # xx has no keyboard
    assert all_of("аб", "sr", "typo") > all_of("аб", "xx", "typo")
