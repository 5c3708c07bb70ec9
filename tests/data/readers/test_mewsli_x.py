"""Mewsli-X becomes a task: a marked mention finds the description of its entity in the pool."""

import json

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.mewsli_x import MEWSLI_X, MEWSLI_X_DEV

TEXT = "Strike in Helsinki\n\nIn Helsinki, {some}  buses\nstopped. It ended."


def spans(text: str, *parts: str) -> list[dict]:
    return [{"start": text.index(part), "end": text.index(part) + len(part)} for part in parts]


def entity(name: str, language: str, *sentences: str) -> dict:
    text = "\n".join(sentences)
    return {
        "entity_id": name,
        "title": "T",
        "description": text + " (cut",
        "description_language": language,
        "description_url": "https://x",
        "sentence_spans": spans(text, *sentences),
    }


ENTITIES = [
    entity("Q1757", "uk", "Місто.", "Столиця."),
    entity("Q2", "ar", "أرض"),
    entity("Q3", "uk", "Інше."),
]


def article(language: str, text: str, *mentions: tuple[str, str, int, str]) -> dict:
    told = [
        {
            "example_id": name,
            "mention_span": {"start": start, "end": start + len(span), "text": span},
            "entity_id": answer,
            "metadata": {"bin_name": "bin04_1000-inf"},
        }
        for name, span, start, answer in mentions
    ]
    sentences = spans(text, "Strike in Helsinki", text[20:-10], "It ended.") if text else []
    context = {"document_title": "t", "language": language, "text": text}
    return {"context": {**context, "sentence_spans": sentences}, "mentions": told}


ARTICLES = [
    article("en", TEXT, ("a1", "Helsinki", 23, "Q1757"), ("a2", "buses", 41, "Q99")),
    article("ta", TEXT, ("b1", "Helsinki", 10, "Q1757"), ("b2", "stopped. It", 47, "Q2")),
]


def write(path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "candidate_set_entities.jsonl", ENTITIES)
    write(tmp_path / "wikinews_mentions-test.jsonl", ARTICLES)
    return tmp_path


def test_a_query_is_the_mention_and_its_sentence_with_the_mention_marked(folder):
    draft = MEWSLI_X.read(folder, "sentence")
    assert [tuple(q) for q in draft.queries] == [
        ("a1", "en", "en:a1", "Helsinki: In { Helsinki } , (some) buses stopped."),
        ("b1", "ta", "ta:b1", "Helsinki: Strike in { Helsinki }"),
        (
            *("b2", "ta", "ta:b2"),  # no sentence holds it: the article
            "stopped. It: Strike in Helsinki In Helsinki, (some) buses { stopped. It } ended.",
        ),
    ]


def test_a_candidate_is_the_sentences_of_a_description_language_by_language(folder):
    draft = MEWSLI_X.read(folder, "sentence")
    assert [tuple(p) for p in draft.passages] == [
        ("Q2", "ar", "أرض"),
        ("Q1757", "uk", "Місто. Столиця."),
        ("Q3", "uk", "Інше."),
    ]


def test_relevant_is_the_entity_of_the_mention_and_mentions_of_others_are_left_out(folder):
    draft = MEWSLI_X.read(folder, "sentence")
    assert draft.relevant == {
        "en:a1": [("uk", "Q1757")],
        "ta:b1": [("uk", "Q1757")],
        "ta:b2": [("ar", "Q2")],
    }
    assert dict(draft.notes) == {"queries without a relevant passage, left out": 1}
    assert draft.settings == ("multi",)


def test_the_other_split_has_a_name_of_its_own(folder):
    (folder / "wikinews_mentions-test.jsonl").rename(folder / "wikinews_mentions-dev.jsonl")
    assert len(MEWSLI_X_DEV.read(folder, "sentence").queries) == 3
    with pytest.raises(UserError, match=r"wikinews_mentions-test\.jsonl .*is missing"):
        MEWSLI_X.read(folder, "sentence")


def test_articles_without_their_text_are_told_how_to_get_it(folder):
    write(folder / "wikinews_mentions-test.jsonl", [article("en", "", ("a1", "H", 3, "Q2"))])
    with pytest.raises(UserError, match=r"test\.jsonl:1: .* no text; run get-mewsli-x\.sh"):
        MEWSLI_X.read(folder, "sentence")


def test_a_mention_that_is_elsewhere_is_named(folder):
    moved = [ARTICLES[0], article("ta", TEXT, ("b1", "Helsinki", 11, "Q1757"))]
    write(folder / "wikinews_mentions-test.jsonl", moved)
    with pytest.raises(UserError, match=r"test\.jsonl:2: mention b1 is not at its place"):
        MEWSLI_X.read(folder, "sentence")


@pytest.mark.parametrize("line", ["[]", '{"context": {}, "mentions": []}', '{"context": 3}'])
def test_mentions_in_another_layout_are_named(folder, line):
    with (folder / "wikinews_mentions-test.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"test\.jsonl:3: .*is (missing|no )"):
        MEWSLI_X.read(folder, "sentence")


@pytest.mark.parametrize("line", ["{", "[]", '{"entity_id": "Q5", "description": "d"}'])
def test_entities_in_another_layout_are_named(folder, line):
    with (folder / "candidate_set_entities.jsonl").open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(UserError, match=r"entities\.jsonl:5: .*(is no|is missing|not JSON)"):
        MEWSLI_X.read(folder, "sentence")
