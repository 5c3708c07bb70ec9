"""What the vectors of a task say about an encoder, beside how well it retrieves."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hbr.data.tasks import Task
from hbr.evaluation.diagnostics_file import FILE
from hbr.evaluation.geometry import (
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
from hbr.retrieval.exact import relevant_pairs
from hbr.retrieval.vectors import ShardedVectors

VECTORS = 20_000  # of a side at most: above, a sample is drawn
PROBED = 15_000  # vectors of whole families that a probe sees at most
CONCEPTS = 2_000  # at most, where languages are compared two by two
PAIRS = 8_192  # of a query and a passage, read at a time
LEAST = 4  # concepts that two languages share, for CKA to be defined
K, ALPHA, T = 10, 2, 2
TRANSLATIONS = ("concepts", "cka", "cka_plain", "cosine", "other_cosine", "gap")
Vectors = np.ndarray | ShardedVectors  # (texts, width)


class Side(NamedTuple):
    """The queries or the passages of a task: their vectors, and what each text stands for."""

    vectors: Vectors
    language: np.ndarray  # (texts,)
    family: np.ndarray  # (texts,) the family of the text's concept, or -1
    text: np.ndarray  # (concepts, languages) the one text of a concept in a language, or -1


class Sample(NamedTuple):
    """Vectors in float32, and the language of each."""

    vectors: np.ndarray
    language: np.ndarray


def write_diagnostics(folder: Path, task: Task, vectors: tuple[Vectors, Vectors]) -> None:
    """Write the diagnostics of a task's vectors as `diagnostics.json`."""
    (folder / FILE).write_text(
        json.dumps(diagnose(task, vectors), indent=1, allow_nan=False), "utf-8"
    )


def diagnose(task: Task, vectors: tuple[Vectors, Vectors], seed: int = 0) -> dict[str, Any]:
    """Return all diagnostics of the vectors of a task, as plain values for JSON.

    `vectors` are those of the queries and of the passages, (texts, width). A figure that is not
    defined is None: a comparison of translations where no concept has them, and every NaN.
    `vectors` counts the texts, `sampled` those of the sample, which depends on the seed; of a
    probe, these are `of` and `vectors`. A probe's `concepts` are families of concepts, which share
    passages. Memory is that of the samples, in float32, and of some copies of one in float64.
    """
    rng = np.random.default_rng(seed)
    figures: dict[str, Any] = {"seed": seed, "languages": list(task.languages)}
    samples = []
    for name, side in _sides(task, vectors).items():
        places = _drawn(np.arange(len(side.language)), VECTORS, rng)
        sample = Sample(_rows(side.vectors, places), side.language[places])
        samples.append(sample)
        figures[name] = {
            "vectors": len(side.language),
            "sampled": len(places),
            **_spread(sample, task),
            "translations": _translations(side, task, rng),
            "language_probe": _probe(side, task, seed, rng),
        }
    collapsed = not varies(unit(np.concatenate([sample.vectors for sample in samples])))
    figures["alignment"] = _alignment(task, vectors, collapsed)
    figures["hubness"] = _hubness(task, *samples)
    return _plain(figures)


def _sides(task: Task, vectors: tuple[Vectors, Vectors]) -> dict[str, Side]:
    concepts, texts = len(task.indptr) - 1, len(task.passage_language)
    said = np.arange(concepts) if task.same is None else task.same
    concept = np.repeat(said, np.diff(task.indptr))  # of each relevant passage
    family = _families(concept, task.relevant, concepts, texts)
    of_passage = np.full(texts, -1)
    of_passage[task.relevant] = family[concept]
    queries = np.arange(len(task.concept))
    text = _single_texts(task, task.said, queries, task.query_language)
    passage = _single_texts(task, concept, task.relevant, task.passage_language)
    return {
        "queries": Side(vectors[0], task.query_language, family[task.said], text),
        "passages": Side(vectors[1], task.passage_language, of_passage, passage),
    }


