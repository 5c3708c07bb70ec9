"""LAReQA's layout becomes a task: sentences are candidates, the one with the answer is relevant."""

import json
from collections import Counter

import pytest

from hbr.core.errors import UserError
from hbr.data.contamination import overlap
from hbr.data.lookup import dataset, training_data
from hbr.data.prepare import rows, task
from hbr.data.readers import lareqa
from hbr.data.readers.lareqa import LAREQA, XQUAD_R, XQUAD_R_FILES, held_out
from hbr.data.tasks import open_task, write_task

PASSAGES = {  # as the data's README counts them
    **{"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244},
    **{"ru": 1219, "th": 852, "tr": 1167, "vi": 1209, "zh": 1196},
}


def document(*paragraphs: tuple[list[str], dict[str, tuple[str, int]]]) -> dict:
    """Lay sentences and `{id: (question, answer_start)}` out as upstream does."""
    return {"data": [{"title": "t", "paragraphs": [_paragraph(*p) for p in paragraphs]}]}


def _paragraph(sentences: list[str], asked: dict[str, tuple[str, int]]) -> dict:
    breaks, end = [], -1
    for sentence in sentences:  # one space between two sentences belongs to neither
        breaks.append([end + 1, end + 1 + len(sentence)])
        end = breaks[-1][1]
    qas = [
        {"id": i, "question": q, "answers": [{"text": "…", "answer_start": at}]}
        for i, (q, at) in asked.items()
    ]
    context = " ".join(sentences)
    return {"context": context, "qas": qas, "sentence_breaks": breaks, "sentences": sentences}


EN = document(
    (["Ann saw Bo.", "It rained."], {"x": ("Who?", 8), "y": ("What?", 15)}),
    (["Cy left."], {"z": ("Did he?", 0)}),
)
DE = document(
    (["Ann sah Bo.", "Es regnete."], {"x": ("Wer? ", 0), "y": ("Was?", 11)}),  # y: the gap
    (["Cy ging."], {"z": ("Ging er?", 8)}),  # z: behind the end
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "en.json").write_text(json.dumps(EN))
    (tmp_path / "de.json").write_text(json.dumps(DE))
    return tmp_path


def test_every_sentence_is_a_candidate_in_its_language(folder):
    draft = LAREQA.read(folder, "sentence")
    assert [(p.language, p.id, p.text) for p in draft.passages] == [
        ("de", "0.0.0", "Ann sah Bo."),
        ("de", "0.0.1", "Es regnete."),
        ("de", "0.1.0", "Cy ging."),
        ("en", "0.0.0", "Ann saw Bo."),
        ("en", "0.0.1", "It rained."),
        ("en", "0.1.0", "Cy left."),
    ]
    assert "passage = sentence" in draft.protocol


def test_relevant_is_the_sentence_in_which_the_answer_starts(folder):
    relevant = LAREQA.read(folder, "sentence").relevant
    assert relevant["x"] == [("de", "0.0.0"), ("en", "0.0.0")]
    assert relevant["y"] == [("en", "0.0.1")]
    assert relevant["z"] == [("en", "0.1.0")]


def test_questions_whose_answer_is_outside_every_sentence_are_left_out_and_counted(folder):
    draft = LAREQA.read(folder, "sentence")
    assert [(q.language, q.id, q.concept, q.text) for q in draft.queries] == [
        ("de", "x", "x", "Wer?"),
        ("en", "x", "x", "Who?"),
        ("en", "y", "y", "What?"),
        ("en", "z", "z", "Did he?"),
    ]
    assert list(draft.notes.values()) == [2]


def test_a_sentence_may_carry_its_paragraph(folder):
    draft = LAREQA.read(folder, "sentence+context")
    assert draft.passages[4].text == "It rained. Ann saw Bo. It rained."
    assert "passage = sentence+context" in draft.protocol
    assert draft.relevant == LAREQA.read(folder, "sentence").relevant


def test_the_breaks_count_not_the_list_of_sentences(folder):
    changed = json.loads(json.dumps(EN))
    changed["data"][0]["paragraphs"][1]["sentence_breaks"] = [[0, 3], [2, 8]]
    (folder / "en.json").write_text(json.dumps(changed))
    texts = [p.text for p in LAREQA.read(folder, "sentence").passages]
    assert texts[-2:] == ["Cy", "left."]


def test_a_folder_without_files_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"holds no <language>\.json file in LAReQA's layout"):
        LAREQA.read(tmp_path, "sentence")


