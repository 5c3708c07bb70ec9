"""mMARCO's training files: three parallel ids become one row, and memory is that of the ids."""

import subprocess
import sys
from pathlib import Path

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.mmarco import TRAIN, TRAIN_V1
from hbr.data.row_writer import write_linked
from hbr.data.rows import open_rows

WORDS = {"en": "english", "de": "german"}


def tree(
    root: Path, folder: str = "google", triples: str = "7\t0\t2\r\n7\t1\t0\r\n8\t2\t1\r\n"
) -> Path:
    """Write the files as they are on the hub: tabs, no heads."""
    for code, word in WORDS.items():
        passages = "".join(f"{n}\t{code} passage {n}\n" for n in range(3))
        queries = f"7\t{code} seven\n8\t{code} eight \n"
        for path, text in (
            (root / folder / "collections" / f"{word}_collection.tsv", passages),
            (root / folder / "queries" / "train" / f"{word}_queries.train.tsv", queries),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    (root / "triples.train.ids.small.tsv").write_bytes(triples.encode())
    return root


def test_a_triple_is_a_row_of_a_query_a_passage_and_a_negative(tmp_path):
    linked = TRAIN.read(tree(tmp_path), None)
    assert list(linked.queries) == [
        ("7", {"de": "de seven", "en": "en seven"}),
        ("8", {"de": "de eight", "en": "en eight"}),
    ]
    assert [own for own, _ in linked.passages] == ["0", "1", "2"]
    assert list(linked.rows) == [("7", "0", ("2",)), ("7", "1", ("0",)), ("8", "2", ("1",))]


def test_only_the_languages_asked_for_are_read(tmp_path):
    linked = TRAIN.read(tree(tmp_path), ["en"])
    assert next(iter(linked.passages)) == ("0", {"en": "en passage 0"})
    with pytest.raises(UserError, match="no mMARCO collection in 'hi'; known: de, en"):
        TRAIN.read(tmp_path, ["en", "hi"])


def test_the_two_translations_have_their_folders_and_either_may_be_named_itself(tmp_path):
    tree(tmp_path, "helsinki")
    assert list(TRAIN_V1.read(tmp_path, None).rows) == list(
        TRAIN.read(tmp_path / "helsinki", None).rows
    )
    with pytest.raises(UserError, match="google: holds no collections/"):
        TRAIN.read(tmp_path, None)


def test_rows_are_stored_by_reference(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    counts = write_linked(made, "mmarco", TRAIN.read(tree(tmp_path / "data"), None), "en")
    assert counts == {"rows": 3, "groups": 3, "rows_by_language": {"de": 3, "en": 3}, "notes": {}}
    opened = open_rows(made)
    assert len(opened.passages.column) == 6
    assert opened.ids.to_pylist() == ["7-0", "7-1", "8-2"]


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (
            "google/collections/german_collection.tsv",
            "0\ta\n9\tb\n2\tc\n",
            "english_collection.tsv:2: has the id '1' where german",
        ),
        ("google/collections/german_collection.tsv", "0\ta\n", "have different numbers of lines"),
        ("google/queries/train/german_queries.train.tsv", "seven\n", "tsv:1: has the id 'seven'"),
        ("triples.train.ids.small.tsv", "7\t0\n", "tsv:1: needs the ids of a query"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path, path, text, told):
    tree(tmp_path)
    (tmp_path / path).write_text(text)
    linked = TRAIN.read(tmp_path, None)
    with pytest.raises(UserError, match=told):
        [list(part) for part in linked]


def test_missing_files_are_named(tmp_path):
    tree(tmp_path)
    (tmp_path / "triples.train.ids.small.tsv").unlink()
    with pytest.raises(UserError, match=r"triples\.train\.ids\.small\.tsv is missing"):
        TRAIN.read(tmp_path, None)


MEASURED = """
import resource, tempfile
from pathlib import Path
from hbr.data.row_writer import write_linked
from hbr.data.rows import Linked
def measure(n):
    texts = ((str(i), {"en": f"a passage of some words, number {i}, " * 4}) for i in range(n))
    asked = ((str(i), {"en": "a question"}) for i in range(n // 10))
    rows = ((str(i % (n // 10)), str(i), (str((i * 7) % n),)) for i in range(n))
    with tempfile.TemporaryDirectory() as folder:
        write_linked(Path(folder), "made", Linked(asked, texts, rows), "en")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(measure(100_000), measure(1_000_000))
"""


@pytest.mark.slow
def test_a_million_passages_take_little_more_memory_than_a_tenth_of_them() -> None:
    """1 M passages and rows: their texts are 150 MB, their references below 100."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    small, large = map(float, done.stdout.split())  # MiB
    assert large - small < 130


def test_a_blank_translation_is_no_text_and_is_counted(tmp_path, caplog):
    root = tree(tmp_path)
    path = root / "google" / "collections" / "german_collection.tsv"
    path.write_text(path.read_text().replace("de passage 1", " "))
    assert dict(TRAIN.read(root, None).passages)["1"] == {"en": "en passage 1"}
    assert "1 translations are blank and left out" in caplog.text
