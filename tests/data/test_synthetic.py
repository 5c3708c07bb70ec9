"""The synthetic languages are parallel, ragged, disjoint between splits and the same every time."""

import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest

from hbr.core import languages
from hbr.data import synthetic

DIGEST = """
import hashlib, json
from hbr.data import synthetic
made = [[*synthetic.rows("train"), *synthetic.rows("validation")], synthetic.documents(),
        [*synthetic.texts()], [*synthetic.translations()]]
print(hashlib.sha256(json.dumps(made, ensure_ascii=False).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def train() -> list[dict]:
    return list(synthetic.rows("train"))


@pytest.fixture(scope="module")
def validation() -> list[dict]:
    return list(synthetic.rows("validation"))


@pytest.fixture(scope="module")
def documents() -> dict[str, dict]:
    return synthetic.documents()


def paragraphs(document: dict) -> list[dict]:
    return [p for article in document["data"] for p in article["paragraphs"]]


def test_there_are_five_rich_three_poor_and_two_unseen_languages():
    resources = Counter(language.resource for language in synthetic.LANGUAGES.values())
    assert resources == {"high": 5, "low": 3, "unseen": 2}
    assert synthetic.LANGUAGES[synthetic.PIVOT].resource == "high"
    assert len({language.order for language in synthetic.LANGUAGES.values()}) >= 3


def test_each_unseen_language_has_a_sister_in_training_that_shares_its_script():
    for language in synthetic.LANGUAGES.values():
        if language.resource == "unseen":
            sisters = [synthetic.LANGUAGES[code] for code in synthetic.TRAINED]
            assert any((s.family, s.script) == (language.family, language.script) for s in sisters)


def test_sisters_share_more_words_than_strangers():
    concepts = [f"{word}" for nouns in synthetic.NOUNS.values() for word in nouns.split()]

    def shared(one: str, other: str) -> int:
        return sum(synthetic.say(one, f"P:{c}") == synthetic.say(other, f"P:{c}") for c in concepts)

    assert shared("qaa", "qai") > len(concepts) / 5
    assert shared("qad", "qaj") > len(concepts) / 5
    assert shared("qac", "qae") < len(concepts) / 20  # one script, two families


def test_rows_hold_the_same_languages_on_both_sides(train, validation):
    for row in train + validation:
        assert list(row) == ["id", "group", "query", "passage"]
        assert list(row["query"]) == list(row["passage"])
        assert set(row["query"]) <= set(synthetic.TRAINED)


def test_there_are_about_3000_training_and_300_validation_rows(train, validation):
    assert 2700 <= len(train) <= 3300
    assert 250 <= len(validation) <= 350
    assert len({row["id"] for row in train + validation}) == len(train) + len(validation)


def test_poor_languages_stand_in_a_tenth_of_the_training_rows(train):
    rows = Counter(code for row in train for code in row["query"])
    for code in synthetic.TRAINED:
        if synthetic.LANGUAGES[code].resource == "low":
            assert 256 <= rows[code] <= 0.11 * len(train)
        else:
            assert rows[code] == len(train)


def test_training_is_ragged_and_validation_complete(train, validation):
    assert len({tuple(row["query"]) for row in train}) == 8  # every subset of the poor ones
    assert all(tuple(row["query"]) == synthetic.TRAINED for row in validation)


def test_rows_of_a_group_share_their_passage_and_nothing_else(train):
    passages = {}
    for row in train:
        passages.setdefault(row["group"], []).append(row["passage"][synthetic.PIVOT])
    assert all(len(set(same)) == 1 for same in passages.values())
    assert sum(len(same) > 1 for same in passages.values()) > 200
    assert len({same[0] for same in passages.values()}) == len(passages)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_name_of_the_evaluation_occurs_in_another_split_of_any_seed(seed):
    def names(split: str, seed: int) -> set[str]:
        facts = [f for _, ps in synthetic.world(split, seed) for facts in ps for f in facts]
        return {name for f in facts for name in (f.x, f.y) if name[0].isupper()}

    evaluation = names("evaluation", 0)
    assert len(evaluation) > 50
    for split in ("train", "validation", "texts", "translations"):
        assert not evaluation & names(split, seed)
    assert not names("train", 0) & names("validation", seed)


def test_every_fact_is_told_once():
    for split in synthetic.SPLITS:
        facts = [f for _, ps in synthetic.world(split) for facts in ps for f in facts]
        assert len({(f.relation, f.x) for f in facts}) == len(facts)


def test_every_relation_has_three_questions_and_tellings_that_name_what_they_are_about():
    assert len(synthetic.RELATIONS) >= 12
    for relation in synthetic.RELATIONS:
        asked, told = relation.questions, relation.statements
        assert min(len(asked), len(told)) >= 3
        assert all("{x}" in clause and "{y}" not in clause for clause in asked)
        assert all("{x}" in clause and "{y}" in clause for clause in told)


def test_every_language_has_a_place_for_every_slot():
    clauses = [c for r in synthetic.RELATIONS for c in (*r.questions, *r.statements)]
    used = {part[0] for clause in clauses for part in clause.split()} | {"A"}
    for language in synthetic.LANGUAGES.values():
        assert sorted(language.order) == sorted("SVOPLTWA")
    assert {c for c in used if c.isupper()} <= set("SVOPLTWA")


def test_documents_are_parallel_in_all_languages(documents):
    assert list(documents) == list(synthetic.LANGUAGES)

    def shape(document: dict) -> list:
        return [(len(p["sentences"]), [qa["id"] for qa in p["qas"]]) for p in paragraphs(document)]

    assert all(shape(document) == shape(documents["qaa"]) for document in documents.values())
    ids = [qa["id"] for p in paragraphs(documents["qaa"]) for qa in p["qas"]]
    assert 270 <= len(ids) == len(set(ids)) <= 350
    assert 300 <= sum(len(p["sentences"]) for p in paragraphs(documents["qaa"])) <= 400


def test_documents_have_the_keys_of_xquad_r(documents):
    document = documents["qah"]
    article = document["data"][0]
    paragraph = next(p for p in paragraphs(document) if p["qas"])
    assert set(document) == {"data", "version"}
    assert set(article) == {"title", "paragraphs"}
    assert set(paragraph) == {"context", "qas", "sentence_breaks", "sentences"}
    assert set(paragraph["qas"][0]) == {"id", "question", "answers"}
    assert set(paragraph["qas"][0]["answers"][0]) == {"text", "answer_start"}


def test_breaks_slice_the_context_exactly_into_its_sentences(documents):
    for code, document in documents.items():
        for p in paragraphs(document):
            assert [p["context"][a:b] for a, b in p["sentence_breaks"]] == p["sentences"]
            gap = len(synthetic.LANGUAGES[code].space)
            assert all(b[0] - a[1] == gap for a, b in pairwise(p["sentence_breaks"]))
            assert 1 <= len(p["sentences"]) <= 3


def test_every_answer_stands_inside_one_sentence(documents):
    for document in documents.values():
        for p in paragraphs(document):
            for qa in p["qas"]:
                (answer,) = qa["answers"]
                start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
                assert answer["text"]
                assert p["context"][start:end] == answer["text"]
                assert sum(a <= start and end <= b for a, b in p["sentence_breaks"]) == 1


def test_an_answer_stands_in_the_same_sentence_in_all_languages(documents):
    def places(document: dict) -> list[int]:
        return [
            sum(b <= qa["answers"][0]["answer_start"] for _, b in p["sentence_breaks"])
            for p in paragraphs(document)
            for qa in p["qas"]
        ]

    assert all(places(d) == places(documents["qaa"]) for d in documents.values())


def test_sentences_of_a_language_are_all_different(documents):
    for document in documents.values():
        sentences = [s for p in paragraphs(document) for s in p["sentences"]]
        assert len(set(sentences)) == len(sentences)


def test_every_language_is_written_in_its_own_script():
    kana = {"HIRAGANA", "KATAKANA"}
    assert len({language.script for language in synthetic.LANGUAGES.values()}) >= 4
    for row in list(synthetic.translations())[:200]:
        for code, text in row.items():
            letters = [c for c in text if c.isalpha()]
            scripts = {unicodedata.name(c).split()[0] for c in letters}
            script = synthetic.LANGUAGES[code].script
            assert scripts <= (kana if script == "kana" else {script.upper()})


def test_text_is_in_normal_form_so_that_no_tokenizer_changes_it():
    assert all(unicodedata.normalize("NFC", t) == t for t in synthetic.texts())


def test_translations_cover_all_ten_languages():
    rows = list(synthetic.translations())
    assert 1500 <= len(rows) <= 2500
    assert all(list(row) == list(synthetic.LANGUAGES) for row in rows)


def test_questions_and_passages_are_short(train):
    query = [len(row["query"]["qaa"].split()) for row in train]
    passage = [len(row["passage"]["qaa"].split()) for row in train]
    assert max(query) <= 12
    assert max(passage) <= 36


def test_another_seed_tells_other_facts():
    assert next(synthetic.rows("train", 1)) != next(synthetic.rows("train", 0))
    assert synthetic.documents(1) != synthetic.documents(0)


def test_a_fresh_process_makes_the_same_bytes_whatever_its_hash_seed():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("made", synthetic.LANGUAGES.values(), ids=lambda made: made.code)
def test_the_table_of_languages_says_the_same_of_each(made):
    found = languages.language(made.code)
    assert (found.code, found.iso3, found.name) == (made.code, made.code, made.name)
    assert (found.script, found.family) == (made.script, made.family)
    assert found.cc100_gib is None
    assert found.resource == ("high" if made.resource == "high" else "low")  # unseen: no text
