"""Crossmodal-3600 becomes a task: the first caption of an image finds its other captions."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.xm3600 import XM3600
from hbr.data.tasks import write_task


def image(key: str, **captions: list[str]) -> dict:
    told = {
        language: {
            "caption": texts,
            "caption/tokenized": [f"{text} ." for text in texts],
            "caption/tokenized/lowercase": [f"{text} .".lower() for text in texts],
        }
        for language, texts in captions.items()
    }
    return {"image/key": key, "image/locale": "en", **told}


IMAGES = [
    image("0a", en=["A dog", "A hound ", "A pet"], de=["Ein Hund", "Ein Tier"], bn=["কুকুর"]),
    image("0b", en=["A cat", "Cat"], de=["Eine Katze"], bn=["বিড়াল"]),
    image("0c", bn=["পাখি"]),
]


@pytest.fixture
def folder(tmp_path):
    lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in IMAGES)
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_the_first_caption_of_a_language_is_a_query(folder):
    draft = XM3600.read(folder, "sentence")
    assert [tuple(q) for q in draft.queries] == [
        ("0a", "en", "0a", "A dog"),
        ("0a", "de", "0a", "Ein Hund"),
        ("0a", "bn", "0a", "কুকুর"),
        ("0b", "en", "0b", "A cat"),
        ("0b", "de", "0b", "Eine Katze"),
        ("0b", "bn", "0b", "বিড়াল"),
    ]
    assert draft.settings == ("mono", "cross", "multi")


def test_the_other_captions_are_the_candidates(folder):
    draft = XM3600.read(folder, "sentence")
    assert [tuple(p) for p in draft.passages] == [
        ("0a.2", "de", "Ein Tier"),
        ("0a.2", "en", "A hound"),
        ("0a.3", "en", "A pet"),
        ("0b.2", "en", "Cat"),
    ]
    assert draft.relevant == {
        "0a": [("en", "0a.2"), ("en", "0a.3"), ("de", "0a.2")],
        "0b": [("en", "0b.2")],
    }


def test_single_captions_and_images_that_nothing_answers_are_counted(folder):
    assert dict(XM3600.read(folder, "sentence").notes) == {
        "images with one caption in a language: a query, no candidate": 4,
        "queries without a relevant passage, left out": 1,
    }


def test_the_source_may_be_the_file(folder, tmp_path):
    draft = XM3600.read(folder / "captions.jsonl", "sentence")
    (tmp_path / "task").mkdir()
    counts = write_task(tmp_path / "task", "xm3600", draft)
    assert counts["passages_by_language"] == {"bn": 0, "de": 1, "en": 3}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"captions\.jsonl .* is missing"):
        XM3600.read(tmp_path, "sentence")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"image/locale": "en"}', ':7: "image/key" is missing'),
        ('{"image/key": "0d", "image/locale": "en"}', ":7: needs captions"),
        ('{"image/key": "0d", "en": {"caption": "text"}}', ':7: en: "caption" is no list'),
        ('{"image/key": ', ":7: not JSON"),
    ],
)
def test_a_bad_line_is_named(folder, line, said):
    with (folder / "captions.jsonl").open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(UserError, match=rf"captions\.jsonl{said}"):
        XM3600.read(folder, "sentence")
