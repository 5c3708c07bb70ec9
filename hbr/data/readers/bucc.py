"""BUCC 2018's layout: `<pair>/<pair>.<part>.<language>`, sentences with ids, and `.gold` pairs.

Zweigenbaum et al., Overview of the Third BUCC Shared Task (BUCC 2018). As in XTREME (arXiv
2003.11080) the training part is mined, since the gold pairs of the test part are not public, with
a threshold that the sample part gives. XTREME's code scores by the ratio margin.
"""

from collections.abc import Iterator
from pathlib import Path

from hbr.core.errors import UserError
from hbr.data.dataset import Dataset, language_list
from hbr.data.readers.files import required
from hbr.data.records import table
from hbr.data.tasks import EvaluationData, Mining, Passage, Query

LANGUAGES = ("de", "fr", "ru", "zh")
MINED, TUNED = "training", "sample"
LAYOUT = "BUCC 2018's folders de-en, fr-en, ru-en, zh-en with their sample and training files"


def read(source: Path | None, _passage: str) -> EvaluationData:
    """Read the pairs whose folders are there.

    The sentences of a part are a language of their own: `de`, and `de-sample`; English ones by
    pair, `en-de` and `en-de-sample`.
    """
    assert source is not None
    root = source / "bucc2018" if (source / "bucc2018").is_dir() else source
    here = [language for language in LANGUAGES if (root / f"{language}-en").is_dir()]
    if not here:
        raise UserError(f"{source}: --source needs {LAYOUT}")
    queries: list[Query] = []
    relevant: dict[str, list[tuple[str, str]]] = {}
    english: dict[str, Path] = {}
    mining = []
    for language in here:
        names = []
        for part, end in ((MINED, ""), (TUNED, f"-{TUNED}")):
            base = root / f"{language}-en" / f"{language}-en.{part}"
            source_language, target_language = f"{language}{end}", f"en-{language}{end}"
            names += [source_language, target_language]
            sentences = required(base.with_name(f"{base.name}.{language}"), LAYOUT)
            english[target_language] = required(base.with_name(f"{base.name}.en"), LAYOUT)
            sentence_queries = [
                Query(i, source_language, f"{source_language}:{i}", text)
                for i, text in _sentences(sentences)
            ]
            gold = _gold(
                required(base.with_name(f"{base.name}.gold"), LAYOUT),
                {q.id for q in sentence_queries},
            )
            queries += sentence_queries
            relevant |= {
                f"{source_language}:{i}": [(target_language, other) for other in gold[i]]
                for i in gold
            }
        mining.append(Mining(*names))
    protocol = "BUCC 2018, F1 on the training part, threshold from the sample part"
    return EvaluationData(
        queries, _passages(english), relevant, protocol, ("cross",), mining=tuple(mining)
    )


def _sentences(path: Path) -> Iterator[tuple[str, str]]:
    for _, (sentence, text) in table(path, "sentence id", "sentence"):
        yield sentence, text.strip()


def _gold(path: Path, known: set[str]) -> dict[str, list[str]]:
    gold: dict[str, list[str]] = {}
    for where, (sentence, other) in table(path, "sentence id", "English sentence id"):
        if sentence not in known:
            raise UserError(f"{where}: there is no sentence {sentence} in the file beside it")
        gold.setdefault(sentence, []).append(other.strip())
    if not gold:
        raise UserError(f"{path}: holds no pair; get the file again")
    return gold


def _passages(english: dict[str, Path]) -> Iterator[Passage]:
    for language, path in sorted(english.items()):
        yield from (Passage(i, language, text) for i, text in _sentences(path))


BUCC = Dataset(
    "bucc", read, "BUCC 2018, mined", languages=language_list(("en", *LANGUAGES)),
    size="35,000 gold pairs", licence="not stated", source="comparable.limsi.fr/bucc2018",
    protocol="F1",
)  # fmt: skip
