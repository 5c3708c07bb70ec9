"""`hbr compare`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hbr.cli.options import DEFAULT_RUNS, OptionalDataset, Runs, Sets, matching
from hbr.cli.screen import show_missing, show_report, show_written
from hbr.core import registry
from hbr.core.errors import UserError

Format = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"How to write it: {', '.join(registry.names('format'))}, or your own, "
        "package.module:attribute.",
        autocompletion=matching("format"),
    ),
]
EXAMPLES = (
    "hbr compare runs/RUN runs/OTHER_RUN --dataset xquad-r --baseline monolingual",
    "hbr compare --study experiments/embedded.yaml --by resource",
    "hbr compare --study experiments/embedded.yaml --format html --output report.html",
    "hbr compare --study experiments/embedded.yaml --bundle results.tar",
    "hbr compare --reference elmahdy2024",
)


def compare(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs to compare.")] = None,
    study: Annotated[Path | None, typer.Option(help="Compare the cells of a study.")] = None,
    dataset: OptionalDataset = None,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics to show, e.g. map,recall@10,rank_distance.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="Add rows for groups of languages: language, resource, script, family, seen, "
            "distance (of the pair).",
        ),
    ] = None,
    by_language: Annotated[bool, typer.Option("--by-language", help="--by language.")] = False,
    baseline: Annotated[
        str | None, typer.Option(help="Sampler that daggers tell apart from.", metavar="SAMPLER")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Set a paper's printed figures beside: elmahdy2024.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse runs that differ in what is not compared.")
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=99, help="Draws of every test and interval.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of these draws.")] = 0,
    format: Format = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Draw the figures into this folder, PNG and PDF.")
    ] = None,
    mteb: Annotated[
        Path | None, typer.Option(help="Write result files in MTEB's shape to this folder.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Pack everything that the numbers rest on into a tar.")
    ] = None,
    bundle_check: Annotated[
        Path | None, typer.Option(help="Recompute every number of such a tar.")
    ] = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
) -> None:
    """Compare runs, or the cells of a study: what is best, what is told apart, what holds."""
    from hbr.compare.evidence import Resampling
    from hbr.compare.reports import Options, assemble
    from hbr.core.config import parse_set

    if bundle_check:
        _check_bundle(bundle_check)
        return
    if study is not None and runs:
        raise UserError("name runs to compare, or a study with --study FILE, not both")
    registry.get("format", format)  # before any work
    if study is None and not runs and not reference:
        raise UserError("name runs to compare, or a study with --study FILE")
    for path in filter(None, (output, bundle)):
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}")
    material = _material(study, runs or [], dataset, parse_set(settings or []), output_dir)
    if not material.results and not reference:
        raise UserError(f"{study} has no results yet; get them with `hbr sweep {study}`")
    wanted = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    group, resampling = "language" if by_language else by, Resampling(resamples, seed)
    options = Options(wanted, group, baseline, resampling, strict, reference)
    report = assemble(material, options)
    show_report(report, format, output)
    if figures:
        from hbr.report.figures import draw, save_all

        show_written(save_all(draw(report), figures))
    if mteb:
        from hbr.experiments.study_results import write_mteb

        show_written(write_mteb(material, mteb))
    if bundle:
        from hbr.experiments.result_bundle import pack

        pack(bundle, material, options, report, study)
        show_written([bundle])


def _material(
    study: Path | None,
    runs: list[Path],
    dataset: str | None,
    overrides: Mapping[str, Any],
    output_dir: Path,
) -> Any:
    """Return what is compared: of a study, or of some runs on one data set."""
    from hbr.compare.reports import StudyResults
    from hbr.compare.results import read_result, targets_of
    from hbr.core.target import EvaluationTarget
    from hbr.experiments.run_spec import open_run

    if study is None:
        opened = [open_run(run) for run in runs]
        done = [targets_of(store) for store, _ in opened]
        shared = [name for name in done[0] if all(name in d for d in done)] if done else []
        names = [EvaluationTarget.parse(dataset)] if dataset else shared
        if without := [run for run, evaluated in zip(runs, done, strict=True) if not evaluated]:
            raise UserError(f"{without[0]} has no results; `hbr evaluate --run {without[0]}`")
        if not names and runs:
            told = "; ".join(
                f"{run}: {', '.join(map(str, d))}" for run, d in zip(runs, done, strict=True)
            )
            raise UserError(f"no data set was evaluated with all of the runs ({told})")
        return StudyResults("", [read_result(*run, name) for name in names for run in opened])
    from hbr.experiments.study import read_study
    from hbr.experiments.study_results import study_results
    from hbr.experiments.sweep import cells

    plan = read_study(study)
    target = EvaluationTarget.parse(dataset) if dataset else None
    if target and target not in plan.targets:
        evaluated = ", ".join(map(str, plan.targets))
        raise UserError(f"--dataset {dataset}: {study} evaluates {evaluated}")
    targets = [target] if target else []
    results, missing = study_results(plan, cells(plan, output_dir, overrides), targets)
    show_missing(missing)
    return results


def _check_bundle(path: Path) -> None:
    from hbr.experiments.result_bundle import check

    checked = check(path)
    for line in checked.differences:
        print(line)
    if checked.differences:
        raise UserError(
            f"{path} does not hold: {len(checked.differences)} differences", exit_code=1
        )
    print(f"{path} holds: {checked.files} files, {checked.numbers:,} numbers recomputed")
