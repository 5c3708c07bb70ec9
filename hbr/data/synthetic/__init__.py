"""Synthetic parallel languages: a seeded world of facts, put in words by ten invented grammars.

A clause is written once, in concepts and slots ("L:where V:born S:Mara_Volt"), and each language
says it with its own words, order, affixes and script. Sister languages derive their words from
the same proto-forms by regular sound changes; names are spelled out in every script.

Languages and lexicon are constants. The seed decides facts and wording only. The names of
training, validation, evaluation and pre-training are disjoint for any two seeds, so that a model
trained on one seed can be evaluated on another.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np

from hbr.data.synthetic.grammar import phrase, pick, say, stream
from hbr.data.synthetic.languages import LANGUAGES, PIVOT, TRAINED
from hbr.data.synthetic.world import NOUNS, RELATIONS, SPLITS, Fact, ask, tell, world

__all__ = [
    "LANGUAGES",
    "NOUNS",
    "PIVOT",
    "RELATIONS",
    "SPLITS",
    "TRAINED",
    "documents",
    "rows",
    "say",
    "texts",
    "translations",
    "world",
]
LOW_SHARE = 0.1  # of the training rows are in a low-resource language


def rows(split: str, seed: int = 0) -> Iterator[dict]:
    """Yield parallel question-passage pairs of "train" (ragged) or "validation" (complete).

    A row is {"id", "group", "query": {language: text}, "passage": {language: text}}. Rows of one
    group share their passage. The sentence that answers may stand anywhere in it.
    """
    rng = stream("rows", split, seed)
    pairs = []
    for place, facts in enumerate(_paragraphs(split, seed)):
        clauses = tell(facts, rng)
        number = 1 + (len(facts) > 1 and rng.random() < 0.3)
        chosen = [facts[i] for i in rng.permutation(len(facts))[:number]]
        pairs += [(f"{split}-p{place}", ask(fact, rng), clauses) for fact in chosen]
    present = _presence(len(pairs), split, rng)
    for index, (group, question, clauses) in enumerate(pairs):
        codes = [code for code in TRAINED if present[code][index]]
        yield {
            "id": f"{split}-{index}",
            "group": group,
            "query": {code: say(code, question, asks=True) for code in codes},
            "passage": {code: _passage(code, clauses) for code in codes},
        }


def documents(seed: int = 0) -> dict[str, dict]:
    """Return the evaluation set by language, each in the layout of XQuAD-R: a candidate a sentence.

    Every fact is told in one sentence of the whole set, and most facts are asked for.
    """
    rng, ids = stream("documents", seed), count()
    plan = [
        (title, [_plan(facts, rng, ids) for facts in paragraphs])
        for title, paragraphs in world("evaluation", seed)
    ]
    return {
        code: {
            "data": [
                {"paragraphs": [_squad(code, *p) for p in paragraphs], "title": title}
                for title, paragraphs in plan
            ],
            "version": "1.1",
        }
        for code in LANGUAGES
    }


def texts(seed: int = 0) -> Iterator[str]:
    """Yield raw text in all ten languages, not parallel, and less of the unseen ones."""
    rng = stream("texts", seed)
    for facts in _paragraphs("texts", seed):
        for code, language in LANGUAGES.items():
            if rng.random() < (0.3 if language.resource == "unseen" else 0.6):
                yield _passage(code, tell(facts, rng))
                yield say(code, ask(pick(facts, rng), rng), asks=True)


def translations(seed: int = 0) -> Iterator[dict[str, str]]:
    """Yield sentences in all ten languages, a quarter of them questions."""
    rng = stream("translations", seed)
    for fact in (fact for facts in _paragraphs("translations", seed) for fact in facts):
        asks = rng.random() < 0.25
        clause = ask(fact, rng) if asks else tell([fact], rng)[0]
        yield {code: say(code, clause, asks) for code in LANGUAGES}


def _plan(facts: list[Fact], rng: np.random.Generator, ids: Iterator[int]) -> tuple:
    """Return the clauses of a paragraph, and (id, sentence, question, answer) of each question."""
    questions = [
        (f"invitro-{next(ids):04d}", i, ask(fact, rng), fact.y)
        for i, fact in enumerate(facts)
        if rng.random() < 0.9
    ]
    return tell(facts, rng), questions


def _squad(code: str, clauses: list[str], questions: list[tuple]) -> dict:
    sentences = [say(code, clause) for clause in clauses]
    breaks: list[list[int]] = []
    qas = []
    for sentence in sentences:
        start = breaks[-1][1] + len(LANGUAGES[code].space) if breaks else 0
        breaks.append([start, start + len(sentence)])
    context = _passage(code, clauses)
    for identity, index, question, y in questions:
        answer = LANGUAGES[code].space.join(phrase(code, y, "P"))
        start = context.lower().index(answer.lower(), breaks[index][0])
        answer = context[start : start + len(answer)]  # as it stands there, perhaps a capital
        qas.append(
            {
                "answers": [{"answer_start": start, "text": answer}],
                "id": identity,
                "question": say(code, question, asks=True),
            }
        )
    return {"context": context, "qas": qas, "sentence_breaks": breaks, "sentences": sentences}


def _passage(code: str, clauses: list[str]) -> str:
    return LANGUAGES[code].space.join(say(code, clause) for clause in clauses)


def _paragraphs(split: str, seed: int) -> Iterator[list[Fact]]:
    return (facts for article in world(split, seed) for facts in article.paragraphs)


def _presence(total: int, split: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return which rows each trained language has: all, or a small share of the training rows."""
    present = {}
    for code in TRAINED:
        poor = split == "train" and LANGUAGES[code].resource == "low"
        present[code] = rng.permutation(total) < (total * LOW_SHARE if poor else total)
    return present
