"""MIRACL's layout becomes a task: the languages that are there, doubled Korean ids dropped."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.miracl import LANGUAGES, MIRACL
from hbr.data.tasks import Query, write_task


def docs(*passages: tuple[str, str, str]) -> bytes:
    lines = (
        json.dumps({"docid": i, "title": title, "text": text}) + "\n" for i, title, text in passages
    )
    return gzip.compress("".join(lines).encode())


@pytest.fixture
def folder(tmp_path):
    language(tmp_path, "sw", "3\tNani?\n", "3\tQ0\t7#0\t1\n3\tQ0\t7#1\t0\n")
    corpus(tmp_path, "sw", docs(("7#0", "Nyota", "Angani."), ("7#1", "Jua", "Moto.")))
    topics = "12\t별은 무엇인가?\n13\t없음\n"
    judged = "12\tQ0\t1#0\t1\n12\tQ0\t1#0\t1\n12\tQ0\t9#0\t1\n13\tQ0\t1#0\t0\n"
    language(tmp_path, "ko", topics, judged)
    corpus(tmp_path, "ko", docs(("1#0", "별", "하나"), ("1#0", "별", "둘"), ("1#1", "", "셋")))
    return tmp_path


def language(folder, code: str, topics: str, qrels: str, *, above: str = "") -> None:
    place = folder / above / f"miracl-v1.0-{code}"
    (place / "topics").mkdir(parents=True)
    (place / "qrels").mkdir()
    (place / "topics" / f"topics.miracl-v1.0-{code}-dev.tsv").write_text(topics)
    (place / "qrels" / f"qrels.miracl-v1.0-{code}-dev.tsv").write_text(qrels)


def corpus(folder, code: str, *files: bytes, above: str = "") -> None:
    place = folder / above / f"miracl-corpus-v1.0-{code}"
    place.mkdir(parents=True)
    for number, content in enumerate(files):
        (place / f"docs-{number}.jsonl.gz").write_bytes(content)
    if code == "ko":
        (place / "docs-10.jsonl.gz").write_bytes(docs(("1#1", "", "다섯")))
        (place / "docs-2.jsonl.gz").write_bytes(docs(("9#0", "해", "넷")))


def test_there_are_eighteen_languages_in_order():
    assert len(LANGUAGES) == 18
    assert list(LANGUAGES) == sorted(LANGUAGES)


def test_passages_are_title_and_text_language_by_language(folder):
    assert [tuple(p) for p in MIRACL.read(folder, "sentence").passages] == [
        ("1#0", "ko", "별 하나"),
        ("1#1", "ko", "셋"),
        ("9#0", "ko", "해 넷"),
        ("7#0", "sw", "Nyota Angani."),
        ("7#1", "sw", "Jua Moto."),
    ]


def test_the_first_of_doubled_korean_ids_counts_and_the_others_are_counted(folder):
    draft = MIRACL.read(folder, "sentence")
    assert [p.text for p in draft.passages if p.id == "1#0"] == ["별 하나"]
    assert draft.notes["passages with the id of an earlier one, dropped"] == 2


def test_queries_without_a_relevant_passage_are_left_out_and_counted(folder):
    draft = MIRACL.read(folder, "sentence")
    assert list(draft.queries) == [
        Query("12", "ko", "ko:12", "별은 무엇인가?"),
        Query("3", "sw", "sw:3", "Nani?"),
    ]
    assert draft.relevant == {
        "ko:12": [("ko", "1#0"), ("ko", "9#0")],
        "sw:3": [("sw", "7#0")],
    }
    assert dict(draft.notes) == {"queries without a relevant passage, left out": 1}
    assert draft.settings == ("mono",)


def test_the_notes_of_the_task_hold_what_is_known_at_the_end(folder, tmp_path):
    (tmp_path / "task").mkdir()
    counts = write_task(tmp_path / "task", "miracl", MIRACL.read(folder, "sentence"))
    assert counts["passages_by_language"] == {"ko": 3, "sw": 2}
    assert sorted(counts["notes"].values()) == [1, 2]


def test_the_two_repositories_may_lie_side_by_side(tmp_path):
    language(tmp_path, "yo", "1\tKí?\r\n", "1 Q0 2#0 1\n", above="miracl")
    corpus(tmp_path, "yo", docs(("2#0", "A", "B")), above="miracl-corpus")
    draft = MIRACL.read(tmp_path, "sentence")
    assert list(draft.queries) == [Query("1", "yo", "yo:1", "Kí?")]
    assert [p.text for p in draft.passages] == ["A B"]


def test_languages_without_a_corpus_are_left_out_and_counted(folder):
    language(folder, "de", "1\tWas?\n", "1 Q0 2#0 1\n")
    draft = MIRACL.read(folder, "sentence")
    assert {q.language for q in draft.queries} == {"ko", "sw"}
    assert draft.notes["languages without a corpus in the folder, left out"] == 1


def test_a_folder_without_languages_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="no language has both its topics and its corpus"):
        MIRACL.read(tmp_path, "sentence")


def test_a_missing_file_is_named(folder):
    (folder / "miracl-v1.0-sw" / "qrels" / "qrels.miracl-v1.0-sw-dev.tsv").unlink()
    with pytest.raises(UserError, match=r"qrels\.miracl-v1\.0-sw-dev\.tsv .* is missing"):
        MIRACL.read(folder, "sentence")


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("qrels", "3 Q0 7#0", "sw-dev.tsv:3: needs four columns"),
        ("qrels", "3 Q0 7#0 yes", "sw-dev.tsv:3: the relevance 'yes'"),
        ("topics", "4 without a tab", "sw-dev.tsv:2: needs query id and query"),
    ],
)
def test_a_bad_line_is_named(folder, kind, line, said):
    with (folder / "miracl-v1.0-sw" / kind / f"{kind}.miracl-v1.0-sw-dev.tsv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=said):
        MIRACL.read(folder, "sentence")


def test_a_bad_passage_is_named_when_it_is_read(folder):
    place = folder / "miracl-corpus-v1.0-sw" / "docs-1.jsonl.gz"
    place.write_bytes(gzip.compress(b'{"docid": "8#0", "text": "?"}\n'))
    draft = MIRACL.read(folder, "sentence")
    with pytest.raises(UserError, match=r"docs-1\.jsonl\.gz:1: .* is missing"):
        list(draft.passages)
