"""The page is one file that stands alone, says all that the report holds, and says it safely."""

import math
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding, Moved, Report, Series, Verdict
from hbr.compare.queries import moved_key
from hbr.compare.table import Cell, Row, Table
from hbr.report.formats import write

NAN = math.nan
VOID = {"meta", "br", "link", "img", "hr", "input"}
COLUMNS = (("mono", "map"), ("multi", "rank_distance"))

TABLE = Table(
    "Samplers",
    ("encoder", "sampler"),
    COLUMNS,
    (
        Row(("e", "monolingual"), None, 2, (Cell(0.6, 0.004, 0), Cell(1234.0, 12.0, 1)), 2, True),
        Row(("e", "hybrid"), None, 1, (Cell(0.5, None, 1, 0.45, 0.55), Cell(900.0, None, 0)), 2),
        Row(("e", "cross-lingual"), None, 0, (Cell(NAN), Cell(NAN)), 2),
        Row(("f", "hybrid"), None, 2, (Cell(0.25, None, 1, dagger="†"), Cell(NAN)), 2),
    ),
    "by hand & eye",
    ("† told apart", "‡ contaminated"),
)
VERDICTS = (
    Verdict(
        "better",
        "Hybrid is better",
        "map",
        "multi",
        REFUTED,
        (
            Finding("d", "a vs b", SUPPORTED, 0.05, 0.02, 0.08, 0.1, 0.0001, 0.0004, 0.3, 3, 1190),
            Finding("d", "a vs c", REFUTED, -0.05, -0.08, -0.02, -0.1, 0.01, 0.03, -0.3, 3, 1190),
        ),
        "a note",
    ),
    Verdict(
        "bias",
        "Hybrid is less biased",
        "rank_distance",
        "multi",
        OPEN,
        (
            Finding("d", "a vs b", SUPPORTED, -321.4, -400.0, -250.0, -0.125),
            Finding("d", "a vs x", OPEN, note="no cell of x", missing=True),
        ),
    ),
    Verdict("plain", "Hybrid keeps up", "map", "mono", SUPPORTED, ()),
)


def series(sampler: str, **changed) -> Series:
    values = {
        "alpha": {"monolingual": 1.0, "hybrid": 0.5}.get(sampler),
        "settings": {s: {"map": 0.5, "rank_distance": 9.0} for s in ("mono", "cross", "multi")},
        "by_language": {"mono": {"de": 0.5, "en": 0.6}},
        "mean_rank": {"de": {"de": 1.5, "en": 20.0}, "en": {"de": 20.0, "en": 2.5}},
        "losses": [[(10, 2.0), (20, 1.0)]],
        "validation": [[(20, 1.5)]],
    }
    return Series("d", "e", sampler, sampler, **values | changed)


REPORT = Report(
    "A study",
    [TABLE],
    VERDICTS,
    ["Two seeds are few."],
    [series("monolingual"), series("hybrid")],
    [{"run": "one-1f3a9c", "git": "a1b2c3d"}, {"run": "two-9c1f3a", "host": "h"}],
    "Intervals are bootstrapped.",
)
EMPTY = Report("", [], [], [], [])


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not the last one opened; keeps all text."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.tags: Counter[str] = Counter()
        self.shown: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        if self.opened and self.opened[-1] not in ("style", "script"):
            self.shown.append(data)


@cache
def full() -> str:
    """Write the page of the whole report, once for all tests."""
    return write(REPORT, "html")


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.opened == []
    return parser


def text(html: str) -> str:
    return " ".join(" ".join(parsed(html).shown).split())


def rows(html: str) -> list[str]:
    body = html[html.index('class="sortable"') :]
    return re.findall(r"<tr class=.*?</tr>", body[: body.index("</table>")], flags=re.DOTALL)


@pytest.mark.parametrize("report", [REPORT, EMPTY], ids=["full", "empty"])
def test_the_page_needs_nothing_from_outside(report):
    html = write(report, "html")
    assert not re.search(r"""(src|href|action|data)\s*=\s*["']?\s*(https?:|//)""", html)
    assert not re.search(r"@import|url\(\s*[\"']?(https?:|//)|<link|fetch\(", html)


def test_tags_are_balanced():
    tags = parsed(full()).tags
    assert tags["html"] == tags["h1"] == tags["script"] == 1
    assert tags["article"] == 3


