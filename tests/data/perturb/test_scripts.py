"""Diacritics, look-alikes, normal forms and Latin letters, script by script."""

import unicodedata

import pytest

from hbr.data.perturb import PerturbationSpec, perturb
from hbr.data.perturb.scripts import LOOK_ALIKES


def one(text: str, code: str, name: str, seed: int = 0) -> str:
    return perturb([text], [code], PerturbationSpec(name, 1.0), seed)[0]


@pytest.mark.parametrize(
    ("code", "text", "bare"),
    [
        ("es", "¿Cuántos años?", "¿Cuantos anos?"),
        ("de", "größere Äpfel", "grossere Apfel"),
        ("vi", "Đội thủ đã thua bao nhiêu điểm", "Doi thu da thua bao nhieu diem"),
        ("vi", unicodedata.normalize("NFD", "thủ đã"), "thu da"),
        ("tr", "çalmıştır İki", "calmistir Iki"),
        ("pl", "Łódź", "Lodz"),
        ("el", "Πόσους πόντους παρέδωσε", "Ποσους ποντους παρεδωσε"),
        ("ru", "ещё мой за\u0301мок", "еще мой замок"),
        ("uk", "її ґудзик", "її ґудзик"),
        ("mk", "ѓубре", "ѓубре"),
        ("ar", "كَتَبَ أُسْتاذ", "كتب استاذ"),
        ("ar", "مســألة آخر رئيس", "مسالة اخر رئيس"),
        ("he", "שָׁלוֹם", "שלום"),
        ("hi", "डिफ़ेंस की", "डिफ़ेंस की"),
        ("th", "ที่นี่น้ำ", "ที่นี่น้ำ"),
        ("ja", "がぎ プ", "がぎ プ"),
        ("ko", "한국", "한국"),
    ],
)
def test_marks_that_people_leave_out_are_left_out(code, text, bare):
    assert one(text, code, "diacritics") == bare


def test_look_alikes_look_alike_and_are_others():
    for text, code in (("pace", "en"), ("рассе", "ru"), ("كيك", "ar")):
        after = one(text, code, "confusables")
        assert len(after) == len(text)
        for before, now in zip(text, after, strict=True):
            assert before != now
            assert any(before in group and now in group for group in LOOK_ALIKES.split())


@pytest.mark.parametrize(
    ("code", "text"), [("hi", "कितने"), ("th", "ที่นี่น้ำ"), ("zh", "黑豹"), ("ko", "국")]
)
def test_letters_without_a_look_alike_stay(code, text):
    assert one(text, code, "confusables") == text


def test_no_letter_is_in_two_groups_of_look_alikes():
    letters = LOOK_ALIKES.replace(" ", "")
    assert len(letters) == len(set(letters))


def test_normal_forms():
    assert one("Größe 한국", "de", "normalization-nfd") == (
        "Gro\u0308ße \u1112\u1161\u11ab\u1100\u116e\u11a8"
    )
    assert one("ＡＢＣ ﬁn 多少？ น้ำ", "zh", "normalization-nfkc") == "ABC fin 多少? น้\u0e4dา"


@pytest.mark.parametrize(
    ("code", "text", "latin"),
    [
        ("ru", "Сколько очков?", "Skolko ochkov?"),
        ("el", "Πόσους", "Posoys"),
        ("ar", "من اعترض", "mn atrd"),
        ("hi", "कितने NFL", "kitne NFL"),
        ("ko", "한국어 검색", "hangugeo geomsaeg"),
        ("zh", "黑豹队", "heibaodui"),
        ("ja", "タワーの東京", "タワーの東京"),
        ("ja", "ひらがな", "hiragana"),
        ("fr", "où ça", "où ça"),
        ("ru", "ь 12 l'eau", "ь 12 l'eau"),
    ],
)
def test_other_scripts_become_latin(code, text, latin):
    assert one(text, code, "transliterate") == latin
