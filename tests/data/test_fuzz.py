"""Whatever is done to the files of a data set, its reader gives a result or a message."""

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbr.core.errors import UserError
from hbr.core.registry import names
from hbr.data.lookup import dataset, training_data
from hbr.data.readers.lareqa import MLQA_R_FILES, XQUAD_R_FILES
from hbr.data.readers.mr_tydi import LANGUAGES as TYDI
from hbr.data.readers.tatoeba import XTREME
from hbr.data.row_writer import write_linked, write_rows
from hbr.data.tasks import write_task

Files = dict[str, str]


def lines(*records: Any) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


QA = {"id": "1", "question": "who?", "answers": [{"answer_start": 1, "text": "o"}]}
SQUAD = json.dumps(
    {"data": [{"paragraphs": [{"context": "Bo. It.", "qas": [QA], "sentence_breaks": [[0, 3]]}]}]}
)
FOUR = json.dumps(  # articles, one of which is held out
    {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": f"Bo {number}. It.",
                        "qas": [QA | {"id": str(number)}],
                        "sentence_breaks": [[0, 5]],
                    }
                ]
            }
            for number in range(4)
        ]
    }
)
SQUADS = {"train-v1.1.json": SQUAD, "squad.translate.train.en-de.json": SQUAD}
SHIFTS = {f"{n}_v1.0.json": SQUAD for n in ("new_wiki", "nyt", "reddit", "amazon_reviews")}
ROW = {"id": "2", "group": 7, "query": {"en": "r"}, "passage": {"en": "s"}}
ROWS = lines(
    {"id": 1, "query": {"en": "q", "de": "f"}, "passage": {"en": "p", "de": "a"}},
    ROW | {"negatives": {"en": ["n"]}},
)
SPAN = {"start": 0, "end": 2}
MENTION = {"example_id": "m", "entity_id": "Q1", "mention_span": {**SPAN, "text": "Bo"}}
ARTICLE = {
    "context": {"text": "Bo is.", "language": "en", "sentence_spans": [SPAN]},
    "mentions": [MENTION],
}
ENTITY = {
    "entity_id": "Q1",
    "description": "It is",
    "description_language": "de",
    "sentence_spans": [SPAN],
}
BEIR = {
    "corpus.jsonl": lines({"_id": 1, "title": "t", "text": "x"}, {"_id": "2", "text": None}),
    "queries.jsonl": lines({"_id": "q", "text": "x"}),
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\t1\t1\nq\t2\t0.5\n",
}
MIRACL = {
    "miracl-v1.0-ko/topics/topics.miracl-v1.0-ko-dev.tsv": "1\twho?\n",
    "miracl-v1.0-ko/qrels/qrels.miracl-v1.0-ko-dev.tsv": "1 Q0 d#1 1\n",
    "miracl-corpus-v1.0-ko/docs-0.jsonl": lines({"docid": "d#1", "title": "t", "text": "x"}),
}
TYDI_FILES = {
    f"mrtydi-v1.1-{TYDI['ko']}/{name}": text
    for name, text in {
        "collection/docs.jsonl": lines({"id": "d", "contents": "t\n\nx"}),
        **{f"qrels.{split}.txt": "1 0 d 1\n" for split in ("test", "dev")},
        **{f"topic.{split}.tsv": "1\twho?\n" for split in ("test", "dev")},
    }.items()
}
MMARCO = {
    f"{folder}/{kind}/{name}": text
    for folder in ("google", "helsinki")
    for kind, name, text in (
        ("collections", "english_collection.tsv", "1\ta\n2\tb\n"),
        ("collections", "german_collection.tsv", "1\tc\n2\td\n"),
        ("queries/dev", "english_queries.dev.small.tsv", "7\tq\n"),
        ("queries/dev", "german_queries.dev.small.tsv", "7\tf\n"),
        ("queries/train", "english_queries.train.tsv", "7\tq\n"),
        ("queries/train", "german_queries.train.tsv", "7\tf\n"),
    )
} | {"qrels.dev.small.tsv": "7\t0\t1\t1\n", "triples.train.ids.small.tsv": "7\t1\t2\n"}
MEWSLI = {f"wikinews_mentions-{split}.jsonl": lines(ARTICLE) for split in ("test", "dev")} | {
    "candidate_set_entities.jsonl": lines(ENTITY)
}
CONTEXT = {"title": "t", "text": "x"}
DPR = json.dumps(
    [{"question": "q", "positive_ctxs": [CONTEXT], "hard_negative_ctxs": [{"text": "n"}]}]
)
PLOT = json.dumps(
    [{"plot": "Bo. It.", "qa": [{"id": 1, "question": "q", "answers": ["Bo"], "no_answer": False}]}]
)
STORY = {
    "type": "train",
    "text": "Bo.\nIt.",
    "storyId": "s",
    "questions": [{"q": "who?", "consensus": {"s": 0}}],
}
WIKIQA = "\t".join(
    ["QuestionID", "Question", "DocumentID", "DocumentTitle", "SentenceID", "Sentence", "Label"]
)
TATOEBA = {
    f"tatoeba.{code}-eng.{end}": "a\nb\n" for code in (*XTREME, "aze", "lit", "pol", "ukr", "ron")
    for end in (code, "eng")
}  # fmt: skip
BUCC = {
    f"de-en/de-en.{part}.{end}": text
    for part in ("training", "sample")
    for end, text in {"de": "d-1\ta\n", "en": "e-1\tb\n", "gold": "d-1\te-1\n"}.items()
}
TRAIN: dict[str, Files] = {
    "mmarco": MMARCO,
    "mmarco-v1": MMARCO,
    "joined": {
        "en.jsonl": lines({"id": 1, "query": "q", "passage": "p", "negatives": ["n"]}),
        "de.jsonl": lines({"id": "1", "group": 2, "query": "f", "passage": "a"}),
    },
    **dict.fromkeys(("squad", "squad-context"), SQUADS),
    **dict.fromkeys(("squadshifts", "squadshifts-context"), SHIFTS),
    "mr-tydi-train": {
        "train.jsonl": lines(
            {
                "query_id": 1,
                "query": "q",
                "positive_passages": [CONTEXT],
                "negative_passages": [CONTEXT],
            }
        )
    },
    "nq": {"biencoder-nq-train.json": DPR},
    "entity-questions": {"x.json": DPR},
    "dpr": {"x.json": DPR},
    "mfaq": {
        "train.jsonl": lines({"id": 1, "qa_pairs": [{"question": "q", "answer": "a"}]}),
    },
    "duorc": {"SelfRC_train.json": PLOT},
    "duorc-paraphrase": {"ParaphraseRC_train.json": PLOT},
    "newsqa": {"combined-newsqa-data-v1.json": json.dumps({"data": [STORY]})},
    "wikiqa": {"WikiQA.tsv": f"{WIKIQA}\nQ1\tq\tD1\tt\tD1-0\ts\t1\nQ1\tq\tD1\tt\tD1-1\tn\t0\n"},
    "yahoo-qa": {"nfL6.json": json.dumps([{"id": "1", "question": "q", "answer": "a"}])},
    "bitext": {"x.de-en.de": "a\n", "x.de-en.en": "b\n", "y.de-en.tsv": "c\td\n"},
    "rows.jsonl": {"rows.jsonl": ROWS},
    "xquad-r:train": dict.fromkeys(XQUAD_R_FILES, FOUR),
}
EVALUATE: dict[str, Files] = {
    "xquad-r": dict.fromkeys(XQUAD_R_FILES, SQUAD),
    "mlqa-r": dict.fromkeys(MLQA_R_FILES, SQUAD),
    "lareqa": {"en.json": SQUAD, "de.json": SQUAD},
    "miracl": MIRACL,
    "xquad-r:heldout": dict.fromkeys(XQUAD_R_FILES, FOUR),
    "ntrex": {f"newstest2019-{name}.txt": "a\nb\n" for name in ("src.eng", "ref.deu")},
    "belebele": {
        f"data/{language}.jsonl": lines(
            {"link": "l", "question_number": 1, "flores_passage": "p", "question": "q"}
        )
        for language in ("eng_Latn", "deu_Latn")
    },
    **dict.fromkeys((name for name in names("dataset") if name.startswith("tatoeba")), TATOEBA),
    "bucc": BUCC,
    "xm3600": {
        "captions.jsonl": lines({"image/key": "k", "en": {"caption": ["a", "b"]}, "image/x": 1})
    },
    **dict.fromkeys(("mewsli-x", "mewsli-x-dev"), MEWSLI),
    "beir": BEIR,
    **dict.fromkeys(("mr-tydi", "mr-tydi-dev"), TYDI_FILES),
    **dict.fromkeys(("mmarco-dev", "mmarco-v1-dev"), MMARCO),
    "parallel": {"rows.jsonl": ROWS},
}
KINDS = [*(("train", name) for name in TRAIN), *(("evaluate", name) for name in EVALUATE)]


