"""Tables say what is best, write numbers the way papers do, and keep all digits in CSV and JSON."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hbr.compare.table import Cell, Row, Table, digits, name, signed
from hbr.evaluation.metrics import Metric
from hbr.report.formats.latex import escape, to_latex
from hbr.report.formats.markdown import to_markdown
from hbr.report.formats.table import fitting, to_rich
from hbr.report.formats.values import table_values, to_csv
from tests.support import pdflatex, tabulars

COLUMNS = (("mono", "map"), ("multi", "rank_distance"))
OWN = Metric("own", "own")  # as one from outside the package


def row(sampler: str, *means: float, encoder: str = "e", group: str | None = None) -> Row:
    return Row((encoder, sampler), group, 1, tuple(Cell(mean) for mean in means), 1)


def table(*rows: Row, title: str = "small", notes: tuple[str, ...] = ()) -> Table:
    heads = ("encoder", "sampler")
    return Table(title, heads, COLUMNS, rows, "by hand", notes, dataset="tiny")


def places(made: Table, column: int) -> list[int | None]:
    return [r.cells[column].place for r in made.with_places().rows]


def printed(made: Table, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(to_rich(made))
    return out.getvalue()


THREE = table(row("a", 0.5, 30), row("b", 0.75, 10), row("c", 0.25, 20))


def test_the_best_and_the_second_are_marked_high_or_low() -> None:
    assert places(THREE, 0) == [1, 0, None]
    assert places(THREE, 1) == [None, 0, 1]


def test_low_is_better_whatever_the_cut_off() -> None:
    made = replace(THREE, columns=(("mono", "map"), ("multi", "same_language@10")))
    assert places(made, 1) == [None, 0, 1]


def test_marks_are_given_within_an_encoder() -> None:
    two = table(
        row("a", 0.9, 1),
        row("b", 0.8, 2),
        row("a", 0.1, 5, encoder="f"),
        row("b", 0.2, 9, encoder="f"),
    )
    assert places(two, 0) == [0, 1, 1, 0]
    assert places(two, 1) == [0, 1, 0, 1]


def test_marks_are_given_within_a_group_of_languages() -> None:
    two = table(
        row("a", 0.9, 1),
        row("a", 0.1, 1, group="de"),
        row("b", 0.8, 1),
        row("b", 0.3, 1, group="de"),
    )
    assert places(two, 0) == [0, 1, 1, 0]


def test_equals_share_a_place() -> None:
    assert places(table(row("a", 0.5, 0), row("b", 0.5, 0), row("c", 0.4, 0)), 0) == [0, 0, 1]


def test_a_row_alone_and_a_missing_value_have_no_place() -> None:
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
        (Cell(0.8124, 0.0044, dagger="†"), "map", ".812 ± .004†"),
        (Cell(0.8124, dagger="†"), "map", ".812†"),
        (Cell(0.8124, dagger="§"), "map", ".812§"),
        (Cell(1.0, 0.0), "recall@1", "1.000 ± .000"),
        (Cell(0.9999), "map", "1.000"),
        (Cell(0.0), "map", ".000"),
        (Cell(-0.1), "map", "-.100"),
        (Cell(1234.6, 12.4), "rank_distance", "1,235 ± 12"),
        (Cell(0.4, 10.2), "rank_distance", "0 ± 10"),
        (Cell(math.nan), "map", "–"),
        (Cell(math.nan, 0.1, dagger="†"), "rank_distance", "–"),
    ],
)
def test_numbers_are_written_the_way_papers_do(cell: Cell, metric: str, text: str) -> None:
    assert cell.text(metric) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.0124, "map", "+.012"),
        (-0.0124, "map", "−.012"),
        (0.0004, "recall@1", ".000"),
        (-0.0004, "recall@1", ".000"),
        (1.0, "map", "+1.000"),
        (-1234.4, "rank_distance", "−1,234"),
        (12.6, "rank_distance", "+13"),
        (-0.4, "rank_distance", "0"),
        (-0.5, "peer@20", "−.500"),
    ],
)
def test_a_difference_has_its_sign_unless_it_rounds_to_nothing(
    value: float, metric: str, text: str
) -> None:
    assert signed(value, digits(metric)) == text


def test_metrics_are_written_the_way_papers_do() -> None:
    names = [
        "map",
        "map@20",
        "ndcg@10",
        "recall@1",
        "mrr",
        "rank_distance",
        "peer@20",
        __name__ + ":OWN",
    ]
    assert [name(n) for n in names] == [
        *("mAP", "mAP@20", "nDCG@10", "R@1", "MRR", "distance", "PEER@20", "own")
    ]


def test_lines_hold_heads_and_a_dash_for_no_seeds() -> None:
    lines = table(Row(("e", "untrained"), None, 0, (Cell(0.5), Cell(7)))).lines()
    assert lines == [
        ["encoder", "sampler", "seeds", "mono mAP", "multi distance"],
        ["e", "untrained", "–", ".500", "7"],
    ]


@pytest.mark.parametrize(
    ("seeds", "expected", "text"), [(3, 3, "3"), (1, 2, "1 of 2"), (0, 2, "0 of 2"), (0, 0, "–")]
)
def test_seeds_that_are_missing_are_counted(seeds: int, expected: int, text: str) -> None:
    assert Row(("e", "a"), None, seeds, (), expected).seeds_text == text


def test_a_marked_row_has_its_mark_at_its_name() -> None:
    marked = replace(row("a", 0.5, 7), marked=True)
    assert [line[1] for line in table(marked, row("b", 0.4, 7)).lines()] == ["sampler", "a‡", "b"]


def test_groups_of_languages_bring_a_column_under_their_own_head() -> None:
    made = table(row("a", 0.5, 7), row("a", 0.25, 7, group="low"))
    assert [line[2] for line in made.lines()] == ["language", "all", "low"]
    made = replace(made, group_head="resource")
    assert [line[2] for line in made.lines()] == ["resource", "all", "low"]
    assert not THREE.has_groups


def test_markdown_marks_the_best_bold_and_the_second_underlined() -> None:
    made = replace(THREE, notes=("† told apart", "one run"))
    assert to_markdown(made.with_places()) == (
        "### small\n\n"
        "| encoder | sampler | seeds | mono mAP | multi distance |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| e | a | 1 | <u>.500</u> | 30 |\n"
        "| e | b | 1 | **.750** | **10** |\n"
        "| e | c | 1 | .250 | <u>20</u> |\n"
        "\nProtocol: by hand\n"
        "\n† told apart\n"
        "\none run\n"
    )


def test_a_bar_in_a_name_breaks_no_line_of_markdown() -> None:
    lines = to_markdown(table(row("a|b", 0.5, 1, encoder="x|y"))).splitlines()
    line = next(line for line in lines if ".500" in line)
    assert line.replace("\\|", "").count("|") == 6


def test_csv_holds_every_value_in_full_one_a_line() -> None:
    third = Cell(1 / 3, 0.1 + 0.2, low=0.1, high=2 / 3)
    rows = [
        Row(("e", "a"), None, 3, (third, Cell(math.nan)), 3),
        Row(("e", "b"), "de", 1, (Cell(0.5), Cell(7.0)), 2, marked=True),
    ]
    head, *lines = csv.reader(io.StringIO(to_csv([table(*rows)])))
    about = ["dataset", "protocol", "encoder", "sampler", "language", "seeds", "contaminated"]
    assert head == [*about, "setting", "metric", "mean", "sd", "low", "high"]
    assert lines[0][:7] == ["tiny", "by hand", "e", "a", "", "3", "0"]
    assert lines[0][7:9] == ["mono", "map"]
    assert [float(v) for v in lines[0][9:]] == [1 / 3, 0.1 + 0.2, 0.1, 2 / 3]
    assert lines[1][7:] == ["multi", "rank_distance", "", "", "", ""]
    assert lines[2][:9] == ["tiny", "by hand", "e", "b", "de", "1", "1", "mono", "map"]
    assert lines[3][9:] == ["7.0", "", "", ""]
    assert len(lines) == 4


def test_csv_of_several_tables_has_the_columns_of_all() -> None:
    other = Table(
        "t", ("encoder", "sampler", "train.learning_rate"), (("mono", "mrr"),), (), "else"
    )
    other = replace(other, rows=(Row(("e", "a", "0.1"), None, 1, (Cell(0.5),)),))
    lines = list(csv.DictReader(io.StringIO(to_csv([THREE, other]))))
    assert [line["train.learning_rate"] for line in lines] == [""] * 6 + ["0.1"]
    assert {line["protocol"] for line in lines} == {"by hand", "else"}


def test_csv_keeps_names_with_commas_and_quotes_whole() -> None:
    (line, _) = csv.DictReader(io.StringIO(to_csv([table(row('a,"b"', 0.5, 1, encoder="ไทย\n"))])))
    assert (line["sampler"], line["encoder"]) == ('a,"b"', "ไทย\n")


def test_plain_values_are_json_with_every_mark_and_note() -> None:
    first = Cell(0.5, 0.1, 0, 0.4, 0.6, dagger="†")
    made = table(
        Row(("e", "a"), None, 1, (first, Cell(math.nan)), 2, marked=True), notes=("one", "two")
    )
    plain = table_values(made)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert (plain["title"], plain["dataset"], plain["protocol"]) == ("small", "tiny", "by hand")
    assert plain["notes"] == ["one", "two"]
    (line,) = plain["rows"]
    assert (line["encoder"], line["sampler"], line["language"]) == ("e", "a", None)
    assert (line["seeds"], line["expected"], line["contaminated"]) == (1, 2, True)
    assert line["values"]["mono/map"] == {
        **{"mean": 0.5, "sd": 0.1, "place": 0, "low": 0.4, "high": 0.6, "dagger": "†"},
        "share": None,
    }
    assert line["values"]["multi/rank_distance"]["mean"] is None


def test_the_terminal_shows_the_same_cells_and_notes() -> None:
    shown = printed(replace(THREE, notes=("† told apart",)).with_places())
    for word in ("small", "encoder", "mono", "mAP", ".750", "30", "by hand", "† told apart"):
        assert word in shown


@pytest.mark.parametrize("text", ["a [draft] b", "[/x]", "[red]x", "a\\[b"])
def test_brackets_are_shown_on_the_terminal_as_they_are(text: str) -> None:
    made = table(row(text, 0.5, 1, encoder=text), title=text, notes=(text,))
    made = replace(made, protocol=text, heads=("encoder", "sampler"))
    assert printed(made).count(text) == 5  # title, protocol, note, encoder and sampler


def test_a_table_that_is_too_wide_is_cut_between_columns() -> None:
    columns = tuple(("mono", f"recall@{n}") for n in range(1, 9))
    wide = Table("wide", ("encoder", "sampler"), columns, (row("a", *[0.5] * 8),), "p", ("note",))
    parts = fitting(wide, 60)
    assert [c for part in parts for c in part.columns] == list(columns)
    assert [len(part.rows[0].cells) for part in parts] == [len(part.columns) for part in parts]
    assert len(parts) > 1
    assert [part.title for part in parts] == ["wide"] + [""] * (len(parts) - 1)
    assert [part.notes for part in parts][-1] == ("note",)
    assert {part.notes for part in parts[:-1]} == {()}
    for part in parts:
        assert max(map(len, printed(part, 60).splitlines())) <= 60
    assert fitting(wide, 400)[0] == wide


# LaTeX

FULL = Table(
    "A table",
    ("encoder", "sampler", "train.learning_rate"),
    (("mono", "map"), ("cross", "map"), ("mono", "recall@1"), ("multi", "rank_distance")),
    (
        Row(
            ("e", "a", "0.1"),
            None,
            3,
            (
                Cell(0.8124, 0.0044, 0, dagger="†"),
                Cell(0.5, 0.1, 1),
                Cell(math.nan, 0.5),
                Cell(1234.4, 5.4, 1),
            ),
            3,
            marked=True,
        ),
        Row(("f", "b", ""), "low", 1, (Cell(0.25), Cell(0.5), Cell(0.75), Cell(7, place=0)), 2),
    ),
    "by hand",
    ("† told apart", "one run: says nothing of the method", "‡ e: 3 of 96 queries"),
)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paper on which every table is in one part."""
    monkeypatch.setattr("hbr.report.formats.latex.TEXT_WIDTH", 1000)


