"""mMARCO's training triples: queries and passages parallel by their ids, in up to 14 languages.

Bonifacio et al., mMARCO: A Multilingual Version of the MS MARCO Passage Ranking Dataset
(arXiv 2108.13897). Read is a clone of the hub's unicamp-dl/mmarco, its folder `data`, or
that of one translation (`google` is its version 2, `helsinki` version 1): collections/,
queries/train/, and triples.train.ids.small.tsv in it or beside it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hbr.core.errors import UserError
from hbr.core.registry import near
from hbr.data.dataset import TrainingData, language_list
from hbr.data.readers.mmarco_dev import LANGUAGES, LICENCE, REPOSITORY, beside, folders, hub
from hbr.data.records import lines
from hbr.data.rows import Linked

logger = logging.getLogger(__name__)

TRIPLES = "triples.train.ids.small.tsv"


def read(source: Path | None, languages: Sequence[str] | None, translation: str) -> Linked:
    """Return a row a triple, of query, passage and negative, in the languages asked for or all."""
    source, base = folders(source, translation)
    there = {
        code: (
            base / "collections" / f"{word}_collection.tsv",
            base / "queries" / "train" / f"{word}_queries.train.tsv",
        )
        for code, word in LANGUAGES.items()
        if (base / "collections" / f"{word}_collection.tsv").exists()
    }
    for code in languages or ():
        if code not in there:
            raise UserError(f"{base}: holds no mMARCO collection in {code!r}{near(code, there)}")
    chosen = {code: there[code] for code in languages or there}
    if not chosen:
        raise UserError(f"{base}: holds no collections/<language>_collection.tsv of mMARCO")
    places = (folder / TRIPLES for folder in (source, base, base.parent))
    triples = next((path for path in places if path.exists()), None)
    if triples is None:
        raise UserError(f"{source}: {TRIPLES} is missing; put mMARCO's there")
    return Linked(
        queries=_parallel({code: queries for code, (_, queries) in chosen.items()}),
        passages=_parallel({code: collection for code, (collection, _) in chosen.items()}),
        rows=_triples(triples),
    )


def _parallel(files: Mapping[str, Path]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the id and texts of every line; all files must have the same ids in the same order."""
    missing = [path for path in files.values() if not path.exists()]
    if missing:
        raise UserError(f"{missing[0]} is missing: every language needs its queries and collection")
    (first, *_), blank = files.values(), 0
    streams = zip(*(lines(path) for path in files.values()), strict=True)
    try:
        for together in streams:
            texts = {}
            id = together[0][1].partition("\t")[0]
            for (code, path), (number, line) in zip(files.items(), together, strict=True):
                key, tab, text = line.partition("\t")
                if not tab or key != id:
                    raise UserError(
                        f"{path}:{number}: has the id {key!r} where {first.name} has {id!r}; the "
                        "languages must be of one translation, whole, in the same order"
                    )
                if text.strip():
                    texts[code] = text.strip()
                else:
                    blank += 1
            yield id, texts
    except ValueError as error:
        names = " and ".join(path.name for path in files.values())
        raise UserError(f"{first.parent}: {names} have different numbers of lines") from error
    if blank:
        logger.warning(f"{first.parent}: {blank:,} translations are blank and left out")


def _triples(path: Path) -> Iterator[tuple[str, str, tuple[str]]]:
    for number, line in lines(path):
        cells = line.split("\t")
        if len(cells) != 3:
            raise UserError(f"{path}:{number}: needs the ids of a query, a passage and a negative")
        yield cells[0], cells[1], (cells[2],)


TRAIN = TrainingData(
    "mmarco", partial(read, translation="google"), "mMARCO v2", language_list(LANGUAGES),
    "39,780,811 triples", LICENCE, source=REPOSITORY, protocol="passage + negative", linked=True,
    hub=hub("google", "train", TRIPLES),
    beside=partial(beside, translation="google", name=TRIPLES),
)  # fmt: skip
TRAIN_V1 = replace(
    TRAIN, name="mmarco-v1", read=partial(read, translation="helsinki"), title="mMARCO v1",
    languages="", hub=hub("helsinki", "train", TRIPLES),
    beside=partial(beside, translation="helsinki", name=TRIPLES),
)  # fmt: skip
