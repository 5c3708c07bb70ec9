"""`hbr compare`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Context, Option

from hbr.cli import options
from hbr.cli.screen import console, show_missing, show_report, show_written
from hbr.core import registry
from hbr.core.errors import UserError

EXAMPLES = (
    "hbr compare runs/RUN runs/OTHER_RUN --dataset xquad-r --baseline monolingual",
    "hbr compare --study experiments/embedded.yaml --by resource",
    "hbr compare --study experiments/embedded.yaml --format html --output report.html",
    "hbr compare --study experiments/embedded.yaml --bundle results.tar",
    "hbr compare --reference elmahdy2024",
)
RunArguments = Annotated[list[Path] | None, Argument(metavar="[RUN]...", help="Runs to compare.")]
Study = Annotated[
    Path | None,
    Option(metavar="FILE", help="Compare this study's runs, and check its claims."),
]
Metrics = Annotated[
    str | None, Option(metavar="LIST", help="Metrics to show: map,recall@10,rank_distance.")
]
Group = Annotated[
    str | None,
    Option(
        metavar="GROUP",
        help="Add rows for groups of languages: language, resource, script, family, seen, "
        "english, distance (of the pair).",
    ),
]
ByLanguage = Annotated[bool, Option("--by-language", help="Same as --by language.")]
Baseline = Annotated[
    str | None, Option(metavar="SAMPLER", help="Daggers mark what differs from this sampler.")
]
Reference = Annotated[
    str | None, Option(metavar="NAME", help="Show a paper's figures too: elmahdy2024.")
]
Strict = Annotated[bool, Option("--strict", help="Refuse an unfair comparison.")]
EvidenceOption = Annotated[
    Literal["methods", "these-encoders"],
    Option(
        "--evidence",
        help="What daggers speak of: training the methods again, or these encoders alone.",
    ),
]
Power = Annotated[
    float | None,
    Option(
        metavar="EFFECT",
        help="Show how many seeds a cell find a difference of this size, claim by claim.",
    ),
]
Format = Annotated[
    str,
    Option(
        metavar="NAME",
        help=f"{', '.join(registry.names('format'))}, or your own, package.module:attribute.",
        autocompletion=options.matching("format"),
    ),
]
Output = Annotated[
    Path | None, Option("--output", "-o", metavar="FILE", help="Write the report to this file.")
]
Figures = Annotated[Path | None, Option(metavar="DIR", help="Write figures here, PNG and PDF.")]
Mteb = Annotated[Path | None, Option(metavar="DIR", help="Write result files as MTEB has them.")]
Bundle = Annotated[
    Path | None, Option(metavar="FILE", help="Pack all that the numbers rest on into a tar.")
]
BundleCheck = Annotated[
    Path | None, Option(metavar="FILE", help="Recompute every number of such a tar.")
]


def compare(
    ctx: Context,
    runs: RunArguments = None,
    study: Study = None,
    dataset: options.OptionalDataset = None,
    metrics: Metrics = None,
    by: Group = None,
    by_language: ByLanguage = False,
    baseline: Baseline = None,
    reference: Reference = None,
    strict: Strict = False,
    evidence: EvidenceOption = "methods",
    power: Power = None,
    format: Format = "table",
    output: Output = None,
    figures: Figures = None,
    mteb: Mteb = None,
    bundle: Bundle = None,
    bundle_check: BundleCheck = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
) -> None:
    """Compare runs: tables with tests of significance, and the verdicts on a study's claims."""
    from hbr.compare.claims import EVIDENCE
    from hbr.compare.reports import Options, assemble
    from hbr.core.config import parse_set

    if bundle_check:
        options.only(ctx, "--bundle-check", "bundle_check")
        _check_bundle(bundle_check)
        return
    if by_language and by not in (None, "language"):
        raise UserError(f"--by-language or --by {by}, not both")
    _check(study, runs, reference, format, [path for path in (output, bundle) if path])
    if settings and study is None:
        raise UserError("--set chooses among the cells of a study; name one with --study FILE")
    if dataset and not (study or runs):
        raise UserError("--dataset chooses among results of runs or a study; name some")
    results = _results(study, runs or [], dataset, parse_set(settings or []), output_dir)
    if not results.results and not reference:
        raise UserError(f"{study} has no results yet; get them with `hbr sweep {study}`")
    names = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    group = "language" if by_language else by
    choice = Options(names, group, baseline, EVIDENCE[evidence], strict, reference)
    if power is not None:
        if output or figures or mteb or bundle:
            raise UserError("--power shows a table alone; leave out what would be written")
        _show_power(results, power)
        return
    report = assemble(results, choice)
    show_report(report, format, output)
    _write(report, results, figures, mteb)
    if bundle:
        from hbr.experiments.result_bundle import pack

        pack(bundle, results, choice, report, study)
        show_written([bundle])


