"""TREC files: what ir-measures finds in them is what hbr prints."""

import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import AP, RR, R, nDCG

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.data.tasks import EvaluationData, Passage, Query, Task, open_task, write_task
from hbr.evaluation import trec
from hbr.evaluation.evaluate import evaluate
from hbr.evaluation.trec import _alike, _strictly_falling

ORACLES = {
    "map": AP,
    "map@20": AP @ 20,
    "ndcg@10": nDCG @ 10,
    "recall@1": R @ 1,
    "recall@100": R @ 100,
    "mrr": RR,
}
SIZES = {"de": (4, 30), "en": (9, 50), "fr": (6, 40)}  # queries and passages


def task_of(
    folder: Path,
    settings: Sequence[str] = ("mono", "cross", "multi"),
    sizes: Mapping[str, tuple[int, int]] = SIZES,
    id: str = "p{}",
    answers: int = 4,
    absent: int = 0,
    **more: Any,
) -> Task:
    """Write a task in which concepts have up to `answers` of gains 1 to 3, or none, a language.

    They are drawn from the passages and from so many that are not there.
    """
    rng = np.random.default_rng(5)
    relevant: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for concept in range(9):
        for lang, (_, passages) in sizes.items():
            some = rng.choice(passages + absent, rng.integers(0, answers), replace=False)
            answered = [(lang, id.format(i), int(rng.integers(1, 4))) for i in some]
            relevant[f"c{concept}"] += answered
    queries = [
        Query(f"q{c}", lang, f"c{c}", "?") for lang, (n, _) in sizes.items() for c in range(n)
    ]
    passages = [
        Passage(id.format(i), lang, "!") for lang, (_, n) in sizes.items() for i in range(n)
    ]
    data = EvaluationData(queries, passages, relevant, "toy", tuple(settings), **more)
    write_task(folder, "toy", data)
    return open_task(folder, "of the test")


def vectors_of(task: Task, width: int = 6, scale: float = 1e9) -> tuple[np.ndarray, np.ndarray]:
    """Return random vectors; at a small scale they are rounded, so that many scores tie."""
    rng = np.random.default_rng(2)
    sides = (
        rng.standard_normal((len(c), width)) for c in (task.query_language, task.passage_language)
    )
    queries, passages = ((np.round(v * scale) / scale).astype(np.float32) for v in sides)
    return queries, passages


def written(folder: Path, task: Task, vectors: Any, *metrics: str) -> Any:
    config = Config.model_validate({"evaluate": {"metrics": metrics or (*ORACLES, "peer@20")}})
    evaluate(folder, config, task, vectors, {}, device=torch.device("cpu"), trec=True)
    return json.loads((folder / "metrics.json").read_text())


def read(folder: Path, part: str = "") -> tuple[list[Any], list[Any]]:
    with gzip.open(folder / f"run.{part}trec.gz", "rt", encoding="utf-8") as file:
        run = list(ir_measures.read_trec_run(file.read()))
    qrels = (folder / f"qrels.{part}trec").read_text(encoding="utf-8")
    return list(ir_measures.read_trec_qrels(qrels)), run


def by_group(qrels: list[Any], run: list[Any]) -> dict[str, dict[str, float]]:
    """Return what ir-measures finds, averaged over the queries of each language or pair of them."""
    values = defaultdict(list)
    for line in ir_measures.iter_calc(list(ORACLES.values()), qrels, run):
        values[line.query_id.rpartition(":")[0], str(line.measure)].append(line.value)
    names = {str(measure): name for name, measure in ORACLES.items()}
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (group, measure), of_queries in values.items():
        found[group][names[measure]] = float(np.mean(of_queries))
    return found


def assert_printed(found: Mapping[str, Mapping[str, float]], printed: Mapping[str, Any]) -> None:
    assert found.keys() == printed.keys()
    for group, values in found.items():
        assert values == pytest.approx({name: printed[group][name] for name in ORACLES}, abs=1e-9)


@pytest.mark.parametrize("scale", [1e9, 0.5, 1e-9])
def test_a_run_of_the_pool_gives_the_printed_figures_ties_included(tmp_path, scale):
    """At the lowest scale all vectors are zero, and every score ties."""
    task = task_of(tmp_path)
    printed = written(tmp_path, task, vectors_of(task, scale=scale))
    assert_printed(by_group(*read(tmp_path)), printed["by_query_language"]["multi"])


def test_judged_passages_that_are_not_there_count_as_not_found_as_trec_eval_has_it(tmp_path):
    task = task_of(tmp_path, absent=30)
    assert len(task.absent) > 10
    printed = written(tmp_path, task, vectors_of(task))
    assert_printed(by_group(*read(tmp_path)), printed["by_query_language"]["multi"])
    pairs = written(tmp_path, replace(task, settings=("cross",)), vectors_of(task), *ORACLES)
    assert_printed(by_group(*read(tmp_path)), pairs["by_pair"])


def test_the_lines_of_one_language_of_passages_give_the_figures_of_a_pair(tmp_path):
    task = task_of(tmp_path)
    printed, found = written(tmp_path, task, vectors_of(task, scale=0.5)), {}
    qrels, run = read(tmp_path)
    for pair in printed["by_pair"]:
        query, _, passage = pair.partition("->")
        mine = [
            [x for x in lines if x.query_id.startswith(query) and x.doc_id.startswith(passage)]
            for lines in (qrels, run)
        ]
        found[pair] = by_group(*mine)[query]
    assert_printed(found, printed["by_pair"])