def test_xquad_r_needs_all_eleven_languages(folder):
    with pytest.raises(UserError) as raised:
        XQUAD_R.read(folder, "sentence")
    said = str(raised.value)
    assert "ar.json, el.json, es.json, hi.json, ru.json, th.json, tr.json, vi.json, zh.json" in said
    assert "--dataset lareqa" in said


@pytest.mark.parametrize("content", [b'{"data": [\n\n', b"", b"\xff"])
def test_a_file_that_is_not_json_is_named(folder, content):
    (folder / "en.json").write_bytes(content)
    with pytest.raises(UserError, match=r"en\.json.*: (not JSON|holds no JSON)"):
        LAREQA.read(folder, "sentence")


def test_a_file_that_is_not_json_is_named_with_its_line(folder):
    (folder / "en.json").write_text('{\n"data": [\n}')
    with pytest.raises(UserError, match=r"en\.json item 1: not JSON"):
        LAREQA.read(folder, "sentence")


@pytest.mark.parametrize(
    "content", ["[]", "3", '{"dat": []}', '{"data": 3}', '{"data": [{}]}', '{"data": ["text"]}']
)
def test_json_in_another_layout_is_named(folder, content):
    (folder / "en.json").write_text(content)
    with pytest.raises(UserError, match=r"en\.json.*(another layout|LAReQA's layout is data)"):
        LAREQA.read(folder, "sentence")


def test_plain_squad_is_told_what_it_lacks(folder):
    plain = json.loads(json.dumps(EN))
    del plain["data"][0]["paragraphs"][1]["sentence_breaks"]
    (folder / "en.json").write_text(json.dumps(plain))
    with pytest.raises(
        UserError, match=r'item 1: "paragraphs.1.sentence_breaks" is missing; LAReQA'
    ):
        LAREQA.read(folder, "sentence")


