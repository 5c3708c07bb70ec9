"""The Tatoeba test set of LASER: `tatoeba.XXX-eng.XXX` and `.eng`, line by line translations.

Artetxe and Schwenk, Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual
Transfer and Beyond (arXiv 1812.10464); 36 of its 112 languages are XTREME's (arXiv 2003.11080),
and 41 are XTREME-R's (arXiv 2104.07412).

A sentence is looked for among the sentences of its own pair only, in both directions. The English
sentences of a pair are therefore a language of their own, `eng-XXX`: recall@1 of `XXX->eng-XXX`
and of `eng-XXX->XXX` are the accuracies of the two directions, and recall@1 of the setting cross
is their mean. XTREME and XTREME-R report `eng-XXX->XXX` alone: `similarity_search` of their
`third_party/utils_retrieve.py` indexes the sentences of XXX and searches for the English ones.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset
from hbr.data.fetch import listed
from hbr.data.records import lines
from hbr.data.tasks import EvaluationData, Passage, Query

XTREME = (
    *("afr", "ara", "ben", "bul", "cmn", "deu", "ell", "est", "eus", "fin", "fra", "heb"),
    *("hin", "hun", "ind", "ita", "jav", "jpn", "kat", "kaz", "kor", "mal", "mar", "nld"),
    *("pes", "por", "rus", "spa", "swh", "tam", "tel", "tgl", "tha", "tur", "urd", "vie"),
)
XTREME_R = (*XTREME, "aze", "lit", "pol", "ukr", "ron")
FILES = listed(
    "tatoeba.sha256",
    "https://raw.githubusercontent.com/facebookresearch/LASER/"
    "74bc6ae7ffb7cba670fe0f428d0ede9f666fb821/data/tatoeba/v1",
)


def read_benchmark(
    source: Path | None, _passage: str, *, name: str, codes: tuple[str, ...]
) -> EvaluationData:
    """Read the languages of a benchmark; all must be there."""
    assert source is not None
    missing = [
        path.name for code in codes for path in _files(source, code).values() if not path.is_file()
    ]
    if missing:
        raise UserError(
            f"{source}: {', '.join(missing[:4])}{' …' * (len(missing) > 4)}, {len(missing)} of "
            f"{name}'s {2 * len(codes)} files, are missing; use --dataset tatoeba-112 for a folder "
            "with fewer"
        )
    return _data(source, codes)


def read_all(source: Path | None, _passage: str) -> EvaluationData:
    """Read every language of a folder: 112 in that of LASER."""
    assert source is not None
    codes = sorted(path.name[8:11] for path in source.glob("tatoeba.???-eng.eng"))
    if not codes:
        raise UserError(f"{source}: holds no tatoeba.XXX-eng.eng with a tatoeba.XXX-eng.XXX")
    return _data(source, tuple(codes))


def _data(source: Path, codes: tuple[str, ...]) -> EvaluationData:
    texts: dict[str, list[str]] = {}
    for code in codes:
        pair = {
            language: [text.strip() for _, text in lines(path, blank=True)]
            for language, path in _files(source, code).items()
        }
        if len({len(side) for side in pair.values()}) > 1:
            counted = " and ".join(f"{len(pair[lang])} lines in {lang}" for lang in pair)
            raise UserError(f"{source}: the files of {code}-eng are not parallel: {counted}")
        texts |= pair
    sentences = [
        (str(number), language, f"{language.removeprefix('eng-')}:{number}", text)
        for language in sorted(texts)
        for number, text in enumerate(texts[language], start=1)
    ]
    relevant: dict[str, list[tuple[str, str]]] = {}
    for number, language, concept, _ in sentences:
        relevant.setdefault(concept, []).append((language, number))
    return EvaluationData(
        [Query(*sentence) for sentence in sentences],
        [Passage(number, language, text) for number, language, _, text in sentences],
        relevant,
        f"Tatoeba, {len(codes)} languages to and from English, each pair its own corpus; "
        "XTREME reports en→other",
        ("cross",),
    )


def _files(source: Path, code: str) -> dict[str, Path]:
    name = f"tatoeba.{code}-eng"
    return {code: source / f"{name}.{code}", f"eng-{code}": source / f"{name}.eng"}


TATOEBA = Dataset(
    "tatoeba", partial(read_benchmark, name="XTREME", codes=XTREME),
    "Tatoeba, XTREME's languages", str(len(XTREME)), "31,692 pairs",
    "CC BY 2.0 FR", source="github.com/facebookresearch/LASER, data/tatoeba/v1",
    protocol="accuracy@1",
    remote={name: remote for name, remote in FILES.items() if name[8:11] in XTREME},
)  # fmt: skip
TATOEBA_XTREME_R = replace(
    TATOEBA, name="tatoeba-xtreme-r", title="Tatoeba, XTREME-R's languages",
    read=partial(read_benchmark, name="XTREME-R", codes=XTREME_R), languages=str(len(XTREME_R)),
    size="36,692 pairs",
    remote={name: remote for name, remote in FILES.items() if name[8:11] in XTREME_R},
)  # fmt: skip
TATOEBA_112 = replace(
    TATOEBA, name="tatoeba-112", read=read_all, title="Tatoeba, all of LASER's", languages="112",
    size="88,877 pairs", remote=FILES,
)  # fmt: skip
