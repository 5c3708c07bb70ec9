"""NTREX-128: 1,997 sentences of English news with their translations by people, line by line.

Federmann, Kocmi and Xin, NTREX-128: News Test References for MT Evaluation of 128 Languages
(SumEval 2022). A sentence is looked for among all sentences of the other language.

`ntrex` searches from English and into it. `ntrex:all-pairs` searches from every language in every
other, 15,500 pairs. `ntrex:low`, `ntrex:mid` and `ntrex:high` are English with the languages of
that much text in CC-100 (see `hbr.core.languages`).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from hbr.core import languages
from hbr.core.errors import UserError
from hbr.core.registry import near
from hbr.data.dataset import Dataset
from hbr.data.fetch import listed
from hbr.data.records import lines
from hbr.data.tasks import EvaluationData, Passage, Query

FOLDER = "NTREX-128"
SOURCE = "newstest2019-src.eng"
REFERENCE = "newstest2019-ref."
ENGLISH = "eng"
ALL_PAIRS = "all-pairs"
TIERS = ("low", "mid", "high")
FILES = listed(
    "ntrex.git",
    "https://raw.githubusercontent.com/MicrosoftTranslator/NTREX/"
    f"8561f6a622db9edad1217683e5c83daefd8bb2bf/{FOLDER}",
)


def read(source: Path | None, _passage: str, part: str = "") -> EvaluationData:
    """Read the English source and every translation that the folder holds, in any number.

    British, Indian and American English are no translations and are left out, and so is a second
    Spanish one.
    """
    assert source is not None
    texts = _texts(source / FOLDER if (source / FOLDER).is_dir() else source, part)
    others = sorted(texts.keys() - {ENGLISH})
    numbers = [str(number) for number in range(1, len(texts[ENGLISH]) + 1)]
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    for language in sorted(texts):
        targets = others if language == ENGLISH else [ENGLISH]
        for number, text in zip(numbers, texts[language], strict=True):
            concept = number if part == ALL_PAIRS else f"{language}:{number}"
            queries.append(Query(number, language, concept, text))
            answers = sorted(texts) if part == ALL_PAIRS else targets
            relevant[concept] = [(other, number) for other in answers]
    passages = [
        Passage(number, language, text)
        for language in sorted(texts)
        for number, text in zip(numbers, texts[language], strict=True)
    ]
    pairs = "all pairs" if part == ALL_PAIRS else "to and from English"
    protocol = f"NTREX-128, {len(others)} languages, {pairs}, {len(numbers)} sentences"
    same = {query.concept: query.id for query in queries}
    return EvaluationData(queries, passages, relevant, protocol, ("cross",), same=same)


def _texts(folder: Path, part: str) -> dict[str, list[str]]:
    """Return the sentences of each language, those of English first."""
    files = {ENGLISH: folder / f"{SOURCE}.txt"}
    for path in sorted(folder.glob(f"{REFERENCE}*.txt")):
        code = path.name.removeprefix(REFERENCE).removesuffix(".txt")
        if not code.startswith(ENGLISH) and (part not in TIERS or _tier(code) == part):
            files[code] = path
    if not files[ENGLISH].is_file():
        raise UserError(f"{folder}: holds no {SOURCE}.txt; get NTREX-128 from {NTREX.source}")
    if len(files) == 1:
        raise UserError(f"{folder}: holds no {REFERENCE}<language>.txt{f' of {part}' * bool(part)}")
    texts = {code: [text.strip() for _, text in lines(p, blank=True)] for code, p in files.items()}
    for code, some in texts.items():
        if len(some) != len(texts[ENGLISH]):
            raise UserError(
                f"{files[code]}: has {len(some)} lines, and English {len(texts[ENGLISH])}; "
                "get the files again"
            )
    return texts


def _tier(code: str) -> str:
    known = languages.language(code)
    return known.resource if known else languages.UNKNOWN


def named(_collection: str, part: str) -> Dataset:
    """Return NTREX-128, or one of its parts."""
    if part not in PARTS:
        raise UserError(f"ntrex has no part {part!r}{near(part, PARTS)}")
    languages = "" if part in TIERS else NTREX.languages
    return replace(NTREX, name=f"ntrex:{part}", read=partial(read, part=part), languages=languages)


PARTS = (ALL_PAIRS, *TIERS)
NTREX = Dataset(
    "ntrex", read, "NTREX-128, to and from English", "124, and en", "1,997 sentences each",
    "CC BY-SA 4.0", source="github.com/MicrosoftTranslator/NTREX", protocol="accuracy@1",
    remote=FILES, named=named, version=2,
)  # fmt: skip