def test_no_id_occurs_twice_and_every_reference_has_its_own():
    html = full()
    found = Counter(re.findall(r'\bid="([^"]+)"', html))
    assert found.most_common(1)[0][1] == 1
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(found)


def test_equal_reports_give_equal_bytes():
    assert write(replace(REPORT), "html") == full()


def test_what_comes_from_outside_is_escaped():
    evil = "<script>alert('x')</script>"
    report = Report(
        evil,
        [replace(TABLE, title=evil, protocol=evil, notes=(evil,), heads=("encoder", evil))],
        [Verdict(evil, evil, "map", "mono", OPEN, (Finding(evil, evil, OPEN, note=evil),), evil)],
        [evil],
        [series(evil)],
        [{evil: evil}],
        evil,
    )
    html = write(report, "html")
    assert parsed(html).tags["script"] == 1
    assert evil not in html
    assert "&lt;script&gt;alert" in html


def test_every_value_of_a_table_is_shown():
    shown = text(full())
    for row in TABLE.lines()[1:]:
        for value in row:
            assert value in shown
    assert "Protocol: by hand & eye" in shown
    assert "† told apart" in shown


def test_best_is_bold_and_second_underlined():
    first, second, *_ = rows(full())
    assert re.findall(r'class="number (best|second)"', first) == ["best", "second"]
    assert re.findall(r'class="number (best|second)"', second) == ["second", "best"]


def test_a_cell_sorts_by_its_value_and_tells_it_in_full():
    first, second, *_ = rows(full())
    assert 'data-value="0.6"' in first
    assert "standard deviation over seeds 0.004" in first
    assert "95 % interval 0.45 to 0.55" in second


def test_a_row_without_values_was_not_run_and_one_value_missing_is_a_dash():
    _, _, not_run, partial = rows(full())
    assert not_run.count(">not run<") == 2
    assert not_run.count('class="number missing" data-value=""') == 2
    assert "0 of 2" in not_run
    assert "not run" not in partial
    assert 'missing" data-value="">–<' in partial


def test_contaminated_rows_are_marked():
    first, second, *_ = rows(full())
    assert 'class="marked"' in first
    assert "monolingual‡" in first
    assert "marked" not in second


@pytest.mark.parametrize(
    ("protocol", "banner"),
    [("synthetic in-vitro languages", True), ("LAReQA, passage = sentence", False)],
)
def test_synthetic_data_are_called_so(protocol, banner):
    html = write(replace(EMPTY, tables=[replace(TABLE, protocol=protocol)]), "html")
    assert ("Synthetic data." in text(html)) is banner


def test_a_verdict_is_told_by_word_and_shape():
    html = full()
    for status, sign in [("supported", "✓"), ("refuted", "✗"), ("open", "?")]:
        assert f'<span class="badge {status}" data-sign="{sign}">{status}</span>' in html
        assert f'<span class="badge {status}" data-sign="{sign}">1 {status}</span>' in html


def test_a_claim_shows_its_findings():
    shown = text(full())
    assert "Hybrid is better" in shown
    assert "multi mAP · better · a note" in shown
    assert "2 comparisons: 1 supported, 1 refuted" in shown
    assert "a vs b +.050 [+.020, +.080] +10.0 % < .001 +.30 3 1,190" in shown
    assert "a vs c −.050 [−.080, −.020] −10.0 % .030 −.30 3 1,190" in shown


def test_ranks_have_no_decimals_and_what_is_unknown_is_left_blank():
    assert "a vs b −321 [−400, −250] −12.5 %" in text(full())
    assert not re.search(r"\bnan\b", text(full()))


def test_a_finding_without_an_effect_says_why():
    assert "a vs x not run: no cell of x" in text(full())
    undefined = Finding("d", "a vs y", OPEN, note="no value by query", seeds=2)
    verdict = Verdict("x", "", "map", "mono", OPEN, (undefined,), "wait")
    shown = text(write(replace(REPORT, verdicts=[verdict]), "html"))
    assert "a vs y no value: no value by query" in shown


def test_a_row_that_was_run_without_a_value_shows_dashes():
    row = Row(("e", "hybrid"), None, 2, (Cell(NAN), Cell(NAN)), 2)
    shown = write(replace(REPORT, tables=[replace(TABLE, rows=(row,))]), "html")
    assert rows(shown)[0].count('data-value="">–<') == 2