def _families(concept: np.ndarray, passage: np.ndarray, concepts: int, passages: int) -> np.ndarray:
    """Return the family of each concept, (concepts,): concepts that share a passage are one.

    Passages are cut differently in different languages; a family is what no cut divides.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.ones(len(concept), np.int8), (concept, concepts + passage)
    graph = coo_array(links, shape=[concepts + passages] * 2)
    return connected_components(graph, directed=False)[1][:concepts]


def _single_texts(
    task: Task, concept: np.ndarray, text: np.ndarray, language: np.ndarray
) -> np.ndarray:
    """Return the one text of each concept in each language, (concepts, languages).

    -1 where there is none, or several: it is not known which translates which.
    """
    shape = len(task.indptr) - 1, len(task.languages)
    number = int(text.max(initial=0)) + 1
    concept, text = np.divmod(np.unique(concept * number + text), number)  # each pair once
    cell = concept * shape[1] + language[text]
    table = np.full(math.prod(shape), -1)
    table[cell] = text
    table[np.bincount(cell, minlength=len(table)) != 1] = -1
    return table.reshape(shape)


def _spread(sample: Sample, task: Task) -> dict[str, Any]:
    """Measure how a sample fills its space, and what of that is due to languages."""
    vectors, language = sample
    by_language = {
        name: uniformity(vectors[language == code], T) for code, name in enumerate(task.languages)
    }
    several = len(np.unique(language)) > 1
    return {
        "uniformity": {"t": T, "all": uniformity(vectors, T), "by_language": by_language},
        "isotropy": isotropy(vectors)._asdict(),
        "language_share": language_share(vectors, language) if several else None,
    }


def _translations(side: Side, task: Task, rng: np.random.Generator) -> dict[str, Any] | None:
    """Compare languages two by two, by the vectors of the concepts they share.

    `gap` is the mean cosine between translations minus that between other texts of the two
    languages. A mean is None where one of its pairs has none.
    """
    several = np.flatnonzero((side.text >= 0).sum(1) > 1)
    table = side.text[_drawn(several, CONCEPTS, rng)]
    texts, row = np.unique(table[table >= 0], return_inverse=True)
    table[table >= 0] = row
    vectors = _rows(side.vectors, texts)
    pairs: dict[tuple[str, str], tuple[float, ...]] = {}
    for a, first in enumerate(task.languages):
        for b, second in enumerate(task.languages[:a]):
            left, right = _matched(table[:, b], table[:, a])
            if len(left) >= LEAST:
                x, y = vectors[left], vectors[right]
                same, other = cosines(x, y)
                ckas = cka(x, y), cka(x, y, debiased=False)
                pairs[first, second] = len(left), *ckas, same, other, same - other
    if not pairs:
        return None
    figures: dict[str, Any] = {"sampled": len(table), "of": len(several), "mean": {}}
    for name, values in zip(TRANSLATIONS, zip(*pairs.values(), strict=True), strict=True):
        if name != "concepts":
            figures["mean"][name] = float(np.mean(values))
        by_pair: dict[str, dict[str, float]] = {language: {} for language in task.languages}
        for (first, second), value in zip(pairs, values, strict=True):
            by_pair[first][second] = by_pair[second][first] = value
        figures[name] = by_pair
    return figures


def _matched(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the concepts' texts in two languages, no text twice: that of the first concept."""
    pairs = np.stack([a, b])[:, (a >= 0) & (b >= 0)]
    for side in (0, 1):
        pairs = pairs[:, np.sort(np.unique(pairs[side], return_index=True)[1])]
    return pairs[0], pairs[1]


def _probe(side: Side, task: Task, seed: int, rng: np.random.Generator) -> dict[str, Any] | None:
    """Probe the vectors of families with texts in several languages, `PROBED` at most."""
    language, family = side.language, side.family
    texts = np.flatnonzero(family >= 0)
    cells = np.unique(family[texts] * len(task.languages) + language[texts])
    languages = np.bincount(cells // len(task.languages), minlength=int(family.max(initial=0)) + 1)
    texts = texts[languages[family[texts]] > 1]
    if len(np.unique(family[texts])) < 2:
        return None
    sizes = np.bincount(family[texts])
    order = rng.permutation(np.flatnonzero(sizes))
    kept = order[np.cumsum(sizes[order]) <= PROBED]
    some = texts[np.isin(family[texts], kept)]
    probe = language_probe(_rows(side.vectors, some), language[some], family[some], seed)
    recall = {task.languages[code]: value for code, value in probe.recall.items()}
    return {**probe._asdict(), "recall": recall, "of": len(texts)}


def _alignment(task: Task, vectors: tuple[Vectors, Vectors], collapsed: bool) -> dict[str, Any]:
    """Average distances of queries to their passages: within languages, across, and by pair."""
    query, passage = relevant_pairs(task.concept, task.indptr, task.relevant)
    distance = np.full(len(query), np.nan)
    for at in range(0, 0 if collapsed else len(query), PAIRS):
        some = slice(at, at + PAIRS)
        x, y = _rows(vectors[0], query[some]), _rows(vectors[1], passage[some])
        distance[some] = distances(x, y, ALPHA)
    source, target = task.query_language[query], task.passage_language[passage]
    mono, codes = source == target, dict(enumerate(task.languages))
    return {
        "alpha": ALPHA,
        "mono": _mean(distance[mono]),
        "cross": _mean(distance[~mono]),
        "pairs": {"mono": int(mono.sum()), "cross": int((~mono).sum())},
        "by_pair": {
            first: {
                second: _mean(distance[(source == a) & (target == b)])
                for b, second in codes.items()
            }
            for a, first in codes.items()
        },
    }


def _hubness(task: Task, queries: Sample, passages: Sample) -> dict[str, Any]:
    """Count hubs in the pool, and among the passages of each language for queries in it."""

    def count(x: np.ndarray, y: np.ndarray) -> dict[str, Any] | None:
        if not len(x) or len(y) <= K:
            return None
        return {**hubness(x, y, K)._asdict(), "queries": len(x), "passages": len(y)}

    by_language = {
        name: count(*(side.vectors[side.language == code] for side in (queries, passages)))
        for code, name in enumerate(task.languages)
    }
    pool = count(queries.vectors, passages.vectors) if "multi" in task.settings else None
    return {"k": K, "pool": pool, "by_language": by_language}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _drawn(places: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    if len(places) <= most:
        return places
    return np.sort(rng.choice(places, most, replace=False))


def _rows(vectors: Vectors, places: np.ndarray) -> np.ndarray:
    rows = vectors.take(places) if isinstance(vectors, ShardedVectors) else vectors[places]
    return rows.astype(np.float32)


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: None for a number that is not finite."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value if not isinstance(value, float) or math.isfinite(value) else None
