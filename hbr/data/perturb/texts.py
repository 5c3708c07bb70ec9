"""What a letter and a word is, how case is changed, and how some of them are touched.

A letter is a grapheme cluster (Unicode Standard Annex 29) that begins with one: a base with its
marks, a syllable of Hangul, a conjunct of Devanagari. It is never broken.
"""

import random
import unicodedata
from collections.abc import Callable, Sequence

import regex

UNSPACED = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")

_BASE = r"(?!\p{GCB=EX}|\p{GCB=SM}|\p{GCB=V}|\p{GCB=T})"  # such as ำ go on with what is before
_LETTER = rf"{_BASE}(?=\p{{L}})\X"
_ANY = rf"{_BASE}(?=[\p{{L}}\p{{N}}])\X"
_SPACED = "(?!" + "|".join(rf"\p{{scx={script}}}" for script in UNSPACED) + f"){_ANY}"
LETTER = regex.compile(_LETTER)
LETTERS = regex.compile(rf"(?:{_LETTER})+")
WORD = regex.compile(rf"(?:{_SPACED})+(?:['’\-‐](?:{_SPACED})+)*")
RUN = regex.compile(rf"(?:{_ANY})+(?:['’](?:{_ANY})+)*")  # a word, or letters without spaces
TOKEN = regex.compile(r"\S+")

Change = Callable[[str, float], str]


def touch(
    pattern: regex.Pattern, text: str, rng: random.Random, strength: float, change: Change
) -> str:
    """Change each match with the probability `strength`, leaving the rest of the text.

    `change` gets the match and a number in [0, 1) to choose by. Two numbers are drawn for every
    match, so that what is touched at one strength is touched at any higher one.
    """

    def touched(match: regex.Match) -> str:
        hit, u = rng.random() < strength, rng.random()
        return change(match[0], u) if hit else match[0]

    return pattern.sub(touched, text)


def pick(options: Sequence[str], u: float) -> str:
    """Return the option that a number in [0, 1) stands for."""
    return options[int(u * len(options))]


def lower(text: str, language: str) -> str:
    """Return a text in lower case; I is ı in Turkish and Azerbaijani."""
    if language in ("tr", "az"):
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def upper(text: str, language: str) -> str:
    """Return a text in capitals; i is İ in Turkish and Azerbaijani, and Greek drops its accents.

    Georgian is left: its capitals are hardly used. Source: SpecialCasing of Unicode and, for
    Greek, CLDR's el-Upper.
    """
    if language in ("tr", "az"):
        text = text.replace("i", "İ")
    if language == "el":
        text = unicodedata.normalize("NFD", text).replace("\u0301", "")
        text = unicodedata.normalize("NFC", text)
    if regex.search(r"\p{Georgian}", text):
        return text
    return text.upper()
