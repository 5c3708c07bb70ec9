"""A report holds everything that a comparison shows, with printed figures beside it."""

import math
from pathlib import Path

import pytest

from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, provenance
from hbr.compare.series import series
from hbr.core.errors import UserError
from tests.compare.support import BETTER, claim, config, daggers, gathered, result, values
from tests.support import finished


def test_a_report_holds_tables_verdicts_warnings_series_and_provenance(runs: Path) -> None:
    results = [
        result(finished(runs, "hybrid", values(0.6, noise_seed=s), seed=s)) for s in (0, 1)
    ] + [result(finished(runs, "monolingual", values(0.5, noise_seed=9)))]
    expected = [config("monolingual"), config("monolingual", seed=1)]
    material = StudyResults("study", results, expected, [claim(**BETTER)])
    report = assemble(material, Options())
    assert (report.title, report.tables[0].title) == ("study", "study: embedded")
    assert [v.status for v in report.verdicts] == ["open"]
    assert "provisional: 1 of the study's runs have no results yet" in report.warnings
    assert not any(note[0] in "†§" for note in report.warnings)
    assert [(s.sampler, s.alpha) for s in report.series] == [("monolingual", 1), ("hybrid", 0.5)]
    assert len(report.provenance) == 3
    assert "seeds both as random" in report.statistics
    assert "Holm over all comparisons of the claims" in report.statistics


def test_a_claim_of_a_study_is_open_until_all_its_data_sets_are_evaluated(runs: Path) -> None:
    one, other = (
        finished(runs, "hybrid", values(0.6)),
        finished(runs, "monolingual", values(0.5, noise_seed=1)),
    )
    finished(runs, "hybrid", values(0.6), dataset="other")
    results = [result(one), result(other), result(one, "other")]
    expected = [config("hybrid"), config("monolingual")]
    report = assemble(StudyResults("s", results, expected, [claim(**BETTER)]), Options())
    assert [(f.dataset, f.status) for f in report.verdicts[0].findings] == [
        ("embedded", "holds for these encoders"),
        ("other", "open"),
    ]
    assert report.verdicts[0].status == "open"


def test_an_unknown_group_is_answered_with_those_there_are(runs: Path) -> None:
    results = [result(finished(runs, "hybrid", values()))]
    with pytest.raises(UserError, match="--by 'colour': one of language, resource, script"):
        assemble(StudyResults("", results), Options(by="colour"))


def test_series_average_seeds_and_keep_a_curve_for_each(runs: Path) -> None:
    evidence = gathered(
        *(finished(runs, "hybrid", values(v), seed=s) for s, v in enumerate((0.4, 0.6))),
        finished(runs, "untrained", values(0.2)),
        expected=[config("mixed")],
    )
    untrained, hybrid = series(evidence)
    assert (hybrid.encoder, hybrid.sampler, hybrid.name, hybrid.alpha) == (
        *("xlm-r-tiny", "hybrid", "hybrid", 0.5),
    )
    assert hybrid.settings["mono"]["map"] == pytest.approx(0.5)
    assert hybrid.by_language["multi"].keys() == {"de", "en", "so", "th"}
    assert hybrid.mean_rank["de"].keys() == {"de", "en", "so", "th"}
    assert hybrid.losses == [[(10, 2.5), (20, 1.5)]] * 2
    assert hybrid.validation == [[(20, 1.25)]] * 2
    assert (untrained.sampler, untrained.alpha) == ("untrained", None)


def test_provenance_is_a_line_a_run_whatever_its_data_sets(runs: Path) -> None:
    run = finished(runs, "hybrid", values(), done={"steps": 1200, "seconds": 3661.0})
    finished(runs, "hybrid", values(), dataset="other")
    (line,) = provenance([result(run), result(run, "other")])
    assert (line["run"], line["steps"], line["seconds"]) == (run.name, "1,200", "3,661")
    assert line["hbr"] == "0.1.0, abc1234"
    assert line["trained"] == line["evaluated"] == "2031-01-01 00:00 UTC"


def test_times_are_in_utc_and_of_several_evaluations_the_last_counts(runs: Path) -> None:
    trained = {"finished": "2031-01-01T01:30:00+0200"}
    first = result(finished(runs, "hybrid", values(), done=trained))
    entry = first.stages["evaluate"]
    later = first.stages | {"evaluate": entry | {"finished": "2031-01-03T23:00:00-0200"}}
    (line,) = provenance([first._replace(stages=later), first])
    assert (line["trained"], line["evaluated"]) == ("2030-12-31 23:30 UTC", "2031-01-04 01:00 UTC")