@pytest.mark.usefixtures("wide")
def test_latex_is_balanced_and_every_line_has_the_same_columns() -> None:
    for made in (FULL, THREE, replace(THREE, rows=()), THREE.with_places()):
        ((columns, lines),) = tabulars(to_latex(made))
        assert columns == len(made.lines()[0])
        assert set(lines) == {columns}
        assert len(lines) == 2 + len(made.rows)


@pytest.mark.usefixtures("wide")
def test_latex_marks_best_second_daggers_and_deviations() -> None:
    text = to_latex(FULL)
    lines = text.splitlines()
    first = next(line for line in lines if line.startswith("e & "))
    assert r"a$^\ddagger$ & 0.1 & all & 3 & " in first
    assert r"\textbf{.812}" in first
    assert first.count(r"$\pm$") == 3
    assert r"$^\dagger$" in first
    assert r"\underline{.500}" in first
    assert r"\underline{1,234}" in first
    assert " & -- & " in first
    second = next(line for line in lines if line.startswith("f & "))
    assert second == r"f & b &  & low & 1 of 2 & .250 & .750 & .500 & \textbf{7} \\"
    assert lines.index(second) == lines.index(first) + 2  # another encoder: a rule between them


@pytest.mark.usefixtures("wide")
def test_latex_puts_the_columns_of_a_setting_together() -> None:
    text = to_latex(FULL)
    assert r"\multicolumn{2}{c}{mono} & \multicolumn{1}{c}{cross} & \multicolumn{1}{c}{multi}" in (
        text
    )
    assert r"\cmidrule(lr){6-7} \cmidrule(lr){8-8} \cmidrule(lr){9-9}" in text
    assert "& mAP & R@1 & mAP & distance" in text


