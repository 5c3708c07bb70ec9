"""What an evaluation writes about language bias and training texts, on tasks one can see whole."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.stats
import torch

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.target import Measure
from hbr.data import contamination, prepare
from hbr.data.tasks import EvaluationData, Passage, Query, Task, open_task, write_task
from hbr.evaluation.evaluate import evaluate, evaluate_index
from hbr.evaluation.index import POOL
from hbr.evaluation.results import write_results
from hbr.retrieval.exact import Ranks, relevant_pairs
from hbr.retrieval.faiss_index import build_index

METRICS = ("map", "rank_distance", "same_language@2", "peer@4")
BOTH = ("de", "en")
# queries: 0 de c0, 1 en c0, 2 en c1; passages: 0 1 de, 2 3 en, 4 fr
SMALL = EvaluationData(
    queries=[
        Query("q0", "de", "c0", "?"),
        Query("q0", "en", "c0", "?"),
        Query("q1", "en", "c1", "?"),
    ],
    passages=[
        *(Passage(f"p{i}", lang, "!") for lang in BOTH for i in range(2)),
        Passage("p0", "fr", "!"),
    ],
    relevant={
        "c0": [(lang, "p0") for lang in ("de", "en", "fr")],
        "c1": [(lang, "p1") for lang in BOTH],
    },
    protocol="by hand",
)
ORDERS = ([0, 2, 1, 4, 3], [2, 3, 0, 1, 4], [3, 1, 0, 2, 4])  # passages, best first


def task_of(folder: Path, draft: EvaluationData = SMALL) -> Task:
    folder.mkdir(parents=True, exist_ok=True)
    write_task(folder, "small", draft)
    return open_task(folder, "id-of-small")


def ranks_of(task: Task, orders: Sequence[Sequence[int]], top: int = 4) -> Ranks:
    """Return the ranks of relevant passages, by looking them up in the orders."""
    query, passage = relevant_pairs(task.concept, task.indptr, task.relevant)
    language = task.passage_language
    pool = [list(orders[q]).index(p) + 1 for q, p in zip(query, passage, strict=True)]
    own = [
        [x for x in orders[q] if language[x] == language[p]].index(p) + 1
        for q, p in zip(query, passage, strict=True)
    ]
    first = np.array([order[:top] for order in orders])
    return Ranks(query, passage, np.array(own), np.array(pool), first)


def measures(*names: str) -> list[Measure]:
    return [Measure.parse(name) for name in names]


def read(folder: Path) -> Any:
    """Read metrics.json as strict JSON: no NaN, no infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads((folder / "metrics.json").read_text(), parse_constant=refuse)


def written(
    folder: Path, draft: EvaluationData = SMALL, names: tuple[str, ...] = METRICS, **changed
) -> Any:
    task = task_of(folder / "task", draft)
    ranks = ranks_of(task, ORDERS)._replace(**changed)
    write_results(folder, task, ranks, measures(*names), {"search": "exact"})
    return read(folder)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "per_query.parquet").to_pylist()


def test_the_bias_section_by_hand(tmp_path):
    found = written(tmp_path)["bias"]
    assert found["mean_rank"] == {
        "de": {"de": 1, "en": 2, "fr": 4},
        "en": {"de": (3 + 2) / 2, "en": (1 + 1) / 2, "fr": 5},
        "fr": {},  # nobody asks in French
    }
    assert found["expected_same_language"] == {"de": 2 / 5, "en": 2 / 5, "fr": 1 / 5}
    de = (1 / 1 + 2 / 2 + 3 / 4) / 3
    en = ((1 / 1 + 2 / 3 + 3 / 5) / 3 + 1) / 2
    assert set(found["spread"]) == {"mono", "cross", "multi"}
    assert found["spread"]["multi"]["map"] == pytest.approx(
        {"lowest": en, "highest": de, "sd": (de - en) / 2}
    )
    assert found["spread"]["mono"]["map"] == {"lowest": 1, "highest": 1, "sd": 0}


def test_exposure_stands_beside_the_composition_of_the_pool(tmp_path):
    """The first passages are in the languages de, en and en: of one query in de, and two in en."""
    found = written(tmp_path, names=("map", "exposure@1"))["bias"]["exposure@1"]
    task = task_of(tmp_path / "again", SMALL)
    first = [task.languages[task.passage_language[order[0]]] for order in ORDERS]
    assert first == ["de", "en", "en"]
    assert found["by_language"] == {
        "de": {"exposure": 0.5, "pool": 0.4},
        "en": {"exposure": 0.5, "pool": 0.4},
        "fr": {"exposure": 0, "pool": 0.2},
    }
    assert found["distance"] == pytest.approx(0.2)


