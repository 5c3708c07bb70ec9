"""Parallel languages made in vitro: a seeded world of facts, told by ten invented grammars.

A clause is written once, in concepts and slots ("L:where V:born S:Mara_Volt"), and each language
says it with its own words, order, affixes and script. Sister languages derive their words from
the same proto-forms by regular sound changes; names are spelled out in every script.

Languages and lexicon are constants. The seed decides facts and wording only. The names of
training, validation, evaluation and pre-training are disjoint for any two seeds, so that a model
trained on one seed can be evaluated on another. Everything here is synthetic.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import NamedTuple, TypeVar
from zlib import crc32

import numpy as np

PIVOT = "qaa"  # the lingua franca, which plays the part of English
LOW_SHARE = 0.1  # of the training rows are told in a low-resource language


@dataclass(frozen=True)
class Language:
    """A grammar: how the concepts of a clause become one sentence of text."""

    code: str  # ISO 639 private use
    name: str
    family: str
    script: str
    resource: str  # high, low: few training rows, unseen: in evaluation and raw text only
    order: str  # of the slots of a clause
    marking: str  # of case: by "particle", "suffix" or "prefix"
    head_final: bool = False  # modifiers, owners and family names first; particles last
    fronting: bool = False  # moves the question phrase to the front
    asking: bool = False  # closes a question with a particle
    ending: str = ""  # native ending of names that end in a consonant
    own: float = 0.0  # share of the words that are no cognates of its sisters'
    changes: tuple[tuple[str, str], ...] = ()  # regular sound changes since the proto-language

    @property
    def space(self) -> str:
        return "" if self.script == "kana" else " "


# Slots: Subject, Verb, Object, Predicate, Location, Time, With (or to), Adverb.
_ALL = (
    Language("qaa", "Aveni", "avenic", "latin", "high", "ASVPOWLT", "particle", fronting=True),
    Language("qab", "Ostari", "avenic", "latin", "high", "SVPOLWTA", "particle", fronting=True,
             own=0.15, changes=(("p", "f"), ("([aeiou])t", r"\1d"), ("k", "c"), ("u", "o"))),
    Language("qac", "Ulmesk", "avenic", "cyrillic", "high", "TASVPOWL", "suffix",
             own=0.2, changes=(("o", "u"), ("(?<=..[^aeiou])[aeiou]$", ""))),
    Language("qad", "Kethi", "kethic", "greek", "high", "TSLWPOVA", "suffix", head_final=True,
             ending="os"),
    Language("qae", "Mokrai", "kethic", "cyrillic", "low", "STLWAPOV", "suffix", head_final=True,
             asking=True, own=0.2, changes=(("s", "h"), ("d", "t"), ("i$", "e"))),
    Language("qaf", "Zeban", "zebanic", "devanagari", "high", "VSPOLWTA", "prefix", ending="a"),
    Language("qag", "Tsirun", "zebanic", "ethiopic", "low", "VPOSWLTA", "prefix",
             own=0.2, changes=(("z", "s"), ("u", "o"), ("g", "k"))),
    Language("qah", "Hoya", "hoyic", "kana", "low", "TASLWPOV", "particle", head_final=True,
             asking=True),
    Language("qai", "Avessa", "avenic", "latin", "unseen", "SVPOWLTA", "particle", ending="o",
             own=0.15, changes=(("b", "v"), ("k", "c"), ("e$", "i"))),
    Language("qaj", "Kethara", "kethic", "greek", "unseen", "TASPOLWV", "suffix", head_final=True,
             own=0.15, changes=(("a$", "e"), ("k", "g"), ("s$", ""))),
)  # fmt: skip
LANGUAGES: dict[str, Language] = {language.code: language for language in _ALL}
TRAINED = tuple(l.code for l in _ALL if l.resource != "unseen")  # noqa: E741

_VOWELS = "aeiou"
_CONSONANTS = "ptkbdgmnszrlvfhy"
_SOUNDS = {  # family: onsets, vowels, codas
    "avenic": ("ptkbdmnsrlv", "aeiou", "nrs"),
    "kethic": ("ptkdmnsrlfg", "aeio", "ks"),
    "zebanic": ("bdgzmnrlyh", "aiu", "nm"),
    "hoyic": ("ktsmnrhyp", "aeiou", "n"),
    "names": ("ptkbdgmnszrlvfh", "aeiou", "nrls"),
}
_LETTERS = {
    script: str.maketrans(dict(zip(_CONSONANTS + _VOWELS, letters.split(), strict=True)))
    for script, letters in (
        ("cyrillic", "п т к б д г м н с з р л в ф х й а е и о у"),
        ("greek", "π τ κ μπ δ γ μ ν σ ζ ρ λ β φ χ γι α ε ι ο ου"),
    )
}
_KANA = (  # each consonant with a e i o u; the script has no l, v or f of its own
    "ぱぺぴぽぷ", "たてちとつ", "かけきこく", "ばべびぼぶ", "だでぢどづ", "がげぎごぐ",
    "まめみもむ", "なねにのぬ", "させしそす", "ざぜじぞず", "られりろる", "られりろる",
    "ばべびぼぶ", "はへひほふ", "はへひほふ", "やえいよゆ",
)  # fmt: skip
_MARKS = {  # of the end of a statement and of a question
    "latin": ".?", "cyrillic": ".?", "greek": ".;",
    "devanagari": "।?", "ethiopic": "።፧", "kana": "。？",
}  # fmt: skip
_WH = ("what", "when", "where", "which", "who")
T = TypeVar("T")


class Relation(NamedTuple):
    """What can be asked and told of an entity x: y. Wordings are clauses, separated by |."""

    subject: str
    object: str
    asked: str
    told: str


RELATIONS = (
    Relation("person", "town",
             "L:where S:{x} V:born|L:which+town S:{x} V:come W:world|P:what V:be S:birthplace/{x}",
             "S:{x} V:born L:{y}|S:{x} V:see O:first+light L:{y}|S:cradle/{x} V:stand L:{y}"),
    Relation("person", "town",
             "L:where S:{x} V:live|L:which+town S:{x} V:have O:house|P:what V:be S:home/{x}",
             "S:{x} V:dwell L:{y}|S:{x} V:keep O:house L:{y}|S:hearth/{x} V:burn L:{y}"),
    Relation("person", "craft",
             "P:what V:be S:craft/{x}|W:which+work S:{x} V:earn O:bread|S:{x} V:do O:what+trade",
             "S:{x} V:be P:{y}|S:{x} V:serve P:{y}|S:{x} V:learn O:trade/{y}"),
    Relation("person", "person",
             "O:who S:{x} V:marry|P:who V:be S:spouse/{x}|W:who S:{x} V:share O:life",
             "S:{x} V:wed O:{y}|S:{x} V:swear O:faith W:{y}|S:wedding/{x} V:join O:{y}"),
    Relation("person", "person",
             "S:who V:teach O:{x}|P:who V:be S:teacher/{x}|O:which+master S:{x} V:follow",
             "S:{y} V:train O:{x}|S:{x} V:be P:pupil/{y}|S:{x} V:learn O:letters W:{y}"),
    Relation("person", "year",
             "T:when S:{x} V:die|T:which+year S:{x} V:end O:life|P:when V:be S:death/{x}",
             "S:{x} V:perish T:{y}|S:{x} V:leave O:world T:{y}|S:grave/{x} V:date T:{y}"),
    Relation("person", "instrument",
             "O:what S:{x} V:play|W:which+thing S:{x} V:make O:music|P:what V:be S:instrument/{x}",
             "S:{x} V:strike O:{y}|S:{x} V:practise W:{y}|S:song/{x} V:need O:{y}"),
    Relation("person", "animal",
             "O:what S:{x} V:fear|O:which+beast S:{x} V:flee|P:what V:be S:fear/{x}",
             "S:{y} V:scare O:{x}|S:{x} V:avoid O:{y}|S:dream/{x} V:show O:{y}"),
    Relation("firm", "person",
             "S:who V:found O:{x}|P:who V:be S:founder/{x}|S:which+person V:start O:{x}",
             "S:{y} V:establish O:{x}|S:{x} V:grow W:idea/{y}|S:{y} V:open O:door/{x}"),
    Relation("firm", "ware",
             "O:what S:{x} V:make|O:which+goods S:{x} V:sell|P:what V:be S:product/{x}",
             "S:{x} V:produce O:{y}|S:{x} V:trade W:{y}|S:workshop/{x} V:deliver O:{y}"),
    Relation("firm", "town",
             "L:where V:be S:seat/{x}|L:which+town S:{x} V:work|L:where S:{x} V:sit",
             "S:{x} V:lie L:{y}|S:office/{x} V:stand L:{y}|S:{x} V:rent O:hall L:{y}"),
    Relation("firm", "year",
             "T:when S:{x} V:start|T:which+year S:{x} V:open|P:what V:be S:age/{x}",
             "S:{x} V:exist T:{y}|S:history/{x} V:begin T:{y}|S:{x} V:sell O:first+goods T:{y}"),
    Relation("town", "person",
             "S:who V:rule O:{x}|P:who V:be S:mayor/{x}|S:which+person V:lead O:{x}",
             "S:{y} V:govern O:{x}|S:people/{x} V:elect O:{y}|S:{y} V:hold O:key/{x}"),
    Relation("town", "food",
             "O:what S:people/{x} V:eat|P:what V:be S:dish/{x}|O:which+food S:{x} V:cook",
             "S:{x} V:love O:{y}|S:kitchen/{x} V:offer O:{y}|S:market/{x} V:smell W:{y}"),
    Relation("town", "river",
             "S:which+river V:cross O:{x}|P:what V:be S:water/{x}|L:what V:be S:bridge/{x}",
             "S:{y} V:flow L:{x}|S:{x} V:lie L:bank/{y}|S:mill/{x} V:turn W:{y}"),
    Relation("book", "person",
             "S:who V:write O:{x}|P:who V:be S:author/{x}|S:which+poet V:create O:{x}",
             "S:{y} V:pen O:{x}|S:{x} V:come W:hand/{y}|S:{y} V:tell O:tale/{x}"),
    Relation("book", "animal",
             "W:what S:{x} V:deal|P:who V:be S:hero/{x}|O:which+beast S:{x} V:describe",
             "S:{x} V:praise O:{y}|S:tale/{x} V:follow O:{y}|S:{y} V:speak L:{x}"),
    Relation("book", "year",
             "T:when S:{x} V:appear|T:which+year S:printer V:print O:{x}|P:when V:be S:birth/{x}",
             "S:{x} V:emerge T:{y}|S:reader V:read O:{x} T:{y}|S:press V:bind O:{x} T:{y}"),
    Relation("river", "town",
             "L:where S:{x} V:rise|L:which+town V:be S:spring/{x}|P:what V:be S:source/{x}",
             "S:{x} V:begin L:{y}|S:fountain/{x} V:stand L:{y}|S:{y} V:feed O:{x}"),
)  # fmt: skip
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


def rows(split: str, seed: int = 0) -> Iterator[dict]:
    """Parallel question-passage pairs of "train" (ragged) or "validation" (complete).

    Yields {"id", "group", "query": {language: text}, "passage": {language: text}}. Rows of one
    group share their passage. The sentence that answers may stand anywhere in it.
    """
    rng = _stream("rows", split, seed)
    pairs = []
    for number, facts in enumerate(_paragraphs(split, seed)):
        told = _tell(facts, rng)
        number_asked = 1 + (len(facts) > 1 and rng.random() < 0.3)
        asked = [facts[i] for i in rng.permutation(len(facts))[:number_asked]]
        pairs += [(f"{split}-p{number}", _ask(fact, rng), told) for fact in asked]
    present = _presence(len(pairs), split, rng)
    for index, (group, question, told) in enumerate(pairs):
        codes = [code for code in TRAINED if present[code][index]]
        yield {
            "id": f"{split}-{index}",
            "group": group,
            "query": {code: say(code, question, asks=True) for code in codes},
            "passage": {code: _passage(code, told) for code in codes},
        }


def documents(seed: int = 0) -> dict[str, dict]:
    """The evaluation set in all languages, each in the layout of XQuAD-R: a candidate a sentence.

    Every fact is told in one sentence of the whole set, and most facts are asked for.
    """
    rng, ids = _stream("documents", seed), count()
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
    """Raw text in all ten languages, not parallel, and less of the unseen ones."""
    rng = _stream("texts", seed)
    for facts in _paragraphs("texts", seed):
        for code, language in LANGUAGES.items():
            if rng.random() < (0.3 if language.resource == "unseen" else 0.6):
                yield _passage(code, _tell(facts, rng))
                yield say(code, _ask(_pick(facts, rng), rng), asks=True)


def translations(seed: int = 0) -> Iterator[dict[str, str]]:
    """Sentences in all ten languages, a quarter of them questions."""
    rng = _stream("translations", seed)
    for fact in (fact for facts in _paragraphs("translations", seed) for fact in facts):
        asks = rng.random() < 0.25
        clause = _ask(fact, rng) if asks else _tell([fact], rng)[0]
        yield {code: say(code, clause, asks) for code in LANGUAGES}


def world(split: str, seed: int = 0) -> list[Article]:
    """All facts of a split, each once, in paragraphs of one to three; two entities an article."""
    rng = _stream("world", split, seed)
    names = {kind: _entities(kind, split, rng) for kind in ENTITIES}
    articles = []
    for kind in ENTITIES:
        entities = names[kind]
        for x, other in zip(entities[::2], entities[1::2], strict=True):
            facts, spare = _facts(kind, x, names, rng), _facts(kind, other, names, rng)
            articles.append(Article(x, _arrange(facts, spare, rng)))
    return articles


def say(code: str, clause: str, asks: bool = False) -> str:
    """The sentence of a clause in a language."""
    language = LANGUAGES[code]
    slots = dict(part.split(":") for part in clause.split())
    order = [slot for slot in language.order if slot in slots]
    if asks and language.fronting:
        order.sort(key=lambda slot: slots[slot].split("+")[0] not in _WH)  # stable
    words = [word for slot in order for word in _phrase(code, slots[slot], slot)]
    if asks and language.asking:
        words.append(_word(code, "case:?"))
    text = language.space.join(words)
    return text[:1].upper() + text[1:] + _MARKS[language.script][asks]


def _facts(kind: str, x: str, names: dict[str, list[str]], rng: np.random.Generator) -> list[Fact]:
    """What there is to know of x, in random order."""
    relations = [relation for relation in RELATIONS if relation.subject == kind]
    facts = []
    for relation in (relations[i] for i in rng.permutation(len(relations))):
        if relation.object == "year":
            y = str(rng.integers(1880, 1960))
        elif relation.object in NOUNS:
            y = _pick(NOUNS[relation.object].split(), rng)
        else:
            y = _pick([name for name in names[relation.object] if name != x], rng)
        facts.append(Fact(relation, x, y))
    return facts


def _arrange(facts: list[Fact], spare: list[Fact], rng: np.random.Generator) -> list[list[Fact]]:
    """Paragraphs of related facts: of the same entity, or the same relation of another one."""
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


def _tell(facts: list[Fact], rng: np.random.Generator) -> list[str]:
    """One clause a fact; a person already named may go by the family name alone."""
    clauses, named = [], []
    for relation, x, y in facts:
        short = relation.subject == "person" and x in named and rng.random() < 0.3
        clause = _pick(relation.told.split("|"), rng)
        clause = clause.format(x=x.split("_")[-1] if short else x, y=y)
        clauses.append(clause + (f" A:{_pick(ADVERBS, rng)}" if rng.random() < 0.15 else ""))
        named.append(x)
    return clauses


def _ask(fact: Fact, rng: np.random.Generator) -> str:
    return _pick(fact.relation.asked.split("|"), rng).format(x=fact.x)


def _plan(facts: list[Fact], rng: np.random.Generator, ids: Iterator[int]) -> tuple:
    """A paragraph of the evaluation: its clauses, and (id, sentence, question, answer) of each."""
    asked = [
        (f"invitro-{next(ids):04d}", i, _ask(fact, rng), fact.y)
        for i, fact in enumerate(facts)
        if rng.random() < 0.9
    ]
    return _tell(facts, rng), asked


def _squad(code: str, told: list[str], asked: list[tuple]) -> dict:
    sentences = [say(code, clause) for clause in told]
    breaks: list[list[int]] = []
    qas = []
    for sentence in sentences:
        start = breaks[-1][1] + len(LANGUAGES[code].space) if breaks else 0
        breaks.append([start, start + len(sentence)])
    context = _passage(code, told)
    for identity, index, question, y in asked:
        answer = LANGUAGES[code].space.join(_phrase(code, y, "P"))
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


def _passage(code: str, told: list[str]) -> str:
    return LANGUAGES[code].space.join(say(code, clause) for clause in told)


def _paragraphs(split: str, seed: int) -> Iterator[list[Fact]]:
    return (facts for article in world(split, seed) for facts in article.paragraphs)


def _presence(total: int, split: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Which rows each trained language has: all, or an exact small share of the training rows."""
    present = {}
    for code in TRAINED:
        poor = split == "train" and LANGUAGES[code].resource == "low"
        present[code] = rng.permutation(total) < (total * LOW_SHARE if poor else total)
    return present


