"""Which letters lie beside which on the keyboard that a language is usually typed on.

The layouts are rows of keys in `keyboards.yaml`. Chinese and Japanese, typed through an input
method, have none.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

import regex
import yaml

from hbr.data.perturb.texts import lower, upper

OFFSETS = (-0.5, 0.0, 0.25, 0.75)  # where the four rows begin, in keys
LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
TAILS = "\0ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"  # none comes first
KINDS = (  # the vowels of Thai that stand before a consonant are none of those behind it
    *(r"\p{InSC=Consonant}", r"\p{InSC=Vowel_Independent}", r"\p{Logical_Order_Exception}"),
    *(r"\p{InSC=Vowel_Dependent}", r"[ㅏ-ㅣ]"),
)


@cache
def keyboard(language: str) -> dict[str, str] | None:
    """Return the letters beside each letter of a keyboard, None for a language without one.

    They lie on a key that touches its, or on the other level of its own, and are of its kind, so
    that a word stays well formed: consonants beside consonants in Indic scripts, Thai and Hangul.
    """
    layout = _layouts().get(language)
    if layout is None:
        return None
    keys = [(letter, *place) for place, letter in _keys(layout)]
    return {
        letter: "".join(
            other
            for other, *there in keys
            if other != letter and _kind(other) == _kind(letter) and _near(here, there)
        )
        for letter, *here in keys
    }


@lru_cache(maxsize=1 << 14)
def replacements(letter: str, language: str) -> tuple[str, ...]:
    """Return what a letter becomes where a neighbouring key is hit; empty where none is known.

    Marks that are typed on their own stay (vowel signs, harakat); those of a letter with case go
    with it. A Korean syllable has one simple jamo replaced.
    """
    board = keyboard(language)
    if not board:
        return ()
    if "가" <= letter <= "힣" and len(letter) == 1:
        return tuple(_syllables(letter, board))
    base, marks = letter[0], letter[1:]
    cased = base.lower() != base.upper()
    kept = "" if cased else regex.sub(r"\p{InSC=Nukta}", "", marks)
    return tuple(other + kept for other in _beside(base, language, board))


@lru_cache(maxsize=1 << 14)
def beside(letter: str, language: str) -> tuple[str, ...]:
    """Return the letters that are hit along with one: its own key's, and those of its neighbours.

    Of a letter with marks its base counts, of a Korean syllable its first consonant.
    """
    board = keyboard(language)
    if not board:
        return ()
    base = letter[0]
    if "가" <= base <= "힣":
        base = LEADS[(ord(base) - ord("가")) // 588]
    others = _beside(base, language, board)
    return (_plain(base, language, board), *others) if others else ()


def _beside(base: str, language: str, board: dict[str, str]) -> list[str]:
    others = board.get(lower(_plain(base, language, board), language), "")
    if not base.isupper():
        return list(others)
    return [capital for other in others if len(capital := upper(other, language)) == 1]


def _plain(base: str, language: str, board: dict[str, str]) -> str:
    """Return a letter that is on the keyboard, else what it is without its marks."""
    return base if lower(base, language) in board else unicodedata.normalize("NFD", base)[0]


def _syllables(syllable: str, board: dict[str, str]) -> Iterator[str]:
    number = ord(syllable) - ord("가")
    places = [number // 588, number // 28 % 21, number % 28]
    for which, jamo in enumerate((LEADS, VOWELS, TAILS)):
        for other in board.get(jamo[places[which]], ""):
            if other in jamo:
                step = (588, 28, 1)[which]
                yield chr(ord(syllable) + (jamo.index(other) - places[which]) * step)


def _keys(layout: dict[str, str]) -> Iterator[tuple[tuple[float, int, int], str]]:
    """Return each letter of a layout with its place: keys from the left, row and level."""
    for level, name in enumerate(("keys", "shift")):
        for row, letters in enumerate(layout.get(name, "").split()):
            for key, letter in enumerate(letters):
                if letter != ".":
                    yield (key + OFFSETS[row], row, level), letter


def _near(one: list[float], other: list[float]) -> bool:
    across, down, level = (abs(a - b) for a, b in zip(one, other, strict=True))
    if level:
        return across == down == 0
    return (down == 0 and across <= 1) or (down == 1 and across < 1)


def _kind(letter: str) -> int:
    return next((i for i, kind in enumerate(KINDS) if regex.match(kind, letter)), len(KINDS))


@cache
def _layouts() -> dict[str, dict[str, str]]:
    text = files("hbr.data.perturb").joinpath("keyboards.yaml").read_text(encoding="utf-8")
    layouts = yaml.safe_load(text).values()
    return {language: layout for layout in layouts for language in layout["languages"]}
