"""BEIR's layout becomes a task: gains are kept, translated queries make the setting cross."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.lookup import dataset
from hbr.data.readers.beir import BEIR
from hbr.data.tasks import Passage, Query, write_task

CORPUS = [
    {"_id": "d1", "title": "Albedo", "text": "Snow is bright.", "metadata": {}},
    {"_id": "d2", "title": "", "text": "Soot is dark."},
    {"_id": "d3", "text": "No title at all."},
    {"_id": 4, "title": "Only a title", "text": "", "metadata": {"url": "x"}},
]
QUERIES = [
    {"_id": "q1", "text": "what is bright? ", "metadata": {}},
    {"_id": "q2", "text": "what is dark?"},
    {"_id": "q3", "text": "of the training set"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq1\t4\t1\nq2\td2\t1\nq2\td1\t-1\n"


def jsonl(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(jsonl(CORPUS))
    (tmp_path / "queries.jsonl").write_text(jsonl(QUERIES))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(UserError) as raised:
        list(BEIR.read(folder, "sentence").passages)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_passage_is_its_title_a_space_and_its_text(folder):
    assert list(BEIR.read(folder, "sentence").passages) == [
        Passage("d1", "en", "Albedo Snow is bright."),
        Passage("d2", "en", "Soot is dark."),
        Passage("d3", "en", "No title at all."),
        Passage("4", "en", "Only a title"),
    ]


def test_gains_above_zero_are_kept(folder):
    draft = BEIR.read(folder, "sentence")
    assert draft.relevant == {"q1": [("en", "d1", 2), ("en", "4", 1)], "q2": [("en", "d2", 1)]}
    assert draft.settings == ("mono",)
    assert "qrels/test.tsv" in draft.protocol


def test_queries_without_a_relevant_passage_are_left_out_and_counted(folder):
    draft = BEIR.read(folder, "sentence")
    assert list(draft.queries) == [
        Query("q1", "en", "q1", "what is bright?"),
        Query("q2", "en", "q2", "what is dark?"),
    ]
    assert dict(draft.notes) == {"queries without a relevant passage, left out": 1}


def test_translated_queries_make_the_setting_cross(folder):
    german = [{"_id": "q2", "text": "was ist dunkel?"}, {"_id": "q1", "text": "was ist hell?"}]
    (folder / "queries.de.jsonl").write_text(jsonl(german))
    thai = jsonl([{"_id": "q1", "text": "อะไร"}]).encode()
    (folder / "queries.th.jsonl.gz").write_bytes(gzip.compress(thai))
    draft = BEIR.read(folder, "sentence")
    assert draft.settings == ("mono", "cross")
    assert [(q.language, q.id, q.concept) for q in draft.queries] == [
        ("en", "q1", "q1"),
        ("en", "q2", "q2"),
        ("de", "q2", "q2"),
        ("de", "q1", "q1"),
        ("th", "q1", "q1"),
    ]
    assert {p.language for p in draft.passages} == {"en"}


def test_gzipped_files_blank_lines_and_crlf_are_the_same(folder):
    plain = BEIR.read(folder, "sentence")
    expected = (plain.queries, list(plain.passages), plain.relevant)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        content = (folder / name).read_text().replace("\n", "\r\n\r\n")
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    draft = BEIR.read(folder, "sentence")
    assert (draft.queries, list(draft.passages), draft.relevant) == expected


@pytest.mark.parametrize("split", ["dev", "train"])
def test_without_test_judgements_others_are_used_and_said(folder, split):
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / f"{split}.tsv")
    draft = BEIR.read(folder, "sentence")
    assert f"qrels/{split}.tsv" in draft.protocol
    assert set(draft.relevant) == {"q1", "q2"}


def test_judgements_without_a_header_lose_no_line(folder):
    (folder / "qrels" / "test.tsv").write_text(QRELS.partition("\n")[2])
    assert set(BEIR.read(folder, "sentence").relevant) == {"q1", "q2"}


def test_a_task_is_written(folder, tmp_path):
    (tmp_path / "task").mkdir()
    counts = write_task(tmp_path / "task", "beir", BEIR.read(folder, "sentence"))
    assert (counts["queries"], counts["passages"]) == (2, 4)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{folder / name} (or {name}.gz) is missing" in refused(folder)


def test_missing_judgements_are_named(folder):
    (folder / "qrels" / "test.tsv").unlink()
    assert "has no test.tsv or dev.tsv or train.tsv" in refused(folder)


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("corpus.jsonl", '{"_id": "d9"}', 'corpus.jsonl:5: "text" is missing'),
        ("corpus.jsonl", '{"_id": ', "corpus.jsonl:5: not JSON"),
        ("queries.jsonl", "[]", "queries.jsonl:4: is no object"),
        ("qrels/test.tsv", "q1 d1 1", "test.tsv:7: needs query-id and corpus-id and score"),
        ("qrels/test.tsv", "q1\td1\thigh", "test.tsv:7: the relevance 'high'"),
    ],
)
def test_a_bad_line_is_named(folder, name, line, said):
    with (folder / name).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=said):
        list(BEIR.read(folder, "sentence").passages)


def test_a_damaged_gzip_file_is_named(folder):
    (folder / "corpus.jsonl").unlink()
    packed = gzip.compress(jsonl(CORPUS * 100).encode())
    (folder / "corpus.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    assert "corpus.jsonl.gz" in refused(folder)


def test_a_split_is_chosen_by_name(folder):
    (folder / "qrels" / "dev.tsv").write_text("q3\td2\t1\n")
    read = dataset("beir:dev").read
    assert set(read(folder, "sentence").relevant) == {"q3"}
    assert "qrels/dev.tsv" in read(folder, "sentence").protocol
    assert set(dataset("beir/mine:dev").read(folder, "sentence").relevant) == {"q3"}
    with pytest.raises(UserError, match=r"has no validation\.tsv: the splits are dev, test"):
        dataset("beir:validation").read(folder, "sentence")
    with pytest.raises(UserError, match="xm3600 is one data set, and has no 'dev'"):
        dataset("xm3600:dev")


def test_queries_of_a_split_are_no_language(folder):
    (folder / "queries.dev.jsonl").write_text(jsonl(QUERIES[:1]))
    (folder / "._queries.jsonl").write_bytes(b"\0")
    assert BEIR.read(folder, "sentence").settings == ("mono",)


def test_a_query_finds_the_passage_of_its_id_where_that_is_judged_relevant(folder):
    (folder / "queries.jsonl").write_text(jsonl([{"_id": f"d{n}", "text": "?"} for n in (1, 2, 3)]))
    (folder / "qrels" / "test.tsv").write_text("d1\td1\t1\nd2\td1\t1\nd3\td1\t1\n")
    (folder / "task").mkdir()
    counts = write_task(folder / "task", "beir", BEIR.read(folder, "sentence"))
    assert counts["notes"] == {"concepts that do not find the passage of their own id": 2}


@pytest.mark.parametrize(
    ("qrels", "said"),
    [
        ("corpus-id\tquery-id\tscore\nd1\tq1\t1\n", "test.tsv:1: the columns must be query-id"),
        ('query-id\tcorpus-id\tscore\n"q1"\t"d1"\t1\n', 'judges no query of .*, but "q1"'),
        ("q1\td1\t1\nq1\td1\t2\n", "test.tsv:2: judges q1 and d1 again, and otherwise"),
        ("q1\td1\tnan\nq1\td2\tinf\n", "test.tsv:2: the relevance 'inf'"),
        ("q1\td1\t2147483649\n", "test.tsv:1: the relevance '2147483649'"),
    ],
)
def test_judgements_that_cannot_be_meant_are_refused(folder, qrels, said):
    (folder / "qrels" / "test.tsv").write_text(qrels)
    with pytest.raises(UserError, match=said):
        BEIR.read(folder, "sentence")


def test_gains_may_be_fractions_also_without_a_header(folder):
    (folder / "qrels" / "test.tsv").write_text("q1\td1\t0.5\nq2\td2\t1.0\nq2\td1\t2147483648\n")
    assert BEIR.read(folder, "sentence").relevant == {
        "q1": [("en", "d1", 0.5)],
        "q2": [("en", "d2", 1), ("en", "d1", 2**31)],
    }
