"""Metrics: by hand, against ir-measures, and through the whole evaluation."""

import gzip
import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from ir_measures import AP, RR, R, nDCG

from hbr.core.settings import Config
from hbr.core.target import Measure
from hbr.data.tasks import EvaluationData, Passage, Query, Task, open_task, write_task
from hbr.evaluation.evaluate import evaluate, evaluate_index
from hbr.evaluation.index import POOL, index_file
from hbr.evaluation.metrics import average_precision, ndcg, recall, reciprocal_rank
from hbr.retrieval.faiss_index import build_index

INF = np.inf
ORACLES = {
    "map": AP,
    "map@20": AP @ 20,
    "ndcg@10": nDCG @ 10,
    "recall@1": R @ 1,
    "recall@10": R @ 10,
    "recall@100": R @ 100,
    "mrr": RR,
}


def value(metric: Any, ranks: list[float], relevant: int, cutoff: int | None = None) -> float:
    return float(metric(np.array([ranks]), np.array([relevant]), cutoff)[0])


def test_average_precision_by_hand():
    assert value(average_precision, [1, 3], 2) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert value(average_precision, [2, INF], 1) == pytest.approx(1 / 2)
    assert value(average_precision, [1, 3, 20, 21], 4, 20) == pytest.approx(
        (1 + 2 / 3 + 3 / 20) / 4
    )


def test_ndcg_by_hand():
    assert value(ndcg, [1], 1) == pytest.approx(1)
    assert value(ndcg, [3], 1) == pytest.approx(1 / 2)
    best = 1 + 1 / np.log2(3)
    assert value(ndcg, [1, 3], 2) == pytest.approx((1 + 1 / 2) / best)
    assert value(ndcg, [1, 3], 2, 2) == pytest.approx(1 / best)
    assert value(ndcg, [1, 2, 3], 3, 2) == pytest.approx(1)  # no order has more in two places


def test_recall_by_hand():
    assert value(recall, [1, 5, 6, INF], 4, 5) == pytest.approx(2 / 4)
    assert value(recall, [1, 5, 6, INF], 4) == pytest.approx(3 / 4)


def test_reciprocal_rank_by_hand():
    assert value(reciprocal_rank, [4, 5], 2) == pytest.approx(1 / 4)
    assert value(reciprocal_rank, [4, 5], 2, 3) == 0


@pytest.mark.parametrize("metric", [average_precision, ndcg, recall, reciprocal_rank])
def test_a_passage_that_was_not_found_adds_nothing(metric):
    assert value(metric, [INF, INF], 2) == value(metric, [INF, INF], 2, 10) == 0
    assert value(metric, [3, INF], 2) == value(metric, [3, 1e9], 2, 100)


def test_a_name_is_a_metric_and_a_cut_off():
    measures = [Measure.parse(name) for name in ("recall@10", "map")]
    assert [measure.metric.compute for measure in measures] == [recall, average_precision]
    assert [measure.cutoff for measure in measures] == [10, None]


def test_metrics_equal_those_of_ir_measures():
    rng = np.random.default_rng(0)
    table, counts = np.full((200, 8), INF), rng.integers(1, 9, 200)
    run, qrels = [], []
    for query, count in enumerate(counts):
        scores = rng.integers(0, 20, 150)  # many ties; the order is ours, by position
        order = np.argsort(-scores, kind="stable")
        relevant = rng.choice(150, count, replace=False)
        table[query, :count] = np.sort(np.argsort(order)[relevant] + 1)
        for rank, place in enumerate(order):
            run.append(ir_measures.ScoredDoc(str(query), str(place), float(-rank)))
        qrels += [ir_measures.Qrel(str(query), str(place), 1) for place in relevant]
    ours = {}
    for name in ORACLES:
        measure = Measure.parse(name)
        ours[name] = measure.metric.compute(table, counts, measure.cutoff)
    names = {measure: name for name, measure in ORACLES.items()}
    told = list(ir_measures.iter_calc(list(ORACLES.values()), qrels, run))
    assert len(told) == 200 * len(ORACLES)
    for found in told:
        assert ours[names[found.measure]][int(found.query_id)] == pytest.approx(
            found.value, abs=1e-9
        )