def laid_out(files: Files, folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def read(use: str, name: str, source: Path) -> None:
    """Read a data set and write what it holds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if use == "evaluate":
            write_task(folder, name, dataset(name).read(source, "sentence"))
        elif name.endswith(".jsonl"):
            write_rows(folder, name, training_data(name)[0].read(source / name), "en")
        else:
            entry, _ = training_data(name)
            if entry.linked:
                write_linked(folder, name, entry.read(source, None), "en")
            else:
                write_rows(folder, name, entry.read(source), "en")


def test_there_is_a_sample_for_every_reader_of_files():
    assert {*TRAIN, "embedded", "embedded-validation"} == {*names("training data"), "rows.jsonl"}
    assert {*EVALUATE, "embedded"} == {*names("dataset")}


@pytest.mark.parametrize(("use", "name"), KINDS)
def test_the_samples_are_read_as_they_are_and_with_what_macos_adds(use, name, tmp_path):
    files = (TRAIN if use == "train" else EVALUATE)[name]
    laid_out(files, tmp_path)
    for file in files:
        (tmp_path / file).with_name(f"._{Path(file).name}").write_bytes(b"\0\5\26\7")
    read(use, name, tmp_path)


ODD = [
    *("null", "true", "[]", "{}", "-1", "1.5", '""', '" "', "[[]]", '{"en": null}', '"\\ud800"'),
    *("9" * 30, "9" * 5000, "1e999", "[" * 2000 + "]" * 2000, '"a\\u0000b\\nc"', "NaN", "", "0"),
]


def values_replaced(draw: Callable[..., Any], text: str) -> str:
    """Put something else where a value or a cell is."""
    starts = [i for i, mark in enumerate(text) if mark in ':[{",\t\n 0123456789']
    at = draw(st.sampled_from(starts or [0]))
    end = draw(st.integers(at, min(len(text), at + 12)))
    return text[: at + draw(st.booleans())] + draw(st.sampled_from(ODD)) + text[end:]


def json_replaced(draw: Callable[..., Any], text: str) -> str:
    """Put another value somewhere into the JSON of a file or of one of its lines."""
    parts = text.splitlines() if text.count("\n") else [text]
    which = draw(st.integers(0, max(0, len(parts) - 1)))
    try:
        value = json.loads(parts[which])
    except (ValueError, IndexError):
        return values_replaced(draw, text)
    path: list[Any] = []
    inner = value
    while isinstance(inner, dict | list) and inner and (not path or draw(st.booleans())):
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        path.append(draw(st.sampled_from(keys)))
        inner = inner[path[-1]]
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if path and draw(st.booleans()) and isinstance(holder, dict):
        del holder[path[-1]]
        return "\n".join([*parts[:which], json.dumps(value), *parts[which + 1 :]])
    if path:
        holder[path[-1]] = "<HERE>"
    odd = draw(st.sampled_from([one for one in ODD if one]))
    dumped = json.dumps(value if path else "<HERE>").replace('"<HERE>"', odd)
    return "\n".join([*parts[:which], dumped, *parts[which + 1 :]])


@st.composite
def mutated(draw: Callable[..., Any], files: Files) -> dict[str, bytes]:
    """Draw the files of a sample, one or two of them changed, packed, doubled or gone."""
    result = {name: text.encode() for name, text in files.items()}
    for name in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        text, kind = files[name], draw(st.integers(0, 7))
        if kind <= 2:
            result[name] = json_replaced(draw, text).encode(errors="surrogatepass")
        elif kind == 3:
            result[name] = values_replaced(draw, text).encode(errors="surrogatepass")
        elif kind == 4:
            cut = draw(st.integers(0, len(text)))
            result[name] = text.encode()[:cut] + draw(st.binary(max_size=4)) + text.encode()[cut:]
        elif kind == 5:
            result[name] = draw(
                st.sampled_from([text * 2, "", "\n", text.replace("\n", "\r\n"), f"\ufeff{text}"])
            ).encode()
        elif kind == 6:
            packed = gzip.compress(text.encode())
            result[name] = packed[: draw(st.integers(1, len(packed)))]
        else:
            result.pop(name, None)
    return result


def read_or_refuse(use: str, name: str, files: dict[str, bytes]) -> None:
    """Read files; what is no result must be one line that says why, exit code 2."""
    refusal: UserError | None = None
    with tempfile.TemporaryDirectory() as place:
        for file, content in files.items():
            (Path(place) / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(place) / file).write_bytes(content)
        try:
            read(use, name, Path(place))
        except UserError as error:
            refusal = error
        assert refusal is None or (refusal.exit_code == 2 and "\n" not in str(refusal))


@pytest.mark.parametrize(("use", "name"), KINDS)
def test_a_reader_gives_a_result_or_a_message(use, name):
    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck]
    )
    @given(files=mutated((TRAIN if use == "train" else EVALUATE)[name]))
    def check(files: dict[str, bytes]) -> None:
        read_or_refuse(use, name, files)

    check()
