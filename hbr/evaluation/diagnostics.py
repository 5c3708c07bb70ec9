"""Everything that the vectors of a task tell about an encoder, beside how well it retrieves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hbr.evaluation.alignment import (
    Hubs,
    cka,
    cosines,
    distances,
    hubness,
    isotropy,
    language_share,
    uniformity,
    unit,
    varies,
)
from hbr.evaluation.probe import language_probe
from hbr.retrieval.exact import pairs_of
from hbr.retrieval.streamed import Stack

VECTORS = 20_000  # of a side at most: above, a sample is drawn
PROBED = 15_000  # vectors of whole families that a probe sees at most
CONCEPTS = 2_000  # likewise, where languages are compared two by two
PAIRS = 8_192  # of a query and a passage, read at a time
LEAST = 4  # concepts that two languages share, for CKA to be defined
K, ALPHA, T = 10, 2, 2
Vectors = np.ndarray | Stack


def diagnose(
    queries: Vectors,
    passages: Vectors,
    *,
    query_language: np.ndarray,
    passage_language: np.ndarray,
    concept: np.ndarray,
    indptr: np.ndarray,
    relevant: np.ndarray,
    languages: Sequence[str],
    pool: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all diagnostics of the vectors of a task, as plain values for JSON.

    Vectors (queries, width) and (passages, width); the other arrays are those of a
    `hbr.data.tasks.Task`. `pool` says whether all languages are searched at once. What cannot be
    told is None: measures of translations where no concept has them, and whatever the measures
    give as NaN. Sizes are told: `vectors` is what there is, `sampled` what was looked at, by
    `seed`, and of a probe, `of` and `vectors`. A probe's `concepts` are families of concepts,
    which share passages. Memory is that of the samples, in float32, and of some copies of one in
    float64.
    """
    rng = np.random.default_rng(seed)
    concepts = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    family = _families(concepts, relevant, len(indptr) - 1, len(passage_language))
    asked = _table(concept, np.arange(len(concept)), query_language, len(indptr) - 1, languages)
    told = _table(concepts, relevant, passage_language, len(indptr) - 1, languages)
    of_passage = np.full(len(passage_language), -1)
    of_passage[relevant] = family[concepts]
    found: dict[str, Any] = {"seed": seed, "languages": list(languages)}
    samples = []
    for side, vectors, language, table, group in (
        ("queries", queries, query_language, asked, family[concept]),
        ("passages", passages, passage_language, told, of_passage),
    ):
        places = _sample(np.arange(len(language)), VECTORS, rng)
        some, codes = _rows(vectors, places), language[places]
        samples.append((some, codes))
        found[side] = {
            "vectors": len(language),
            "sampled": len(places),
            "uniformity": {
                "t": T,
                "all": uniformity(some, T),
                "by_language": {
                    name: uniformity(some[codes == code], T) for code, name in enumerate(languages)
                },
            },
            "isotropy": isotropy(some)._asdict(),
            "language_share": _share(some, codes),
            "translations": _translations(vectors, table, languages, rng),
            "language_probe": _probe(vectors, language, group, languages, seed, rng),
        }
    pairs = pairs_of(concept, indptr, relevant)
    collapsed = not varies(unit(np.concatenate([some for some, _ in samples])))
    found["alignment"] = _alignment(
        queries, passages, pairs, (query_language, passage_language), languages, collapsed
    )
    found["hubness"] = _hubness(samples[0], samples[1], languages, pool)
    return _plain(found)


def _families(concepts: np.ndarray, relevant: np.ndarray, number: int, passages: int) -> np.ndarray:
    """Return each concept its family, (concepts,): those that share a passage in some language.

    Passages are cut differently in different languages; a family is what no cut divides.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array(
        (np.ones(len(concepts), np.int8), (concepts, number + relevant)),
        shape=[number + passages] * 2,
    )
    return connected_components(links, directed=False)[1][:number]


def _table(
    concept: np.ndarray,
    place: np.ndarray,
    language: np.ndarray,
    concepts: int,
    languages: Sequence[str],
) -> np.ndarray:
    """Return the one place of each concept in each language, (concepts, languages).

    -1 where there is none, or more than one: it is not known which translates which.
    """
    cell = concept * len(languages) + language[place]
    counts = np.bincount(cell, minlength=concepts * len(languages))
    table = np.full(concepts * len(languages), -1)
    table[cell] = place
    table[counts != 1] = -1
    return table.reshape(concepts, len(languages))


def _matched(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the concepts' places in two languages, no place twice: that of the first concept."""
    known = (a >= 0) & (b >= 0)
    a, b = a[known], b[known]
    for column in (0, 1):
        first = np.sort(np.unique((a, b)[column], return_index=True)[1])
        a, b = a[first], b[first]
    return a, b