def regular(folder: Path) -> Task:
    """Three languages of five passages each; passage c answers concept c, in every language."""
    languages = ("de", "en", "fr")
    draft = EvaluationData(
        queries=[Query(f"q{c}", lang, f"c{c}", "?") for lang in languages for c in range(4)],
        passages=[Passage(f"p{c}", lang, "!") for lang in languages for c in range(5)],
        relevant={f"c{c}": [(lang, f"p{c}") for lang in languages] for c in range(4)},
        protocol="toy",
    )
    write_task(folder, "toy", draft)
    return open_task(folder, "of the test")


def ragged(folder: Path) -> Task:
    """Languages of different sizes, several answers in one language, or none."""
    rng = np.random.default_rng(5)
    sizes = {"de": (4, 30), "en": (9, 50), "fr": (6, 40)}
    relevant: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for concept in range(9):
        for lang, (_, passages) in sizes.items():
            some = rng.choice(passages, rng.integers(0, 4) if concept % 2 else 1, replace=False)
            relevant[f"c{concept}"] += [(lang, f"p{i}") for i in some]
    draft = EvaluationData(
        queries=[
            Query(f"q{c}", lang, f"c{c}", "?") for lang, (n, _) in sizes.items() for c in range(n)
        ],
        passages=[Passage(f"p{i}", lang, "!") for lang, (_, n) in sizes.items() for i in range(n)],
        relevant=relevant,
        protocol="toy",
    )
    write_task(folder, "toy", draft)
    return open_task(folder, "of the test")


def random_vectors(task: Task, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    vectors = (
        rng.standard_normal((len(c), width)) for c in (task.query_language, task.passage_language)
    )
    queries, passages = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors)
    return queries.astype(np.float32), passages.astype(np.float32)


def metrics_of(folder: Path, task: Task, vectors: tuple[np.ndarray, np.ndarray], **how: Any) -> Any:
    evaluate(folder, Config(), task, vectors, {}, device=torch.device("cpu"), **how)
    return json.loads((folder / "metrics.json").read_text())


def test_an_encoder_whose_vectors_are_all_equal_scores_what_positions_give(tmp_path):
    task = regular(tmp_path)
    equal = np.full((12, 4), 0.5, np.float32), np.full((15, 4), 0.5, np.float32)
    found = metrics_of(tmp_path, task, equal)["settings"]
    first = [1, 2, 3, 4]  # ranks in one language
    for setting in ("mono", "cross"):
        assert found[setting]["map"] == pytest.approx(np.mean([1 / r for r in first]))
        assert found[setting]["recall@1"] == pytest.approx(1 / 4)
        assert found[setting]["recall@100"] == 1
        assert "rank_distance" not in found[setting]
    expected = [(1 / r + 2 / (r + 5) + 3 / (r + 10)) / 3 for r in first]
    assert found["multi"]["map"] == pytest.approx(np.mean(expected))
    assert found["multi"]["recall@5"] == pytest.approx(1 / 3)
    assert found["multi"]["rank_distance"] == 10


def test_a_perfect_encoder_scores_1(tmp_path):
    task = regular(tmp_path)
    concepts = np.eye(5, dtype=np.float32)
    found = metrics_of(tmp_path, task, (np.tile(concepts[:4], (3, 1)), np.tile(concepts, (3, 1))))
    for setting in ("mono", "cross", "multi"):
        values = found["settings"][setting]
        assert values["map"] == values["ndcg@10"] == values["mrr"] == pytest.approx(1)
    assert found["settings"]["multi"]["rank_distance"] == 2
    assert (found["queries"], found["passages"], found["languages"]) == (12, 15, ["de", "en", "fr"])
    assert set(found["by_pair"]) == {
        f"{a}->{b}" for a in found["languages"] for b in found["languages"]
    }


RANKED = [name for name in Config().evaluate.metrics if not name.startswith(("peer", "same"))]


