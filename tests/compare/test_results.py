"""Results are read unless they are stale or damaged, and only like ones share a table."""

import json
from pathlib import Path

import pytest

from hbr.compare.evidence import gather
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.results import Result, read_result
from hbr.compare.tables import compare
from hbr.core.errors import UserError
from hbr.core.store import Store
from hbr.core.target import EvaluationTarget
from tests.compare.support import CONCEPTS, gathered, result, values
from tests.support import finished


def test_protocols_never_share_a_table(runs: Path) -> None:
    results = [
        result(finished(runs, "hybrid", values())),
        result(finished(runs, "mixed", values())),
        result(finished(runs, "english", values(), about={"protocol": "another"})),
        result(finished(runs, "monolingual", values(), about={"search": "faiss flat"})),
    ]
    samplers = {
        one.protocol: [r.config.sampler.name for r in one.results] for one in gather(results)
    }
    assert samplers == {
        "by hand": ["mixed", "hybrid"],
        "another": ["english"],
        "by hand; search: faiss flat": ["monolingual"],
    }
    report = assemble(StudyResults("", results), Options())
    assert {t.protocol: len(t.rows) for t in report.tables} == {
        p: len(m) for p, m in samplers.items()
    }


def test_runs_under_different_protocols_are_refused_when_strict(runs: Path) -> None:
    results = [
        result(finished(runs, "hybrid", values())),
        result(finished(runs, "mixed", values(), about={"protocol": "another"})),
    ]
    with pytest.raises(UserError, match="protocol"):
        assemble(StudyResults("", results), Options(strict=True))


def test_data_sets_have_tables_of_their_own(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    finished(runs, "hybrid", values(0.3), dataset="other")
    report = assemble(StudyResults("study", [result(run), result(run, "other")]), Options())
    assert [table.title for table in report.tables] == ["study: embedded", "study: other"]
    assert [round(t.rows[0].cells[0].mean, 6) for t in report.tables] == [0.5, 0.3]


def test_a_metric_that_one_data_set_has_is_shown_there(runs: Path) -> None:
    run = finished(runs, "hybrid", values() | {"mono mrr": 0.5})
    finished(runs, "hybrid", values(), dataset="other")
    material = StudyResults("", [result(run), result(run, "other")])
    report = assemble(material, Options(("mrr",)))
    assert report.tables[0].columns == (("mono", "mrr"),)


def test_runs_evaluated_on_different_versions_of_the_data_are_not_compared(runs: Path) -> None:
    one = finished(runs, "hybrid", values())
    other = finished(runs, "monolingual", values(), about={"task": "task-2"})
    with pytest.raises(UserError, match=r"on different versions of embedded; .*the same --source"):
        gathered(one, other)


def test_runs_that_answer_other_queries_are_not_compared(runs: Path) -> None:
    one = finished(runs, "hybrid", values())
    fewer = {name: value[: CONCEPTS - 1] for name, value in values().items()}
    other = finished(runs, "monolingual", fewer, concepts=CONCEPTS - 1)
    with pytest.raises(UserError, match=r"holds other queries than .*hbr evaluate --force"):
        compare(gathered(one, other))


def stage(
    run: Store, name: str, content: str, inputs: dict[str, str] | None = None, **facts: str
) -> None:
    def make(folder: Path) -> dict[str, str]:
        (folder / "metrics.json").write_text(content)
        return facts

    run.build(name, make, settings={}, inputs=inputs)


def evaluated(folder: Path, name: str, **facts: str) -> tuple[Result, Store]:
    """A run whose stages are chained, with the result that its evaluation in a folder holds."""
    complete_result, run = (
        result(finished(folder / "made", "hybrid", values())),
        Store(folder / "run"),
    )
    stage(run, "train", "first")
    stage(run, f"encode/{name}", "", {"train": run.completion("train")})
    inputs = {"encode": run.completion(f"encode/{name}")}
    stage(run, f"evaluate/{name}", json.dumps(complete_result.metrics), inputs, **facts)
    return complete_result, run


def test_results_are_read_from_the_run_unless_they_are_stale(tmp_path: Path) -> None:
    complete_result, run = evaluated(tmp_path, "small")
    config = complete_result.config
    read = read_result(run, config, EvaluationTarget("small"))
    assert (read.metrics, read.name) == (complete_result.metrics, "run")
    assert read.stages["train"]["id"] == run.completion("train")
    with pytest.raises(UserError, match="hbr evaluate --dataset other --run"):
        read_result(run, config, EvaluationTarget("other"))
    (run.path / "evaluate" / "small" / "metrics.json").write_text('{"settings"')
    with pytest.raises(UserError, match=r"is missing or damaged; renew it: `[^`]* --force`"):
        read_result(run, config, EvaluationTarget("small"))
    stage(run, "train", "second", {"rows": "changed"})
    with pytest.raises(UserError, match="the results on small are stale; renew them"):
        read_result(run, config, EvaluationTarget("small"))


def test_data_sets_whose_folders_have_one_name_are_told_apart(tmp_path: Path) -> None:
    complete_result, run = evaluated(tmp_path, "beir-nq-train", dataset="beir/nq:train")
    config = complete_result.config
    assert read_result(run, config, EvaluationTarget("beir/nq:train")).metrics
    with pytest.raises(UserError, match="has no results on beir/nq-train; get them with"):
        read_result(run, config, EvaluationTarget("beir/nq-train"))


def test_results_of_an_older_hbr_are_named_with_what_renews_them(runs: Path) -> None:
    run = finished(runs, "hybrid", values())
    path = run / "evaluate" / "embedded" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics.pop("training")
    path.write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=r"older hbr's.*`hbr evaluate .*--force`"):
        result(run)  # without --force they count as up to date


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", None])
def test_values_by_query_that_are_damaged_are_named(runs: Path, content: bytes | None) -> None:
    run = finished(runs, "hybrid", values())
    path = run / "evaluate" / "embedded" / "per_query.parquet"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"per_query.parquet is missing.*hbr evaluate.*--force"):
        compare(gathered(run))
