"""Words in capitals or in none, swapped, dropped and replaced."""

import pytest

from hbr.data.perturb import PerturbationSpec, perturb


def one(
    text: str, code: str, name: str, strength: float = 1.0, seed: int = 0, dictionary=None
) -> str:
    return perturb([text], [code], PerturbationSpec(name, strength), seed, dictionary)[0]


@pytest.mark.parametrize(
    ("code", "text", "capitals"),
    [
        ("en", "don't stop, café", "DON'T STOP, CAFÉ"),
        ("de", "große Straße", "GROSSE STRASSE"),
        ("tr", "ilk ışık", "İLK IŞIK"),
        ("az", "iki", "İKİ"),
        ("el", "η άμυνα πάλι, μαϊμού", "Η ΑΜΥΝΑ ΠΑΛΙ, ΜΑΪΜΟΥ"),
        ("ru", "ещё раз", "ЕЩЁ РАЗ"),
        ("ka", "თბილისი", "თბილისი"),
        ("hi", "कितने NFL अंक", "कितने NFL अंक"),
        ("zh", "黑豹 abc", "黑豹 ABC"),
    ],
)
def test_capitals(code, text, capitals):
    assert one(text, code, "case-upper") == capitals


@pytest.mark.parametrize(
    ("code", "text", "low"),
    [
        ("en", "Who IS It?", "who is it?"),
        ("tr", "ILIK İzmir", "ılık izmir"),
        ("el", "ΠΟΣΟΥΣ", "πόσους".replace("ό", "ο")),
        ("ar", "كم نقطة", "كم نقطة"),
    ],
)
def test_lower_case(code, text, low):
    assert one(text, code, "case-lower") == low


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("¿Cuántos puntos dejaron ellos?", "¿puntos Cuántos ellos dejaron?"),
        ("one two, three four-five", "two one, four-five three"),
        ("one, two", "one, two"),
        ("a b c", "b a c"),
        ("किया कितने", "कितने किया"),
        ("黑豹 队", "黑豹 队"),
        ("ทีมรับ ของ", "ทีมรับ ของ"),
        ("", ""),
    ],
)
def test_words_are_swapped_in_pairs_and_not_over_punctuation(text, swapped):
    assert one(text, "es", "word-order") == swapped


def test_dropped_words_take_one_space_along():
    text = "¿Cuántos puntos (tres), dejaron?"
    told = {one(text, "es", "word-drop", 0.4, seed) for seed in range(60)}
    assert {"¿puntos (tres), dejaron?", "¿Cuántos (tres), dejaron?"} <= told
    assert {"¿Cuántos puntos (), dejaron?", "¿Cuántos puntos (tres),?"} <= told
    assert not any("  " in one or "¿ " in one or " ?" in one or one != one.strip() for one in told)


def test_a_word_stays_when_all_are_dropped():
    told = {one("alpha beta gamma", "en", "word-drop", 1.0, seed) for seed in range(30)}
    assert told == {"alpha", "beta", "gamma"}
    assert one("Wort", "de", "word-drop") == "Wort"


def test_words_without_spaces_are_not_dropped():
    assert one("黑豹队的防守丢了多少分？", "zh", "word-drop") == "黑豹队的防守丢了多少分？"
    assert one("東京タワーの高さ", "ja", "word-drop") == "東京タワーの高さ"


DICTIONARY = {"en": {"house": ("Haus", "casa"), "the": ("das",)}, "tr": {"ılık": ("warm",)}}


def test_words_are_switched_to_other_languages():
    told = {one("The house, House!", "en", "code-switch", 1.0, s, DICTIONARY) for s in range(40)}
    assert told == {f"Das {a}, {b}!" for a in ("Haus", "casa") for b in ("Haus", "Casa")}
    assert one("the mouse", "en", "code-switch", 1.0, 0, DICTIONARY) == "das mouse"
    assert one("ILIK su", "tr", "code-switch", 1.0, 0, DICTIONARY) == "Warm su"
    assert one("the house", "de", "code-switch", 1.0, 0, DICTIONARY) == "the house"


def test_a_dictionary_is_found_by_any_code_of_its_language():
    words = {"deu": {"haus": ["house"]}}
    assert one("Haus", "de", "code-switch", 1.0, 0, words) == "House"
    assert one("Haus", "deu", "code-switch", 1.0, 0, {"de": words["deu"]}) == "House"
