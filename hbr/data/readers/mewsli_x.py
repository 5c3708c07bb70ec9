"""Mewsli-X: mentions of entities in WikiNews, and one description of each of a million entities.

Ruder et al., XTREME-R (arXiv 2104.07412); data: google-research's
dense_representations_for_entity_retrieval/mel, whose get-mewsli-x.sh makes the files that are read
here, with the text of the articles in them. XTREME-R's measure is map@20, the mean over languages.
"""

import json
import re
from array import array
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.readers.files import LEFT_OUT
from hbr.data.readers.streams import json_lines
from hbr.data.tasks import EvaluationData, Passage, Query

SOURCE = (
    "github.com/google-research/google-research, dense_representations_for_entity_retrieval/mel"
)
ENTITIES = "candidate_set_entities.jsonl"
BRACED = re.compile(r"\{(.*?)\}")  # braces of the text itself become parentheses


def read(source: Path | None, _passage: str, split: str) -> EvaluationData:
    """Read the mentions of a split and all candidates.

    A query is the mention, a colon and the sentence around it, with the mention in `{ }`; a
    passage is the sentences of the description: both as in XTREME-R's baseline.
    """
    assert source is not None
    mention_file, candidates = source / f"wikinews_mentions-{split}.jsonl", source / ENTITIES
    for path in (mention_file, candidates):
        if not path.is_file():
            raise UserError(f"{path} is missing: --source needs what get-mewsli-x.sh makes")
    mentions = [
        mention
        for where, record in json_lines(mention_file, "context", "mentions")
        for mention in _mentions(record, where)
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


def _mentions(record: dict[str, Any], where: str) -> Iterator[tuple[Query, str]]:
    """Yield the query of every mention in an article, and the entity that is meant."""
    try:
        context, text = record["context"], record["context"]["text"]
        if not text:
            raise UserError(f"{where}: the article has no text; run get-mewsli-x.sh to put it in")
        for mention in record["mentions"]:
            name, span = str(mention["example_id"]), mention["mention_span"]
            if text[span["start"] : span["end"]] != span["text"]:
                raise UserError(f"{where}: mention {name} is not at its place in the text")
            language = context["language"]
            query = Query(name, language, f"{language}:{name}", _marked(context, span))
            yield query, mention["entity_id"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{where}: not in Mewsli-X's layout (context / mentions)") from error


def _marked(context: dict[str, Any], span: dict[str, Any]) -> str:
    """Return a mention, and behind it the sentence that holds it: the article where none does."""
    text, start, end = context["text"], span["start"], span["end"]
    held = ((s["start"], s["end"]) for s in context["sentence_spans"])
    first, last = next(((a, b) for a, b in held if a <= start and end <= b), (0, len(text)))
    before, behind = (BRACED.sub(r"(\1)", side) for side in (text[first:start], text[end:last]))
    return " ".join(f"{span['text']}: {before} {{ {span['text']} }} {behind}".split())


def _candidates(
    path: Path, wanted: Container[str]
) -> tuple[dict[str, "array[int]"], dict[str, str]]:
    """Return where in the file the entities of each language are, and the languages of `wanted`.

    The file is in no order of languages: with the places it is read again, language by language,
    without being held.
    """
    places: dict[str, array[int]] = {}
    languages: dict[str, str] = {}
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    entity = json.loads(line)
                    language, name = entity["description_language"], entity["entity_id"]
                    _described(entity)
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(f"{path}:{number}: is no entity of Mewsli-X") from error
                places.setdefault(language, array("q")).append(at)
                if name in wanted:
                    languages[name] = language
            at += len(line)
    return places, languages


def _passages(path: Path, places: Mapping[str, "array[int]"]) -> Iterator[Passage]:
    with path.open("rb") as file:
        for language in sorted(places):
            for at in places[language]:
                file.seek(at)
                entity = json.loads(file.readline())
                yield Passage(entity["entity_id"], language, _described(entity))


def _described(entity: dict[str, Any]) -> str:
    spans = entity["sentence_spans"]
    sentences = (entity["description"][span["start"] : span["end"]] for span in spans)
    return " ".join(" ".join(sentences).split())


MEWSLI_X = Dataset(
    "mewsli-x", partial(read, split="test"), "Mewsli-X test", "11", "14,624 / 1,003,893",
    "not stated", source=SOURCE, protocol="mAP@20",
)  # fmt: skip
MEWSLI_X_DEV = replace(
    MEWSLI_X, name="mewsli-x-dev", read=partial(read, split="dev"), title="Mewsli-X dev",
    size="2,991 / 1,003,893",
)  # fmt: skip
