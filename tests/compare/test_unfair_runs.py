"""What runs differ in besides what is compared is named; contaminated results are marked."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from hbr.compare.evidence import gather
from hbr.compare.fairness import unfair
from hbr.compare.reports import Options, StudyResults, assemble
from hbr.compare.tables import compare
from hbr.core.errors import UserError
from hbr.report.formats.markdown import to_markdown
from hbr.report.formats.values import to_csv
from tests.compare.support import gathered, result, values
from tests.support import finished


def test_unfair_differences_are_named_with_who_differs(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(), settings={"train.batch_size": 32}),
        finished(runs, "mixed", values()),
        finished(runs, "english", values()),
    )
    lines = unfair(evidence, ())
    (line,) = [line for line in lines if "train.batch_size" in line]
    assert line.startswith("runs differ in train.batch_size: 64 (")
    assert " and 1 more), 32 (hybrid-xlm-r-tiny-s0-" in line
    assert set(lines) <= set(compare(evidence).notes)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("train.precision", {"settings": {"train.precision": "bf16"}}),
        ("encoder.query_max_seq_length", {"settings": {"encoder.query_max_seq_length": 32}}),
        (
            "mine.relative_margin",
            {"settings": {"train.hard_negatives": "mined", "mine.relative_margin": 0.05}},
        ),
        ("encoder.pooling", {"settings": {"encoder.pooling": "cls"}}),
        ("encode.precision", {"settings": {"encode.precision": "bf16"}}),
        ("encoder.revision", {"settings": {"encoder.revision": "abc"}}),
        ("steps done", {"done": {"steps": 7}}),
        ("pairs seen", {"done": {"pairs": 7}}),
        ("data (rows embedded)", {"done": {"inputs": {"rows embedded": "rows-9"}}}),
        ("encoder files", {"done": {"inputs": {"encoder": "files-9"}}}),
    ],
)
def test_each_thing_that_is_not_compared_must_be_the_same(
    runs: Path, what: str, changed: Any
) -> None:
    mined = {"train.hard_negatives": "mined"} if what.startswith("mine.") else {}
    one = finished(runs, "hybrid", values(), settings=mined)
    other = finished(runs, "mixed", values(), **changed)
    lines = unfair(gathered(one, other), ())
    assert [line for line in lines if line.startswith(f"runs differ in {what}: ")]
    with pytest.raises(UserError, match="--strict: the comparison is not fair\nruns differ in"):
        assemble(StudyResults("", [result(one), result(other)]), Options(strict=True))


def test_an_untrained_run_beside_them_makes_no_difference_fair(runs: Path) -> None:
    """It has no steps; those of the others differ all the same."""
    evidence = gathered(
        finished(runs, "untrained", values()),
        finished(runs, "hybrid", values()),
        finished(runs, "mixed", values(), done={"steps": 7, "inputs": {"encoder": "files-9"}}),
    )
    lines = unfair(evidence, ())
    for what in ("steps done", "encoder files"):
        assert [line for line in lines if line.startswith(f"runs differ in {what}: ")], what


def test_runs_that_differ_in_sampler_encoder_and_seed_alone_are_fair(runs: Path) -> None:
    results = [
        result(finished(runs, sampler, values(), encoder=encoder, seed=seed))
        for sampler in ("monolingual", "hybrid")
        for encoder in ("xlm-r-tiny", "labse-tiny")
        for seed in (0, 1)
    ]
    results.append(result(finished(runs, "untrained", values())))
    assert unfair(gather(results)[0], ()) == []
    assert assemble(StudyResults("", results), Options(strict=True)).tables


def test_what_a_study_varies_on_purpose_is_fair(runs: Path) -> None:
    results = [
        result(finished(runs, "hybrid", values(), settings={"learning_rate": lr, "alpha": alpha}))
        for lr in (1e-3, 1e-4)
        for alpha in (0.2, 0.8)
    ]
    material = StudyResults("", results, varied={"train.learning_rate", "sampler.alpha"})
    assert assemble(material, Options(strict=True)).tables
    with pytest.raises(UserError, match=r"runs differ in train\.learning_rate: 0\.001"):
        assemble(StudyResults("", results), Options(strict=True))


@pytest.mark.parametrize("setting", ["train.max_steps", "train.batch_size"])
def test_what_follows_from_what_is_varied_is_fair_too(runs: Path, setting: str) -> None:
    results = [result(finished(runs, "hybrid", values(), settings={setting: n})) for n in (32, 64)]
    assert unfair(gather(results)[0], {setting}) == []


def test_contamination_is_marked_on_rows_in_notes_and_in_csv(runs: Path) -> None:
    evidence = gathered(
        finished(runs, "hybrid", values(), contamination=(3, 0)),
        finished(runs, "mixed", values()),
    )
    table = compare(evidence)
    assert [(row.label[1], row.marked) for row in table.rows] == [
        ("mixed", False),
        ("hybrid", True),
    ]
    (note,) = [note for note in table.notes if note.startswith("‡")]
    assert "3 of 96 queries and 0 of 960 passages are among the training texts" in note
    assert "| hybrid‡ |" in to_markdown(table)
    lines = csv.DictReader(io.StringIO(to_csv([table])))
    assert {(line["sampler"], line["contaminated"]) for line in lines} == {
        ("mixed", "0"),
        ("hybrid", "1"),
    }
