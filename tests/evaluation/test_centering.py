"""Centring: each language's mean is taken off its vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.data.tasks import EvaluationData, Passage, Query, Task, open_task, write_task
from hbr.evaluation.centering import center_languages
from hbr.evaluation.evaluate import evaluate
from hbr.retrieval.vectors import ShardedVectors

CONCEPTS, LANGUAGES = 6, ("de", "en", "fr")


def task_of(folder: Path, queries: int = CONCEPTS) -> Task:
    """Write a task of one passage a concept and language, and a query in each but French."""
    several = range(CONCEPTS)
    data = EvaluationData(
        [Query(f"q{i}", lang, f"c{i}", "?") for lang in ("de", "en") for i in range(queries)],
        [Passage(f"p{i}", lang, "!") for lang in LANGUAGES for i in several],
        {f"c{i}": [(lang, f"p{i}") for lang in LANGUAGES] for i in several},
        "toy",
    )
    write_task(folder, "toy", data)
    return open_task(folder, "of the test")


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_vectors_are_less_the_mean_of_their_side_and_language(tmp_path):
    task, rng = task_of(tmp_path), np.random.default_rng(0)
    queries, passages = (unit(rng.standard_normal((n, 5))) for n in (12, 18))
    shards = ShardedVectors([passages[:7].astype(np.float16), passages[7:].astype(np.float16)])
    found = center_languages(task, (queries, shards), resolve_config({"normalize": True}))
    for side, given in zip(found, (queries, np.asarray(shards, dtype=np.float32)), strict=True):
        for start in range(0, len(given), CONCEPTS):
            some = given[start : start + CONCEPTS].astype(float)
            np.testing.assert_allclose(
                side[start : start + CONCEPTS], unit(some - some.mean(0)), atol=1e-5
            )
    plain = center_languages(task, (queries, passages), resolve_config({"normalize": False}))
    np.testing.assert_allclose(plain[0][:6], queries[:6] - queries[:6].mean(0), atol=1e-6)


def test_what_a_language_adds_to_all_of_its_vectors_is_gone(tmp_path):
    """Each text is its concept's direction and its language's, which is five times as long."""
    task = task_of(tmp_path)
    concept = np.eye(CONCEPTS + 3, dtype=np.float32)
    sides = [
        unit(concept[:CONCEPTS] + 5 * concept[CONCEPTS + code]) for code in range(len(LANGUAGES))
    ]
    vectors = np.concatenate(sides[:2]), np.concatenate(sides)
    found = []
    for center in (False, True):
        config = resolve_config({"metrics": ["map", "lpr"], "center_languages": center})
        evaluate(tmp_path, config, task, vectors, {}, device=torch.device("cpu"))
        found.append(json.loads((tmp_path / "metrics.json").read_text()))
    assert found[0]["settings"]["multi"]["map"] < 0.6
    assert found[1]["settings"]["multi"]["map"] == 1
    assert [one["dataset"] for one in found] == ["toy", "toy~center"]


def test_an_encoder_that_gives_one_vector_scores_as_before_not_by_rounding(tmp_path):
    task = task_of(tmp_path)
    same = np.random.default_rng(0).standard_normal(7)
    vectors = unit(np.tile(same, (12, 1))), unit(np.tile(same, (18, 1)))
    found = center_languages(task, vectors, resolve_config({}))
    assert all((side == 0).all() for side in found)


def test_what_cannot_be_centred_is_refused(tmp_path):
    task = task_of(tmp_path, queries=1)
    vectors = np.ones((2, 4), np.float32), np.ones((18, 4), np.float32)
    with pytest.raises(UserError, match="toy has one of its queries in de"):
        center_languages(task, vectors, resolve_config({}))
    wide = np.ones((2, 4), np.float32), np.broadcast_to(np.float32(1), (18, 2**17))
    with pytest.raises(UserError, match="--set memory_mb=10"):
        center_languages(task, wide, resolve_config({"memory_mb": 1}))