def test_a_preference_that_one_query_lacks_is_no_number_of_its_language(tmp_path):
    found = written(tmp_path, names=("map", "lpr"))
    values = [x["lpr"] for x in lines_of(tmp_path) if x["setting"] == "multi"]
    assert sum(value is None or np.isnan(value) for value in values) == 0
    gone = written(tmp_path / "gone", names=("map", "lpr"), pool=np.full(8, np.inf))
    assert gone["settings"]["multi"]["lpr"] is None
    assert found["settings"]["multi"]["lpr"] is not None


def test_the_spread_of_the_languages_stands_beside_the_metrics(tmp_path):
    found = written(tmp_path)
    maps = [own["map"] for own in found["by_query_language"]["cross"].values()]
    assert found["settings"]["cross"]["map_spread"] == pytest.approx(np.std(maps))
    assert found["settings"]["mono"]["map_spread"] == 0


def test_measures_of_bias_are_averaged_over_queries_and_then_over_languages(tmp_path):
    found = written(tmp_path)
    by_language = found["by_query_language"]["multi"]
    assert (by_language["de"]["rank_distance"], by_language["en"]["rank_distance"]) == (3, 2.5)
    assert found["settings"]["multi"]["rank_distance"] == 2.75
    assert found["settings"]["multi"]["same_language@2"] == (0.5 + (1 + 0.5) / 2) / 2
    # relevant passages, one a language, and others: 3 | 2, 4 | 3, 4
    one_each = [scipy.stats.chi2.sf(n - 1, n - 1) for n in (3, 3, 2)]
    others = [1, scipy.stats.chi2.sf(1, 1), scipy.stats.chi2.sf(1, 1)]
    de, *en = ((a + b) / 2 for a, b in zip(one_each, others, strict=True))
    assert found["settings"]["multi"]["peer@4"] == pytest.approx((de + np.mean(en)) / 2)
    for setting in ("mono", "cross"):
        assert not set(METRICS[1:]) & set(found["settings"][setting])


def test_values_by_query_say_concept_and_rank_in_the_pool(tmp_path):
    written(tmp_path)
    keys = ("setting", "concept", "query", "query_language", "passage_language", "pool_rank")
    assert {tuple(line[k] for k in keys) for line in lines_of(tmp_path)} == {
        ("mono", 0, "q0", "de", "de", 1),
        ("mono", 0, "q0", "en", "en", 1),
        ("mono", 1, "q1", "en", "en", 1),
        ("cross", 0, "q0", "de", "en", 2),
        ("cross", 0, "q0", "de", "fr", 4),
        ("cross", 0, "q0", "en", "de", 3),
        ("cross", 0, "q0", "en", "fr", 5),
        ("cross", 1, "q1", "en", "de", 2),
        ("multi", 0, "q0", "de", None, None),
        ("multi", 0, "q0", "en", None, None),
        ("multi", 1, "q1", "en", None, None),
    }
    assert len(lines_of(tmp_path)) == 11
    distances = {
        (x["query"], x["query_language"]): x["rank_distance"]
        for x in lines_of(tmp_path)
        if x["setting"] == "multi"
    }
    assert distances == {("q0", "de"): 3, ("q0", "en"): 4, ("q1", "en"): 1}


def test_several_answers_in_one_language_have_their_mean_rank(tmp_path):
    relevant = {**SMALL.relevant, "c0": [("de", "p0"), ("de", "p1"), ("en", "p0")]}
    found = written(tmp_path, SMALL._replace(relevant=relevant))
    assert found["bias"]["mean_rank"]["de"] == {"de": (1 + 3) / 2, "en": 2}
    ranks = {
        (x["query"], x["query_language"], x["passage_language"]): x["pool_rank"]
        for x in lines_of(tmp_path)
        if x["setting"] != "multi"
    }
    assert ranks["q0", "de", "de"] == 2
    assert ranks["q0", "en", "de"] == (3 + 4) / 2


def test_the_matrix_lacks_pairs_with_passages_that_were_not_found(tmp_path):
    pool = np.array([1, 2, np.inf, 3, 1, 5, 2, 1])  # French, asked in German
    found = written(tmp_path, pool=pool)
    assert found["bias"]["mean_rank"]["de"] == {"de": 1, "en": 2}
    assert found["bias"]["mean_rank"]["en"]["fr"] == 5
    assert found["by_query_language"]["multi"]["de"]["rank_distance"] is None
    assert found["settings"]["multi"]["rank_distance"] is None