def _entities(kind: str, split: str, rng: np.random.Generator) -> list[str]:
    """An even number of names out of those that only this split may use."""
    low, high, scale = SPLITS[split]
    pool = _names(kind)
    pool = pool[round(low * len(pool)) : round(high * len(pool))]
    return [pool[i] for i in rng.permutation(len(pool))[: 2 * round(ENTITIES[kind] * scale / 2)]]


@cache
def _names(kind: str) -> list[str]:
    """All names of a kind, Latin letters, in random order; a person's parts are joined by _."""
    if kind == "person":
        names = [f"{given}_{last}" for given in _stems("given", 50) for last in _stems("last", 80)]
    else:
        names = [stem + end for stem in _stems("stem", 100) for end in ENDINGS[kind].split()]
    return [names[i] for i in _stream("names", kind).permutation(len(names))]


def _stems(kind: str, number: int) -> list[str]:
    rng = _stream("stems", kind)
    stems: dict[str, None] = {}  # a dict keeps the order of its keys
    while len(stems) < number:
        form = _form("names", 2, rng)
        stems[(form if form[-1] not in _VOWELS else form + _pick("nrls", rng)).capitalize()] = None
    return list(stems)


@cache
def _phrase(code: str, head: str, slot: str) -> tuple[str, ...]:
    """The words of "modifier+noun/owner" with the marker of their slot."""
    language = LANGUAGES[code]
    noun, _, owner = head.partition("/")
    words = [_word(code, part) for part in noun.split("+")]
    words = words if language.head_final else words[::-1]
    if owner:
        owned = list(_phrase(code, owner, "G"))
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
    """A concept, number or name in the words and script of a language."""
    language = LANGUAGES[code]
    if concept.isdigit():
        return concept
    if concept[0].isupper():
        parts = [_native(language, part) for part in concept.split("_")]
        joint = language.space or "\u30fb"  # the dot between the parts of a foreign name
        return joint.join(parts[::-1] if language.head_final else parts)
    inherited = _stream("own", code, concept).random() >= language.own
    source = language.family if inherited else code
    syllables = 1 if concept.startswith("case:") else 2
    form = _form(language.family, syllables, _stream("root", source, concept))
    for pattern, replacement in language.changes:
        form = re.sub(pattern, replacement, form)
    return _spell(form, language.script)


