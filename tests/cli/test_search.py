"""`hbr search`: the ranks that evaluation counts, with languages and judgements."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hbr.data import prepare
from hbr.evaluation.search import Searcher, best, rank_of
from tests.support import beside, hbr

QUICK = ("--steps", "3", "--batch-size", "16", "--device", "cpu")


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with two, of which the last is evaluated on the embedded data."""
    runs = beside(world, tmp_path_factory.mktemp("searched"))
    assert hbr("train", "--untrained", "--output-dir", runs).code == 0
    assert hbr("train", *QUICK, "--output-dir", runs).code == 0
    assert hbr("evaluate", "--output-dir", runs).code == 0
    return runs


def test_vectors_that_results_rest_on_are_not_made_anew(runs: Path) -> None:
    words = ("search", "who?", "--output-dir", runs)
    manifest = (runs / "latest" / "manifest.json").read_bytes()
    said = hbr(*words, "--set", "encode.precision=bf16")
    assert (said.code, "leave out --set" in said.err) == (2, True)
    assert (runs / "latest" / "manifest.json").read_bytes() == manifest
    assert hbr(*words).code == 0


def question(runs: Path, place: int) -> tuple[str, str]:
    task = prepare.task(runs, "embedded", None, "sentence")[1]
    return task.queries["text"][place].as_py(), task.languages[task.query_language[place]]


@pytest.mark.parametrize("place", [5, 1234, 3289])
def test_the_first_judged_passage_stands_where_evaluation_has_it(runs: Path, place: int) -> None:
    text, language = question(runs, place)
    run = (runs / "latest").resolve()
    table = pq.read_table(run / "evaluate" / "embedded" / "per_query.parquet").to_pylist()
    task = prepare.task(runs, "embedded", None, "sentence")[1]
    id = task.queries["id"][place].as_py()
    own = [row for row in table if (row["query"], row["query_language"]) == (id, language)]
    for pool, setting in (("all", "multi"), (language, "mono")):
        said = hbr("search", text, "--output-dir", runs, "--pool", pool, "--json")
        found = json.loads(said.out)
        (row,) = (row for row in own if row["setting"] == setting)
        (judged, hits) = (found["runs"][0][name] for name in ("judged", "hits"))
        assert found["query_language"] == language
        assert 1 / judged[0]["rank"] == pytest.approx(row["mrr"])
        assert [hit["rank"] for hit in hits] == list(range(1, 11))
        assert sum(hit["relevant"] for hit in hits) == sum(hit["rank"] <= 10 for hit in judged)
        if setting == "mono":
            assert {hit["language"] for hit in hits} == {language}


def test_runs_stand_side_by_side_with_the_languages_of_what_they_find(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "130")
    folders = sorted(path.parent for path in runs.glob("*-*/config.yaml"))
    said = hbr("search", *folders, question(runs, 5)[0], "--output-dir", runs, "-k", "3")
    assert said.code == 0
    head = said.out.splitlines()[0]
    assert all(folder.name in head for folder in folders)
    assert said.out.count("█") >= 2 * 18
    assert "✓" in said.out
    own = hbr("search", "who?", "--output-dir", runs).out
    assert "not a question of the data set: nothing is judged" in own


def test_where_a_passage_has_no_room_beside_another_runs_stand_one_below_the_other(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folders = sorted(path.parent for path in runs.glob("*-*/config.yaml"))
    said = hbr("search", *folders, question(runs, 5)[0], "--output-dir", runs, "-k", "3")
    lines = said.out.splitlines()
    places = [n for n, line in enumerate(lines) for one in folders if one.name in line]
    assert len({*places}) == len(folders) > 1
    assert "…" not in said.out


def test_questions_come_from_standard_input_line_by_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("who?\n\nwhat?\n"))
    said = hbr("search", "--output-dir", runs, "--json", "-k", "1")
    assert [json.loads(line)["question"] for line in said.out.splitlines()] == ["who?", "what?"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["who", "won"], "who is no run; a question of several words stands in quotes"),
        (["  "], "the question is blank"),
        (["who?", "--pool", "xx"], "--pool: embedded has no 'xx'"),
        (["who?", "--language", "qax"], "--language: embedded has no 'qax'"),
        (["who?", "--dataset", "xquadr"], "there is no dataset 'xquadr'"),
    ],
)
def test_mistakes_are_one_line(runs: Path, words: list[str], told: str) -> None:
    said = hbr("search", *words, "--output-dir", runs)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


class Numbers:
    """An encoder that reads a text as numbers."""

    def encode_queries(self, texts, language=None):
        return np.array([[float(word) for word in text.split()] for text in texts])


def test_equal_scores_stand_in_the_order_of_the_corpus(tmp_path: Path) -> None:
    from hbr.data.tasks import EvaluationData, Passage, Query, open_task, write_task

    passages = [Passage(f"p{i}", "en", "text") for i in range(4)]
    data = EvaluationData(
        [Query("q", "en", "c", "1 0")], passages, {"c": [("en", "p3")]}, "by hand"
    )
    write_task(tmp_path, "made", data)
    vectors = np.array([[0.5, 1], [0.25, 0], [0.5, 1], [0.5, 3]], dtype=np.float32)
    found = Searcher(Numbers(), open_task(tmp_path, "id"), vectors).search("1 0", k=3)
    assert [hit.id for hit in found.hits] == ["p0", "p2", "p3"]
    assert [(hit.rank, hit.relevant) for hit in found.judged] == [(3, True)]
    assert found.languages == {"en": 3}


def test_a_query_whose_text_another_has_can_be_judged_by_its_own_passages(tmp_path: Path) -> None:
    from hbr.data.tasks import EvaluationData, Passage, Query, open_task, write_task

    passages = [Passage(f"p{i}", "en", "text") for i in range(4)]
    asked = [Query("q", "en", "c", "1 0"), Query("r", "en", "d", "1 0")]
    data = EvaluationData(asked, passages, {"c": [("en", "p3")], "d": [("en", "p1")]}, "by hand")
    write_task(tmp_path, "made", data)
    vectors = np.array([[4, 0], [3, 0], [2, 0], [1, 0]], dtype=np.float32)
    searcher = Searcher(Numbers(), open_task(tmp_path, "id"), vectors)
    found = [searcher.search("1 0", known=known) for known in (None, [0], [1])]
    assert [[hit.id for hit in one.judged] for one in found] == [["p1", "p3"], ["p3"], ["p1"]]


def test_best_and_rank_of_agree_with_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.integers(0, 5, 20).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        assert best(scores, 7).tolist() == order[:7].tolist()
        assert [rank_of(scores, int(place)) for place in order] == list(range(1, 21))