def test_without_a_pool_there_is_no_matrix(tmp_path):
    found = written(tmp_path, SMALL._replace(settings=("mono",)))
    assert list(found["bias"]) == ["spread"]
    assert list(found["bias"]["spread"]) == ["mono"]
    assert {line["setting"] for line in lines_of(tmp_path)} == {"mono"}


def test_without_map_there_is_no_spread(tmp_path):
    assert written(tmp_path, names=("mrr", "rank_distance"))["bias"]["spread"] == {}


def random_task(folder: Path) -> tuple[Task, tuple[np.ndarray, np.ndarray]]:
    """Three languages of nine passages, and vectors that have nothing to do with them."""
    languages = ("de", "en", "fr")
    draft = EvaluationData(
        queries=[Query(f"q{c}", lang, f"c{c}", "?") for lang in languages for c in range(5)],
        passages=[Passage(f"p{c}", lang, "!") for lang in languages for c in range(9)],
        relevant={
            f"c{c}": [(lang, f"p{i}") for lang in languages for i in (c, c + 3)] for c in range(5)
        },
        protocol="by hand",
    )
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((15, 4)), rng.standard_normal((27, 4))
    queries, passages = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors)
    return task_of(folder, draft), (queries.astype(np.float32), passages.astype(np.float32))


