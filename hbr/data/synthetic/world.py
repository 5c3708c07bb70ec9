"""A seeded world of entities and facts, and the clauses that ask for them and state them."""

from functools import cache
from typing import NamedTuple

import numpy as np

from hbr.data.synthetic.grammar import form, pick, stream
from hbr.data.synthetic.languages import read_yaml
from hbr.data.synthetic.scripts import VOWELS


class Relation(NamedTuple):
    """What can be asked and stated of an entity x and a value y, as clauses."""

    subject: str
    object: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]


RELATIONS = tuple(
    Relation(r["subject"], r["object"], tuple(r["questions"]), tuple(r["statements"]))
    for r in read_yaml("relations.yaml")
)
ADVERBS = ("formerly", "surely", "reportedly", "always", "probably", "indeed")
NOUNS = {
    "craft": "baker smith weaver sailor judge farmer painter potter hunter singer healer miller",
    "instrument": "drum flute harp horn bell fiddle lute pipe organ whistle",
    "animal": "wolf bear fox eagle horse snake owl cat bull crane frog hare",
    "ware": "rope glass paper boat cloth lamp knife wagon soap clock mirror candle",
    "food": "cheese honey soup apple fish wine cake nut onion butter plum mushroom",
}
ENDINGS = {  # of a name, by the kind of what it names; a person has a given and a family name
    "town": "burg grad ton vik polis dorf",
    "firm": "ex orum ina tek",
    "book": "iad elogia ode anika",
    "river": "era onna",
}
ENTITIES = {"person": 300, "firm": 160, "town": 180, "book": 160, "river": 60}  # in training
# Split: its part of all possible names, and its number of entities relative to training.
SPLITS = {
    "train": (0.0, 0.4, 1.0),
    "texts": (0.4, 0.6, 0.5),
    "translations": (0.6, 0.8, 0.5),
    "validation": (0.8, 0.88, 0.1),
    "evaluation": (0.88, 1.0, 0.085),
}


class Fact(NamedTuple):
    relation: Relation
    x: str
    y: str


class Article(NamedTuple):
    title: str  # the name of the entity that it is mostly about
    paragraphs: list[list[Fact]]


def world(split: str, seed: int = 0) -> list[Article]:
    """Return all facts of a split once, in paragraphs of one to three; two entities an article."""
    rng = stream("world", split, seed)
    names = {kind: _entities(kind, split, rng) for kind in ENTITIES}
    articles = []
    for kind in ENTITIES:
        entities = names[kind]
        for x, other in zip(entities[::2], entities[1::2], strict=True):
            facts, spare = _facts(kind, x, names, rng), _facts(kind, other, names, rng)
            articles.append(Article(x, _arrange(facts, spare, rng)))
    return articles


def _facts(kind: str, x: str, names: dict[str, list[str]], rng: np.random.Generator) -> list[Fact]:
    """Return what there is to know of x, in random order."""
    relations = [relation for relation in RELATIONS if relation.subject == kind]
    facts = []
    for relation in (relations[i] for i in rng.permutation(len(relations))):
        if relation.object == "year":
            y = str(rng.integers(1880, 1960))
        elif relation.object in NOUNS:
            y = pick(NOUNS[relation.object].split(), rng)
        else:
            y = pick([name for name in names[relation.object] if name != x], rng)
        facts.append(Fact(relation, x, y))
    return facts


def _arrange(facts: list[Fact], spare: list[Fact], rng: np.random.Generator) -> list[list[Fact]]:
    """Return paragraphs of related facts: of one entity, or of one relation of another."""
    spare, paragraphs = list(spare), []
    while facts or spare:
        if not facts:
            facts, spare = spare, []
        size = rng.choice([1, 2, 3], p=[0.62, 0.33, 0.05])
        chosen, facts = facts[:size], facts[size:]
        if size == 1 and rng.random() < 0.25:
            alike = [fact for fact in spare if fact.relation == chosen[0].relation]
            spare = [fact for fact in spare if fact not in alike]
            chosen = chosen + alike
        paragraphs.append([chosen[i] for i in rng.permutation(len(chosen))])
    return paragraphs


def tell(facts: list[Fact], rng: np.random.Generator) -> list[str]:
    """Return one clause a fact; a person already named may go by the family name alone."""
    clauses, named = [], []
    for relation, x, y in facts:
        short = relation.subject == "person" and x in named and rng.random() < 0.3
        clause = pick(relation.statements, rng)
        clause = clause.format(x=x.split("_")[-1] if short else x, y=y)
        clauses.append(clause + (f" A:{pick(ADVERBS, rng)}" if rng.random() < 0.15 else ""))
        named.append(x)
    return clauses


def ask(fact: Fact, rng: np.random.Generator) -> str:
    """Return the clause of a question about a fact."""
    return pick(fact.relation.questions, rng).format(x=fact.x)


def _entities(kind: str, split: str, rng: np.random.Generator) -> list[str]:
    """Return an even number of names out of those that only this split may use."""
    low, high, scale = SPLITS[split]
    pool = _names(kind)
    pool = pool[round(low * len(pool)) : round(high * len(pool))]
    return [pool[i] for i in rng.permutation(len(pool))[: 2 * round(ENTITIES[kind] * scale / 2)]]


@cache
def _names(kind: str) -> list[str]:
    """Return all names of a kind, in Latin letters and random order; a person's are joined by _."""
    if kind == "person":
        names = [f"{given}_{last}" for given in _stems("given", 50) for last in _stems("last", 80)]
    else:
        names = [stem + end for stem in _stems("stem", 100) for end in ENDINGS[kind].split()]
    return [names[i] for i in stream("names", kind).permutation(len(names))]


def _stems(kind: str, number: int) -> list[str]:
    rng = stream("stems", kind)
    stems: dict[str, None] = {}  # a dict keeps the order of its keys
    while len(stems) < number:
        stem = form("names", 2, rng)
        stems[(stem if stem[-1] not in VOWELS else stem + pick("nrls", rng)).capitalize()] = None
    return list(stems)
