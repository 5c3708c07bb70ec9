"""A task comes back with its passages in blocks, one a language."""

import numpy as np
import pytest

from hbr.core.errors import UserError
from hbr.data.tasks import (
    EvaluationData,
    Passage,
    Query,
    Task,
    data_of,
    limited,
    open_task,
    write_task,
)

DRAFT = EvaluationData(
    queries=[
        Query("q2", "en", "k2", "two?"),
        Query("q1", "en", "k1", "one?"),
        Query("q1", "de", "k1", "eins?"),
    ],
    passages=[
        Passage("p1", "en", "one"),
        Passage("p2", "en", "two"),
        Passage("p1", "de", "eins"),
        Passage("p3", "th", "สาม"),
        Passage("p2", "de", "zwei"),
    ],
    relevant={"k1": [("en", "p1"), ("de", "p1"), ("en", "p1")], "k2": [("en", "p2"), ("de", "p2")]},
    protocol="by hand",
    notes={"left out": 1},
)


@pytest.fixture
def task(tmp_path) -> Task:
    write_task(tmp_path, "small", DRAFT)
    return open_task(tmp_path, "of the test")


def relevant(task: Task, query: int) -> list[int]:
    concept = task.concept[query]
    return task.relevant[task.indptr[concept] : task.indptr[concept + 1]].tolist()


def test_queries_and_passages_lie_language_by_language_and_keep_their_order(task):
    assert task.languages == ("de", "en", "th")
    assert task.query_language.tolist() == [0, 1, 1]
    assert task.passage_language.tolist() == [0, 0, 1, 1, 2]
    assert task.queries["text"].to_pylist() == ["eins?", "two?", "one?"]
    assert task.queries["id"].to_pylist() == ["q1", "q2", "q1"]
    assert task.passages["text"].to_pylist() == ["eins", "zwei", "one", "two", "สาม"]
    assert task.passages["id"].to_pylist() == ["p1", "p2", "p1", "p2", "p3"]


def test_relevant_are_the_passages_of_the_concept_in_all_languages_each_once(task):
    assert [relevant(task, query) for query in range(3)] == [[0, 2], [1, 3], [0, 2]]


def test_there_is_a_block_of_passages_for_every_language(task):
    assert task.blocks == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_a_language_with_queries_alone_has_an_empty_block(tmp_path):
    queries = [*DRAFT.queries, Query("q1", "el", "k1", "ένα;")]
    write_task(tmp_path, "small", DRAFT._replace(queries=queries))
    task = open_task(tmp_path, "of the test")
    assert task.languages == ("de", "el", "en", "th")
    assert task.blocks == [slice(0, 2), slice(2, 2), slice(2, 4), slice(4, 5)]


def test_name_protocol_and_settings_come_back(tmp_path):
    write_task(tmp_path, "small", DRAFT._replace(settings=("cross",)))
    task = open_task(tmp_path, "of the test")
    assert (task.name, task.protocol, task.settings) == ("small", "by hand", ("cross",))


def test_counts_are_told(tmp_path):
    assert write_task(tmp_path, "small", DRAFT) == {
        "languages": ["de", "en", "th"],
        "queries": 3,
        "passages": 5,
        "passages_by_language": {"de": 2, "en": 2, "th": 1},
        "notes": {"left out": 1},
    }


def test_a_concept_without_relevant_passages_has_none(tmp_path):
    write_task(tmp_path, "small", DRAFT._replace(relevant={"k1": [("th", "p3")]}))
    task = open_task(tmp_path, "of the test")
    assert [relevant(task, query) for query in range(3)] == [[4], [], [4]]


def refused(tmp_path, **changed) -> str:
    with pytest.raises(UserError, match="small: ") as raised:
        write_task(tmp_path, "small", DRAFT._replace(**changed))
    return str(raised.value)


def test_a_prepared_task_can_be_told_again(task, tmp_path):
    told = data_of(task)
    (tmp_path / "again").mkdir()
    write_task(tmp_path / "again", "again", told)
    again = open_task(tmp_path / "again", "x")
    for name in ("query_language", "passage_language", "concept", "indptr", "relevant", "gain"):
        np.testing.assert_array_equal(getattr(task, name), getattr(again, name), name)
    np.testing.assert_array_equal(task.excluded, again.excluded)
    assert again.passages.equals(task.passages)
    assert again.queries.equals(task.queries)