def _native(language: Language, name: str) -> str:
    name = name.lower() + language.ending * (name[-1] not in _VOWELS)
    if language.script == "kana":  # katakana, as for foreign names
        return "".join(chr(ord(kana) + 0x60) for kana in _spell(name, "kana"))
    return _spell(name, language.script).capitalize()


def _form(sounds: str, syllables: int, rng: np.random.Generator) -> str:
    onsets, vowels, codas = _SOUNDS[sounds]
    form = "".join(_pick(onsets, rng) + _pick(vowels, rng) for _ in range(syllables))
    return form + (_pick(codas, rng) if syllables > 1 and rng.random() < 0.35 else "")


def _spell(form: str, script: str) -> str:
    """Latin letters written in another script, by letter or by syllable."""
    if script == "latin":
        return form
    if script in _LETTERS:
        return form.translate(_LETTERS[script])
    write = {"devanagari": _devanagari, "ethiopic": _ethiopic, "kana": _kana}[script]
    syllables = re.findall(rf"([{_CONSONANTS}]?)([{_VOWELS}]?)", form)
    return "".join(write(consonant, vowel) for consonant, vowel in syllables)


def _devanagari(consonant: str, vowel: str) -> str:
    if not consonant:
        return dict(zip("aeiou", "अएइओउ", strict=True)).get(vowel, "")
    signs = {"a": "", "e": "े", "i": "ि", "o": "ो", "u": "ु", "": "्"}
    return dict(zip(_CONSONANTS, "पतकबदगमनसजरलवफहय", strict=True))[consonant] + signs[vowel]


def _ethiopic(consonant: str, vowel: str) -> str:
    rows = dict(zip(_CONSONANTS, "ፐተከበደገመነሰዘረለቨፈሀየ", strict=True)) | {"": "አ"}
    order = {"u": 1, "i": 2, "a": 3, "e": 4, "": 5, "o": 6}[vowel]
    return chr(ord(rows[consonant]) + order) if consonant + vowel else ""


def _kana(consonant: str, vowel: str) -> str:
    if not vowel:
        return "ん" if consonant == "n" else _kana(consonant, "u") if consonant else ""
    return dict(zip(_CONSONANTS, _KANA, strict=True)).get(consonant, "あえいおう")[
        _VOWELS.index(vowel)
    ]


def _pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _stream(*key: str | int) -> np.random.Generator:
    return np.random.default_rng([crc32(str(part).encode()) for part in key])