def _check(
    study: Path | None,
    runs: list[Path] | None,
    reference: str | None,
    format: str,
    files: list[Path],
) -> None:
    """Raise UserError where the options do not fit together, before any work."""
    if study is not None and runs:
        raise UserError("name runs to compare, or a study with --study FILE, not both")
    registry.get("format", format)
    if study is None and not runs and not reference:
        raise UserError("name runs to compare, or a study with --study FILE")
    for path in files:
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}")


def _show_power(results: Any, effect: float) -> None:
    """Show how many seeds a cell each comparison needs."""
    from hbr.compare.evidence import gather
    from hbr.compare.power import needs
    from hbr.report.terminal.power import power_table

    lines = needs(results.claims, gather(results.results, results.expected), effect)
    if not lines:
        raise UserError("--power needs a study with claims and two runs a cell or more")
    console().print(power_table(lines, effect))


def _write(report: Any, results: Any, figures: Path | None, mteb: Path | None) -> None:
    if figures:
        from hbr.report.figures import draw, save_all

        show_written(save_all(draw(report), figures))
    if mteb:
        from hbr.experiments.study_results import write_mteb

        show_written(write_mteb(results, mteb))


def _results(
    study: Path | None,
    runs: list[Path],
    dataset: str | None,
    overrides: Mapping[str, Any],
    output_dir: Path,
) -> Any:
    """Return what is compared: of a study, or of some runs on one data set."""
    from hbr.compare.reports import StudyResults
    from hbr.compare.results import read_result
    from hbr.core.target import EvaluationTarget
    from hbr.experiments.inventory import exact_targets
    from hbr.experiments.run_spec import open_run

    if study is None:
        opened = [open_run(run) for run in runs]
        targets = [list(exact_targets(store.entries())) for store, _ in opened]
        shared = [name for name in targets[0] if all(name in t for t in targets)] if runs else []
        names = [EvaluationTarget.parse(dataset)] if dataset else shared
        if without := [run for run, evaluated in zip(runs, targets, strict=True) if not evaluated]:
            raise UserError(f"{without[0]} has no results; `hbr evaluate --run {without[0]}`")
        if not names and runs:
            evaluated = "; ".join(
                f"{run}: {', '.join(map(str, d))}" for run, d in zip(runs, targets, strict=True)
            )
            raise UserError(f"no data set was evaluated with all of the runs ({evaluated})")
        return StudyResults("", [read_result(*run, name) for name in names for run in opened])
    from hbr.experiments.cells import cells
    from hbr.experiments.study import read_study
    from hbr.experiments.study_results import study_results

    plan = read_study(study)
    target = EvaluationTarget.parse(dataset) if dataset else None
    if target and target not in plan.targets:
        evaluated = ", ".join(map(str, plan.targets))
        raise UserError(f"--dataset {dataset}: {study} evaluates {evaluated}")
    wanted = [target] if target else []
    results, missing = study_results(plan, cells(plan, output_dir, overrides), wanted)
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
