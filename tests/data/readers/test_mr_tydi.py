"""Mr. TyDi's layout becomes a task, language by language."""

import gzip
import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.mr_tydi import LANGUAGES, MR_TYDI, MR_TYDI_DEV


def language(folder, name: str, docs: list[tuple[str, str]], topics: str, qrels: str) -> None:
    place = folder / name
    (place / "collection").mkdir(parents=True)
    lines = (json.dumps({"id": i, "contents": text}) + "\n" for i, text in docs)
    packed = gzip.compress("".join(lines).encode())
    (place / "collection" / "docs.jsonl.gz").write_bytes(packed)
    (place / "topic.tsv").write_text("all of them, not read")
    for split in ("dev", "test"):
        (place / f"topic.{split}.tsv").write_text(topics.replace("SPLIT", split))
        (place / f"qrels.{split}.txt").write_text(qrels)


@pytest.fixture
def folder(tmp_path):
    thai = [("7#0", "ดาว\n\nแสง\n\nไฟ"), ("8#0", "untitled")]
    language(tmp_path, "mrtydi-v1.1-thai", thai, "1\tSPLIT\r\n\r\n2\tx\r\n", "1 Q0 7#0 1\n")
    korean = [("1", "별\n\n하나"), ("1", "별\n\n둘"), ("2", "달\n\n셋")]
    language(tmp_path, "mrtydi-v1.0-korean", korean, "1\t별?\n", "1\tQ0\t1\t1\n1\tQ0\t2\t1\n")
    return tmp_path


def test_passages_are_title_and_text_and_doubled_korean_ids_are_dropped(folder):
    draft = MR_TYDI.read(folder, "sentence")
    assert [tuple(p) for p in draft.passages] == [
        ("1", "ko", "별 하나"),
        ("2", "ko", "달 셋"),
        ("7#0", "th", "ดาว แสง\n\nไฟ"),
        ("8#0", "th", "untitled"),
    ]
    assert dict(draft.notes) == {
        "queries without a relevant passage, left out": 1,
        "passages with the id of an earlier one, dropped": 1,
    }


def test_a_query_is_of_its_language_alone(folder):
    draft = MR_TYDI.read(folder, "sentence")
    assert [tuple(q) for q in draft.queries] == [
        ("1", "ko", "ko:1", "별?"),
        ("1", "th", "th:1", "test"),
    ]
    assert draft.relevant == {"ko:1": [("ko", "1"), ("ko", "2")], "th:1": [("th", "7#0")]}
    assert draft.settings == ("mono",)


def test_the_dev_set_has_a_name_of_its_own(folder):
    assert MR_TYDI_DEV.read(folder, "sentence").queries[1].text == "dev"


def test_version_1_1_comes_before_1_0(folder):
    language(folder, "mrtydi-v1.1-korean", [("1", "a\n\nb")], "5\tnew\n", "5 0 1 1\n")
    assert [q.text for q in MR_TYDI.read(folder, "sentence").queries] == ["new", "test"]


def test_there_are_eleven_languages_in_order():
    assert len(LANGUAGES) == 11
    assert list(LANGUAGES) == sorted(LANGUAGES)


def test_a_folder_without_languages_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="has none of Mr"):
        MR_TYDI.read(tmp_path, "sentence")


@pytest.mark.parametrize("name", ["topic.test.tsv", "qrels.test.txt", "collection/docs.jsonl.gz"])
def test_a_missing_file_is_named(folder, name):
    (folder / "mrtydi-v1.1-thai" / name).unlink()
    with pytest.raises(UserError, match=rf"{name.removesuffix('.gz')} .* is missing"):
        MR_TYDI.read(folder, "sentence")


def test_a_bad_passage_is_named_when_it_is_read(folder):
    place = folder / "mrtydi-v1.1-thai" / "collection" / "docs.jsonl.gz"
    place.write_bytes(gzip.compress(b'{"docid": "7#0"}\n'))
    draft = MR_TYDI.read(folder, "sentence")
    with pytest.raises(UserError, match=r"docs\.jsonl\.gz:1: .* is missing"):
        list(draft.passages)
