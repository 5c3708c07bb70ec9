"""Words in capitals or in none, swapped, dropped, or replaced by those of other languages.

The strength is the share of words that are touched. Only words between spaces are.
"""

import random

import regex

from hbr.data.perturb import Dictionary, Perturbation
from hbr.data.perturb.texts import WORD, lower, pick, touch, upper

_SPACES = regex.compile(r"\s++(?!\p{M})")


def lowered(text: str, language: str, rng: random.Random, strength: float) -> str:
    """Write words in lower case; scripts without case stay."""
    return touch(WORD, text, rng, strength, lambda word, _: lower(word, language))


def capitals(text: str, language: str, rng: random.Random, strength: float) -> str:
    """Write words in capitals; scripts without case stay, and so does Georgian."""
    return touch(WORD, text, rng, strength, lambda word, _: upper(word, language))


def order(text: str, language: str, rng: random.Random, strength: float) -> str:  # noqa: ARG001
    """Swap words with the next one, which is not swapped again; none crosses punctuation.

    The strength is the chance that a word begins such a swap.
    """
    words = [(match.start(), match.end()) for match in WORD.finditer(text)]
    draws = [rng.random() for _ in words]
    pieces: list[str] = []
    end = place = 0
    while place < len(words):
        first, last = words[place], words[min(place + 1, len(words) - 1)]
        between = text[first[1] : last[0]]
        pieces.append(text[end : first[0]])
        if draws[place] < strength and _SPACES.fullmatch(between):
            pieces += [text[slice(*last)], between, text[slice(*first)]]
            end, place = last[1], place + 2
        else:
            pieces.append(text[slice(*first)])
            end, place = first[1], place + 1
    return "".join([*pieces, text[end:]])


def drop(text: str, language: str, rng: random.Random, strength: float) -> str:  # noqa: ARG001
    """Leave words out, and the space behind or else before them; one stays at least."""
    words = list(WORD.finditer(text))
    draws = [rng.random() for _ in words]
    left, end = "", 0
    for match, draw in zip(words, draws, strict=True):
        if draw < strength and draw < max(draws):
            left += text[end : match.start()]
            end = match.end()
            if spaces := _SPACES.match(text, end):
                end = spaces.end()
            else:
                left = left.rstrip()
    return left + text[end:]


def switch(
    text: str, language: str, rng: random.Random, strength: float, dictionary: Dictionary
) -> str:
    """Replace words that the dictionary has by one of their translations.

    The dictionary gives the translations of a word in lower case, by language: `mine_dictionary`
    makes one. A capital at the beginning stays one. The strength is the share of the words that
    are in it. Source: Qin et al., CoSDA-ML, arXiv 2006.06402.
    """
    known = dictionary.get(language, {})

    def switched(word: str, u: float) -> str:
        options = known.get(lower(word, language))
        if not options:
            return word
        other = pick(options, u)
        return other[:1].upper() + other[1:] if word[:1].isupper() else other

    return touch(WORD, text, rng, strength, switched)


LOWER = Perturbation("case-lower", "words in lower case; a share of words", lowered)
UPPER = Perturbation("case-upper", "words in capitals; a share of words", capitals)
ORDER = Perturbation("word-order", "words swapped with the next; a share of words", order, 0.2)
DROP = Perturbation("word-drop", "words left out; a share of words", drop, 0.1)
CODE_SWITCH = Perturbation(
    "code-switch",
    "translations of words, as parallel training data have them; a share of words",
    switch,
    0.3,
    needs_dictionary=True,
)