def _translations(
    vectors: Vectors, table: np.ndarray, languages: Sequence[str], rng: np.random.Generator
) -> dict[str, Any] | None:
    """Compare languages two by two, by the vectors of the concepts they share.

    `gap` is the mean cosine between translations minus that between other texts of the two
    languages. A mean is None where one of its pairs has none.
    """
    several = np.flatnonzero((table >= 0).sum(1) > 1)
    table = table[_sample(several, CONCEPTS, rng)]
    used, where = np.unique(table[table >= 0], return_inverse=True)
    index = np.full(table.shape, -1)
    index[table >= 0] = where
    rows = _rows(vectors, used)
    names = "concepts", "cka", "cka_plain", "cosine", "other_cosine", "gap"
    found: dict[str, dict[str, dict[str, Any]]] = {
        name: {language: {} for language in languages} for name in names
    }
    means: dict[str, list[float]] = {name: [] for name in names[1:]}
    for a, first in enumerate(languages):
        for b, second in enumerate(languages[:a]):
            left, right = _matched(index[:, b], index[:, a])
            if len(left) < LEAST:
                continue
            x, y = rows[left], rows[right]
            same, other = cosines(x, y)
            values = (len(left), cka(x, y), cka(x, y, debiased=False), same, other, same - other)
            for name, value in zip(names, values, strict=True):
                found[name][first][second] = found[name][second][first] = value
                if name in means:
                    means[name].append(value)
    if not means["cka"]:
        return None
    average = {name: float(np.mean(values)) for name, values in means.items()}
    return {"sampled": len(table), "of": len(several), "mean": average, **found}


def _probe(
    vectors: Vectors,
    language: np.ndarray,
    group: np.ndarray,
    languages: Sequence[str],
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Probe the vectors of families that are there in several languages, as many as may be."""
    there = np.flatnonzero(group >= 0)
    cells = np.unique(group[there] * len(languages) + language[there])
    several = np.bincount(cells // len(languages), minlength=int(group.max(initial=0)) + 1) > 1
    places = there[several[group[there]]]
    if len(np.unique(group[places])) < 2:
        return None
    number = len(places)
    sizes = np.bincount(group[places])
    order = rng.permutation(np.flatnonzero(sizes))
    kept = order[np.cumsum(sizes[order]) <= PROBED]
    places = places[np.isin(group[places], kept)]
    probe = language_probe(_rows(vectors, places), language[places], group[places], seed)
    recall = {languages[code]: value for code, value in probe.recall.items()}
    return {**probe._asdict(), "recall": recall, "of": number}


def _alignment(
    queries: Vectors,
    passages: Vectors,
    pairs: tuple[np.ndarray, np.ndarray],
    language: tuple[np.ndarray, np.ndarray],
    languages: Sequence[str],
    collapsed: bool,
) -> dict[str, Any]:
    """Average distances of queries to their passages: within languages, across, and by pair."""
    found = np.full(len(pairs[0]), np.nan)
    for at in range(0, 0 if collapsed else len(found), PAIRS):
        some = slice(at, at + PAIRS)
        x, y = _rows(queries, pairs[0][some]), _rows(passages, pairs[1][some])
        found[some] = distances(x, y, ALPHA)
    asked, answered = language[0][pairs[0]], language[1][pairs[1]]
    by_pair = {
        first: {
            second: _mean(found[(asked == a) & (answered == b)])
            for b, second in enumerate(languages)
        }
        for a, first in enumerate(languages)
    }
    return {
        "alpha": ALPHA,
        "mono": _mean(found[asked == answered]),
        "cross": _mean(found[asked != answered]),
        "pairs": {"mono": int((asked == answered).sum()), "cross": int((asked != answered).sum())},
        "by_pair": by_pair,
    }


def _hubness(
    queries: tuple[np.ndarray, np.ndarray],
    passages: tuple[np.ndarray, np.ndarray],
    languages: Sequence[str],
    pool: bool,
) -> dict[str, Any]:
    """Count hubs in the pool, and among the passages of each language for its own queries."""

    def count(asked: np.ndarray, answers: np.ndarray) -> dict[str, Any] | None:
        if not len(asked) or len(answers) <= K:
            return None
        hubs: Hubs = hubness(asked, answers, K)
        return {**hubs._asdict(), "queries": len(asked), "passages": len(answers)}

    own = {
        name: count(queries[0][queries[1] == code], passages[0][passages[1] == code])
        for code, name in enumerate(languages)
    }
    return {"k": K, "pool": count(queries[0], passages[0]) if pool else None, "by_language": own}


def _share(vectors: np.ndarray, codes: np.ndarray) -> float | None:
    return language_share(vectors, codes) if len(np.unique(codes)) > 1 else None


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _sample(places: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    if len(places) <= most:
        return places
    return np.sort(rng.choice(places, most, replace=False))


def _rows(vectors: Vectors, places: np.ndarray) -> np.ndarray:
    rows = vectors.take(places) if isinstance(vectors, Stack) else vectors[places]
    return rows.astype(np.float32)


def _plain(value: Any) -> Any:
    """Make what JSON can hold: None for what is not finite."""
    if isinstance(value, Mapping):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