def test_latex_says_the_protocol_and_the_notes_in_its_caption() -> None:
    caption = next(x for x in to_latex(FULL).splitlines() if x.startswith(r"\caption"))
    for words in (
        "A table.",
        "y hand.",
        r"told apart.",
        "One run: says nothing of the method.",
        "3 of 96 queries.",
    ):
        assert words in caption


def test_text_is_escaped() -> None:
    assert escape("50% & a_b #1 {x}") == r"50\% \& a\_b \#1 \{x\}"
    assert escape("α → ≥ ± − ‡ †") == (r"$\alpha$ $\to$ $\ge$ $\pm$ $-$ $^\ddagger$ $^\dagger$")
    assert escape("\\~^") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}"


TEXTS = {
    "signs": "50% & a_b #1 {x} $y$ \\z ~ ^",
    "ours": "† ‡ α → ± ≥ ≤ × − – … · < >",
    "quotes": "\"a\" 'b' `c` “d” ‘e’ – — !",
    "accents": "é ü ß ñ ø å ç ő ş ı",
    "alpha first": "α and bias",
    "bracket first": "[x] first in a line",
    "star first": "* first in a line",
    "signs of mathematics": "≈ ≠ ∞ √ Δ β λ ₂ ² ½ µ",
    "other letters": "Привет ไทย 中文 हिन्दी",
    "right to left": "العربية עברית",
    "a mark of its own": "e\u0301",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_latex_compiles_whatever_the_names_are(tmp_path: Path, text: str) -> None:
    rows = tuple(replace(r, label=(f"{text}{i}", text, text)) for i, r in enumerate(FULL.rows))
    made = replace(FULL, title=text, protocol=text, notes=(text, text), rows=rows)
    assert all(set(lines) == {columns} for columns, lines in tabulars(to_latex(made)))
    pdflatex(tmp_path, to_latex(made))


@pytest.mark.parametrize("options", ["", "twocolumn"], ids=["one column", "two columns"])
def test_latex_of_the_papers_columns_fits_an_article(tmp_path: Path, options: str) -> None:
    settings = [("mono", "map"), ("cross", "map"), ("multi", "map"), ("mono", "recall@1")]
    settings += [("cross", "recall@1"), ("multi", "recall@10"), ("multi", "rank_distance")]
    cells = tuple(Cell(1000.0 if "rank" in m else 0.5, 0.01, 0, dagger="†") for _, m in settings)
    rows = [Row(("xlm-r-tiny", s), None, 3, cells, 3) for s in ("untrained", "cross-lingual")]
    made = Table("Samplers", ("encoder", "sampler"), tuple(settings), tuple(rows), "by hand")
    text = to_latex(made, "tab:samplers")
    assert [columns for columns, _ in tabulars(text)] == [7, 6]  # with the names of the rows
    assert "Overfull" not in pdflatex(tmp_path, text + r"See Table~\ref{tab:samplers}.", options)
