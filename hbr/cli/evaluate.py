"""`hbr evaluate`."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from hbr.cli import options
from hbr.cli.resolve import open_run_spec
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
    "hbr evaluate --center-languages",
    "hbr evaluate --dimensions 16,32 --quantize int8,binary",
    "hbr evaluate --diagnose",
    "hbr evaluate --dataset mteb:BelebeleRetrieval --languages de,en",
)
IndexKind = Annotated[
    str | None,
    Option("--index", metavar="KIND", help="Search a faiss index: flat, ivf, hnsw or pq."),
]
Trec = Annotated[bool, Option("--trec", help="Also write run.trec.gz and qrels.trec.")]
ByLanguage = Annotated[bool, Option("--by-language", help="Show every query language.")]
Perturb = Annotated[
    list[str] | None,
    Option(
        metavar="NAME[:STRENGTH,…]",
        help="Also with perturbed queries: typo, diacritics, word-drop:0.1,0.3, … Repeatable.",
    ),
]
Languages = Annotated[
    str | None,
    Option(metavar="CODE,…", help="Of a data set of MTEB: in these languages alone."),
]
Center = Annotated[
    bool,
    Option("--center-languages", help="Take each language's mean vector off first; a baseline."),
]
Dimensions = Annotated[
    str | None,
    Option(metavar="N,…", help="Also with vectors cut to their first N numbers."),
]
Quantize = Annotated[
    str | None,
    Option(
        metavar="KIND,…", help="Also with passages in int8 or binary, of whole and cut vectors."
    ),
]
Diagnose = Annotated[bool, Option("--diagnose", help="Also measure language bias of the vectors.")]


def evaluate(
    dataset: options.Dataset = "embedded",
    source: options.Source = None,
    run: options.RunDir = None,
    languages: Languages = None,
    index_kind: IndexKind = None,
    trec: Trec = False,
    by_language: ByLanguage = False,
    perturb: Perturb = None,
    center_languages: Center = False,
    dimensions: Dimensions = None,
    quantize: Quantize = None,
    diagnose: Diagnose = False,
    config: options.Files = None,
    settings: options.Sets = None,
    output_dir: options.Runs = options.DEFAULT_RUNS,
    device: options.Device = "auto",
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Evaluate a run in the mono, cross and multi settings, from exact ranks."""
    from hbr.core.config import nested, parse_set
    from hbr.core.yaml_files import read_yaml
    from hbr.data.lookup import in_languages
    from hbr.evaluation.diagnostics_file import FILE
    from hbr.experiments import stages
    from hbr.experiments.building import update
    from hbr.experiments.run_data import RunData

    specs = options.perturbations(perturb or [])
    if specs and (trec or index_kind):
        raise UserError("--perturb measures by exact search; leave out --trec and --index")
    sets = [*(settings or []), *([f"index.kind={index_kind}"] if index_kind else [])]
    run_spec = open_run_spec(run, output_dir, device, config, sets)
    if languages:
        dataset = in_languages(dataset, languages.replace(" ", "").split(","))
    target = EvaluationTarget.parse(dataset)
    if center_languages or run_spec.config.evaluate.center_languages:
        target = target.centered()
    if index_kind:
        target = target.indexed(run_spec.config.index.kind)
        given = (parse_set(settings or []), *map(read_yaml, config or []))
        if not any("index" in nested(layer) for layer in given):
            run_spec = stages.as_built(run_spec, target)
    logger.info(str(run_spec.config.encoder))
    data = RunData(run_spec, {target.dataset: source})
    main, main_vectors = stages.evaluate(data, target, trec=trec), stages.encode(data, target).name
    variants = [target.perturbed(spec) for spec in specs]
    variants += map(target.compressed, options.compressions(dimensions, quantize))
    others = [stages.evaluate(data, variant) for variant in variants]
    diagnostics = [stages.diagnose(data, target.exact)] if diagnose else []
    update([main, *others, *diagnostics], {"evaluate"} if force else ())
    if distributed.rank():
        return
    metrics, *more = (_read(stage.folder / "metrics.json") for stage in (main, *others))
    perturbed, compressed = more[: len(specs)], more[len(specs) :]
    diagnosed = _read(diagnostics[0].folder / FILE) if diagnostics else None
    if as_json:
        beside = {"perturbed": perturbed, "compressed": compressed, "diagnostics": diagnosed}
        print(json.dumps(metrics | {name: value for name, value in beside.items() if value}))
        return
    _show(dataset, metrics, by_language, perturbed, diagnosed)
    if compressed:
        width = run_spec.store.entries()[main_vectors]["width"]
        _show_compressed(metrics, compressed, width, run_spec.config.encode.dtype)
    logger.info(f"results: {main.folder}")
    logger.info(f"next:    hbr compare {run_spec.path} OTHER_RUN --dataset {target.exact}")


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _show(
    dataset: str, metrics: Any, by_language: bool, perturbed: list[Any], diagnosed: Any
) -> None:
    from hbr.report.terminal import evaluation

    console().print(evaluation.EvaluationTable(metrics, by_language))
    if perturbed:
        names = next(iter(perturbed[0]["drops"].values()))
        metric = "map" if "map" in names else next(iter(names))
        console().print(evaluation.robustness_table(perturbed, metric))
    if diagnosed:
        console().print(evaluation.diagnostics_table(diagnosed, dataset))


def _show_compressed(metrics: Any, compressed: list[Any], width: int, dtype: str) -> None:
    from hbr.core.target import Compression
    from hbr.evaluation.compression import bytes_per_vector
    from hbr.report.terminal import evaluation

    whole = metrics | {"bytes_per_vector": bytes_per_vector(Compression(), width, dtype)}
    console().print(evaluation.compression_table(whole, compressed))
