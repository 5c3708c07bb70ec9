"""A dictionary mined from sentences and their translations, such as parallel training rows."""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hbr.core.store import Store, fingerprint
from hbr.data.perturb import Dictionary
from hbr.data.perturb.texts import WORD, lower
from hbr.data.rows import Rows

MINED_PAIRS = 20_000  # sentences of a pair of languages that a dictionary is mined from
logger = logging.getLogger(__name__)


def row_dictionary(
    store: Store, data: Rows, only: Sequence[str] | None = None
) -> tuple[str, Dictionary]:
    """Mine words and their translations from parallel rows, once; return its id, and itself.

    With `only` these are the languages that it knows.
    """
    languages = [code for code in data.languages if code in (only or data.languages)]

    def make(folder: Path) -> dict[str, Any]:
        mined = {one: _translations(data, one, languages) for one in languages}
        (folder / "words.json").write_text(json.dumps(mined, ensure_ascii=False), encoding="utf-8")
        return {"words": {language: len(words) for language, words in mined.items()}}

    settings: dict[str, Any] = {"pairs": MINED_PAIRS, "version": 1}
    settings |= {"languages": languages} if only else {}
    stage = f"dictionary-{fingerprint(languages, 8)}" if only else "dictionary"
    inputs = {"rows": store.completion("rows")}
    if store.build(stage, make, settings=settings, inputs=inputs):
        sizes = store.entries()[stage]["words"]
        counts = ", ".join(f"{language} {count:,}" for language, count in sizes.items())
        logger.info(f"mined a dictionary from {data.name}: words {counts}")
    path = store.path / stage / "words.json"
    return store.completion(stage), json.loads(path.read_text(encoding="utf-8"))


def _translations(data: Rows, language: str, others: Sequence[str]) -> dict[str, list[str]]:
    """Return the translations of a language's words in others, from queries and passages."""
    one = data.languages.index(language)
    translations: dict[str, list[str]] = {}
    for other in (data.languages.index(code) for code in others if code != language):
        both = np.flatnonzero(np.asarray(data.stored[:, one] & data.stored[:, other]))
        some = both[: MINED_PAIRS // 2]
        pairs: list[tuple[str, str]] = []
        for texts, cells in (
            (data.queries, data.query_cells),
            (data.passages, data.passage_cells),
        ):
            first, second = (
                texts.column.take(cells(some, np.full(len(some), code))).to_pylist()
                for code in (one, other)
            )
            pairs += zip(first, second, strict=True)
        try:
            mined = mine_dictionary(pairs, language)
        except ValueError:  # a language without words between spaces
            continue
        for word, words in mined.items():
            translations.setdefault(word, []).extend(words)
    return translations


def mine_dictionary(
    pairs: Iterable[tuple[str, str]], language: str = "", least: int = 3, overlap: float = 0.5
) -> dict[str, tuple[str, ...]]:
    """Return, for words of the first sentences, in `language`, their translations in the second.

    A word in lower case and its translation, as it is mostly spelled, go together where each is
    the other's best by the log-likelihood ratio, with no second as good; where they stand in
    `least` pairs together; and where their Dice coefficient, over the pairs that have them, is
    `overlap`. Words that are the same in both are left out. A
    word is what stands between spaces: German compounds may answer a part of theirs, Vietnamese
    words are single syllables. Raises ValueError where neither side has a word between spaces.
    Source: Dunning 1993, Accurate Methods for the Statistics of
    Surprise and Coincidence; Melamed 2000, Models of Translational Equivalence, for one to one.
    """
    from scipy import sparse

    sides = list(zip(*dict.fromkeys(pairs), strict=True)) or [(), ()]
    (words, rows, columns), (others, other_rows, other_columns) = (
        _occurrences(side, code) for side, code in zip(sides, (language, ""), strict=True)
    )
    if not len(rows) or not len(other_rows):
        raise ValueError("no words between spaces to mine a dictionary from")
    size = len(sides[0])
    first = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (size, len(words)))
    second = sparse.csr_matrix(
        (np.ones(len(other_rows)), (other_rows, other_columns)), (size, len(others))
    )
    together = (first.T @ second).tocoo()
    one = np.asarray(first.sum(0)).ravel()[together.row]
    other = np.asarray(second.sum(0)).ravel()[together.col]
    both = together.data
    score = _log_likelihood_ratio(both, one, other, size)
    score[both * size <= one * other] = 0  # together less often than by chance
    best = _only_best(together.row, score) & _only_best(together.col, score)
    good = best & (both >= least) & (2 * both / (one + other) >= overlap)
    linked = zip(together.row[good].tolist(), together.col[good].tolist(), strict=True)
    pairs_of_words = sorted((words[i][0], others[j]) for i, j in linked)
    return {
        word: (spelled,) for word, (lower_case, spelled) in pairs_of_words if word != lower_case
    }


def _occurrences(
    sentences: Iterable[str], language: str
) -> tuple[list[tuple[str, str]], list[int], list[int]]:
    """Return the words, in lower case and as mostly spelled, and sentence and word of each use.

    What only begins sentences is in lower case, as question words are then.
    """
    places: dict[str, int] = {}
    spelled: dict[str, Counter[str]] = defaultdict(Counter)
    rows, columns = [], []
    for row, sentence in enumerate(sentences):
        in_sentence = set()
        for place, match in enumerate(WORD.finditer(sentence)):
            word = lower(match[0], language)
            in_sentence.add(places.setdefault(word, len(places)))
            spelled[word][match[0]] += place > 0  # the first word has a capital anyway
        rows += [row] * len(in_sentence)
        columns += sorted(in_sentence)
    mostly = {word: spelling.most_common(1)[0] for word, spelling in spelled.items()}
    words = [
        (word, spelling if seen or spelling.isupper() else word)
        for word, (spelling, seen) in mostly.items()
    ]
    return words, rows, columns


def _log_likelihood_ratio(
    both: np.ndarray, one: np.ndarray, other: np.ndarray, size: int
) -> np.ndarray:
    """Return Dunning's −2 log λ of the tables of two words over `size` pairs."""

    def sum_of_logs(*counts: np.ndarray) -> np.ndarray:
        return sum((c * np.log(np.maximum(c, 1)) for c in counts), np.zeros(len(both)))

    cells = sum_of_logs(both, one - both, other - both, size - one - other + both)
    margins = sum_of_logs(one, size - one, other, size - other)
    return 2 * (cells - margins + size * np.log(size))


def _only_best(place: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return which scores are the highest of their place, with no equal there."""
    highest = np.zeros(place.max() + 1)
    np.maximum.at(highest, place, score)
    best = (score == highest[place]) & (score > 0)
    return best & (np.bincount(place, best)[place] == 1)
