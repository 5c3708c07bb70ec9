"""`hbr evaluate`."""

import json
import logging
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hbr.cli.options import (
    DEFAULT_RUNS,
    Dataset,
    Device,
    Files,
    Force,
    Json,
    RunDir,
    Runs,
    Sets,
    Source,
    perturbations,
)
from hbr.cli.runs import open_run_spec
from hbr.cli.screen import console
from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.target import EvaluationTarget

logger = logging.getLogger(__name__)


EXAMPLES = (
    "hbr evaluate",
    "hbr evaluate --dataset xquad-r --source DIR",
    "hbr evaluate --dataset xquad-r --run runs/RUN --trec --by-language",
    "hbr evaluate --perturb typo:0.05,0.1,0.2 --perturb diacritics",
    "hbr evaluate --diagnose",
)


def evaluate(
    dataset: Dataset = "embedded",
    source: Source = None,
    run: RunDir = None,
    index_kind: Annotated[
        str | None,
        typer.Option("--index", metavar="KIND", help="Search a faiss index, not exactly."),
    ] = None,
    trec: Annotated[
        bool, typer.Option("--trec", help="Also write run.trec.gz and qrels.trec.")
    ] = False,
    by_language: Annotated[
        bool, typer.Option("--by-language", help="Show every query language.")
    ] = False,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:STRENGTH,…]",
            help="Also with perturbed queries: typo, diacritics, word-drop:0.1,0.3, …; repeatable.",
        ),
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Also say what the vectors tell of languages.")
    ] = False,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Evaluate a run in the mono, cross and multi settings, from exact ranks."""
    from hbr.evaluation.diagnostics import FILE
    from hbr.experiments import stages
    from hbr.experiments.building import update
    from hbr.experiments.run_data import RunData
    from hbr.report.terminal.diagnostics import diagnostics_table

    chosen = [*(settings or []), *([f"index.kind={index_kind}"] if index_kind else [])]
    run_spec = open_run_spec(run, output_dir, device, config, chosen)
    specs = perturbations(perturb or [])
    if specs and (trec or index_kind):
        raise UserError("--perturb measures by exact search; leave out --trec and --index")
    target = EvaluationTarget.parse(dataset)
    if index_kind:
        target = target.indexed(run_spec.config.index.kind)
        if not any("index." in item for item in settings or ()):
            run_spec = stages.as_built(run_spec, target)
    data = RunData(run_spec, {target.dataset: source})
    main = stages.evaluate(data, target, trec=trec)
    others = [stages.evaluate(data, target.perturbed(spec)) for spec in specs]
    diagnostics = [stages.diagnose(data, target.exact)] if diagnose else []
    update([main, *others, *diagnostics], {"evaluate"} if force else ())
    if distributed.rank() != 0:
        return
    perturbed = [json.loads((stage.folder / "metrics.json").read_text()) for stage in others]
    metrics = json.loads((main.folder / "metrics.json").read_text())
    diagnosed = json.loads((diagnostics[0].folder / FILE).read_text()) if diagnostics else None
    if as_json:
        more: dict[str, Any] = {"perturbed": perturbed} if perturbed else {}
        more |= {"diagnostics": diagnosed} if diagnosed else {}
        print(json.dumps({**metrics, **more}))
        return
    _show_metrics(metrics, by_language)
    if perturbed:
        _show_perturbed(perturbed)
    if diagnosed:
        console().print(diagnostics_table(diagnosed, dataset))

    logger.info(f"results: {main.folder}")
    logger.info(f"next:    hbr compare {run_spec.path} OTHER_RUN --dataset {dataset}")


def _show_metrics(metrics: Mapping[str, Any], by_language: bool) -> None:
    from hbr.report.terminal.evaluation import evaluation_table

    console().print(evaluation_table(metrics, by_language))


def _show_perturbed(results: list[dict[str, Any]]) -> None:
    from hbr.report.terminal.robustness import robustness_table

    known = next(iter(results[0]["drops"].values()))
    console().print(robustness_table(results, "map" if "map" in known else next(iter(known))))