def test_provenance_says_on_what_and_how_a_run_was_trained_and_evaluated(runs: Path) -> None:
    done = finished(runs, "hybrid", values())
    (line,) = provenance([result(done)])
    assert line["queries / passages"] == "embedded 96 / 960"
    assert line["batch"] == "64"
    assert line["temperature"] == "0.05"


def test_languages_are_explained_with_what_is_known_of_them(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    report = assemble(StudyResults("ours", [result(run)]), Options())
    (german,) = (one for one in report.languages if one["language"] == "de")
    assert [one["language"] for one in report.languages] == ["de", "en", "so", "th"]
    assert (german["name"], german["family"], german["resource"]) == ("German", "germanic", "high")


# Printed figures


def on_xquad(runs: Path) -> list[Result]:
    return [
        result(
            finished(runs, s, values(v, noise_seed=i), dataset="xquad-r", encoder="labse"),
            "xquad-r",
        )
        for i, (s, v) in enumerate((("hybrid", 0.6), ("monolingual", 0.5)))
    ]


def test_printed_figures_stand_in_tables_of_their_own(runs: Path) -> None:
    options = Options(reference="elmahdy2024")
    report = assemble(StudyResults("ours", on_xquad(runs)), options)
    ours, theirs = report.tables
    assert (ours.dataset, ours.protocol, len(ours.rows)) == ("xquad-r", "by hand", 2)
    assert (theirs.dataset, theirs.protocol) == ("xquad-r", "as printed in arXiv 2408.10536")
    assert len(theirs.rows) == 6
    assert {row.seeds_text for row in theirs.rows} == {"–"}
    assert daggers(theirs) == set()
    assert not any("seed" in note for note in theirs.notes)
    cells = [cell for row in theirs.rows for cell in row.cells]
    assert all(math.isnan(cell.low) and cell.sd is None for cell in cells)


def test_claims_on_printed_figures_are_judged_by_means_alone(runs: Path) -> None:
    options = Options(reference="elmahdy2024")
    report = assemble(StudyResults("ours", on_xquad(runs), claims=[claim(**BETTER)]), options)
    ours, *printed = report.verdicts
    assert (ours.id, ours.status, ours.note) == ("c", "holds for these encoders", "")
    assert {v.id.partition(" ")[2] for v in printed} == {"(elmahdy2024)"}
    assert all("no per-query data" in v.note for v in printed)
    assert {v.status for v in printed} == {"means agree", "means disagree"}
    findings = [f for v in printed for f in v.findings]
    assert all(math.isnan(f.p) and math.isnan(f.low) and f.seeds == 0 for f in findings)
    alone = assemble(StudyResults("", []), options)
    assert [(v.id, v.status) for v in alone.verdicts] == [(v.id, v.status) for v in printed]


def test_what_must_be_known_of_printed_figures_stands_with_their_table(runs: Path) -> None:
    report = assemble(StudyResults("", []), Options(reference="elmahdy2024"))
    (xquad,) = [table for table in report.tables if table.dataset == "xquad-r"]
    assert any("prints 0.8167" in note for note in xquad.notes)
    assert any("prints 0.8167" in warning for warning in report.warnings)


def test_metrics_that_the_paper_did_not_print_are_no_mistake(runs: Path) -> None:
    results = [result(finished(runs, "hybrid", values() | {"mono mrr": 0.5}))]
    options = Options(("mrr",), reference="elmahdy2024")
    assert assemble(StudyResults("", results), options).tables[0].columns == (("mono", "mrr"),)


def test_what_a_paper_trained_on_is_not_known(runs: Path) -> None:
    report = assemble(StudyResults("", []), Options(by="seen", reference="elmahdy2024"))
    groups = {row.group for table in report.tables for row in table.rows}
    assert not groups & {"seen", "unseen"}


def test_a_run_alone_without_claims_makes_a_report(runs: Path) -> None:
    results = [result(finished(runs, "untrained", values()))]
    report = assemble(StudyResults("", results), Options())
    assert (len(report.tables), list(report.verdicts)) == (1, [])
