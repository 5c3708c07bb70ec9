"""The list of data sets: every name and no other, what its readers say too, 100 columns."""

import json

import pytest
from rich.console import Console

from hbr.core.errors import UserError
from hbr.core.registry import names
from hbr.core.target import layout_of
from hbr.data.dataset import KINDS, Dataset, TrainingData
from hbr.data.location import whereabouts
from hbr.data.lookup import dataset, listed
from hbr.data.readers import lareqa, miracl, mmarco_dev, mr_tydi, tatoeba
from hbr.report.terminal.datasets import listing, plain
from tests.support import hbr

SETS = {kind: listed(kind) for kind in KINDS}
TASKS, ROWS = SETS["evaluate"], SETS["train"]

EVERY = [pytest.param(e, id=f"{k}-{n}") for k, own in SETS.items() for n, e in own.items()]


def shown(here: dict[str, str], width: int = 100) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(listing(here))
    return capture.get().splitlines()


def test_every_name_is_in_the_list_and_none_is_invented() -> None:
    listed_in_table = {layout_of(name)[0] if "/" in name else name for name in TASKS}
    assert listed_in_table == {*names("dataset")}
    assert [*ROWS] == [*names("training data")]


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_has_the_name_that_the_registry_gives_it(kind: str) -> None:
    assert {name: entry.name for name, entry in SETS[kind].items()} == {n: n for n in SETS[kind]}


@pytest.mark.parametrize("entry", EVERY)
def test_as_many_languages_are_named_as_are_counted(entry: Dataset) -> None:
    count, colon, codes = entry.languages.partition(": ")
    assert count.isdigit() == bool(colon) or entry.languages.isdigit()
    assert not colon or int(count) == len(codes.split()) == len(set(codes.split()))


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("xquad-r", [file.removesuffix(".json") for file in lareqa.XQUAD_R_FILES]),
        ("mlqa-r", [file.removesuffix(".json") for file in lareqa.MLQA_R_FILES]),
        ("miracl", miracl.LANGUAGES),
        ("mr-tydi", mr_tydi.LANGUAGES),
        ("mmarco-dev", mmarco_dev.LANGUAGES),
    ],
)
def test_the_languages_are_those_that_the_reader_knows(name: str, codes: list[str]) -> None:
    assert sorted(TASKS[name].languages.partition(": ")[2].split()) == sorted(codes)


def test_tatoeba_has_the_languages_of_xtreme_and_xtreme_r() -> None:
    assert TASKS["tatoeba"].languages == str(len(tatoeba.XTREME))
    assert TASKS["tatoeba-xtreme-r"].languages == str(len(tatoeba.XTREME_R)) == "41"


def test_the_embedded_data_are_as_large_as_is_said() -> None:
    from hbr.data import synthetic

    for name, split in (("embedded", "train"), ("embedded-validation", "validation")):
        rows = list(synthetic.rows(split))
        languages = {language for row in rows for language in row["query"]}
        assert ROWS[name].size == f"{len(rows):,} rows"
        assert ROWS[name].languages == str(len(languages))
    draft = TASKS["embedded"].read(None, "sentence")
    assert TASKS["embedded"].size == f"{len(draft.queries):,} queries"
    assert TASKS["embedded"].languages == str(len({query.language for query in draft.queries}))


@pytest.mark.parametrize("states", [("", "", ""), ("embedded", "prepared", "in $HBR_DATA")])
def test_the_list_fits_a_hundred_columns_with_one_whole_line_a_data_set(
    states: tuple[str, str, str],
) -> None:
    every = [name for own in SETS.values() for name in own]
    here = {name: states[number % 3] for number, name in enumerate(every)}
    lines = [line.rstrip() for line in shown(here)]
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if "…" in line] == []
    first = [line.split()[0] for line in lines]
    assert [word for word in first if word in {*every}] == every
    assert len(lines) == len(every) + len(KINDS)
    told = [line for line in lines if not line.startswith("to ")]
    assert all(line.endswith(here[line.split()[0]] or "–") for line in told)


def test_the_list_says_what_is_here() -> None:
    lines = shown({"xquad-r": "prepared", "squad": "in $HBR_DATA"})
    (one,) = (line for line in lines if line.startswith("xquad-r "))
    assert one.rstrip().endswith("prepared")
    assert "CC BY-SA 4.0" in one
    (one,) = (line for line in lines if line.startswith("squad "))
    assert one.rstrip().endswith("in $HBR_DATA")


def test_the_list_in_plain_values_has_every_field() -> None:
    found = json.loads(json.dumps(plain({"tatoeba": "prepared"})))
    assert len(found) == len(TASKS) + len(ROWS)
    (one,) = (line for line in found if line["name"] == "tatoeba")
    assert one == {
        "name": "tatoeba",
        "kind": "evaluate",
        "title": "Tatoeba, XTREME's languages",
        "languages": "36",
        "size": "31,692 pairs",
        "licence": "CC BY 2.0 FR",
        "source": "github.com/facebookresearch/LASER, data/tatoeba/v1",
        "protocol": "accuracy@1",
        "here": "prepared",
    }


MINE = Dataset("mine", lambda source, passage: None, "of my own", "2: de en", "3 queries")
PAIRS = TrainingData("pairs", lambda source: (), "of my own", "en", licence="mine")


def test_data_sets_from_outside_are_in_the_list_when_they_are_named(tmp_path) -> None:
    words = ("prepare", "--list", "--output-dir", tmp_path, "--json")
    said = hbr(*words, "--dataset", f"{__name__}:MINE", "--data", f"{__name__}:PAIRS")
    assert said.code == 0, said.err
    entries = {one["name"]: one for one in json.loads(said.out)}
    assert entries[f"{__name__}:MINE"]["size"] == "3 queries"
    assert entries[f"{__name__}:PAIRS"]["kind"] == "train"
    assert entries[f"{__name__}:PAIRS"]["licence"] == "mine"


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"EVERY' is a list; it must be a hbr\.data\.dataset\.Dataset"
    ):
        dataset(f"{__name__}:EVERY")


def test_a_file_whose_name_begins_like_the_embedded_data_is_a_file(tmp_path):
    assert whereabouts(tmp_path, "embedded", "train") == "embedded"
    assert whereabouts(tmp_path, str(tmp_path / "embedded-faq.jsonl"), "train") == ""
    (tmp_path / "embedded-faq.jsonl").write_text("{}")
    assert whereabouts(tmp_path, str(tmp_path / "embedded-faq.jsonl"), "train") == "a file"


@pytest.mark.parametrize(
    ("size", "queries", "languages", "part"),
    [
        ("1,190 × 11 / 13,014", 3322, 11, "302 of 1,190 questions"),
        ("1,190 × 11 / 13,014", 13090, 11, ""),
        ("1,190 × 11 / 13,014", 5950, 5, ""),  # all of five languages
        ("323 / 3.6 k", 50, 1, "50 of 323 questions"),
        ("31,692 pairs", 10, 2, ""),  # of what is not questions nothing is said
        ("", 10, 1, ""),
    ],
)
def test_a_part_of_a_published_data_set_is_known_by_its_questions(size, queries, languages, part):
    assert Dataset("x", print, size=size).part(queries, languages) == part


def test_a_part_of_a_published_data_set_is_known_by_its_languages():
    half = Dataset("x", print, size="1,190 × 11 / 13,014", languages="11: ar de …")
    assert half.part(604, 2) == "302 of 1,190 questions, 2 of 11 languages"
    assert Dataset("x", print, languages="124, and en").part(9, 27) == "27 of 124 languages"
    assert Dataset("x", print, languages="any").part(9, 27) == ""