def orders_of(vectors: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    return np.argsort(-(vectors[0] @ vectors[1].T), axis=1, kind="stable").tolist()


NAMES = ["map", "rank_distance", "peer@7", "peer", "same_language@3"]
NAMES += ["lpr", "lang_ndcg@5", "right_same", "wrong_other", "exposure@3"]


@pytest.mark.parametrize("how", ["exact", "index"])
def test_ranks_of_vectors_give_what_sorted_orders_give(tmp_path, how):
    task, vectors = random_task(tmp_path / "task")
    training = {"languages": {"en": 3}, "contamination": {"queries": 1, "passages": 0}}
    config = resolve_config({"metrics": NAMES})
    if how == "exact":
        evaluate(tmp_path, config, task, vectors, training, device=torch.device("cpu"))
    else:
        blocks = {**dict(zip(task.languages, task.blocks, strict=True)), POOL: slice(None)}
        indexes = {name: build_index(vectors[1][at], "flat") for name, at in blocks.items()}
        evaluate_index(tmp_path, config, task, vectors, training, indexes)
    found, lines = read(tmp_path), lines_of(tmp_path)
    assert (found["training"], found["task"]) == (training, "id-of-small")
    again = tmp_path / "again"
    again.mkdir()
    write_results(again, task, ranks_of(task, orders_of(vectors), 27), measures(*NAMES), {})
    for part in ("settings", "by_pair", "by_query_language", "bias"):
        assert found[part] == read(again)[part]
    assert lines == lines_of(again)


@pytest.mark.parametrize("how", ["exact", "streamed", "index"])
def test_excluded_passages_are_as_if_they_were_not_there(tmp_path, how):
    """Each concept excludes a passage, of whatever language; one excludes a relevant one."""
    task, vectors = random_task(tmp_path / "task")
    concepts = len(task.excluded)
    excluded = np.random.default_rng(5).permutation(len(task.passage_language))[:concepts]
    excluded[0] = task.relevant[task.indptr[0]]
    excluded[1] = -1
    task = dataclasses.replace(task, excluded=excluded)
    metrics = ["map", "same_language@3"]
    folder = tmp_path / "found"
    folder.mkdir()
    if how == "index":
        config = resolve_config({"evaluate.metrics": metrics, "index.top_k": 1000})
        blocks = dict(zip(task.languages, task.blocks, strict=True))
        indexes = {
            name: build_index(vectors[1][block], "flat")
            for name, block in {**blocks, POOL: slice(None)}.items()
        }
        evaluate_index(folder, config, task, vectors, {}, indexes)
    else:
        memory = {"evaluate.memory_mb": 4096} if how == "exact" else {}
        config = resolve_config({"evaluate.metrics": metrics, **memory})
        if how == "streamed":
            task = dataclasses.replace(task, settings=("mono", "cross"))
        evaluate(folder, config, task, vectors, {}, device=torch.device("cpu"))
    for line in lines_of(folder):
        query = next(
            q
            for q in range(len(task.concept))
            if (task.queries["id"][q].as_py(), task.languages[task.query_language[q]])
            == (line["query"], line["query_language"])
        )
        out = excluded[task.concept[query]]
        order = [p for p in orders_of(vectors)[query] if p != out]
        wanted = task.relevant[slice(*task.indptr[task.concept[query] :][:2])]
        if line["setting"] != "multi":
            code = task.languages.index(line["passage_language"])
            order = [p for p in order if task.passage_language[p] == code]
            wanted = [p for p in wanted if task.passage_language[p] == code]
        else:
            same = task.passage_language[order[:3]] == task.query_language[query]
            assert line["same_language@3"] == pytest.approx(same.mean())
        places = sorted(order.index(p) + 1 for p in wanted if p in order)
        expected = sum((i + 1) / place for i, place in enumerate(places)) / len(wanted)
        assert line["map"] == pytest.approx(expected), (line, places)


def kruskal(ranks: Sequence[int], languages: Sequence[int]) -> float:
    """The p of a Kruskal–Wallis test on ranks as they are, two of each of three languages."""
    mean = np.mean(ranks)
    groups = [[r for r, c in zip(ranks, languages, strict=True) if c == code] for code in range(3)]
    between = sum(2 * (np.mean(own) - mean) ** 2 for own in groups)
    return float(scipy.stats.chi2.sf(5 * between / sum((r - mean) ** 2 for r in ranks), 2))


def test_languages_follow_their_passages_into_the_measures(tmp_path):
    task, vectors = random_task(tmp_path / "task")
    config = resolve_config({"metrics": NAMES})
    evaluate(tmp_path, config, task, vectors, {}, device=torch.device("cpu"))
    found = {
        (x["query"], x["query_language"]): x for x in lines_of(tmp_path) if x["setting"] == "multi"
    }
    language = task.passage_language
    for query, order in enumerate(orders_of(vectors)):
        own, concept = task.query_language[query], task.concept[query]
        relevant = task.relevant[task.indptr[concept] : task.indptr[concept + 1]].tolist()
        line = found[f"q{concept}", task.languages[own]]
        assert line["same_language@3"] == pytest.approx(np.mean(language[order[:3]] == own))
        assert line["peer"] == pytest.approx(
            kruskal([order.index(p) + 1 for p in relevant], language[relevant])
        )


def test_a_cut_off_beyond_the_pool_is_the_pool(tmp_path):
    task, vectors = random_task(tmp_path / "task")
    config = resolve_config({"metrics": ["same_language@60", "same_language@27"]})
    evaluate(tmp_path, config, task, vectors, {}, device=torch.device("cpu"))
    found = read(tmp_path)["settings"]["multi"]
    assert found == pytest.approx({"same_language@60": 1 / 3, "same_language@27": 1 / 3})


def test_places_that_an_index_left_empty_are_in_no_language(tmp_path):
    task, vectors = random_task(tmp_path / "task")
    ranks = ranks_of(task, orders_of(vectors))._replace(top=np.full((15, 4), -1))
    write_results(tmp_path, task, ranks, measures("map", "same_language@4"), {})
    assert read(tmp_path)["settings"]["multi"]["same_language@4"] == 0


def test_what_is_measured_does_not_depend_on_what_else_is(tmp_path):
    task, vectors = random_task(tmp_path / "task")
    found = []
    for names in (["same_language"], ["same_language", "peer@7"]):
        try:
            config = resolve_config({"metrics": names})
        except UserError:  # a share of the first passages needs a cut-off: it may be refused
            continue
        evaluate(tmp_path, config, task, vectors, {}, device=torch.device("cpu"))
        found.append(read(tmp_path)["settings"]["multi"]["same_language"])
    assert len(set(found)) <= 1


# What was trained on


ROWS = [
    {
        "id": "r1",
        "query": {"de": "Wer ist Bo?", "en": "Who is Bo?"},
        "passage": {"de": "Bo ist hier.", "en": "Bo is here."},
        "negatives": {"de": ["Es regnete."], "en": ["It rained.", "It snowed."]},
    },
    {
        "id": "r2",
        "query": {"en": "Did Cy leave?"},
        "passage": {"en": "Cy left."},
    },
    {
        "id": "r3",
        "query": {"de": "Wo?", "en": "Where?", "th": "ที่ไหน"},
        "passage": {"de": "Dort.", "en": "There.", "th": "ที่นั่น"},
    },
]
SENTENCES = {  # every first one holds the answers
    "en": (["BO  is here.", "It rained.", "Who is Bo?"], ["who is  BO?", "Where is Cy?"]),
    "de": (["Bo ist dort.", "Es regnete.", "Dort."], ["wer ist bo?", "Wo ist Cy?"]),
}


@pytest.fixture
def evaluated(tmp_path):
    """A task in LAReQA's layout, two languages of two questions and three sentences."""
    folder = tmp_path / "lareqa"
    folder.mkdir()
    for language, (sentences, questions) in SENTENCES.items():
        ends = np.cumsum([len(s) + 1 for s in sentences]).tolist()
        breaks = [[end - len(s) - 1, end - 1] for s, end in zip(sentences, ends, strict=True)]
        qas = [
            {"id": f"q{i}", "question": q, "answers": [{"text": "", "answer_start": 0}]}
            for i, q in enumerate(questions)
        ]
        paragraph = {"context": " ".join(sentences), "qas": qas, "sentence_breaks": breaks}
        content = {"data": [{"paragraphs": [paragraph]}]}
        (folder / f"{language}.json").write_text(json.dumps(content))
    return prepare.task(tmp_path / "runs", "lareqa", folder, "sentence")


def trained_on(folder: Path, path: Path, languages: Sequence[str] | None = None) -> Any:
    store, rows = prepare.rows(folder / "runs", str(path))
    return store, rows.only(languages) if languages else rows


def test_texts_that_were_trained_on_are_counted_by_role(evaluated, rows_file, tmp_path):
    found = contamination.overlap([trained_on(tmp_path, rows_file(ROWS))], evaluated)
    assert found["languages"] == {"de": 2, "en": 3, "th": 1}
    assert found["contamination"] == {
        "queries": 2,  # "who is  BO?", "wer ist bo?"
        # "BO  is here.", "Dort."; "It rained.", "Es regnete." as negatives; "Who is Bo?" as a query
        "passages": 5,
    }


def test_languages_that_were_not_trained_on_do_not_count(evaluated, rows_file, tmp_path):
    english = trained_on(tmp_path, rows_file(ROWS), ["en"])
    found = contamination.overlap([english], evaluated)
    assert found["languages"] == {"en": 3}
    assert found["contamination"]["queries"] == 1
    without = [{k: v for k, v in row.items() if k != "negatives"} for row in ROWS]
    english = trained_on(tmp_path, rows_file(without, name="without.jsonl"), ["en"])
    assert contamination.overlap([english], evaluated)["contamination"] == {
        "queries": 1,
        "passages": 2,
    }


def test_negatives_in_languages_that_were_not_trained_on_do_not_count(
    evaluated, rows_file, tmp_path
):
    english = trained_on(tmp_path, rows_file(ROWS), ["en"])
    found = contamination.overlap([english], evaluated)["contamination"]
    assert found["passages"] == 3  # and not "Es regnete."


def test_several_training_sets_count_together_and_a_text_once(evaluated, rows_file, tmp_path):
    first = trained_on(tmp_path, rows_file(ROWS, name="a.jsonl"))
    second = trained_on(tmp_path, rows_file(ROWS[:1], name="b.jsonl"))
    other = trained_on(tmp_path, rows_file(count=4, languages=("en", "th"), name="c.jsonl"))
    found = contamination.overlap([first, second, other], evaluated)
    assert found["languages"] == {"de": 3, "en": 8, "th": 5}
    assert found["contamination"] == {"queries": 2, "passages": 5}


def test_validation_rows_and_near_duplicates_are_counted_apart(evaluated, rows_file, tmp_path):
    rows = trained_on(tmp_path, rows_file(ROWS))
    found = contamination.overlap([], evaluated, validation=[rows], near_duplicates=0.8)
    nothing = {"queries": 0, "passages": 0}
    assert found["contamination"] == found["near_duplicates"] == nothing
    assert found["validation"] == {"queries": 2, "passages": 5}
    found = contamination.overlap([rows], evaluated, near_duplicates=0.8)
    assert "validation" not in found
    assert found["near_duplicates"]["passages"] >= found["contamination"]["passages"]


def test_an_encoder_that_was_not_trained_has_seen_nothing(evaluated):
    assert contamination.overlap([], evaluated) == {
        "languages": {},
        "contamination": {"queries": 0, "passages": 0},
    }


def test_texts_are_hashed_once(evaluated, rows_file, tmp_path):
    store, rows = trained_on(tmp_path, rows_file(ROWS))
    contamination.overlap([(store, rows)], evaluated)
    before = [s.entries()["hashes"]["finished"] for s in (store, evaluated[0])]
    contamination.overlap([(store, rows)], evaluated)
    assert [s.entries()["hashes"]["finished"] for s in (store, evaluated[0])] == before
    folder = contamination.row_hashes(store, rows)
    counts = {path.stem: len(np.load(path)) for path in folder.glob("*.npy")}
    assert counts == {"query": 6, "passage": 9}  # a text a cell
    counts = {p.stem: len(np.load(p)) for p in contamination.task_hashes(*evaluated).glob("*.npy")}
    assert counts == {"query": 4, "passage": 6}
