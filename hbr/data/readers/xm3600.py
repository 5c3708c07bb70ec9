"""Crossmodal-3600's captions.jsonl: one image a line, with its captions by language.

Thapliyal et al., Crossmodal-3600: A Massively Multilingual Multimodal Evaluation Dataset
(arXiv 2205.12522). Text only: captions find captions.
"""

from collections import Counter
from pathlib import Path

from pydantic import ConfigDict, Field

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.fetch import Remote
from hbr.data.readers.files import LEFT_OUT, own_ids, required
from hbr.data.records import Id, Record, Text, checked, records
from hbr.data.tasks import EvaluationData, Passage, Query

FILE = "captions.jsonl"
ARCHIVE = Remote(
    "https://raw.githubusercontent.com/google/crossmodal-3600/"
    "ad44c380c86cb1240666361caabaf5684507d0ef/web-data/captions.zip",
    "git:29de2bbd39cbe93d97a0622b490fe3d4a1ed3eee",
    unpack=True,
)
SINGLE = "images with one caption in a language: a query, no candidate"


class Image(Record):
    model_config = ConfigDict(extra="allow")
    key: Id = Field(alias="image/key")


class Captions(Record):
    caption: list[Text]


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read `captions.jsonl`, or the file that `source` is.

    The first caption of an image in a language is a query; all others are candidates, and relevant
    for it, in every language. A first caption is never a candidate, so a language with one caption
    an image (Bengali) has queries alone.
    """
    assert source is not None
    path = source if source.is_file() else required(source / FILE, f"Crossmodal-3600's {FILE}")
    queries: list[Query] = []
    passages: list[Passage] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    notes: Counter[str] = Counter()
    found = ((where, record.key, (where, record)) for where, record in records(path, Image))
    for image, (where, record) in own_ids(found):
        for language, captions in _captions(record, where).items():
            queries.append(Query(image, language, image, captions[0]))
            notes[SINGLE] += len(captions) == 1
            for number, caption in enumerate(captions[1:], start=2):
                passages.append(Passage(f"{image}.{number}", language, caption))
                relevant.setdefault(image, []).append((language, f"{image}.{number}"))
    kept = [query for query in queries if query.concept in relevant]
    notes[LEFT_OUT] += len(queries) - len(kept)
    passages.sort(key=lambda passage: passage.language)  # stable: the order of the file within
    protocol = "XM3600, text only: an image's first caption finds its others"
    return EvaluationData(kept, passages, relevant, protocol, notes=+notes)


def _captions(image: Image, where: str) -> dict[str, list[str]]:
    """Return the captions that are not blank by language: the keys that hold a "caption"."""
    by_language = {
        language: list(filter(None, checked(Captions, held, f"{where}: {language}").caption))
        for language, held in (image.model_extra or {}).items()
        if isinstance(held, dict) and "caption" in held
    }
    if not any(by_language.values()):
        raise UserError(f'{where}: needs captions, as "en": {{"caption": ["…"]}}')
    return {language: captions for language, captions in by_language.items() if captions}


XM3600 = Dataset(
    "xm3600", read, "Crossmodal-3600, captions", "36", "261,375 captions", "CC BY 4.0",
    source="google.github.io/crossmodal-3600", protocol="like LAReQA", remote={FILE: ARCHIVE},
)  # fmt: skip
