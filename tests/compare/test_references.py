"""The printed figures are those of the paper, cell by cell, and what it claims can be judged."""

import csv
import statistics
from pathlib import Path
from typing import Any

import pytest

from hbr.compare.references import names, reference
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.core.config import full_path
from hbr.core.errors import UserError

Cell = tuple[str, str, str, str, str, str]  # data set, encoder, setting, metric, sampler, language
MISPRINT = ("xquad-r", "labse", "mono", "map", "hybrid", "mean")


@pytest.fixture(scope="module")
def ours() -> dict[Cell, float]:
    """Every figure of the package, means under `mean`."""
    found: dict[Cell, float] = {}
    for config, metrics, *_ in reference("elmahdy2024").results:
        encoder, sampler, dataset = config.encoder.name, config.method, metrics["dataset"]
        for setting, values in metrics["settings"].items():
            for metric, value in values.items():
                found[dataset, encoder, setting, metric, sampler, "mean"] = value
        for setting, languages in metrics["by_query_language"].items():
            for language, values in languages.items():
                for metric, value in values.items():
                    found[dataset, encoder, setting, metric, sampler, language] = value
    return found


@pytest.fixture
def printed(shared_data: Path) -> dict[Cell, float]:
    """Every figure of the file that was typed off the paper."""
    path = shared_data.parent / "reference" / "elmahdy2024.csv"
    if not path.exists():
        pytest.skip(f"needs {path}")
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    keys = ("dataset", "encoder", "setting", "metric", "sampler", "query_language")
    found: dict[Any, float] = {tuple(x[key] for key in keys): float(x["value"]) for x in lines}
    assert len(found) == len(lines) == 1032
    return found


def test_the_figures_are_those_of_the_paper_cell_by_cell(
    ours: dict[Cell, float], printed: dict[Cell, float]
) -> None:
    assert ours.keys() == printed.keys()
    assert {cell for cell in ours if ours[cell] != printed[cell]} == {MISPRINT}
    assert printed[MISPRINT] == 0.8167


def test_there_are_all_1032_of_them(ours: dict[Cell, float]) -> None:
    assert len(ours) == 1032
    assert {cell[0] for cell in ours} == {"xquad-r", "mlqa-r", "miracl"}
    assert sum(cell[-1] == "mean" for cell in ours) == 96


def test_every_mean_is_that_of_its_languages(ours: dict[Cell, float]) -> None:
    languages: dict[Any, list[float]] = {}
    for *about, language in ours:
        if language != "mean":
            languages.setdefault(tuple(about), []).append(ours[*about, language])
    assert len(languages) == 96
    for about, values in languages.items():
        rounding = 0.1 if about[3] == "rank_distance" else 0.0001
        mean = ours[*about, "mean"]
        assert mean == pytest.approx(statistics.fmean(values), abs=rounding), about


def test_the_one_misprint_is_noted_with_both_figures() -> None:
    about = [note for note in reference("elmahdy2024").notes if "0.8167" in note[1]]
    assert about == [
        (
            "xquad-r",
            "labse hybrid on xquad-r, mono map: 0.8184 is the recomputed mean of its languages; "
            "the paper prints 0.8167",
        )
    ]


def test_fractions_are_fractions_and_distances_are_ranks(ours: dict[Cell, float]) -> None:
    for cell, value in ours.items():
        low, high = (1, 15_000) if cell[3] == "rank_distance" else (0.01, 1)
        assert low < value <= high, cell


def test_the_source_is_named() -> None:
    known = reference("elmahdy2024")
    assert known.name in names()
    assert known.source == "arXiv 2408.10536"
    assert "Monolingual, Cross-lingual, and Multilingual" in known.title
    assert {r.metrics["protocol"] for r in known.results} == {"as printed in arXiv 2408.10536"}


def test_another_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UserError, match="no reference 'elmahdy2042'; did you mean elmahdy2024"):
        reference("elmahdy2042")


def test_claims_name_what_the_paper_printed(ours: dict[Cell, float]) -> None:
    claims = reference("elmahdy2024").claims
    assert len({claim.id for claim in claims}) == len(claims) >= 10
    for claim in claims:
        assert claim.says
        assert claim.dataset
        for dataset in claim.dataset:
            keys = {cell[1:5] for cell in ours if cell[0] == dataset}
            for selector in (claim.greater or claim.less or {}, *(claim.than or ())):
                for encoder in ("xlm-r", "labse"):
                    asked = (encoder, claim.setting, claim.metric, selector["sampler"])
                    assert asked in keys, (claim.id, asked)
        for key in claim.keys:
            full_path(key)


def test_the_figures_bear_out_less_bias_but_not_the_best_pool() -> None:
    report = assemble(StudyResults("", []), Options(reference="elmahdy2024"))
    verdicts = {verdict.id.partition(" ")[0]: verdict for verdict in report.verdicts}
    assert {id for id, v in verdicts.items() if v.status == "means agree"} == {
        *("mono-not-worse", "mono-beats-cross", "cross-not-worse", "cross-beats-mono"),
        *("multi-not-worse", "less-bias", "bias-near-cross", "trade-off-mono", "trade-off-cross"),
        *("miracl-beats-cross", "miracl-recall-beats-cross"),
    }
    assert {id for id, v in verdicts.items() if v.status == "means disagree"} == {
        *("multi-best", "miracl-not-worse", "miracl-recall-not-worse")
    }
    assert all("no per-query data" in verdict.note for verdict in verdicts.values())
    (against,) = [f for f in verdicts["multi-best"].findings if f.status == "means disagree"]
    assert (against.dataset, against.label) == ("xquad-r", "xlm-r: hybrid vs cross-lingual")
    assert against.effect == pytest.approx(0.5927 - 0.5934)


def test_tables_have_the_papers_columns_and_name_the_source() -> None:
    report = assemble(StudyResults("", []), Options(reference="elmahdy2024"))
    tables = {table.dataset: table for table in report.tables}
    assert tables.keys() == {"xquad-r", "mlqa-r", "miracl"}
    assert tables["miracl"].columns == (("mono", "ndcg@10"), ("mono", "recall@100"))
    for dataset in ("xquad-r", "mlqa-r"):
        assert len(tables[dataset].columns) == 7
        assert "arXiv 2408.10536" in tables[dataset].protocol
        assert len(tables[dataset].rows) == 6
    (row,) = [r for r in tables["xquad-r"].rows if r.label == ("xlm-r", "hybrid")]
    assert row.cells[0].mean == 0.7977
