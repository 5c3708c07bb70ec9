"""Typos: the strength is the share of letters with a typo.

A letter is a whole grapheme cluster. Only letters are touched, none leaves its word, and a word
keeps one at least. Swapped and dropped letters need no keyboard. The others do, and change nothing
in a language whose keyboard is not known. Source: Belinkov and Bisk, Synthetic and Natural Noise
Both Break Neural Machine Translation, arXiv 1711.02173; there words are drawn, and their first and
last letters stay.
"""

import random
from collections.abc import Sequence
from functools import partial

from hbr.data.perturb import Perturbation
from hbr.data.perturb.keyboards import beside, replacements
from hbr.data.perturb.texts import LETTER, LETTERS, pick

SHARE = 0.05  # some two letters of an English question
KINDS = ("swap", "drop", "insert", "neighbour")


def _typos(
    text: str, language: str, rng: random.Random, strength: float, *, kinds: Sequence[str] = ()
) -> str:
    def touched(word: str) -> str:
        letters = LETTER.findall(word)
        typed_so = any(replacements(letter, language) for letter in letters)  # in its own script
        some = kinds or (KINDS if typed_so else KINDS[:2])
        draws = [(rng.random(), rng.random(), rng.random()) for _ in letters]
        typed: list[str] = []
        place = 0
        while place < len(letters):
            (hit, kind, u), rest = draws[place], letters[place : place + 2]
            place += 1
            if hit >= strength:
                typed.append(rest[0])
                continue
            typo = pick(some, kind)
            if typo == "swap":
                typed += rest[::-1]
                place += len(rest) - 1
            elif typo == "drop":
                typed += rest[:1] if not typed and len(rest) == 1 else []
            elif typo == "insert":
                more = beside(rest[0], language)
                typed += [rest[0], pick(more, u)] if more else rest[:1]
            else:
                others = replacements(rest[0], language)
                typed.append(pick(others, u) if others else rest[0])
        return "".join(typed)

    return LETTERS.sub(lambda match: touched(match[0]), text)


TYPO = Perturbation(
    "typo", "all four kinds of typos, equally often; without a keyboard, two", _typos, SHARE
)
SWAP = Perturbation(
    "typo-swap",
    "swaps letters with the next one of their word; a swapped pair is not swapped again",
    partial(_typos, kinds=("swap",)),
    SHARE,
)
DROP = Perturbation("typo-drop", "leaves letters out", partial(_typos, kinds=("drop",)), SHARE)
INSERT = Perturbation(
    "typo-insert",
    "puts a letter after one: the same again, or that of a neighbouring key",
    partial(_typos, kinds=("insert",)),
    SHARE,
)
KEYBOARD = Perturbation(
    "typo-keyboard",
    "replaces letters by those of neighbouring keys; in Korean, one jamo of a syllable",
    partial(_typos, kinds=("neighbour",)),
    SHARE,
)
