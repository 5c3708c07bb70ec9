"""From a clause, written once in concepts and slots, to a sentence of each language."""

import re
from collections.abc import Sequence
from functools import cache
from typing import TypeVar
from zlib import crc32

import numpy as np

from hbr.data.synthetic.languages import LANGUAGES, Language
from hbr.data.synthetic.scripts import VOWELS, spell

_SOUNDS = {  # family: onsets, vowels, codas
    "avenic": ("ptkbdmnsrlv", "aeiou", "nrs"),
    "kethic": ("ptkdmnsrlfg", "aeio", "ks"),
    "zebanic": ("bdgzmnrlyh", "aiu", "nm"),
    "hoyic": ("ktsmnrhyp", "aeiou", "n"),
    "names": ("ptkbdgmnszrlvfh", "aeiou", "nrls"),
}
_MARKS = {  # of the end of a statement and of a question
    "latin": ".?", "cyrillic": ".?", "greek": ".;",
    "devanagari": "।?", "ethiopic": "።፧", "kana": "。？",
}  # fmt: skip
_WH = ("what", "when", "where", "which", "who")
T = TypeVar("T")


def say(code: str, clause: str, asks: bool = False) -> str:
    """Return the sentence of a clause in a language."""
    language = LANGUAGES[code]
    slots = dict(part.split(":") for part in clause.split())
    order = [slot for slot in language.order if slot in slots]
    if asks and language.fronting:
        order.sort(key=lambda slot: slots[slot].split("+")[0] not in _WH)  # stable
    words = [word for slot in order for word in phrase(code, slots[slot], slot)]
    if asks and language.asking:
        words.append(_word(code, "case:?"))
    text = language.space.join(words)
    return text[:1].upper() + text[1:] + _MARKS[language.script][asks]


@cache
def phrase(code: str, head: str, slot: str) -> tuple[str, ...]:
    """Return the words of "modifier+noun/owner" with the marker of their slot."""
    language = LANGUAGES[code]
    noun, _, owner = head.partition("/")
    words = [_word(code, part) for part in noun.split("+")]
    words = words if language.head_final else words[::-1]
    if owner:
        owned = list(phrase(code, owner, "G"))
        words = owned + words if language.head_final else words + owned
    if slot not in "VOLTWG":
        return tuple(words)
    marker = _word(code, f"case:{slot}")
    if language.marking == "prefix":
        words[0] = marker + words[0]
    elif language.marking == "suffix" or slot == "V":
        words[-1] += marker
    else:
        words.insert(len(words) if language.head_final else 0, marker)
    return tuple(words)


@cache
def _word(code: str, concept: str) -> str:
    """Return a concept, number or name in the words and script of a language."""
    language = LANGUAGES[code]
    if concept.isdigit():
        return concept
    if concept[0].isupper():
        parts = [_native(language, part) for part in concept.split("_")]
        joint = language.space or "\u30fb"  # the dot between the parts of a foreign name
        return joint.join(parts[::-1] if language.head_final else parts)
    inherited = stream("own", code, concept).random() >= language.own_words
    source = language.family if inherited else code
    syllables = 1 if concept.startswith("case:") else 2
    root = form(language.family, syllables, stream("root", source, concept))
    for pattern, replacement in language.changes:
        root = re.sub(pattern, replacement, root)
    return spell(root, language.script)


def _native(language: Language, name: str) -> str:
    name = name.lower() + language.ending * (name[-1] not in VOWELS)
    if language.script == "kana":  # katakana, as for foreign names
        return "".join(chr(ord(kana) + 0x60) for kana in spell(name, "kana"))
    return spell(name, language.script).capitalize()


def form(sounds: str, syllables: int, rng: np.random.Generator) -> str:
    """Return a random word of so many syllables, with the sounds of a family."""
    onsets, vowels, codas = _SOUNDS[sounds]
    word = "".join(pick(onsets, rng) + pick(vowels, rng) for _ in range(syllables))
    return word + (pick(codas, rng) if syllables > 1 and rng.random() < 0.35 else "")


def pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    """Return a random choice."""
    return choices[int(rng.integers(len(choices)))]


def stream(*key: str | int) -> np.random.Generator:
    """Return the random numbers of a key."""
    return np.random.default_rng([crc32(str(part).encode()) for part in key])
