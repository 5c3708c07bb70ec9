"""Mewsli-X: mentions of entities in WikiNews, and one description of each of a million entities.

Ruder et al., XTREME-R (arXiv 2104.07412); data: google-research's
dense_representations_for_entity_retrieval/mel, whose get-mewsli-x.sh makes the files that are read
here, with the text of the articles in them. XTREME-R's measure is map@20, the mean over languages.
"""

import re
from array import array
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import NonNegativeInt

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.readers.files import LEFT_OUT, required
from hbr.data.records import FullText, Id, Record, RecordFile, records
from hbr.data.tasks import EvaluationData, Passage, Query

SOURCE = (
    "github.com/google-research/google-research, dense_representations_for_entity_retrieval/mel"
)
ENTITIES = "candidate_set_entities.jsonl"
LAYOUT = "what get-mewsli-x.sh makes"
BRACED = re.compile(r"\{(.*?)\}")  # braces of the text itself become parentheses


class Span(Record):
    start: NonNegativeInt
    end: NonNegativeInt


class Mention(Span):
    text: str


class Linked(Record):
    example_id: Id
    entity_id: Id
    mention_span: Mention


class Context(Record):
    text: str
    language: FullText
    sentence_spans: list[Span]


class Article(Record):
    context: Context
    mentions: list[Linked]


class Entity(Record):
    entity_id: Id
    description: str
    description_language: FullText
    sentence_spans: list[Span]


def read(source: Path | None, _passage: str, split: str) -> EvaluationData:
    """Read the mentions of a split and all candidates.

    A query is the mention, a colon and the sentence around it, with the mention in `{ }`; a
    passage is the sentences of the description: both as in XTREME-R's baseline.
    """
    assert source is not None
    mention_file = required(source / f"wikinews_mentions-{split}.jsonl", LAYOUT)
    candidates = required(source / ENTITIES, LAYOUT)
    mentions = [
        mention
        for where, article in records(mention_file, Article)
        for mention in _mentions(article, where)
    ]
    places, languages = _candidates(candidates, {entity for _, entity in mentions})
    queries = [query for query, entity in mentions if entity in languages]
    relevant = {
        query.concept: [(languages[entity], entity)]
        for query, entity in mentions
        if entity in languages
    }
    notes = +Counter({LEFT_OUT: len(mentions) - len(queries)})
    passages = _passages(candidates, places)
    return EvaluationData(queries, passages, relevant, f"Mewsli-X {split}", ("multi",), notes)


def _mentions(article: Article, where: str) -> Iterator[tuple[Query, str]]:
    """Yield the query of every mention in an article, and the entity that is meant."""
    context = article.context
    if not context.text:
        raise UserError(f"{where}: the article has no text; run get-mewsli-x.sh to put it in")
    for mention in article.mentions:
        name, span = mention.example_id, mention.mention_span
        if context.text[span.start : span.end] != span.text:
            raise UserError(f"{where}: mention {name} is not at its place in the text")
        concept = f"{context.language}:{name}"
        yield Query(name, context.language, concept, _marked(context, span)), mention.entity_id


def _marked(context: Context, mention: Mention) -> str:
    """Return a mention, and behind it the sentence that holds it: the article where none does."""
    text, start, end = context.text, mention.start, mention.end
    held = ((s.start, s.end) for s in context.sentence_spans)
    first, last = next(((a, b) for a, b in held if a <= start and end <= b), (0, len(text)))
    before, behind = (BRACED.sub(r"(\1)", side) for side in (text[first:start], text[end:last]))
    return " ".join(f"{mention.text}: {before} {{ {mention.text} }} {behind}".split())


def _candidates(
    path: Path, wanted: Container[str]
) -> tuple[dict[str, "array[int]"], dict[str, str]]:
    """Return where in the file the entities of each language are, and the languages of `wanted`.

    The file is in no order of languages: with the places it is read again, language by language,
    without being held.
    """
    places: dict[str, array[int]] = {}
    languages: dict[str, str] = {}
    with RecordFile(path, Entity) as file:
        for at, _, entity in file:
            places.setdefault(entity.description_language, array("q")).append(at)
            if entity.entity_id in wanted:
                languages[entity.entity_id] = entity.description_language
    return places, languages


def _passages(path: Path, places: Mapping[str, "array[int]"]) -> Iterator[Passage]:
    with RecordFile(path, Entity) as file:
        for language in sorted(places):
            for entity in map(file.at, places[language]):
                spans = entity.sentence_spans
                sentences = (entity.description[span.start : span.end] for span in spans)
                text = " ".join(" ".join(sentences).split())
                yield Passage(entity.entity_id, language, text)


MEWSLI_X = Dataset(
    "mewsli-x", partial(read, split="test"), "Mewsli-X test", "11", "14,624 / 1,003,893",
    "not stated", source=SOURCE, protocol="mAP@20",
)  # fmt: skip
MEWSLI_X_DEV = replace(
    MEWSLI_X, name="mewsli-x-dev", read=partial(read, split="dev"), title="Mewsli-X dev",
    size="2,991 / 1,003,893",
)  # fmt: skip
