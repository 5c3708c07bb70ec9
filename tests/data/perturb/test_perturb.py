"""What every perturbation keeps to, over many scripts; names, strengths and shares."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hbr.core.errors import UserError
from hbr.core.registry import names
from hbr.data.perturb import (
    Perturbation,
    PerturbationSpec,
    changed_share,
    expand,
    perturb,
    perturbation,
)

FAST = settings(max_examples=60, deadline=None, derandomize=True)
NAMED = tuple(n for n in names("perturbation") if not perturbation(n).needs_encoder)
LETTERS = {
    "en": "etaoinshrETAOI",
    "de": "enisraäöüßENIÄ",
    "tr": "aeıiüşğçIİŞÜ",
    "vi": "aeiđộươnhgằĐƯ",
    "el": "αεάέσςτοώϊΑΆΣ",
    "ru": "оеаёйинтсОЁЙ\u0301",
    "ar": "اأإلمنتكيهةى\u064e\u0651\u0652",
    "fa": "آابپتچژکگیه",
    "he": "אבגדהוםןש\u05b7\u05bc",
    "hi": "कतमरसहवअइ\u093c\u094d\u093e\u093f\u0940\u0947\u0902",
    "ta": "கதமரஅஇ\u0bcd\u0bbe\u0bbf",
    "th": "กงนมเแาะ\u0e31\u0e35\u0e48\u0e49\u0e33",
    "ko": "한국어질문답검색",
    "ja": "東京語のはがータ\u3099",
    "zh": "中文问题黑豹",
    "ka": "აბგდეთი",
    "xx": "abcабвقك",
}
SCRIPTS = (
    *("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Tamil", "Thai", "Hangul"),
    *("Han", "Hiragana", "Katakana", "Georgian"),
)
DICTIONARY = {"en": {"et": ("ja",)}, "ru": {"о": ("ja", "nein")}}
OTHER_SCRIPTS = {"confusables", "transliterate", "code-switch"}


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, str]:
    language = draw(st.sampled_from(sorted(LETTERS)))
    letters = st.sampled_from(LETTERS[language])
    pieces = st.one_of(letters, letters, letters, letters, st.sampled_from(" ?-',7 "))
    text = "".join(draw(st.lists(pieces, max_size=30)))
    form = draw(st.sampled_from(["NFC", "NFD", None]))
    return language, unicodedata.normalize(form, text) if form else text


def one(text: str, language: str, name: str, strength: float = 0.5, seed: int = 0) -> str:
    return perturb([text], [language], PerturbationSpec(name, strength), seed, DICTIONARY)[0]


def lone_marks(text: str) -> int:
    return len(regex.findall(r"(?<![\p{L}\p{M}\p{N}])\p{M}", text))


def scripts(text: str) -> set[str]:
    return {script for script in SCRIPTS if regex.search(rf"\p{{{script}}}", text)}


@pytest.mark.parametrize("name", NAMED)
@given(query=queries(), strength=st.sampled_from([0.1, 0.5, 1.0]), seed=st.integers(0, 99))
@FAST
def test_what_every_perturbation_keeps_to(name, query, strength, seed):
    language, text = query
    after = one(text, language, name, strength, seed)
    assert after == one(text, language, name, strength, seed)
    assert bool(after.strip()) == bool(text.strip())
    assert lone_marks(after) <= lone_marks(text)
    if name not in OTHER_SCRIPTS:
        assert scripts(after) <= scripts(text)
    assert one(text, language, name, 0.0, seed) == text


@pytest.mark.parametrize("name", NAMED)
@given(drawn=st.lists(queries(), min_size=1, max_size=5))
@FAST
def test_a_text_is_perturbed_whatever_the_others_are(name, drawn):
    languages, texts = zip(*drawn, strict=True)
    spec = PerturbationSpec(name, 0.5)
    together = perturb(texts, languages, spec, 3, DICTIONARY)
    reverse = perturb(texts[::-1], languages[::-1], spec, 3, DICTIONARY)
    alone = [one(text, language, name, seed=3) for language, text in drawn]
    assert together == reverse[::-1] == alone


@pytest.mark.parametrize("name", ["typo-swap", "typo-drop", "word-order", "word-drop"])
@given(query=queries(), seed=st.integers(0, 99))
@FAST
def test_no_letter_is_broken_or_new(name, query, seed):
    language, text = query
    assume(not regex.search(r"\p{InSC=Virama}(?!\p{L})", text))  # it would join what comes next
    before, after = (
        Counter(regex.findall(r"(?=\p{L})\X", told))
        for told in (text, one(text, language, name, 0.6, seed))
    )
    assert not after - before
    if name in ("typo-swap", "word-order"):
        assert after == before


TEXTS = [
    ("en", "how many people were living in the city when it was first founded et et et et"),
    ("de", "Wie groß und schön wäre die für Äpfel übliche Öffnung der Straße bei Nässe?"),
    ("ru", "Сколько ещё ёлок было у неё в её саду и в лесу о о о о"),
]


def unlike(name: str, strength: float) -> float:
    """Share of letters, in place, that are not as they were; over some texts and seeds."""
    shares = []
    for language, text in TEXTS:
        for seed in range(30):
            after = one(text, language, name, strength, seed)
            pairs = list(zip(text, after, strict=False))
            same = sum(a == b for a, b in pairs) - abs(len(after) - len(text))
            shares.append(1 - same / len(text))
    return sum(shares) / len(shares)


@pytest.mark.parametrize("name", [n for n in NAMED if n != "normalization-nfkc"])
def test_stronger_is_more(name):
    some, more, most = (unlike(name, strength) for strength in (0.02, 0.2, 0.9))
    assert 0 < some < more < most


@pytest.mark.parametrize("name", ["case-upper", "diacritics", "transliterate", "word-drop"])
def test_what_is_touched_at_one_strength_is_touched_at_a_higher_one(name):
    """Without what a weak perturbation left, nothing is left by a strong one."""
    text, language = TEXTS[2][1].replace("о о о о", ""), "ru"
    for seed in range(20):
        before = set(text.split())
        weak, strong = (
            before & set(one(text, language, name, s, seed).split()) for s in (0.3, 0.6)
        )
        assert strong <= weak


def test_the_output_is_pinned():
    """So that another Python or machine cannot change it unseen."""
    text = "Which typo is this one?"
    told = [one(text, "en", name, 0.3, 7) for name in ("typo", "word-order", "confusables")]
    assert told == PINNED


PINNED = [
    "hWufh yoo is this ner?",
    "typo Which is this one?",
    "\u051c\u04bbi\u03f2\u04bb typ\u03bf i\u0455 th\u04cf\u0455 on\u0435?",
]


def test_the_seed_the_name_and_the_language_matter():
    text = "how many people were living in the city when it was founded"
    told = {one(text, "en", "typo-drop", seed=seed) for seed in range(20)}
    assert len(told) == 20
    assert one(text, "en", "typo-keyboard") != one(text, "fr", "typo-keyboard")


def test_spellings_of_a_language_and_of_a_name_are_one():
    text = "Überall größere Straßen"
    assert one(text, "DEU", "typo_drop") == one(text, "de-AT", "typo-drop")


def test_languages_and_texts_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        perturb(["a", "b"], ["en"], PerturbationSpec("typo", 0.5), 0)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_is_a_share(strength):
    with pytest.raises(ValueError, match="not between 0 and 1"):
        perturb(["a"], ["en"], PerturbationSpec("typo", strength), 0)


def test_code_switch_needs_a_dictionary():
    with pytest.raises(UserError, match="code-switch needs a dictionary"):
        perturb(["a"], ["en"], PerturbationSpec("code-switch", 0.5), 0)


def shouted(text: str, language: str, rng: object, strength: float) -> str:
    return f"{text}! {language} {strength}"


SHOUT = Perturbation("shout", "adds what it knows", shouted, strength=0.7)
OWN = f"{__name__}:SHOUT"


def test_ones_own_perturbation_has_a_name():
    assert PerturbationSpec.parse(OWN) == PerturbationSpec(OWN, 0.7)
    spec = PerturbationSpec.parse(f"{OWN}:0.2")
    assert spec == PerturbationSpec(OWN, 0.2)
    assert perturb(["hm"], ["en"], spec, 0) == ["hm! en 0.2"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("typo:0.1", ("typo", 0.1)),
        ("typo", ("typo", perturbation("typo").strength)),
        ("word_drop:1", ("word-drop", 1.0)),
        ("diacritics", ("diacritics", 1.0)),
        ("typo:0", ("typo", 0.0)),
    ],
)
def test_names_and_strengths_are_read(spec, expected):
    assert PerturbationSpec.parse(spec) == PerturbationSpec(*expected)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("tpyo:0.1", "no perturbation 'tpyo'; did you mean typo"),
        ("diacritic", "did you mean diacritics"),
        ("typo:1.5", "no number between 0 and 1"),
        ("typo:nan", "no number between 0 and 1"),
        ("typo:much", "no number between 0 and 1"),
        ("typo:", "no number between 0 and 1"),
        (f"{OWN}:2", "no number between 0 and 1"),
    ],
)
def test_wrong_names_and_strengths_are_told(spec, told):
    with pytest.raises(ValueError, match=told):
        PerturbationSpec.parse(spec)


def test_several_strengths_are_several_perturbations_and_none_is_doubled():
    specs = expand(["typo:0.05, 0.1", "word_drop", "typo:0.1"])
    assert list(map(str, specs)) == ["typo:0.05", "typo:0.1", "word-drop:0.1"]
    assert [PerturbationSpec.parse(str(spec)) for spec in specs] == specs


def test_an_attack_needs_an_encoder_and_changes_no_text():
    with pytest.raises(UserError, match="attack-fgm needs an encoder"):
        perturb(["a"], ["en"], PerturbationSpec.parse("attack-fgm"), 0)


def test_what_is_no_perturbation_is_refused():
    with pytest.raises(UserError, match="it must be a hbr"):
        PerturbationSpec.parse(f"{__name__}:shouted")


@pytest.mark.parametrize("name", names("perturbation"))
def test_every_perturbation_has_a_default_strength(name):
    assert 0 < perturbation(name).strength <= 1
    assert perturbation(name).description


@pytest.mark.parametrize(
    ("before", "after", "share"), [(["a", "b"], ["a", "c"], 0.5), (["a"], ["a"], 0), ([], [], 0)]
)
def test_the_share_of_changed_texts(before: Sequence[str], after: Sequence[str], share: float):
    assert changed_share(before, after) == share