def formulas(places: list[int], cutoffs: dict[str, tuple[str, int]]) -> dict[str, float]:
    """Every metric from the ranks of one query, in plain loops."""
    places, values = sorted(places), {}
    for name, (base, most) in cutoffs.items():
        top = [rank for rank in places if rank <= most]
        ideal = sum(1 / np.log2(i + 1) for i in range(1, min(len(places), most) + 1))
        values[name] = {
            "map": sum(i / rank for i, rank in enumerate(top, start=1)) / len(places),
            "ndcg": sum(1 / np.log2(rank + 1) for rank in top) / ideal,
            "recall": len(top) / len(places),
            "mrr": 1 / places[0],
            "rank_distance": places[-1] - places[0],
        }[base]
    return values


def average(values: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([line[name] for line in values])) for name in values[0]}


def naive(task: Task, vectors: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """What metrics.json should say, by sorting and by the words of the design."""
    scores = vectors[0].astype(float) @ vectors[1].astype(float).T
    cutoffs = {}
    for name in RANKED:
        base, _, cutoff = name.partition("@")
        cutoffs[name] = base, int(cutoff or 10**9)
    single = {name: how for name, how in cutoffs.items() if name != "rank_distance"}
    pairs, pool = defaultdict(list), defaultdict(list)
    for query, concept in enumerate(task.concept):
        asked = task.languages[task.query_language[query]]
        relevant = task.relevant[task.indptr[concept] : task.indptr[concept + 1]]
        order = np.argsort(-scores[query], kind="stable")
        if len(relevant):
            pool[asked].append(formulas((np.argsort(order)[relevant] + 1).tolist(), cutoffs))
        for code, answered in enumerate(task.languages):
            own = order[task.passage_language[order] == code].tolist()
            places = [own.index(p) + 1 for p in relevant if task.passage_language[p] == code]
            if places:
                pairs[asked, answered].append(formulas(places, single))
    by_pair = {pair: average(values) for pair, values in pairs.items()}
    kinds = {
        "mono": {pair: v for pair, v in by_pair.items() if pair[0] == pair[1]},
        "cross": {pair: v for pair, v in by_pair.items() if pair[0] != pair[1]},
        "multi": {(asked, asked): average(values) for asked, values in pool.items()},
    }
    return {
        "settings": {kind: average(list(groups.values())) for kind, groups in kinds.items()},
        "by_pair": {"->".join(pair): values for pair, values in by_pair.items()},
        "by_query_language": {
            kind: {
                lang: average([v for pair, v in groups.items() if pair[0] == lang])
                for lang in task.languages
            }
            for kind, groups in kinds.items()
        },
    }


def assert_close(found: Any, expected: Any) -> None:
    if not isinstance(expected, dict):
        assert found == pytest.approx(expected, abs=1e-9)
        return
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert_close(found[key], value)


def test_all_averages_equal_a_naive_recomputation(tmp_path):
    task = ragged(tmp_path)
    vectors = random_vectors(task)
    found = metrics_of(tmp_path, task, vectors)
    expected = naive(task, vectors)
    for values in leaves(found["settings"], found["by_pair"], found["by_query_language"]):
        for name in set(values) - set(RANKED):  # measures of bias are tested elsewhere
            del values[name]
    assert_close({key: found[key] for key in expected}, expected)


def leaves(*trees: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the mappings from metrics to values in some trees."""
    found = [value for tree in trees for value in tree.values()]
    return [x for v in found for x in ([v] if "map" in v else leaves(v))]


def test_per_query_values_average_to_the_metrics(tmp_path):
    task = ragged(tmp_path)
    found = metrics_of(tmp_path, task, random_vectors(task))
    lines = pq.read_table(tmp_path / "per_query.parquet").to_pylist()
    assert len({tuple(x[k] for k in list(x)[:5]) for x in lines}) == len(lines)
    for setting, values in found["settings"].items():
        for name in values.keys() - {"map_spread"}:  # that is of the means, not of queries
            expected = values[name]
            groups = defaultdict(list)
            for line in lines:
                if line["setting"] == setting:
                    groups[line["query_language"], line["passage_language"]].append(line[name])
            assert np.mean([np.mean(group) for group in groups.values()]) == pytest.approx(expected)
            assert {(a == b) for a, b in groups} == {setting == "mono"}
            assert any(b is None for _, b in groups) == (setting == "multi")


def indexes_of(task: Task, passages: np.ndarray) -> dict[str, Any]:
    places = {**dict(zip(task.languages, task.blocks, strict=True)), POOL: slice(None)}
    return {name: build_index(passages[place], "flat") for name, place in places.items()}


def indexed(folder: Path, task: Task, vectors: tuple[np.ndarray, np.ndarray], depth: int) -> Any:
    config = Config.model_validate({"index": {"top_k": depth}})
    evaluate_index(folder, config, task, vectors, {}, indexes_of(task, vectors[1]))
    return json.loads((folder / "metrics.json").read_text())


def test_a_flat_index_gives_the_exact_metrics(tmp_path):
    task = ragged(tmp_path)
    vectors = random_vectors(task)
    exact = metrics_of(tmp_path, task, vectors)
    found = indexed(tmp_path, task, vectors, 1000)
    assert (found["search"], found["depth"]) == ("faiss flat", 1000)
    for part in ("settings", "by_pair", "by_query_language"):
        assert_close(found[part], exact[part])


def test_what_an_index_does_not_find_adds_nothing_and_leaves_rank_distance_undefined(tmp_path):
    task = ragged(tmp_path)
    vectors = random_vectors(task)
    exact = metrics_of(tmp_path, task, vectors)["settings"]
    found = indexed(tmp_path, task, vectors, 10)["settings"]
    for setting in ("mono", "cross", "multi"):
        for name in ("recall@1", "recall@5", "recall@10", "ndcg@10"):
            assert found[setting][name] == pytest.approx(exact[setting][name])
        assert found[setting]["map"] < exact[setting]["map"]
        assert found[setting]["recall@100"] == pytest.approx(exact[setting]["recall@10"])
    assert found["multi"]["rank_distance"] is None


@pytest.mark.parametrize("how", ["exact", "index"])
def test_a_language_with_queries_but_no_passages_is_asked_across_languages_only(tmp_path, how):
    passages = [Passage("a", "en", "!"), Passage("b", "en", "!")]
    queries = [Query("q", "en", "c", "?"), Query("q", "xx", "c", "?")]
    write_task(tmp_path, "toy", EvaluationData(queries, passages, {"c": [("en", "b")]}, "toy"))
    task = open_task(tmp_path, "of the test")
    vectors = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)
    run = metrics_of if how == "exact" else partial(indexed, depth=10)
    found = run(tmp_path, task, vectors)
    assert {pair: v["mrr"] for pair, v in found["by_pair"].items()} == {"en->en": 0.5, "xx->en": 1}


def test_graded_judgements_weigh_ndcg_as_trec_eval_does(tmp_path):
    """Twenty passages of gains 1 to 3 among sixty, against ir_measures on the TREC files."""
    rng = np.random.default_rng(3)
    passages = [Passage(f"p{i}", "en", "!") for i in range(60)]
    queries = [Query(f"q{i}", "en", f"c{i}", "?") for i in range(5)]
    relevant = {
        f"c{i}": [("en", f"p{p}", int(rng.integers(1, 4))) for p in rng.permutation(60)[:20]]
        for i in range(5)
    }
    write_task(
        tmp_path, "graded", EvaluationData(queries, passages, relevant, "graded", ("mono", "multi"))
    )
    task = open_task(tmp_path, "of the test")
    assert sorted(set(task.gain.tolist())) == [1, 2, 3]
    found = metrics_of(tmp_path, task, random_vectors(task), trec=True)["settings"]["multi"]
    with gzip.open(tmp_path / "run.trec.gz", "rt", encoding="utf-8") as file:
        run = list(ir_measures.read_trec_run(file.read()))
    qrels = list(ir_measures.read_trec_qrels((tmp_path / "qrels.trec").read_text()))
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.AP], qrels, run)
    assert found["ndcg@10"] == pytest.approx(expected[ir_measures.nDCG @ 10])
    assert found["map"] == pytest.approx(expected[ir_measures.AP])


def test_a_language_called_pool_has_an_index_beside_that_of_the_pool(tmp_path):
    names = ["pool", "language-pool", "../de", POOL]
    assert len({index_file(tmp_path, name) for name in names}) == 4
    assert {index_file(tmp_path, name).parent for name in names} == {tmp_path}