@pytest.mark.parametrize("lacking", ["answers", "question", "id"])
def test_a_question_in_another_layout_is_named(folder, lacking):
    changed = json.loads(json.dumps(EN))
    del changed["data"][0]["paragraphs"][0]["qas"][0][lacking]
    (folder / "en.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match=r"en\.json"):
        LAREQA.read(folder, "sentence")


def test_a_question_without_answers_is_a_users_mistake(folder):
    changed = json.loads(json.dumps(EN))
    changed["data"][0]["paragraphs"][0]["qas"][0]["answers"] = []
    (folder / "en.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match=r"en\.json"):
        LAREQA.read(folder, "sentence")


def test_xquad_r_is_1190_questions_and_13014_sentences_in_eleven_languages(shared_data, tmp_path):
    draft = XQUAD_R.read(shared_data / "xquad-r", "sentence")
    counts = write_task(tmp_path, "xquad-r", draft)
    assert Counter(q.language for q in draft.queries) == dict.fromkeys(PASSAGES, 1190)
    assert counts["passages"] == 13_014
    assert counts["passages_by_language"] == PASSAGES
    assert counts["notes"] == {}
    task = open_task(tmp_path, "of the test")
    assert set(task.indptr[1:] - task.indptr[:-1]) == {11}
    assert all(len({lang for lang, _ in found}) == 11 for found in draft.relevant.values())
    assert len(task.languages) == len(XQUAD_R_FILES) == 11


def test_the_held_out_articles_are_302_questions_a_language(shared_data):
    draft = LAREQA.read(shared_data / "xquad-heldout" / "eval", "sentence")
    assert Counter(q.language for q in draft.queries) == dict.fromkeys(PASSAGES, 302)
    assert {len(found) for found in draft.relevant.values()} == {11}


def test_no_held_out_question_is_trained_on(shared_data):
    folder = shared_data / "xquad-heldout"
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {q.id for q in LAREQA.read(folder / "eval", "sentence").queries}
    assert len(asked) == 302
    assert not asked & {json.loads(line)["id"] for line in lines}


@pytest.fixture
def eight_articles(tmp_path, monkeypatch):
    """Eight articles of two questions each in two languages, which stand for XQuAD-R."""
    for language, word in (("en", "left"), ("de", "ging")):
        articles = []
        for n in range(8):
            sentences = [f"Ann{n} {word}.", f"Bo{n} {word}."]
            asked = {
                f"{n}a": (f"{word} {n}?", 0),
                f"{n}b": (f"{word}, {n}?", len(sentences[0]) + 1),
            }
            articles += document((sentences, asked))["data"]
        (tmp_path / f"{language}.json").write_text(json.dumps({"data": articles}))
    monkeypatch.setattr(lareqa, "XQUAD_R_FILES", {"de.json": None, "en.json": None})
    return tmp_path


def test_a_quarter_of_the_articles_is_held_out_by_a_seed():
    assert sorted(held_out(48)) == [4, 7, 15, 18, 20, 25, 33, 36, 37, 44, 45, 46]
    assert held_out(48, seed=1) != held_out(48)
    assert len(held_out(8)) == 2


def test_what_is_trained_on_and_what_is_held_out_are_other_articles_of_all_languages(
    eight_articles,
):
    out = held_out(8)
    task = dataset("xquad-r:heldout").read(eight_articles, "sentence")
    trained = list(training_data("xquad-r:train")[0].read(eight_articles))
    assert {int(query.concept[:-1]) for query in task.queries} == out
    assert {passage.text for passage in task.passages} == {
        f"{name}{n} {word}." for n in out for name in ("Ann", "Bo") for word in ("left", "ging")
    }
    assert {int(row["id"][:-1]) for row in trained} == set(range(8)) - out
    assert {query.language for query in task.queries} == {"de", "en"}
    assert "held out by seed 0" in task.protocol


def test_a_row_of_it_is_a_question_with_the_sentence_that_answers_it(eight_articles):
    n = min(set(range(8)) - held_out(8))
    rows = list(training_data("xquad-r:train")[0].read(eight_articles))
    assert rows[1] == {
        "id": f"{n}b",
        "group": None,
        "query": {"de": f"ging, {n}?", "en": f"left, {n}?"},
        "passage": {"de": f"Bo{n} ging.", "en": f"Bo{n} left."},
    }


def test_files_of_other_lengths_are_not_split(eight_articles):
    content = json.loads((eight_articles / "de.json").read_text())
    content["data"].pop()
    (eight_articles / "de.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"\[7, 8\] articles"):
        dataset("xquad-r:heldout").read(eight_articles, "sentence")


def test_another_part_of_xquad_r_is_a_users_mistake():
    with pytest.raises(UserError, match=r"no 'train' in it; did you mean .*xquad-r:heldout"):
        dataset("xquad-r:train")


def test_xquad_r_is_913_rows_and_277_questions_that_share_no_text(
    shared_data, tmp_path, monkeypatch
):
    monkeypatch.setenv("HBR_DATA", str(shared_data))
    trained = rows(tmp_path, "xquad-r:train")
    held_out = task(tmp_path, "xquad-r:heldout", None, "sentence")
    whole = task(tmp_path, "xquad-r", None, "sentence")
    assert trained[1].has.shape == (913, 11)
    assert trained[1].has.all()
    assert (len(held_out[1].query_language), len(held_out[1].passage_language)) == (3047, 3574)
    seen = [overlap([trained], task)["contamination"] for task in (held_out, whole)]
    assert seen[0] == {"queries": 0, "passages": 0}
    assert seen[1]["queries"] == 913 * 11
