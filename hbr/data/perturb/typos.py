"""Typos: the strength is the share of letters that one happens to.

A letter is a whole grapheme cluster. Only letters are touched, none leaves its word, and a word
keeps one at least. Swapped and dropped letters need no keyboard; the others do, and change nothing
where the language's is not known. Source: Belinkov and Bisk, Synthetic and Natural Noise Both
Break Neural Machine Translation, arXiv 1711.02173; there words are drawn, and
their ends stay.
"""

import random
from collections.abc import Sequence

from hbr.data.perturb.keyboards import beside, keyboard, replacements
from hbr.data.perturb.texts import LETTER, LETTERS, pick

SHARE = 0.05  # some two letters of an English question


def swap(text: str, language: str, rng: random.Random, strength: float = SHARE) -> str:
    """Swap letters with the next one of their word; a swapped pair is not swapped again."""
    return _typos(text, language, rng, strength, ("swap",))


def drop(text: str, language: str, rng: random.Random, strength: float = SHARE) -> str:
    """Leave letters out."""
    return _typos(text, language, rng, strength, ("drop",))


def insert(text: str, language: str, rng: random.Random, strength: float = SHARE) -> str:
    """Put a letter after one: the same again, or that of a neighbouring key."""
    return _typos(text, language, rng, strength, ("insert",))


def neighbour(text: str, language: str, rng: random.Random, strength: float = SHARE) -> str:
    """Replace letters by those of neighbouring keys; in Korean, one jamo of a syllable."""
    return _typos(text, language, rng, strength, ("neighbour",))


def mixed(text: str, language: str, rng: random.Random, strength: float = SHARE) -> str:
    """Make the four kinds of typos, equally often; without a keyboard, the first two."""
    four = ("swap", "drop", "insert", "neighbour")
    return _typos(text, language, rng, strength, four if keyboard(language) else four[:2])


def _typos(
    text: str, language: str, rng: random.Random, strength: float, kinds: Sequence[str]
) -> str:
    def touched(word: str) -> str:
        letters = LETTER.findall(word)
        draws = [(rng.random(), rng.random(), rng.random()) for _ in letters]
        typed: list[str] = []
        place = 0
        while place < len(letters):
            (hit, kind, u), rest = draws[place], letters[place : place + 2]
            place += 1
            if hit >= strength:
                typed.append(rest[0])
                continue
            made = pick(kinds, kind)
            if made == "swap":
                typed += rest[::-1]
                place += len(rest) - 1
            elif made == "drop":
                typed += rest[:1] if not typed and len(rest) == 1 else []
            elif made == "insert":
                more = beside(rest[0], language)
                typed += [rest[0], pick(more, u)] if more else rest[:1]
            else:
                others = replacements(rest[0], language)
                typed.append(pick(others, u) if others else rest[0])
        return "".join(typed)

    return LETTERS.sub(lambda match: touched(match[0]), text)
