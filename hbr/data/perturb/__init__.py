"""Perturbed queries: texts with typos, missing diacritics, look-alikes, words of other languages.

A perturbation is a function of a text, its language, a `random.Random` and a strength in [0, 1],
and gives a text; its default strength is that of the parameter. One with a parameter `dictionary`
gets the one given. What share of what the strength is, each says. A language that a perturbation
knows nothing of leaves the text as it is.

Words are what stands between spaces: where a script writes none (Chinese, Japanese, Thai, Lao,
Khmer, Burmese, Tibetan), perturbations of words change nothing, but for those that work letter by
letter and take a run of such letters as one word: `diacritics`, `transliterate`.
"""

import inspect
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from hbr.core.errors import UserError
from hbr.core.languages import language as known_language
from hbr.core.registry import canonical, get, names, unknown


class Attack(NamedTuple):
    """An attack on the word embeddings of queries: its steps, and its usual radius."""

    steps: int
    strength: float = 0.1


ATTACKS = {"attack-fgm": Attack(1), "attack-pgd": Attack(5)}  # done where the encoder is
Perturbation = Callable[..., str]
Dictionary = Mapping[str, Mapping[str, Sequence[str]]]  # language -> word -> words of others


def perturb(
    texts: Sequence[str],
    languages: Sequence[str],
    name: str,
    strength: float,
    seed: int,
    dictionary: Dictionary | None = None,
) -> list[str]:
    """Return each text perturbed; `languages` are the codes of theirs.

    The randomness of a text comes from the seed, the name, its language and itself, whatever the
    others are and on any machine: equal texts stay equal. It is the same at any strength, so what
    a weak perturbation touches, a stronger one mostly touches too. Raises ValueError for a
    strength outside [0, 1] or sequences of unequal length, UserError for an unknown name and where
    a dictionary is needed and not given.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"the strength {strength} is not between 0 and 1")
    function, name = get("perturbation", name), canonical("perturbation", name)
    more = {}
    if needs_dictionary(name):
        if dictionary is None:
            raise UserError(f"{name} needs a dictionary")
        more["dictionary"] = dictionary
    codes = {code: _canonical_code(code) for code in set(languages)}
    return [
        function(text, codes[code], _random(seed, name, codes[code], text), strength, **more)
        if strength
        else text
        for text, code in zip(texts, languages, strict=True)
    ]


def needs_dictionary(name: str) -> bool:
    """Return whether a perturbation wants a dictionary."""
    if name in ATTACKS:
        return False
    return "dictionary" in inspect.signature(get("perturbation", name)).parameters


def expand(specs: Iterable[str]) -> list[str]:
    """Spell perturbations out, one strength each: `typo:0.05,0.1` is `typo:0.05` and `typo:0.1`.

    Raises ValueError and UserError as `parse` does.
    """
    found: dict[str, None] = {}
    for spec in specs:
        first, *strengths = spec.split(",")
        name, strength = parse(first)
        for told in (f"{strength:g}", *strengths):
            known, value = parse(f"{name}:{told.strip()}")
            found[f"{known}:{value:g}"] = None
    return list(found)


def parse(spec: str) -> tuple[str, float]:
    """Return name and strength of `typo:0.1`, `typo` or `package.module:function:0.1`.

    Raises ValueError for an unknown name and for a strength outside [0, 1], UserError where one's
    own function cannot be imported.
    """
    head, colon, tail = spec.rpartition(":")
    known = canonical("perturbation", head) in {*names("perturbation"), *ATTACKS}
    told = bool(colon) and (known or ":" in head or _is_number(tail))
    name = canonical("perturbation", head if told else spec)
    if name not in {*names("perturbation"), *ATTACKS} and ":" not in name:
        raise ValueError(unknown("perturbation", name))
    if not told:
        return name, default_strength(name)
    if not (_is_number(tail) and 0 <= float(tail) <= 1):
        raise ValueError(f"the strength of {spec!r} is no number between 0 and 1")
    return name, float(tail)


def default_strength(name: str) -> float:
    """Return the strength that a perturbation has where none is asked for: 1 if it names none."""
    if name in ATTACKS:
        return ATTACKS[name].strength
    default = inspect.signature(get("perturbation", name)).parameters["strength"].default
    return 1.0 if default is inspect.Parameter.empty else float(default)


def changed_share(before: Sequence[str], after: Sequence[str]) -> float:
    """Share of the texts that are not as they were; 0 of none."""
    changed = [one != other for one, other in zip(before, after, strict=True)]
    return sum(changed) / max(len(changed), 1)


def _is_number(told: str) -> bool:
    try:
        float(told)
    except ValueError:
        return False
    return True


def _canonical_code(code: str) -> str:
    found = known_language(code)
    return found.code if found else code.lower()


def _random(seed: int, *parts: str) -> random.Random:
    key = "\0".join([str(seed), *parts]).encode("utf-8", "surrogatepass")
    return random.Random(int.from_bytes(blake2b(key, digest_size=16).digest(), "little"))
