"""mMARCO's small dev set becomes a task that is parallel by the ids of upstream."""

import gzip

import pytest

from hbr.core.errors import UserError
from hbr.data import prepare
from hbr.data.readers.mmarco_dev import LANGUAGES, MMARCO_DEV, MMARCO_V1_DEV
from hbr.data.tasks import write_task


def language(base, name: str, passages: list[str], queries: str, *, small: bool = True) -> None:
    (base / "collections").mkdir(parents=True, exist_ok=True)
    (base / "queries" / "dev").mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{i}\t{text}\n" for i, text in enumerate(passages))
    (base / "collections" / f"{name}_collection.tsv").write_text(lines)
    end = ".small.tsv" if small else ".tsv"
    (base / "queries" / "dev" / f"{name}_queries.dev{end}").write_text(queries)


@pytest.fixture
def data(tmp_path):
    """The hub's folder `data`, with both translations."""
    google, helsinki = tmp_path / "google", tmp_path / "helsinki"
    language(google, "english", ["one", "two", "a\ttab"], "20\ttwo?\n30\tnone?\n")
    language(google, "chinese", ["一", "二", ""], "20\t二?\r\n\r\n")
    language(helsinki, "german", ["eins", "zwei", "drei"], "20\tzwei?\n40\tx\n", small=False)
    (tmp_path / "qrels.dev.small.tsv").write_text("20\t0\t1\t1\n20\t0\t2\t1\n30\t0\t0\t0\n")
    return tmp_path


def test_queries_of_one_id_are_one_concept(data):
    draft = MMARCO_DEV.read(data, "sentence")
    assert [tuple(q) for q in draft.queries] == [
        ("20", "en", "20", "two?"),
        ("20", "zh", "20", "二?"),
    ]
    assert dict(draft.notes) == {"queries without a relevant passage, left out": 1}
    assert draft.settings == ("mono", "cross", "multi")
    assert "google" in draft.protocol


def test_the_judged_passages_are_relevant_in_every_language(data):
    draft = MMARCO_DEV.read(data, "sentence")
    assert draft.relevant == {"20": [("en", "1"), ("en", "2"), ("zh", "1"), ("zh", "2")]}
    assert [tuple(p) for p in draft.passages] == [
        ("0", "en", "one"),
        ("1", "en", "two"),
        ("2", "en", "a\ttab"),
        ("0", "zh", "一"),
        ("1", "zh", "二"),
        ("2", "zh", ""),
    ]


def test_a_task_is_written(data, tmp_path):
    (tmp_path / "task").mkdir()
    counts = write_task(tmp_path / "task", "mmarco-dev", MMARCO_DEV.read(data, "sentence"))
    assert (counts["queries"], counts["passages"]) == (2, 6)


def test_the_older_translation_has_a_name_of_its_own_and_only_the_whole_dev_set(data):
    draft = MMARCO_V1_DEV.read(data, "sentence")
    assert [tuple(q) for q in draft.queries] == [("20", "de", "20", "zwei?")]
    assert "helsinki" in draft.protocol


def test_the_source_may_be_the_folder_of_one_translation(data):
    draft = MMARCO_DEV.read(data / "helsinki", "sentence")
    assert {q.language for q in draft.queries} == {"de"}
    assert draft.protocol == "mMARCO small dev"


def test_files_may_be_gzipped_and_languages_with_half_of_them_are_passed_over(data):
    collections = data / "google" / "collections"
    packed = gzip.compress((collections / "english_collection.tsv").read_bytes())
    (collections / "english_collection.tsv").unlink()
    (collections / "english_collection.tsv.gz").write_bytes(packed)
    (collections / "chinese_collection.tsv").unlink()
    draft = MMARCO_DEV.read(data, "sentence")
    assert {p.language for p in draft.passages} == {"en"}
    assert draft.relevant == {"20": [("en", "1"), ("en", "2")]}


def test_there_are_fourteen_languages_in_order():
    assert len(LANGUAGES) == 14
    assert list(LANGUAGES) == sorted(LANGUAGES)


def test_a_folder_without_languages_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="google: no language has both collections"):
        MMARCO_DEV.read(tmp_path, "sentence")


def test_missing_judgements_are_named(data):
    (data / "qrels.dev.small.tsv").unlink()
    with pytest.raises(UserError, match=r"qrels\.dev\.small\.tsv is missing"):
        MMARCO_DEV.read(data, "sentence")


def test_a_line_without_a_tab_is_named(data):
    with (data / "google" / "collections" / "english_collection.tsv").open("a") as file:
        file.write("3 no tab\n")
    draft = MMARCO_DEV.read(data, "sentence")
    with pytest.raises(UserError, match=r"english_collection\.tsv:4: needs passage id and"):
        list(draft.passages)


def test_judgements_above_the_source_are_part_of_what_is_prepared(data, tmp_path):
    runs = tmp_path / "runs"
    store, task = prepare.task(runs, "mmarco-dev", data / "google", "sentence")
    assert task.relevant.tolist() == [1, 2, 4, 5]
    (data / "qrels.dev.small.tsv").write_text("20\t0\t0\t1\n")
    other, task = prepare.task(runs, "mmarco-dev", data / "google", "sentence")
    assert (other.path == store.path, task.relevant.tolist()) == (False, [0, 3])
