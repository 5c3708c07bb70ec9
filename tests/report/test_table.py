"""Tables say what is best, write numbers the way papers do, and keep all digits in CSV."""

import csv
import io
import math

import pytest
from rich.console import Console

from hbr.report.table import Cell, Row, Table, name, to_csv, to_markdown, to_rich

COLUMNS = (("mono", "map"), ("multi", "rank_distance"))


def row(sampler: str, *means: float, encoder: str = "e", language: str | None = None) -> Row:
    return Row((encoder, sampler), language, 1, tuple(Cell(mean) for mean in means))


def table(*rows: Row, title: str = "small") -> Table:
    return Table(title, ("encoder", "sampler"), COLUMNS, rows, ("by hand",))


def places(made: Table, column: int) -> list[int | None]:
    return [r.cells[column].place for r in made.marked({"rank_distance"}).rows]


THREE = table(row("a", 0.5, 30), row("b", 0.75, 10), row("c", 0.25, 20))


def test_the_best_and_the_second_are_marked_high_or_low():
    assert places(THREE, 0) == [1, 0, None]
    assert places(THREE, 1) == [None, 0, 1]


def test_marks_are_given_within_an_encoder():
    two = table(
        row("a", 0.9, 1),
        row("b", 0.8, 2),
        row("a", 0.1, 5, encoder="f"),
        row("b", 0.2, 9, encoder="f"),
    )
    assert places(two, 0) == [0, 1, 1, 0]
    assert places(two, 1) == [0, 1, 0, 1]


def test_marks_are_given_within_a_query_language():
    two = table(
        row("a", 0.9, 1),
        row("a", 0.1, 1, language="de"),
        row("b", 0.8, 1),
        row("b", 0.3, 1, language="de"),
    )
    assert places(two, 0) == [0, 1, 1, 0]


def test_equals_share_a_place():
    assert places(table(row("a", 0.5, 0), row("b", 0.5, 0), row("c", 0.4, 0)), 0) == [0, 0, 1]


def test_a_row_alone_and_a_missing_value_have_no_place():
    assert places(table(row("a", 0.5, 1)), 0) == [None]
    assert places(table(row("a", math.nan, 1), row("b", 0.2, 1), row("c", 0.1, 1)), 0) == [
        None,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("cell", "metric", "text"),
    [
        (Cell(0.8124), "map", ".812"),
        (Cell(0.8124, 0.0044), "map", ".812 ± .004"),
        (Cell(1.0, 0.0), "recall@1", "1.000 ± .000"),
        (Cell(0.9999), "map", "1.000"),
        (Cell(0.0), "map", ".000"),
        (Cell(-0.1), "map", "-.100"),
        (Cell(1234.6, 12.4), "rank_distance", "1,235 ± 12"),
        (Cell(0.4, 10.2), "rank_distance", "0 ± 10"),
        (Cell(math.nan), "map", "–"),
        (Cell(math.nan, 0.1), "rank_distance", "–"),
    ],
)
def test_numbers_are_written_the_way_papers_do(cell, metric, text):
    assert cell.text(metric) == text


def test_metrics_are_written_the_way_papers_do():
    names = ["map", "map@20", "ndcg@10", "recall@1", "mrr", "rank_distance", "own"]
    assert [name(n) for n in names] == ["mAP", "mAP@20", "nDCG@10", "R@1", "MRR", "distance", "own"]


def test_lines_hold_heads_and_a_dash_for_no_seeds():
    lines = table(Row(("e", "untrained"), None, 0, (Cell(0.5), Cell(7)))).lines()
    assert lines == [
        ["encoder", "sampler", "seeds", "mono mAP", "multi distance"],
        ["e", "untrained", "–", ".500", "7"],
    ]


def test_language_rows_bring_a_column():
    lines = table(row("a", 0.5, 7), row("a", 0.25, 7, language="de")).lines()
    assert [line[2] for line in lines] == ["language", "all", "de"]


def test_markdown_marks_the_best_bold_and_the_second_underlined():
    assert to_markdown(THREE.marked({"rank_distance"})) == (
        "### small\n\n"
        "| encoder | sampler | seeds | mono mAP | multi distance |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| e | a | 1 | <u>.500</u> | 30 |\n"
        "| e | b | 1 | **.750** | **10** |\n"
        "| e | c | 1 | .250 | <u>20</u> |\n"
        "\nProtocol: by hand\n"
    )


def test_csv_holds_every_value_in_full():
    third = Cell(1 / 3, 0.1 + 0.2)
    rows = [
        Row(("e", "a"), None, 3, (third, Cell(math.nan))),
        Row(("e", "a"), "de", 1, (Cell(0.5), Cell(7.0))),
    ]
    head, first, second = csv.reader(io.StringIO(to_csv(table(*rows))))
    assert head[:4] == ["encoder", "sampler", "query_language", "seeds"]
    assert head[4:] == ["mono map", "mono map sd", "multi rank_distance", "multi rank_distance sd"]
    assert first[:4] == ["e", "a", "", "3"]
    assert [float(first[4]), float(first[5])] == [1 / 3, 0.1 + 0.2]
    assert first[6:] == ["", ""]
    assert second == ["e", "a", "de", "1", "0.5", "", "7.0", ""]


def test_the_terminal_shows_the_same_cells():
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(to_rich(THREE.marked({"rank_distance"})))
    for word in ("small", "encoder", "mono", "mAP", ".750", "30"):
        assert word in out.getvalue()
