"""Which vectors of a task each diagnostic looks at, and that what cannot be told is None."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hbr.data.tasks import EvaluationData, Passage, Query, open_task, write_task
from hbr.evaluation.diagnostics import diagnose
from hbr.evaluation.geometry import cka, cosines, distances, hubness, isotropy, uniformity
from hbr.retrieval.vectors import ShardedVectors

LANGUAGES, CONCEPTS, WIDTH = ("de", "en", "th"), 24, 6


def mean_distance(x, y) -> float:
    return float(distances(x, y).mean())


def written(folder, queries, passages, relevant):
    write_task(folder, "t", EvaluationData(queries, passages, relevant, "a test"))
    return open_task(folder, "t")


@pytest.fixture
def parallel(tmp_path):
    """In th, concepts 0 and 1 are answered by one passage; each language has one nobody asks for.

    No question 5 is asked in en.
    """
    spoken = [(language, number) for language in LANGUAGES for number in range(CONCEPTS)]
    own = {(a, c): f"p{0 if (a, c) == ('th', 1) else c:02}" for a, c in spoken}
    names = sorted({(a, name) for (a, _), name in own.items()} | {(a, "x") for a in LANGUAGES})
    asked = [Query(f"q{c}", a, f"c{c:02}", "?") for a, c in spoken if (a, c) != ("en", 5)]
    relevant = {f"c{c:02}": [(a, own[a, c]) for a in LANGUAGES] for c in range(CONCEPTS)}
    return written(tmp_path, asked, [Passage(n, a, "!") for a, n in names], relevant)


@pytest.fixture
def alone(tmp_path):
    asked = [Query(f"q{c}", LANGUAGES[c % 3], f"c{c:02}", "?") for c in range(CONCEPTS)]
    told = [Passage(f"p{c}", LANGUAGES[c % 3], "!") for c in range(CONCEPTS)]
    told += [Passage(f"x{c}", LANGUAGES[c % 3], "!") for c in range(CONCEPTS)]
    relevant = {f"c{c:02}": [(LANGUAGES[c % 3], f"p{c}")] for c in range(CONCEPTS)}
    return written(tmp_path, asked, told, relevant)


def encoded(task):
    """Return vectors that say the concept, the language, and whether they ask."""
    rng = np.random.default_rng(0)
    meaning, speech = rng.normal(size=(CONCEPTS, WIDTH)), rng.normal(size=(3, WIDTH))
    passages = rng.normal(size=(len(task.passage_language), WIDTH))
    for concept in range(len(task.indptr) - 1):
        places = task.relevant[task.indptr[concept] : task.indptr[concept + 1]]
        passages[places] = meaning[concept] + 0.3 * rng.normal(size=(len(places), WIDTH))
    passages += speech[task.passage_language]
    queries = meaning[task.concept] + speech[task.query_language]
    queries += 0.3 * rng.normal(size=queries.shape)
    return queries.astype(np.float32), passages.astype(np.float32)


def numbers(value):
    """Return every figure, however deep."""
    if isinstance(value, dict):
        return [own for part in value.values() for own in numbers(part)]
    return [value]


def test_a_parallel_task_has_every_figure(parallel):
    found = diagnose(parallel, encoded(parallel))
    json.dumps(found, allow_nan=False)
    assert None not in numbers(found)


def test_figures_of_all_vectors_are_those_of_the_measures(parallel):
    queries, passages = encoded(parallel)
    found = diagnose(parallel, (queries, passages))
    thai = queries[parallel.query_language == 2]
    assert found["queries"]["uniformity"]["all"] == uniformity(queries)
    assert found["queries"]["uniformity"]["by_language"]["th"] == uniformity(thai)
    assert found["passages"]["isotropy"] == isotropy(passages)._asdict()
    sizes = {"queries": len(queries), "passages": len(passages)}
    assert found["hubness"]["pool"] == {**hubness(queries, passages)._asdict(), **sizes}
    own = passages[parallel.passage_language == 2]
    assert found["hubness"]["by_language"]["th"]["skewness"] == hubness(thai, own).skewness
    for side, count in sizes.items():
        assert (found[side]["vectors"], found[side]["sampled"]) == (count, count)


def test_alignment_is_that_of_queries_and_their_passages(parallel):
    queries, passages = encoded(parallel)
    found = diagnose(parallel, (queries, passages))["alignment"]
    pairs = [
        (q, p)
        for q, c in enumerate(parallel.concept)
        for p in parallel.relevant[parallel.indptr[c] : parallel.indptr[c + 1]]
    ]
    asked, told = np.array(pairs).T
    same = parallel.query_language[asked] == parallel.passage_language[told]
    assert found["mono"] == pytest.approx(mean_distance(queries[asked[same]], passages[told[same]]))
    assert found["cross"] == pytest.approx(
        mean_distance(queries[asked[~same]], passages[told[~same]])
    )
    assert found["pairs"] == {"mono": same.sum(), "cross": (~same).sum()}
    one = (parallel.query_language[asked] == 0) & (parallel.passage_language[told] == 2)
    expected = mean_distance(queries[asked[one]], passages[told[one]])
    assert found["by_pair"]["de"]["th"] == pytest.approx(expected)
    assert found["by_pair"]["th"]["de"] != found["by_pair"]["de"]["th"]


def test_translations_are_compared_concept_by_concept_and_none_twice(parallel):
    queries, passages = encoded(parallel)
    found = diagnose(parallel, (queries, passages))
    asked, told = found["queries"]["translations"], found["passages"]["translations"]
    assert asked["concepts"]["de"] == {"en": CONCEPTS - 1, "th": CONCEPTS}
    assert told["concepts"]["de"] == {"en": CONCEPTS, "th": CONCEPTS - 1}
    shared = [c for c in range(CONCEPTS) if c != 5]
    x, y = (
        np.array(
            [queries[(parallel.query_language == a) & (parallel.concept == c)][0] for c in shared]
        )
        for a in (0, 1)
    )
    assert asked["cka"]["de"]["en"] == asked["cka"]["en"]["de"] == pytest.approx(cka(x, y))
    assert asked["cka_plain"]["de"]["en"] == pytest.approx(cka(x, y, debiased=False))
    same, other = cosines(x, y)
    assert asked["cosine"]["en"]["de"] == pytest.approx(same)
    assert asked["gap"]["en"]["de"] == pytest.approx(same - other)
    values = [told["gap"][a][b] for a, b in (("de", "en"), ("de", "th"), ("en", "th"))]
    assert told["mean"]["gap"] == pytest.approx(np.mean(values))


def test_the_probe_keeps_concepts_together_that_share_a_passage(parallel):
    found = diagnose(parallel, encoded(parallel))
    probes = [found[side]["language_probe"] for side in ("queries", "passages")]
    assert [probe["concepts"] for probe in probes] == [CONCEPTS - 1] * 2
    assert [probe["vectors"] for probe in probes] == [3 * CONCEPTS - 1] * 2  # no x among them
    assert set(probes[0]["recall"]) == set(LANGUAGES)


def test_without_translations_what_needs_them_is_none(alone):
    found = diagnose(replace(alone, settings=("mono", "cross")), encoded(alone))
    for side in ("queries", "passages"):
        assert found[side]["translations"] is None
        assert found[side]["language_probe"] is None
        assert found[side]["uniformity"]["all"] < 0
    assert found["alignment"]["mono"] > 0
    assert found["alignment"]["cross"] is None
    assert found["hubness"]["pool"] is None
    assert found["hubness"]["by_language"]["de"]["passages"] == 16


def test_one_language_is_enough(alone):
    queries, passages = encoded(alone)
    task = replace(
        alone,
        languages=("de",),
        query_language=np.zeros_like(alone.query_language),
        passage_language=np.zeros_like(alone.passage_language),
    )
    found = diagnose(task, (queries, passages))
    assert found["queries"]["language_share"] is None
    assert found["queries"]["language_probe"] is None
    assert found["hubness"]["pool"] == found["hubness"]["by_language"]["de"]


def test_stacks_of_shards_give_the_same(parallel):
    queries, passages = encoded(parallel)
    stacks = (
        ShardedVectors([queries[:20], queries[20:]]),
        ShardedVectors([passages[:50], passages[50:]]),
    )
    assert diagnose(parallel, stacks) == diagnose(parallel, (queries, passages))


def test_above_the_bounds_a_sample_is_drawn_by_seed_and_told(parallel, monkeypatch):
    monkeypatch.setattr("hbr.evaluation.diagnostics.VECTORS", 40)
    monkeypatch.setattr("hbr.evaluation.diagnostics.PROBED", 40)
    monkeypatch.setattr("hbr.evaluation.diagnostics.CONCEPTS", 10)
    queries, passages = encoded(parallel)
    found = diagnose(parallel, (queries, passages), seed=1)
    assert found == diagnose(parallel, (queries, passages), seed=1)
    assert found != diagnose(parallel, (queries, passages), seed=2)
    for side, vectors in (("queries", queries), ("passages", passages)):
        own = found[side]
        assert (own["vectors"], own["sampled"]) == (len(vectors), 40)
        assert (own["translations"]["of"], own["translations"]["sampled"]) == (CONCEPTS, 10)
        assert own["language_probe"]["of"] == 3 * CONCEPTS - 1
        assert 30 < own["language_probe"]["vectors"] <= 40
    assert found["hubness"]["pool"]["passages"] == 40
    assert found["alignment"]["pairs"]["mono"] == 3 * CONCEPTS - 1  # pairs are all read


def test_vectors_that_are_all_one_look_good_nowhere(parallel):
    queries, passages = (np.ones_like(vectors) for vectors in encoded(parallel))
    found = diagnose(parallel, (queries, passages))
    json.dumps(found, allow_nan=False)
    assert found["alignment"]["mono"] is found["alignment"]["cross"] is None
    for side in ("queries", "passages"):
        own = found[side]
        assert set(own["isotropy"].values()) == {None}
        assert own["language_share"] is None
        assert own["language_probe"]["accuracy"] is own["language_probe"]["normalised"] is None
        assert own["uniformity"]["all"] == pytest.approx(0, abs=1e-6)
        assert own["translations"]["mean"]["cka"] is None
        assert own["translations"]["mean"]["gap"] == pytest.approx(0, abs=1e-6)


def test_a_vector_without_numbers_takes_its_figures_with_it(parallel):
    queries, passages = encoded(parallel)
    queries[0, 0] = np.nan  # in de
    found = diagnose(parallel, (queries, passages))
    json.dumps(found, allow_nan=False)
    assert found["queries"]["uniformity"]["all"] is None
    assert found["queries"]["uniformity"]["by_language"]["de"] is None
    assert found["queries"]["uniformity"]["by_language"]["th"] is not None
    assert found["queries"]["translations"]["mean"]["cka"] is None
    assert found["queries"]["translations"]["cka"]["en"]["th"] is not None
    assert found["queries"]["language_probe"]["accuracy"] is None
    assert found["hubness"]["pool"]["skewness"] is None
    assert found["alignment"]["mono"] is None
    assert found["passages"]["language_probe"]["accuracy"] is not None
