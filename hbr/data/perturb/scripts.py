"""The same text in other characters: without diacritics, in look-alikes, in Latin letters.

The strength is the share of words that are touched, but of letters for `confusables`.
"""

import random
import unicodedata
from functools import lru_cache

import regex

from hbr.data.perturb import Perturbation
from hbr.data.perturb.texts import LETTER, RUN, TOKEN, pick, touch

# Letters that look alike, any for any other; in confusables.txt a group goes to one letter.
LOOK_ALIKES = (
    "aаα cсϲ eе gɡ hһ iіιӏ jјϳ lӀ oоοօ pрρ qԛ sѕ uս vѵν wԝ xх yуγ dԁ "
    "AАΑ BВΒ CСϹ EЕΕ HНΗ IІΙ JЈ KКΚ MМΜ NΝ OОΟՕ PРΡ SЅՏ TТΤ WԜ XХΧ YҮΥ ZΖ "
    "كک يیى هہە"
)
_ALIKE = {one: group.replace(one, "") for group in LOOK_ALIKES.split() for one in group}
# What is typed for letters that Unicode does not decompose.
WITHOUT = {
    **dict(zip("đĐłŁøØħĦŧŦıµ", "dDlLoOhHtTiμ", strict=True)),
    **{"ß": "ss", "ẞ": "SS", "ё": "е", "Ё": "Е", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا"},
}
_BARED = regex.compile(
    r"[\p{Latin}\p{Greek}\p{Hebrew}]\p{M}*"
)  # of these, any mark may be left out
_LOOSE = regex.compile(r"[\u0300\u0301\u0610-\u061a\u0640\u064b-\u0652\u0670]")
_FOREIGN = regex.compile(r"(?!\p{Latin})\p{L}")
_ALEFS = str.maketrans({"ا": "a", "أ": "a", "إ": "i", "آ": "a", "ٱ": "a"})


def diacritics(text: str, language: str, rng: random.Random, strength: float) -> str:  # noqa: ARG001
    """Leave out the marks that people leave out.

    Those are all marks of Latin (đ is d, ü is u, ß is ss), Greek and Hebrew letters, the dots of
    ё and the stress of Cyrillic, the harakat and the tatweel of Arabic, and the hamza of its alef.
    Marks that are letters stay: й and ї, the vowel signs of Indic scripts and Thai, kana's.
    """
    return touch(RUN, text, rng, strength, lambda word, _: _bare(word) or word)


def confusables(text: str, language: str, rng: random.Random, strength: float) -> str:  # noqa: ARG001
    """Replace letters by look-alikes of another script, in Arabic of another language.

    The strength is the share of the letters; most have none outside Latin, Cyrillic and Greek.
    Source: Unicode Technical Standard 39, confusables.txt.
    """
    return touch(LETTER, text, rng, strength, lambda one, u: pick(_ALIKE.get(one, (one,)), u))


def nfd(text: str, language: str, rng: random.Random, strength: float) -> str:  # noqa: ARG001
    """Take what stands between spaces apart: letters and marks, Hangul into jamo (NFD)."""
    return touch(TOKEN, text, rng, strength, lambda one, _: unicodedata.normalize("NFD", one))


def nfkc(text: str, language: str, rng: random.Random, strength: float) -> str:  # noqa: ARG001
    """Put what stands between spaces together, plain for wide, small, ligated forms (NFKC)."""
    return touch(TOKEN, text, rng, strength, lambda one, _: unicodedata.normalize("NFKC", one))


def transliterate(text: str, language: str, rng: random.Random, strength: float) -> str:
    """Write words of other scripts in Latin letters, without apostrophes, as one types them.

    A run of Chinese or Thai is one word. Japanese words with kanji stay: they would be read as
    Chinese. In Hindi and its kin, a vowel that is not written stays unwritten.
    """
    return touch(RUN, text, rng, strength, lambda word, _: _latin(word, language))


@lru_cache(maxsize=1 << 16)
def _bare(word: str) -> str:
    composed = unicodedata.normalize("NFC", word)
    plain = "".join(WITHOUT.get(one, one) for one in _LOOSE.sub("", composed))
    bare = _BARED.sub(lambda match: unicodedata.normalize("NFD", match[0])[0], plain)
    return bare if bare != composed else word


@lru_cache(maxsize=1 << 16)
def _latin(word: str, language: str) -> str:
    from anyascii import anyascii

    if not _FOREIGN.search(word) or (language == "ja" and regex.search(r"\p{Han}", word)):
        return word
    latin = anyascii(word.translate(_ALEFS))
    if word.lower() == word.upper():  # a script without case: it capitalises syllables
        latin = latin.lower()
    return regex.sub("['`]", "", latin) or word


DIACRITICS = Perturbation("diacritics", "leaves out marks; a share of words", diacritics)
CONFUSABLES = Perturbation(
    "confusables", "look-alikes of another script; a share of letters", confusables, 0.1
)
NFD = Perturbation("normalization-nfd", "letters apart from their marks (NFD)", nfd)
NFKC = Perturbation("normalization-nfkc", "plain forms of wide, small, ligated ones (NFKC)", nfkc)
TRANSLITERATE = Perturbation("transliterate", "Latin letters; a share of words", transliterate)
