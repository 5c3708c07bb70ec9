"""The list of data sets: every name and no other, what its readers say too, 100 columns."""

import json

import pytest
from rich.console import Console

from hbr.core.registry import NAMES, base
from hbr.data.catalogue import KINDS, ROWS, TASKS, Entry
from hbr.data.readers import lareqa, miracl, mmarco_dev, mr_tydi, tatoeba
from hbr.report.catalogue import listing, plain

EVERY = [pytest.param(e, id=f"{k}-{n}") for k, own in KINDS.items() for n, e in own.items()]


def shown(here: dict[str, str], width: int = 100) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(listing(here))
    return capture.get().splitlines()


def test_every_name_is_in_the_list_and_none_is_invented() -> None:
    assert {base("task", name) for name in TASKS} == NAMES["task"].keys()
    assert ROWS.keys() == NAMES["rows"].keys()


@pytest.mark.parametrize("entry", EVERY)
def test_as_many_languages_are_named_as_are_counted(entry: Entry) -> None:
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


def test_tatoeba_has_xtremes_languages() -> None:
    assert TASKS["tatoeba"].languages == str(len(tatoeba.XTREME))


def test_the_embedded_data_are_as_large_as_is_said() -> None:
    from hbr.data import synthetic

    for name, split in (("embedded", "train"), ("embedded-validation", "validation")):
        rows = list(synthetic.rows(split))
        languages = {language for row in rows for language in row["query"]}
        assert ROWS[name].size == f"{len(rows):,} rows"
        assert ROWS[name].languages == str(len(languages))
    draft = lareqa.parse(synthetic.documents(), "sentence")
    assert TASKS["embedded"].size == f"{len(draft.queries):,} queries"
    assert TASKS["embedded"].languages == str(len({query.language for query in draft.queries}))


@pytest.mark.parametrize("states", [("", "", ""), ("embedded", "prepared", "in $HBR_DATA")])
def test_the_list_fits_a_hundred_columns_with_one_whole_line_a_data_set(
    states: tuple[str, str, str],
) -> None:
    names = [name for own in KINDS.values() for name in own]
    here = {name: states[number % 3] for number, name in enumerate(names)}
    lines = [line.rstrip() for line in shown(here)]
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if "…" in line] == []
    first = [line.split()[0] for line in lines]
    assert [word for word in first if word in {*names}] == names
    assert len(lines) == len(names) + len(KINDS)
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
