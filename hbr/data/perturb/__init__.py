"""Perturbed queries: texts with typos, missing diacritics, look-alikes, words of other languages.

Words are what stands between spaces. Where a script writes none (Chinese, Japanese, Thai, Lao,
Khmer, Burmese, Tibetan), perturbations of words change nothing. `diacritics` and `transliterate`
work letter by letter; they take a run of such letters as one word.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from hbr.core.errors import UserError
from hbr.core.languages import canonical as canonical_language
from hbr.core.registry import canonical, get, names, unknown

Dictionary = Mapping[str, Mapping[str, Sequence[str]]]  # language -> word -> words of others


@dataclass(frozen=True)
class Perturbation:
    """A way to perturb queries and all that is known of it.

    `apply(text, language, rng, strength)` returns the perturbed text; it has a further argument,
    the dictionary, where `needs_dictionary`. A text in a language that it does not know stays as it
    is. An attack has `attack_steps` instead: it shifts the word embeddings of the queries by so
    many gradient steps, and so needs the encoder.
    """

    name: str
    description: str  # what it does, and what the strength is a share of
    apply: Callable[..., str] | None = None
    strength: float = 1.0  # in [0, 1], where none is named
    needs_dictionary: bool = False
    attack_steps: int = 0

    @property
    def needs_encoder(self) -> bool:
        """Whether it changes the vectors of the queries, not their texts."""
        return self.attack_steps > 0


@dataclass(frozen=True)
class PerturbationSpec:
    """A perturbation by name, and its strength. Written `typo:0.1`; `str()` gives that back."""

    name: str
    strength: float

    @classmethod
    def parse(cls, text: str) -> "PerturbationSpec":
        """Return what `typo:0.1`, `typo` or `package.module:attribute:0.1` names.

        Raises ValueError for an unknown name and for a strength outside [0, 1], UserError where an
        entry from outside cannot be imported.
        """
        head, colon, tail = text.rpartition(":")
        is_known = canonical("perturbation", head) in names("perturbation")
        has_strength = bool(colon) and (is_known or ":" in head or _is_number(tail))
        name = canonical("perturbation", head if has_strength else text)
        if name not in names("perturbation") and ":" not in name:
            raise ValueError(unknown("perturbation", name))
        if not has_strength:
            return cls(name, perturbation(name).strength)
        if not (_is_number(tail) and 0 <= float(tail) <= 1):
            raise ValueError(f"the strength of {text!r} is no number between 0 and 1")
        return cls(name, float(tail))

    def __str__(self) -> str:
        return f"{self.name}:{self.strength:g}"

    @property
    def entry(self) -> Perturbation:
        """The entry of the perturbation."""
        return perturbation(self.name)


def perturbation(name: str) -> Perturbation:
    """Return the entry of a name. Raises UserError for what is none."""
    return get("perturbation", name)


def expand(specs: Iterable[str]) -> list[PerturbationSpec]:
    """Return one value a strength: `typo:0.05,0.1` is `typo:0.05` and `typo:0.1`; none is doubled.

    Raises ValueError and UserError as `PerturbationSpec.parse` does.
    """
    values: dict[PerturbationSpec, None] = {}
    for text in specs:
        first, *strengths = text.split(",")
        spec = PerturbationSpec.parse(first)
        values[spec] = None
        for strength in strengths:
            values[PerturbationSpec.parse(f"{spec.name}:{strength.strip()}")] = None
    return list(values)


def perturb(
    texts: Sequence[str],
    languages: Sequence[str],
    spec: PerturbationSpec,
    seed: int,
    dictionary: Dictionary | None = None,
) -> list[str]:
    """Return each text perturbed; `languages` holds the code of each text's language.

    The randomness of a text comes from the seed, the name, its language and the text itself,
    whatever the others are and on any machine: equal texts stay equal. It is the same at any
    strength, so what a weak perturbation touches, a stronger one mostly touches too. Raises
    ValueError for a strength outside [0, 1] or sequences of unequal length, UserError for an
    unknown name and where a dictionary is needed and missing.
    """
    if not 0 <= spec.strength <= 1:
        raise ValueError(f"the strength {spec.strength} is not between 0 and 1")
    entry, name = spec.entry, canonical("perturbation", spec.name)
    if entry.apply is None:
        raise UserError(f"{name} needs an encoder: it is an attack on vectors, not on texts")
    if entry.needs_dictionary and dictionary is None:
        raise UserError(f"{name} needs a dictionary")
    known = {canonical_language(code): words for code, words in (dictionary or {}).items()}
    more = (known,) if entry.needs_dictionary else ()
    codes = {code: canonical_language(code) for code in set(languages)}
    return [
        entry.apply(text, codes[code], _random(seed, name, codes[code], text), spec.strength, *more)
        if spec.strength
        else text
        for text, code in zip(texts, languages, strict=True)
    ]


def needs_dictionary(text: str) -> bool:
    """Return whether a perturbation as it is written, "" for none, needs a dictionary."""
    return bool(text) and PerturbationSpec.parse(text).entry.needs_dictionary


def changed_share(before: Sequence[str], after: Sequence[str]) -> float:
    """Return the share of the texts that have changed; 0 where there is none."""
    changed = [one != other for one, other in zip(before, after, strict=True)]
    return sum(changed) / max(len(changed), 1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _random(seed: int, *parts: str) -> random.Random:
    key = "\0".join([str(seed), *parts]).encode("utf-8", "surrogatepass")
    return random.Random(int.from_bytes(blake2b(key, digest_size=16).digest(), "little"))