def test_a_limited_task_has_the_first_concepts_of_each_language_and_their_passages(tmp_path):
    queries = [Query(f"q{i}", lang, f"{lang}{i}", "?") for lang in ("de", "en") for i in range(5)]
    passages = [Passage(f"p{i}", lang, "!") for lang in ("de", "en") for i in range(99)]
    relevant = {f"{lang}{i}": [(lang, f"p{98 - i}")] for lang in ("de", "en") for i in range(1, 5)}
    small = limited(EvaluationData(queries, passages, relevant, "p"), 2)
    assert [q.concept for q in small.queries] == ["de1", "de2", "en1", "en2"]
    kept = [(p.language, p.id) for p in small.passages]
    assert kept == [
        (lang, f"p{i}") for lang in ("de", "en") for i in (*range(20), 96, 97)
    ]  # ten times as many others as concepts, and the answers
    assert small.protocol == "p; LIMITED to 2 concepts a language"


def test_an_excluded_passage_is_kept_by_its_concept(tmp_path):
    passages = [Passage("q1", "en", "itself"), Passage("p", "en", "answer")]
    draft = EvaluationData(
        [Query("q1", "en", "q1", "?"), Query("q2", "en", "q2", "?")],
        passages,
        {"q1": [("en", "p")], "q2": [("en", "p")]},
        "p",
        excluded={"q1": ("en", "q1"), "q2": ("en", "q2")},
    )
    write_task(tmp_path, "small", draft)
    assert open_task(tmp_path, "x").excluded.tolist() == [0, -1]


def test_doubled_passage_ids_of_one_language_are_refused(tmp_path):
    passages = [*DRAFT.passages, Passage("p1", "de", "noch eins")]
    assert "two passages of one language have the same id, 'p1'" in refused(
        tmp_path, passages=passages
    )


def test_doubled_query_ids_of_one_language_are_refused(tmp_path):
    refused(tmp_path, queries=[*DRAFT.queries, Query("q1", "de", "k1", "noch eins?")])


def test_a_task_of_which_no_relevant_passage_is_there_is_refused(tmp_path):
    message = refused(tmp_path, relevant={"k1": [("en", "p9")]})
    assert "no relevant passage is there, not even p9 in en" in message


def test_relevant_passages_that_are_not_there_are_counted_and_come_back(tmp_path):
    relevant = {"k1": [("en", "p9", 2.5), ("en", "p1")], "k2": [("th", "p9"), ("de", "p9")]}
    counts = write_task(tmp_path, "small", DRAFT._replace(relevant=relevant))
    assert counts["notes"] == {
        "left out": 1,
        "judgements of passages that are not there, scored as not found": 3,
    }
    task = open_task(tmp_path, "x")
    assert task.absent == ((0, "en", "p9", 2.5), (1, "th", "p9", 1), (1, "de", "p9", 1))
    assert data_of(task).relevant == {
        "0": [("en", "p1", 1), ("en", "p9", 2.5)],
        "1": [("th", "p9", 1), ("de", "p9", 1)],
    }


def test_gains_may_be_fractions_and_large(tmp_path):
    relevant = {"k1": [("en", "p1", 2**31), ("de", "p1", 0.5)]}
    write_task(tmp_path, "small", DRAFT._replace(relevant=relevant))
    assert open_task(tmp_path, "x").gain.tolist() == [0.5, 2**31]


@pytest.mark.parametrize(
    "changed", [{"queries": []}, {"relevant": {}}, {"passages": [], "relevant": {}}]
)
def test_an_empty_task_is_refused(tmp_path, changed):
    assert "holds no query with a relevant passage" in refused(tmp_path, **changed)


def test_texts_that_were_cut_short_are_a_users_mistake(task, tmp_path):
    path = tmp_path / "passages.arrow"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"passages\.arrow is missing or damaged"):
        _ = task.passages


def test_passages_may_come_one_by_one_language_by_language(tmp_path):
    queries = [Query("q", "en", "c", "?")]
    relevant = {"c": [("de", "b"), ("en", "a", 2)]}
    notes: dict[str, int] = {}

    def passages():
        yield Passage("a", "de", "x")
        yield Passage("b", "de", "y")
        yield Passage("a", "en", "z")
        notes["dropped"] = 3  # known at the end alone

    counts = write_task(
        tmp_path, "lazy", EvaluationData(queries, passages(), relevant, "p", notes=notes)
    )
    task = open_task(tmp_path, "of the test")
    assert counts["passages_by_language"] == {"de": 2, "en": 1}
    assert counts["notes"] == {"dropped": 3}
    assert (task.relevant.tolist(), task.gain.tolist()) == ([1, 2], [1, 2])
    assert task.passages["text"].to_pylist() == ["x", "y", "z"]


def test_passages_that_come_out_of_order_are_refused(tmp_path):
    passages = iter([Passage("a", "en", "x"), Passage("a", "de", "y")])
    draft = EvaluationData([Query("q", "en", "c", "?")], passages, {"c": [("en", "a")]}, "p")
    with pytest.raises(UserError, match="passages in de come out of order"):
        write_task(tmp_path, "lazy", draft)
