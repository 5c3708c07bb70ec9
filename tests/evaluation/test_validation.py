"""Validation by retrieval: the figures of an evaluation, on which the best checkpoint is chosen."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import RetrievalGoal
from hbr.data import prepare
from hbr.data.tokens import Tokens
from hbr.evaluation.validation import from_rows
from hbr.experiments.run_data import validation_languages
from tests.support import beside, hbr, log_of, only_run

GOAL = "train.metric_for_best_model"


@pytest.mark.parametrize("text", ["map@20 multi", "mrr mono xquad-r", "recall@5 cross xquad-r"])
def test_a_goal_is_read_as_it_is_written(text):
    assert str(RetrievalGoal.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("map", "write it as METRIC SETTING"),
        ("map@20 all", "write it as METRIC SETTING"),
        ("mapp multi", "there is no metric 'mapp'"),
        ("ndcg@0 multi", "is no positive number"),
        ("drop_map multi", "cannot be measured in training"),
        ("peer@20 mono", "in the setting multi"),
    ],
)
def test_what_names_no_goal_is_refused_in_one_line(tmp_path, text, named):
    said = hbr("train", "--output-dir", tmp_path, "--set", f"{GOAL}={text}")
    assert (said.code, named in said.err) == (2, True), said.err
    assert said.err.strip().count("\n") == 0


class Encode:
    """An encoder whose vectors follow from the first token of a text."""

    def __init__(self) -> None:
        modes = dict.fromkeys(("eval", "train"), lambda: None)
        self.encoder = SimpleNamespace(**modes, map=map, embedding_dimension=8)
        self.device = torch.device("cpu")
        self.table = normalize(torch.randn(500, 8, generator=torch.Generator().manual_seed(0)))

    def __call__(self, texts: list[np.ndarray]) -> torch.Tensor:
        return torch.stack([self.table[int(text[0]) % 500] for text in texts])


def test_languages_that_stand_one_after_the_other_are_all_validated(rows_file, tmp_path):
    languages = ("de", "en", "th")
    rows = [
        {"id": f"{code}{n}", "query": {code: f"q {code} {n}"}, "passage": {code: f"p {code} {n}"}}
        for code in languages
        for n in range(30)
    ]
    _, opened = prepare.rows(tmp_path / "runs", str(rows_file(rows)))
    cells = {"query": opened.queries.start[-1], "passage": opened.passages.start[-1]}
    tokens = Tokens(
        {role: np.arange(n, dtype=np.int32) for role, n in cells.items()},
        {role: np.arange(n + 1) for role, n in cells.items()},
    )
    config = Config.model_validate({"train": {"eval_limit": 10}})
    goal = RetrievalGoal.parse("map mono")
    judge = from_rows(goal, opened, tokens, languages, config, tmp_path)
    assert np.bincount(judge.task.query_language).tolist() == [10, 10, 10]


def test_a_metric_is_measured_in_the_languages_that_are_trained_on(rows_file, tmp_path):
    runs = tmp_path / "runs"
    _, both = prepare.rows(runs, str(rows_file(languages=("de", "en"), name="few.jsonl")))
    _, many = prepare.rows(runs, str(rows_file(languages=("de", "en", "fr", "th"))))
    _, other = prepare.rows(runs, str(rows_file(languages=("ja", "zh"), name="other.jsonl")))
    config = Config.model_validate({"train": {"metric_for_best_model": "map multi"}})
    assert validation_languages(config, many, [both]) == ("de", "en")
    with pytest.raises(UserError, match="has none of the training languages"):
        validation_languages(config, other, [both])


@pytest.mark.parametrize("limit", [None, 20])
def test_rows_are_ranked_as_one_would_by_hand(world, tmp_path, limit):
    _, rows = prepare.rows(world, prepare.validation_name(("embedded",)))
    cells = {
        r: getattr(rows, s).start[-1] for r, s in (("query", "queries"), ("passage", "passages"))
    }
    ids = {r: np.arange(n, dtype=np.int32) * 7 % 499 for r, n in cells.items()}
    tokens = Tokens(ids, {r: np.arange(n + 1) for r, n in cells.items()})
    languages = rows.languages[:3]
    config = Config.model_validate({"train": {"eval_limit": limit}})
    goal = RetrievalGoal.parse("map@20 multi")
    judge = from_rows(goal, rows, tokens, languages, config, tmp_path)
    encode = Encode()
    found = judge(encode)
    assert not [*tmp_path.iterdir()]

    seen_so_far, kept = np.zeros(3, int), []
    for row in range(len(rows)):
        has = np.asarray(rows.has[row, :3])
        seen_so_far += has
        if (has & (seen_so_far <= (limit or len(rows)))).any():
            kept.append(row)
    seen = {}
    for row in kept:
        for code in np.flatnonzero(rows.passages.has[rows.passage_of[row]][:3]):
            seen[int(rows.passage_of[row]), int(code)] = rows.group[row]
    order = sorted(seen, key=lambda key: (key[1], key[0]))
    one = lambda role, cell: encode.table[int(ids[role][cell]) % 500]  # noqa: E731
    items = np.array(order)
    passages = torch.stack(
        [one("passage", c) for c in rows.passages.cells(items[:, 0], items[:, 1])]
    )
    averages = []
    for code in range(3):
        values = []
        for row in (r for r in kept if rows.has[r, code]):
            (cell,) = rows.query_cells(np.array([row]), np.array([code]))
            scores = (passages @ one("query", cell)).numpy()
            ranked = [seen[order[i]] for i in np.argsort(-scores, kind="stable")]
            hits = [i for i, group in enumerate(ranked, 1) if group == rows.group[row]]
            values.append(sum(n / at for n, at in enumerate(hits, 1) if at <= 20) / len(hits))
        averages.append(np.mean(values))
    assert found.value == pytest.approx(np.mean(averages), abs=1e-6)
    assert list(found.by_language.values()) == pytest.approx(averages, abs=1e-6)


def test_the_best_step_has_the_value_that_evaluate_gives_and_the_log_names_languages(
    world, tmp_path
):
    out = ["--output-dir", beside(world, tmp_path)]
    goal = "map@20 multi embedded"
    words = [
        "--steps",
        "4",
        "--batch-size",
        "16",
        "--set",
        "eval_steps=2",
        "--set",
        f"{GOAL}={goal}",
    ]
    said = hbr("train", *words, "--set", "eval_limit=null", *out, "--json")
    assert said.code == 0, said.err
    entry = json.loads(said.out)
    assert entry["validation_loss"] is None
    lines = [line for line in log_of(only_run(tmp_path)) if goal in line]
    assert [line["step"] for line in lines] == [2, 4]
    assert entry["best"] == {goal: max(line[goal] for line in lines)}
    languages = [key for key in lines[0] if key.startswith(f"{goal} ")]
    assert np.mean([lines[0][key] for key in languages]) == pytest.approx(lines[0][goal])
    metrics = json.loads(hbr("evaluate", *out, "--json").out)
    assert metrics["settings"]["multi"]["map@20"] == pytest.approx(entry["best"][goal], abs=1e-6)
    chosen_on = {"queries": metrics["queries"], "passages": metrics["passages"]}
    assert metrics["training"]["validation"] == chosen_on
    assert sorted(f"{goal} {code}" for code in metrics["languages"]) == sorted(languages)


def test_early_stopping_follows_a_metric_that_is_better_when_higher(world, tmp_path):
    out = ["--output-dir", beside(world, tmp_path), "--steps", "60", "--lr", "0.5"]
    words = ["--set", "eval_steps=2", "--set", "early_stopping_patience=2"]
    words += ["--set", f"{GOAL}=mrr mono", "--set", "eval_limit=30", "--set", "max_grad_norm=1e6"]
    said = hbr("train", *words, *out, "--json")
    assert said.code == 0, said.err
    entry = json.loads(said.out)
    assert entry["steps"] == entry["best_step"] + 4 < 60
