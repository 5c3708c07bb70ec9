"""One report, the same numbers in every form."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hbr.compare.model import SUPPORTED, Finding, Report, Verdict
from hbr.compare.table import Cell, Row, Table
from hbr.core import registry
from hbr.report.formats import file_formats, write, write_all
from hbr.report.formats.values import report_values
from tests.support import finished, hbr, pdflatex, tabulars

TABLE = Table(
    "study: tiny",
    ("encoder", "sampler"),
    (("mono", "map"), ("multi", "rank_distance")),
    (
        Row(("e", "a"), None, 2, (Cell(0.5, 0.1, 0, 0.4, 0.6, "†"), Cell(30, 1, 1)), 2),
        Row(("e", "b"), None, 1, (Cell(0.25), Cell(math.nan)), 2, marked=True),
    ),
    "by hand",
    ("† told apart", "‡ b: 3 of 96 queries are among the training texts"),
    dataset="tiny",
)
VERDICT = Verdict(
    "c",
    "a is better than b, by 5 %",
    "map",
    "mono",
    SUPPORTED,
    (Finding("tiny", "e: a vs b", SUPPORTED, 0.25, 0.2, 0.3, 0.5, 0.001, 0.002, 2.5, 1, 24),),
)
STATISTICS = "p: t, with concepts and seeds both as random, corrected by Holm."
REPORT = Report(
    "study",
    [TABLE, replace(TABLE, title="study: other", dataset="other", notes=())],
    [VERDICT],
    ["‡ b: 3 of 96 queries are among the training texts"],
    [],
    [{"run": "a-s0", "steps": "300"}],
    STATISTICS,
)


def shown(report: Report, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(write(report, "table"))
    return out.getvalue()


def test_every_format_but_the_terminals_has_a_suffix() -> None:
    assert set(registry.names("format")) - {entry.name for entry in file_formats()} == {"table"}
    assert len({entry.suffix for entry in file_formats()}) == len(file_formats())


def test_the_terminal_shows_tables_claims_and_how_they_were_tested() -> None:
    text = shown(REPORT)
    for words in ("study: tiny", "study: other", "a is better than b", "by Holm."):
        assert words in text
    assert text.index("study: tiny") < text.index("study: other") < text.index("a is better")


def test_a_narrow_terminal_shows_every_number() -> None:
    text = shown(REPORT, 50)
    for words in (".500 ± .100†", "30 ± 1", ".250", "1 of 2"):
        assert text.count(words) >= 2


def test_markdown_holds_every_table_the_claims_and_how_they_were_tested() -> None:
    text = write(REPORT, "markdown")
    assert [x for x in text.splitlines() if x.startswith("### ")] == [
        *("### study: tiny", "### study: other", "### Claims")
    ]
    assert "| · e: a vs b | supported | +.250 [+.200, +.300] |  | .002 | +2.50 | 1 |" in text
    assert text.rstrip().endswith(STATISTICS)
    assert text.count("Protocol: by hand") == 2


def test_csv_holds_every_value_of_every_table() -> None:
    lines = list(csv.DictReader(io.StringIO(write(REPORT, "csv"))))
    assert len(lines) == 8
    assert [line["dataset"] for line in lines] == ["tiny"] * 4 + ["other"] * 4
    assert (lines[0]["mean"], lines[0]["low"], lines[0]["high"]) == ("0.5", "0.4", "0.6")


def test_json_holds_every_number_and_nothing_that_is_none() -> None:
    text = write(REPORT, "json")
    content = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert content == report_values(REPORT)
    assert content.keys() == {
        *("title", "tables", "claims", "warnings", "statistics", "languages", "runs")
    }
    assert content["tables"][0]["rows"][0]["values"]["mono/map"]["dagger"] == "†"
    assert content["claims"][0]["findings"][0]["adjusted"] == 0.002
    assert content["warnings"] == list(REPORT.warnings)
    assert content["runs"] == [{"run": "a-s0", "steps": "300"}]
    assert text.endswith("}\n")


def test_json_keeps_letters_as_they_are() -> None:
    assert "ไทย" in write(replace(REPORT, title="ไทย"), "json")


def test_latex_holds_every_table_and_compiles(tmp_path: Path) -> None:
    text = write(REPORT, "latex")
    found = tabulars(text)
    assert [columns for columns, _ in found] == [5, 5, 7]
    assert all(set(lines) == {columns} for columns, lines in found)
    assert text.startswith("% Needs \\usepackage{booktabs}.")
    assert re.findall(r"\\label{(.*?)}", text) == ["tab:1", "tab:2", "tab:claims"]
    for options in ("", "twocolumn"):
        assert "Overfull" not in pdflatex(tmp_path, text, options)


def test_latex_says_how_claims_were_tested() -> None:
    assert "with concepts and seeds both as random" in write(REPORT, "latex")


def test_how_claims_were_tested_is_not_said_without_claims() -> None:
    bare = replace(REPORT, verdicts=[])
    assert "as random" not in shown(bare)
    assert STATISTICS not in write(bare, "markdown")


def test_a_report_of_nothing_can_be_written() -> None:
    empty = Report("", [], [], [], [])
    assert [write(empty, form) for form in ("markdown", "latex")] == ["", ""]
    assert json.loads(write(empty, "json"))["tables"] == []
    assert shown(empty) == ""


WIKI = """
from hbr.report.formats import Format


def wiki(report, drawings):
    lines = [f"== {report.title} =="]
    for table in report.tables:
        lines += ["|| " + " || ".join(cells) + " ||" for cells in table.lines()]
    return "\\n".join([*lines, *(f"[[{drawing.name}.png]]" for drawing in drawings), ""])


WIKI = Format("wiki", ".wiki", wiki)
"""


def test_a_format_from_outside_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_formats.py").write_text(WIKI)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    values = {f"{setting} map": np.full((24, 1), 0.5) for setting in ("mono", "multi")}
    runs = [finished(tmp_path / "runs", sampler, values) for sampler in ("hybrid", "mixed")]
    options = ("--format", "my_formats:WIKI", "-o", tmp_path / "out.wiki")
    done = hbr("compare", *runs, *options)
    assert done.code == 0, done.err
    first, head, *_ = (tmp_path / "out.wiki").read_text().splitlines()
    assert first.startswith("== ")
    assert head.startswith("|| encoder || sampler || seeds || mono mAP ||")
    assert "[[tradeoff.png]]" in (tmp_path / "out.wiki").read_text()


def test_an_unknown_format_is_a_mistake_that_names_those_like_it(tmp_path: Path) -> None:
    done = hbr("compare", tmp_path, "--format", "latx")
    assert (done.code, "there is no format 'latx'; did you mean latex" in done.err) == (2, True)


def test_all_files_of_a_report_are_written_once(tmp_path: Path) -> None:
    paths = write_all(REPORT, tmp_path / "reports")
    assert [path.name for path in paths] == [f"report{entry.suffix}" for entry in file_formats()]
    assert all(path.read_text() for path in paths)
    times = [path.stat().st_mtime_ns for path in paths]
    write_all(REPORT, tmp_path / "reports")
    assert [path.stat().st_mtime_ns for path in paths] == times
    write_all(replace(REPORT, title="another"), tmp_path / "reports")
    assert "another" in paths[0].read_text()
