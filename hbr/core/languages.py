"""Facts about languages: how much text there is of each, its script and its family.

Results can be grouped by these, and a pair of languages by how far apart the two are. The table,
`languages.tsv`, holds the languages of CC-100, XTREME-R (with XQuAD-R), MIRACL, Crossmodal-3600,
LaBSE and the Tatoeba test set of LASER, and the in-vitro languages of the embedded data. A language
that it lacks is "unknown", which is no error.

Sizes: GiB in CC-100, arXiv 1911.02116, table 6, which is what XLM-R was trained on (the corpus
published later holds some more languages). Simplified and traditional Chinese are summed, so are
Burmese in Unicode and in Zawgyi; romanised text is left out.

Script: the likely one after Unicode's CLDR. Serbian, Uzbek, Kurdish and Tatar are written in others
too: two thirds of the Tatoeba test set's Serbian are in Latin letters.

Family: the branch of Indo-European or Afro-Asiatic, else the top-level family, after Glottolog 5.1
with the more common names (niger-congo, kra-dai). Creoles stand with the language most of their
words come from, Latin with its daughters, and planned languages together as "constructed".
"""

import csv
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources

from hbr.core.registry import near

# `langcodes` knows names, scripts and codes too, but needs 30 MB of data, has neither sizes nor
# families, and calls "fil" what data sets call "tl", "nb" what they call "no".
TABLE = "languages.tsv"
DISTANCES = ("same language", "same family and script", "same family or script", "neither")
BY = ("language", "resource", "script", "family", "seen", "english", "distance")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Language:
    """A language as experiments see it."""

    code: str  # as data sets write it: ISO 639-1 where there is one, else 639-3
    iso3: str  # ISO 639-3; that of the macrolanguage where there is one
    name: str  # in English
    script: str
    family: str
    cc100_gib: float | None
    resource: str  # high from 20 GiB in CC-100, mid from 1, else low: other works draw other lines
    aliases: tuple[str, ...]  # macrolanguage members that data sets mean by it, withdrawn codes


def language(code: str) -> Language | None:
    """Return the language that a code of ISO 639-1 or 639-3 means, None where the table lacks it.

    Upper and lower case are the same. Of `zh-TW`, `pt_BR` or `srp_Latn` only the first part is
    read: the script is then still the usual one.
    """
    return _index().get(code.replace("_", "-").partition("-")[0].lower())


@cache
def languages() -> tuple[Language, ...]:
    """Return all languages: the real ones, then the in-vitro ones of the embedded data."""
    text = (resources.files("hbr.core") / TABLE).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(_language(row) for row in csv.DictReader(lines, delimiter="\t"))


def distance(first: str, second: str) -> int | None:
    """Return how far apart two languages are: 0 to 3, as `DISTANCES` names them; None for unknown.

    A coarse order of our own making, from family and script alone: it is not a measured distance
    such as URIEL's, and the step from 1 to 2 need not be as long as that from 2 to 3.
    """
    one, other = language(first), language(second)
    if one is None or other is None:
        return None
    if one is other:
        return 0
    return 3 - (one.family == other.family) - (one.script == other.script)


def group(
    by: str, query: str, passage: str | None, seen: Collection[str] | None = None
) -> str | None:
    """Return the group that queries in one language, with passages in another or any, belong to.

    Where the two are different languages it is "low→high", from query to passage, also where both
    sides are alike ("high→high"). `seen` are the languages of training: being among them needs no
    table, so here alone a language that the table lacks has a group other than "unknown". None
    where the question makes no sense: "seen" without `seen`, "distance" without a passage
    language. "english" tells "en→other" from "other→en". Raises ValueError for a `by` not in `BY`.
    """
    if by not in BY:
        raise ValueError(f"there is no grouping by {by!r}{near(by, BY)}")
    if by == "language":
        return _pair(canonical, query, passage)
    if by == "distance":
        return None if passage is None else _distance_name(query, passage)
    if by == "seen":
        if seen is None:
            return None
        trained = {canonical(code) for code in seen}
        return _pair(lambda c: "seen" if canonical(c) in trained else "unseen", query, passage)
    if by == "english":
        return _pair(lambda code: "en" if canonical(code) == "en" else "other", query, passage)
    return _pair(lambda code: getattr(language(code), by, UNKNOWN), query, passage)


def known_labels(by: str) -> set[str]:
    """Return the labels that a language, or for `distance` a pair, may have in a grouping."""
    if by == "language":
        return {one.code for one in languages()}
    if by == "distance":
        return {*DISTANCES, UNKNOWN}
    if by == "seen":
        return {"seen", "unseen"}
    if by == "english":
        return {"en", "other"}
    return {getattr(one, by) for one in languages()} | {UNKNOWN}


def _pair(label: Callable[[str], str], query: str, passage: str | None) -> str:
    if passage is None or canonical(query) == canonical(passage):
        return label(query)
    return f"{label(query)}→{label(passage)}"


def _distance_name(query: str, passage: str) -> str:
    steps = distance(query, passage)
    return UNKNOWN if steps is None else DISTANCES[steps]


def canonical(code: str) -> str:
    """Return a language's code as the table spells it: `zho` is `zh`; others in lower case."""
    known = language(code)
    return known.code if known else code.lower()


@cache
def _index() -> dict[str, Language]:
    return {key: one for one in languages() for key in (one.code, one.iso3, *one.aliases)}


def _language(row: dict[str, str]) -> Language:
    size, aliases = row.pop("cc100_gib"), row.pop("aliases").split()
    return Language(**row, cc100_gib=float(size) if size else None, aliases=tuple(aliases))
