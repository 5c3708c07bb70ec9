"""WikiQA's marked sentences become rows."""

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.wikiqa import HEADER, WIKIQA
from hbr.data.records import checked

LINES = [
    HEADER,
    'Q1\thow are "caves" formed?\tD1\tGlacier cave\tD1-0\tA cave in ice .\t0',
    "Q1\thow are caves formed?\tD1\tGlacier cave\tD1-1\tIce caves melt “out” .\t1",
    "Q1\thow are caves formed?\tD1\tGlacier cave\tD1-2\tBy water .\t1",
    "Q2\twho?\tD2\tX\tD2-0\tNobody .\t0",
    "Q3\twhat?\tD3\tY\tD3-0\tThis .\t1",
]


def write(path, lines) -> None:
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())


def test_a_row_is_a_sentence_marked_as_an_answer(tmp_path):
    write(tmp_path / "WikiQA-train.tsv", LINES)
    rows = list(WIKIQA.read(tmp_path))
    assert [(row["id"], row["group"]) for row in rows] == [
        ("Q1:D1-1", "D1"),
        ("Q1:D1-2", "D1"),
        ("Q3:D3-0", "D3"),
    ]
    assert rows[0]["passage"] == {"en": "Ice caves melt “out” ."}
    assert [row["negatives"] for row in rows] == [{"en": ["A cave in ice ."]}] * 2 + [{}]
    assert [checked(jsonl.Row, row, "here").as_dict(1) for row in rows] == rows


def test_the_whole_corpus_goes_before_the_training_part(tmp_path):
    write(tmp_path / "WikiQA-train.tsv", LINES)
    write(tmp_path / "WikiQA.tsv", LINES[:3])
    assert len(list(WIKIQA.read(tmp_path))) == 1


@pytest.mark.parametrize(
    ("number", "line", "told"),
    [
        (0, "Question\tLabel", "1: its header is not WikiQA's"),
        (2, "Q1\tq\tD1\tt\tD1-1\t1", "3: has not WikiQA's seven columns"),
        (2, "Q1\tq\tD1\tt\tD1-1\ts\t2", "3: has not WikiQA's seven columns"),
    ],
)
def test_another_layout_is_named_with_its_line(tmp_path, number, line, told):
    write(tmp_path / "WikiQA.tsv", [*LINES[:number], line, *LINES[number + 1 :]])
    with pytest.raises(UserError, match=rf"WikiQA\.tsv:{told}"):
        list(WIKIQA.read(tmp_path))


def test_a_missing_file_is_told_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"holds no WikiQA\.tsv or WikiQA-train\.tsv; get it from"):
        list(WIKIQA.read(tmp_path))
