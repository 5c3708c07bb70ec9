"""Verdicts in words and signs: what a claim says, what came of it, and the numbers behind it."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding, Verdict
from hbr.report.findings import effect, interval, numbers, p_text
from hbr.report.formats import latex, markdown, table, values
from tests.support import pdflatex, tabulars

FOUND = Finding(
    dataset="embedded",
    label="xlm-r-tiny: hybrid vs monolingual",
    status=SUPPORTED,
    effect=0.0124,
    low=0.0081,
    high=0.0162,
    relative=0.025,
    p=0.0002,
    adjusted=0.0006,
    d=0.714,
    seeds=3,
    concepts=329,
    cells=("hybrid-s0", "monolingual-s0"),
    bounds=(0.0,),
    side=1,
)
AGAINST = replace(
    FOUND,
    label="labse-tiny: hybrid vs monolingual",
    status=REFUTED,
    effect=-0.05,
    low=-0.0612,
    high=-0.04,
    adjusted=0.0123,
    d=-0.5,
    bounds=(-0.01,),
)
NOT_RUN = Finding("embedded", "mbert-tiny: hybrid vs monolingual", OPEN, note="not all were run")


def verdict(*findings: Finding, **more: Any) -> Verdict:
    about = {"id": "c", "sentence": "Hybrid is best", "metric": "map", "setting": "multi"}
    return Verdict(**about | {"status": OPEN, "findings": findings} | more)


def printed(*made: Verdict, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table.claims(made))
    return out.getvalue()


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0001, "< .001"),
        (0.00099, "< .001"),
        (0.001, ".001"),
        (0.0123, ".012"),
        (0.0499, ".050"),
        (1.0, "1.000"),
        (math.nan, "–"),
    ],
)
def test_a_small_p_is_a_bound(p: float, text: str) -> None:
    assert p_text(p) == text


@pytest.mark.parametrize(
    ("finding", "metric", "text", "bounds"),
    [
        (FOUND, "map", "+.012", "[+.008, +.016]"),
        (AGAINST, "recall@1", "−.050", "[−.061, −.040]"),
        (replace(FOUND, low=math.nan, high=math.nan), "map", "+.012", ""),
        (NOT_RUN, "map", "–", ""),
        (replace(FOUND, effect=-1840.2, low=-941.0, high=12.6), "rank_distance", "−1,840", None),
    ],
)
def test_an_effect_has_its_sign_and_its_interval(
    finding: Finding, metric: str, text: str, bounds: str | None
) -> None:
    assert effect(finding, metric) == text
    assert interval(finding, metric) == ("[−941, +13]" if bounds is None else bounds)


def test_markdown_has_a_line_a_claim_and_a_line_a_comparison() -> None:
    text = markdown.claims(
        [verdict(FOUND, AGAINST, NOT_RUN, status=REFUTED, note="not all were run")]
    )
    assert text == (
        "### Claims\n\n"
        "| claim | verdict | effect [95 %] | bound | adj. p | d | seeds |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| **Hybrid is best – not all were run** | **refuted** |  |  |  |  |  |\n"
        "| · xlm-r-tiny: hybrid vs monolingual | supported | +.012 [+.008, +.016] | > 0 | < .001 "
        "| +.71 | 3 |\n"
        "| · labse-tiny: hybrid vs monolingual | refuted | −.050 [−.061, −.040] | > −.010 | .012 "
        "| −.50 | 3 |\n"
        "| · mbert-tiny: hybrid vs monolingual (not all were run) | open | – |  | – | – | – |\n"
    )


def test_where_there_are_no_claims_nothing_is_written() -> None:
    assert markdown.claims([]) == latex.claims([]) == ""
    assert values.claim_values([]) == []


def test_a_data_set_is_named_where_there_are_several() -> None:
    other = replace(FOUND, dataset="xquad-r")
    text = markdown.claims([verdict(FOUND, other), verdict(FOUND)])
    assert text.count("| · embedded, xlm-r-tiny: hybrid") == 1
    assert text.count("| · xquad-r, xlm-r-tiny: hybrid") == 1
    assert text.count("| · xlm-r-tiny: hybrid") == 1


def test_a_note_that_all_comparisons_share_stands_once() -> None:
    notes = "no per-query data"
    findings = [replace(f, note=notes, p=math.nan) for f in (FOUND, AGAINST)]
    assert markdown.claims([verdict(*findings, note=notes)]).count(notes) == 1


def test_a_bar_in_a_claim_breaks_no_line_of_markdown() -> None:
    for line in markdown.claims([verdict(FOUND, sentence="P(a|b) is high")]).splitlines()[2:]:
        assert line.replace("\\|", "").count("|") == 8


@pytest.mark.parametrize(
    ("status", "sign"), [(SUPPORTED, "✓ supported"), (REFUTED, "✗ refuted"), (OPEN, "? open")]
)
def test_the_terminal_shows_signs_and_numbers(status: str, sign: str) -> None:
    shown = printed(verdict(FOUND, status=status))
    assert sign in shown
    for words in ("Hybrid is best", "xlm-r-tiny: hybrid vs", "+.012 [+.008, +.016]", "< .001"):
        assert words in shown


@pytest.mark.parametrize("text", ["a [draft] b", "[/x]", "[red]x"])
def test_brackets_are_shown_on_the_terminal_as_they_are(text: str) -> None:
    labelled = replace(FOUND, label=f"{text}: hybrid vs monolingual", note=text)
    assert printed(verdict(labelled, sentence=text, note="n")).count(text) == 3


def test_a_narrow_terminal_cuts_no_number() -> None:
    shown = "".join(printed(verdict(FOUND, AGAINST), width=60).split())
    for words in ("+.012", "[+.008,", "+.016]", "[−.061,", "−.040]", "<.001", "+.71", "−.50"):
        assert words in shown


def test_plain_values_are_json_without_what_is_no_number() -> None:
    plain = values.claim_values([verdict(FOUND, NOT_RUN)])
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    (one,) = plain
    assert (one["id"], one["status"], one["metric"], one["setting"]) == ("c", OPEN, "map", "multi")
    first, second = one["findings"]
    assert first["effect"] == 0.0124
    assert first["adjusted"] == 0.0006
    assert first["cells"] == ["hybrid-s0", "monolingual-s0"]
    assert (first["seeds"], first["concepts"]) == (3, 329)
    assert (second["effect"], second["p"], second["low"], second["d"]) == (None,) * 4


def test_latex_is_balanced_and_every_line_has_the_same_columns(tmp_path: Path) -> None:
    made = [
        verdict(FOUND, AGAINST, note="‡ contaminated", sentence="α & 10 % of a_b ≥ c → d"),
        verdict(NOT_RUN, status=SUPPORTED),
        verdict(status=REFUTED),
    ]
    text = latex.claims(made)
    ((columns, lines),) = tabulars(text)
    assert (columns, set(lines), len(lines)) == (7, {7}, 7)
    assert r"$\alpha$ \& 10 \% of a\_b $\ge$ c $\to$ d" in text
    assert r"$-$.050 [$-$.061, $-$.040]" in text.replace("{[}", "[")
    assert r"$<$ .001" in text
    assert r"\textbf{supported}" in text
    pdflatex(tmp_path, text)


@pytest.mark.parametrize("text", ["[x] first", "Привет ไทย 中文", "≈ √ Δ ₂", "*"])
def test_latex_compiles_whatever_a_claim_says(tmp_path: Path, text: str) -> None:
    made = verdict(replace(FOUND, label=text, note=text), sentence=text, note="other")
    pdflatex(tmp_path, latex.claims([made, made]))


def test_many_claims_are_not_cut_at_the_end_of_a_page(tmp_path: Path) -> None:
    made = [verdict(*[FOUND] * 8, id=str(number)) for number in range(12)]
    text = latex.claims(made)
    assert all(set(lines) == {columns} for columns, lines in tabulars(text))
    assert "Float too large" not in pdflatex(tmp_path, text)


@pytest.mark.parametrize(
    ("bounds", "side", "metric", "text"),
    [
        ((0.0,), 1, "map", "> 0"),
        ((-0.02,), 1, "map", "> −.020"),
        ((-15.1,), -1, "rank_distance", "< −15"),
        ((-0.005, 0.005), 0, "map", "± .005"),
        ((), 1, "map", ""),
    ],
)
def test_the_bound_of_a_claim_stands_beside_its_effect(
    bounds: tuple[float, ...], side: int, metric: str, text: str
) -> None:
    assert numbers(replace(FOUND, bounds=bounds, side=side), metric)[1] == text