def test_figures_have_captions_and_those_with_nothing_to_show_are_left_out():
    headings = ["Trade-off", "Languages", "Language bias", "Training", "Effects"]
    html = full()
    assert re.findall(r"<h3[^>]*>(.*?)</h3>", html) == ["Samplers", *headings]
    assert html.count("<figcaption>") == html.count("<svg ") == 5
    blank = series("hybrid", settings={}, by_language={}, mean_rank={}, losses=(), validation=())
    few = write(replace(REPORT, verdicts=(), series=[blank]), "html")
    assert "<figure" not in few
    assert "Figures" not in few


def test_an_unfinished_study_has_a_page():
    unknown = {"mono": {"map": NAN}}
    cell = series("hybrid", settings=unknown, by_language={"mono": {"de": NAN}}, mean_rank={})
    row = Row(("e", "hybrid"), None, 0, (Cell(NAN), Cell(NAN)), 3)
    verdict = Verdict(
        "x", "", "map", "mono", OPEN, (Finding("d", "a vs b", OPEN, missing=True),), "wait"
    )
    report = Report("t", [replace(TABLE, rows=(row,))], [verdict], [], [cell])
    shown = text(write(report, "html"))
    assert shown.count("not run") == 3
    assert not re.search(r"\bnan\b", shown)


def test_a_line_a_run_tells_where_results_come_from():
    shown = text(full())
    assert "run git host one-1f3a9c a1b2c3d two-9c1f3a h" in shown
    assert shown.endswith("Intervals are bootstrapped.")


def test_the_page_says_when_runs_were_trained_and_evaluated_and_as_of_when_it_speaks() -> None:
    """Days of first and last; the moment is the last evaluation's, and not that of writing."""
    done = [
        {"run": "a", "trained": "2031-01-02 09:30 UTC", "evaluated": "2031-02-01 10:00 UTC"},
        {"run": "b", "trained": "2031-01-01 23:59 UTC", "evaluated": "2031-02-01 11:45 UTC"},
    ]
    html = write(replace(REPORT, provenance=done), "html")
    line = "trained 2031-01-01 to 2031-01-02 · evaluated 2031-02-01 · as of 2031-02-01 11:45 UTC"
    assert line in text(html)
    assert html.index(line) < html.index("<nav")
    assert "as of" not in text(write(EMPTY, "html"))


def test_parts_come_in_order():
    html = full()
    sections = [f">{part}</h2>" for part in ("Claims", "Results", "Figures", "Provenance")]
    places = [html.index(part) for part in ["A study", "Two seeds", *sections, "<footer"]]
    assert places == sorted(places)


def test_an_empty_report_has_a_page():
    assert parsed(write(EMPTY, "html")).tags["h1"] == 1
    assert parsed(write(EMPTY, "html")).tags["section"] == 0
    assert "nothing to report yet" in text(write(EMPTY, "html"))


def test_the_contents_lead_to_every_section_and_table_that_there_is() -> None:
    html = full()
    contents = html[html.index("<nav") : html.index("</nav>")]
    places = re.findall(r'<h[23] id="([^"]+)"', html)
    assert sorted(re.findall(r'href="#([^"]+)"', contents)) == sorted(places)
    assert {"claims", "results", "figures", "table-1"} <= set(places)
    for place in re.findall(r'href="#([^"]+)"', contents):
        assert html.count(f'id="{place}"') == 1


def test_a_comparison_leads_to_the_queries_that_moved_most() -> None:
    finding = Finding("d", "a vs b", OPEN, 0.1, 0.0, 0.2, sides=(("a",), ("b",)))
    verdict = Verdict("c", "a beats b", "map", "mono", OPEN, (finding,))
    hit = {"rank": 4, "language": "de", "text": "Er <heißt> so."}
    query = {
        "question": "Wie?", "query_language": "de", "passage_language": "de", "value": 0.25,
        "other": 1.0, "change": -0.75, "relevant": [hit], "before": [],
    }  # fmt: skip
    key = moved_key(verdict, finding)
    one = Moved("a vs b, d", "mono", "map", [query])
    html = write(replace(EMPTY, verdicts=[verdict], moved=lambda: {key: one}), "html")
    assert f'href="#{key}"' in html
    assert f'id="{key}"' in html
    assert "Wie? de→de · .250, −.750 from 1.000 ✓ #4 de Er <heißt> so." in text(html)


def test_tables_can_be_filtered_by_what_they_have_several_of() -> None:
    assert re.findall('data-filter="(.*?)"', full()) == ["encoder", "metric"]
    assert "data-filter" not in write(EMPTY, "html")