@pytest.mark.parametrize("scale", [1e9, 0.5])
@pytest.mark.parametrize("settings", [("mono", "cross"), ("mono",), ("cross",)])
def test_a_task_without_a_pool_has_a_run_for_each_of_its_settings(tmp_path, settings, scale):
    task, several = task_of(tmp_path, settings), len(settings) > 1
    printed = written(tmp_path, task, vectors_of(task, scale=scale))
    for setting in settings:
        found = by_group(*read(tmp_path, f"{setting}." if several else ""))
        pairs = {group if "->" in group else f"{group}->{group}": v for group, v in found.items()}
        kept = [
            p for p in printed["by_pair"] if (len(set(p.split("->"))) == 1) == (setting == "mono")
        ]
        assert_printed(pairs, {pair: printed["by_pair"][pair] for pair in kept})
    assert not several or not (tmp_path / "run.trec.gz").exists()


def test_a_list_goes_down_to_its_last_relevant_passage(tmp_path):
    task = task_of(tmp_path, sizes={"en": (9, 3000)})
    printed = written(tmp_path, task, vectors_of(task))
    qrels, run = read(tmp_path)
    assert_printed(by_group(qrels, run), printed["by_query_language"]["multi"])
    lengths = np.unique([line.query_id for line in run], return_counts=True)[1]
    assert lengths.min() >= 1000
    assert 1000 < lengths.max() < 3000
    ends = {line.query_id: line.doc_id for line in run}
    deep = {i for i, n in zip(sorted(ends), lengths, strict=True) if n > 1000}
    judged = {(line.query_id, line.doc_id) for line in qrels}
    assert all((query, ends[query]) in judged for query in deep)


def test_lists_of_any_depth_are_sorted_in_parts_that_fit_into_memory(tmp_path, monkeypatch):
    task = task_of(tmp_path, sizes={"en": (9, 3000)})
    written(tmp_path, task, vectors_of(task, scale=8))
    at_once = [(line.query_id, line.doc_id) for line in read(tmp_path)[1]]
    monkeypatch.setattr("hbr.evaluation.trec.PLACES", 4000)
    written(tmp_path, task, vectors_of(task, scale=8))
    assert [(line.query_id, line.doc_id) for line in read(tmp_path)[1]] == at_once
    runs = list(_alike(np.array([10, 10, 5000, 10, 10])))
    assert [(run.start, run.stop) for run in runs] == [(0, 2), (2, 3), (3, 5)]


def test_where_all_metrics_have_cut_offs_a_list_ends_at_the_thousandth(tmp_path):
    task = task_of(tmp_path, sizes={"en": (9, 3000)})
    written(tmp_path, task, vectors_of(task), "map@20", "ndcg@10")
    qrels, run = read(tmp_path)
    assert len(run) == 1000 * len({line.query_id for line in qrels})


def test_blanks_in_ids_are_percent_encoded_and_ids_stay_different(tmp_path):
    task = task_of(tmp_path, id="a b\u00a0{}%20")
    printed = written(tmp_path, task, vectors_of(task))
    qrels, run = read(tmp_path)
    assert_printed(by_group(qrels, run), printed["by_query_language"]["multi"])
    assert "de:a%20b%C2%A07%2520" in {line.doc_id for line in run}


def test_a_passage_that_a_query_must_not_find_is_in_no_list(tmp_path):
    excluded = {f"c{i}": ("en", f"p{i}") for i in range(9)}
    task = task_of(tmp_path, excluded=excluded)
    printed = written(tmp_path, task, vectors_of(task, scale=0.5))
    qrels, run = read(tmp_path)
    assert_printed(by_group(qrels, run), printed["by_query_language"]["multi"])
    pairs = {(line.query_id.rpartition(":")[2], line.doc_id) for line in run}
    assert not pairs & {(f"q{i}", f"en:p{i}") for i in range(9)}


def test_the_same_evaluation_writes_the_same_bytes(tmp_path, monkeypatch):
    task, files = task_of(tmp_path), []
    for now in (1e9, 2e9):
        monkeypatch.setattr("time.time", lambda now=now: now)
        written(tmp_path, task, vectors_of(task))
        files.append((tmp_path / "run.trec.gz").read_bytes())
    assert files[0] == files[1]


def test_what_the_files_cannot_hold_is_refused(tmp_path, monkeypatch):
    task = task_of(tmp_path)
    halves = replace(task, gain=task.gain / 2)
    with pytest.raises(UserError, match="no whole numbers"):
        written(tmp_path, halves, vectors_of(task))
    monkeypatch.setattr(trec, "LINES", 100)
    with pytest.raises(UserError, match=r"there are [\d,]+ lines; name metrics with cut-offs"):
        written(tmp_path, task, vectors_of(task))
    written(tmp_path, task, vectors_of(task), "map@20")


def test_scores_fall_strictly_by_the_least_step_also_through_zero():
    scores = np.array([0.5, 0.5, 0.5, 0.25, 0, 0, -0.0, -1, -1], np.float32)
    found = _strictly_falling(scores)
    assert (np.diff(found) < 0).all()
    assert found[:2].tolist() == [0.5, float(np.nextafter(np.float32(0.5), np.float32(-1)))]
    assert found[3] == 0.25
    np.testing.assert_allclose(found, scores, atol=1e-6)
