"""The command line: one short function a command, heavy imports inside it."""

import json
import logging
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hbr import __version__
from hbr.core import distributed
from hbr.core.errors import UserError

logger = logging.getLogger(__name__)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
    help="Train and compare multilingual retrievers under different batch sampling strategies.",
    epilog="Start with [bold]hbr train --sampler hybrid[/bold], then [bold]hbr evaluate[/bold].",
)

Files = Annotated[
    list[Path] | None,
    typer.Option("--config", "-C", help="YAML file of settings; repeatable, later ones win."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. train.warmup_ratio=0.2."),
]
Runs = Annotated[
    Path,
    typer.Option("--output-dir", "--runs", envvar="HBR_RUNS", help="Where runs are kept."),
]
RunDir = Annotated[
    Path | None, typer.Option("--run", help="The run; without it, the last hbr train.")
]


def _dataset(name: str | None) -> str | None:
    from hbr.core.target import EvaluationTarget

    if not name:
        return name
    target = EvaluationTarget.parse(name)
    if target.perturbation:
        target = target.perturbed(_perturbations([target.perturbation])[0])
    return str(target)


Dataset = Annotated[str, typer.Option(help="The evaluation set.", callback=_dataset)]
OptionalDataset = Annotated[str | None, typer.Option(help="An evaluation set.", callback=_dataset)]
Source = Annotated[
    Path | None,
    typer.Option(help="Folder with the set's files in their upstream layout."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Force = Annotated[bool, typer.Option("--force", help="Do the stage again.")]
Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON.")]
Print = Annotated[bool, typer.Option("--print-config", help="Show the settings and stop.")]
Samplers = Annotated[
    str | None,
    typer.Option(help="monolingual, cross-lingual, hybrid, mixed, english, untrained."),
]
Alpha = Annotated[
    str | None, typer.Option(help="Probability of a monolingual batch, or START,END.")
]
Encoders = Annotated[
    str | None,
    typer.Option(help="Preset (xlm-r, labse, mbert, xlm-r-tiny, …), hub id or folder."),
]
Train = Annotated[
    list[str] | None,
    typer.Option("--data", help="Training data: embedded, FILE.jsonl, hf:HUB_ID; repeatable."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Steps = Annotated[int | None, typer.Option(help="Optimiser steps.")]
BatchSize = Annotated[int | None, typer.Option(help="Pairs in a batch.")]
DEFAULT_RUNS = Path("runs")
Format = Literal["table", "markdown", "latex", "csv", "json", "html"]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hbr {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    from hbr.core import log

    other_rank = os.environ.get("RANK", "0") != "0"
    log.configure(quiet=quiet or other_rank, verbose=verbose)
    _calm_libraries()


def _example(*lines: str) -> str:
    return "[dim]Examples:[/dim]\n\n" + "\n\n".join(f"  [bold]{line}[/bold]" for line in lines)


@app.command(
    epilog=_example(
        "hbr prepare",
        "hbr prepare --dataset xquad-r --source DIR",
        "hbr prepare --data pairs.jsonl",
        "hbr prepare --data mmarco --source DIR --set data.languages=[en,de,hi]",
        "hbr prepare --list",
        "hbr prepare --bundle study.tar --study experiments/embedded.yaml",
        "hbr prepare --from-bundle study.tar",
    )
)
def prepare(
    dataset: OptionalDataset = None,
    source: Source = None,
    data: Train = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show all data sets, and which are here.")
    ] = False,
    bundle: Annotated[
        Path | None, typer.Option(help="Pack what --study reads, encoders too, into a tar.")
    ] = None,
    study: Annotated[Path | None, typer.Option(help="The study of --bundle.")] = None,
    from_bundle: Annotated[
        Path | None, typer.Option(help="Unpack such a tar; its study then needs no network.")
    ] = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn data sets into memory-mapped files; without options, the embedded ones."""
    from hbr.data import prepare as stage

    if listed:
        _list_datasets(stage.here(output_dir), as_json)
        return
    if bundle or study or from_bundle:
        _carry(bundle, study, from_bundle, settings, output_dir)
        return
    resolved = _config(config, settings, {"data.train": data})
    done = {}
    if dataset is not None or data is None:
        chosen = resolved.evaluate
        store, task = stage.task(
            output_dir,
            dataset or "embedded",
            source,
            chosen.passage,
            limit=chosen.limit,
            force=force,
        )
        done[task.name] = store.path
    if data is not None or dataset is None:
        place = source if dataset is None else None
        for name in resolved.data.train:
            about = resolved.data
            store, rows = stage.rows(
                output_dir,
                name,
                source=place,
                languages=about.languages,
                limit=about.limit,
                force=force,
            )
            done[f"{rows.name} (training)"] = store.path
    for label, path in done.items():
        print(json.dumps({"data": label, "path": str(path)}) if as_json else f"{label}: {path}")


@app.command(
    epilog=_example(
        "hbr train --sampler hybrid",
        "hbr train --sampler hybrid --alpha 0.8,0.2 --data pairs.jsonl --encoder xlm-r",
        "torchrun --nproc-per-node 2 -m hbr train --sampler cross-lingual",
    )
)
def train(
    sampler: Samplers = None,
    alpha: Alpha = None,
    encoder: Encoders = None,
    data: Train = None,
    seed: Seed = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with what a kill left.")
    ] = True,
    print_config: Print = False,
    as_json: Json = False,
) -> None:
    """Train an encoder; a run that was killed goes on where it stopped."""
    from hbr.experiments.pipeline import Pipeline, complete

    named = {
        "sampler.name": sampler,
        "sampler.alpha": _alpha(alpha),
        "encoder.name": encoder,
        "data.train": data,
        "seed": seed,
        "train.max_steps": steps,
        "train.batch_size": batch_size,
        "train.learning_rate": lr,
    }
    resolved = complete(_config(config, settings, named))
    if print_config:
        print(resolved.to_yaml(), end="")
        return
    forced = frozenset({"train"} if force else ())
    pipeline = Pipeline(resolved, output_dir, device, forced, fresh=not resume)
    built = pipeline.train()
    if pipeline.is_main:
        _point_latest(output_dir, pipeline.run.path)
        _report_training(pipeline.run, built, as_json)


@app.command(
    epilog=_example(
        "hbr encode --dataset xquad-r --source DIR",
        "torchrun --nproc-per-node 8 -m hbr encode --dataset miracl --set encode.dtype=float16",
    )
)
def encode(
    dataset: Dataset = "embedded",
    source: Source = None,
    run: RunDir = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Encode the queries and passages of an evaluation set."""
    pipeline = _pipeline(run, output_dir, device, config, settings, {}, force and "encode")
    built = pipeline.encode(dataset, source)
    if pipeline.is_main:
        _tell_state(built, pipeline.run.path / pipeline.encode_stage(dataset))


@app.command(
    epilog=_example(
        "hbr index --dataset xquad-r --kind hnsw",
        "hbr index --kind ivf --set index.nlist=256 --set index.nprobe=16",
    )
)
def index(
    dataset: Dataset = "embedded",
    source: Source = None,
    kind: Annotated[str | None, typer.Option(help="flat, ivf, hnsw or pq.")] = None,
    run: RunDir = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Build a faiss index and say how much of exact search it finds."""
    named = {"index.kind": kind}
    pipeline = _pipeline(run, output_dir, device, config, settings, named, force and "index")
    built = pipeline.index(dataset, source)
    if not pipeline.is_main:
        return
    stage = pipeline.index_stage(dataset)
    entry, path = pipeline.run.entries()[stage], pipeline.run.path / stage
    kind, recall = entry["settings"]["kind"], entry["recall@10_of_exact"]
    if as_json:
        print(json.dumps({"index": str(path), "kind": kind, "recall@10_of_exact": recall}))
        return
    _tell_state(built, path)
    print(f"{kind} over {entry['passages']:,} passages finds {recall:.4f} of the exact ten nearest")


@app.command(
    epilog=_example(
        "hbr evaluate",
        "hbr evaluate --dataset xquad-r --source DIR",
        "hbr evaluate --dataset xquad-r --run runs/RUN --trec --by-language",
        "hbr evaluate --perturb typo:0.05,0.1,0.2 --perturb diacritics",
        "hbr evaluate --diagnose",
    )
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
    from hbr.evaluation.diagnose import FILE
    from hbr.report.diagnostics import to_rich

    named = {"index.kind": index_kind}
    pipeline = _pipeline(run, output_dir, device, config, settings, named, force and "evaluate")
    specs = _perturbations(perturb or [])
    if index_kind and not any("index." in item for item in settings or ()):
        pipeline.use_built_index(dataset)
    if specs and (trec or index_kind):
        raise UserError("--perturb measures by exact search; leave out --trec and --index")
    folder = pipeline.evaluate(dataset, source, trec=trec, indexed=index_kind is not None)
    folders = [pipeline.evaluate(f"{dataset}~{spec}", source) for spec in specs]
    told = pipeline.diagnose(dataset, source) if diagnose else None
    if not pipeline.is_main:
        return
    perturbed = [json.loads((other / "metrics.json").read_text()) for other in folders]
    metrics = json.loads((folder / "metrics.json").read_text())
    diagnosed = json.loads((told / FILE).read_text()) if told else None
    if as_json:
        more: dict[str, Any] = {"perturbed": perturbed} if perturbed else {}
        more |= {"diagnostics": diagnosed} if diagnosed else {}
        print(json.dumps({**metrics, **more}))
        return
    _show_metrics(metrics, by_language)
    if perturbed:
        _show_perturbed(perturbed)
    if diagnosed:
        _console().print(to_rich(diagnosed, dataset))

    logger.info(f"results: {folder}")
    logger.info(f"next:    hbr compare {pipeline.run.path} OTHER_RUN --dataset {dataset}")


@app.command(
    epilog=_example(
        "hbr compare runs/RUN runs/OTHER_RUN --dataset xquad-r --baseline monolingual",
        "hbr compare --study experiments/embedded.yaml --by resource",
        "hbr compare --study experiments/embedded.yaml --format html --output report.html",
        "hbr compare --study experiments/embedded.yaml --bundle results.tar",
        "hbr compare --reference elmahdy2024",
    )
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
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
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
    from hbr.compare.evidence import Chance
    from hbr.compare.reports import Options, assemble
    from hbr.core.config import parse_set

    if bundle_check:
        _check_bundle(bundle_check)
        return
    if study is not None and runs:
        raise UserError("name runs to compare, or a study with --study FILE, not both")
    if study is None and not runs and not reference:
        raise UserError("name runs to compare, or a study with --study FILE")
    for path in filter(None, (output, bundle)):
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}")
    material = _material(study, runs or [], dataset, parse_set(settings or []), output_dir)
    if not material.results and not reference:
        raise UserError(f"{study} has no results yet; get them with `hbr sweep {study}`")
    wanted = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    group, chance = "language" if by_language else by, Chance(resamples, seed)
    options = Options(wanted, group, baseline, chance, strict, reference)
    report = assemble(material, options)
    _show_report(report, format, output)
    if figures:
        from hbr.report.formats import draw

        _tell_written(draw(report, figures))
    if mteb:
        from hbr.experiments.archive import write_mteb

        _tell_written(write_mteb(material, mteb))
    if bundle:
        from hbr.experiments.archive import pack

        pack(bundle, material, options, report, study)
        _tell_written([bundle])


def _material(
    study: Path | None,
    runs: list[Path],
    dataset: str | None,
    overrides: Mapping[str, Any],
    output_dir: Path,
) -> Any:
    """Return what is compared: of a study, or of some runs on one data set."""
    from hbr.compare.evidence import datasets_of, read_result
    from hbr.compare.reports import Material
    from hbr.experiments.pipeline import open_run

    if study is None:
        opened = [open_run(run) for run in runs]
        done = [datasets_of(store) for store, _ in opened]
        shared = [name for name in done[0] if all(name in d for d in done)] if done else []
        names = [dataset] if dataset else shared
        if without := [run for run, evaluated in zip(runs, done, strict=True) if not evaluated]:
            raise UserError(f"{without[0]} has no results; `hbr evaluate --run {without[0]}`")
        if not names and runs:
            told = "; ".join(f"{run}: {', '.join(d)}" for run, d in zip(runs, done, strict=True))
            raise UserError(f"no data set was evaluated with all of the runs ({told})")
        return Material("", [read_result(*run, name) for name in names for run in opened])
    from hbr.experiments import sweep as sweeping

    plan = sweeping.read_study(study)
    evaluated = list(plan.tasks)
    if dataset and dataset not in evaluated:
        raise UserError(f"--dataset {dataset}: {study} evaluates {', '.join(evaluated)}")
    every = sweeping.cells(plan, output_dir, overrides)
    material, missing = sweeping.material(plan, every, dataset)
    _tell_missing(missing)
    return material


@app.command(
    epilog=_example(
        "hbr sweep experiments/embedded.yaml --jobs 2",
        "hbr sweep experiments/embedded.yaml --dry-run",
    )
)
def sweep(
    study: Annotated[Path, typer.Argument(help="The study file.")] = Path(
        "experiments/embedded.yaml"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells, and what those to do will cost.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="A trial in a folder of its own: N steps, N rows and questions a language.",
        ),
    ] = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Train and evaluate all again.")] = False,
) -> None:
    """Do every run of a study, evaluate and compare them."""
    from hbr.core.config import parse_set
    from hbr.experiments import sweep as sweeping
    from hbr.experiments.pipeline import slug

    plan = sweeping.read_study(study)
    overrides = parse_set(settings or [])
    if limit:
        plan, output_dir = sweeping.trial(plan, limit, output_dir)
    forced = frozenset({"train", "encode", "evaluate"} if force else ())
    every = sweeping.cells(plan, output_dir, overrides, device, forced)
    stale = [cell for cell in every if not sweeping.is_current(cell)]
    logger.info(f"{plan.name}: {len(every)} cells, {len(every) - len(stale)} up to date")
    if dry_run:
        for cell in every:
            print(f"{'to do     ' if cell in stale else 'up to date'}  {slug(cell.config)}")
        _show_cost(stale)
        return
    logs = output_dir / "studies" / plan.name / "logs"
    failed = sweeping.sweep(stale, logs, jobs) if stale else {}
    _show_study(plan, every, output_dir / "studies" / plan.name)
    if failed:
        for name, error in failed.items():
            print(f"failed: {name}: {error} (log: {logs / name}.log)", file=sys.stderr)
        raise typer.Exit(3)


@app.command(
    epilog=_example("hbr push --repo ORG/NAME --private", "hbr push runs/RUN --repo ORG/NAME")
)
def push(
    repo: Annotated[str, typer.Option(metavar="ORG/NAME", help="The hub's repository.")],
    run: Annotated[
        Path | None, typer.Argument(help="The run; without it, the last hbr train.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="A branch; without it, the main one.")
    ] = None,
    output_dir: Runs = DEFAULT_RUNS,
) -> None:
    """Upload a run's encoder and its card to the Hugging Face hub."""
    from hbr.experiments.push import push as upload

    pipeline = _pipeline(run, output_dir, "cpu", None, None, {}, False)
    pipeline.write_card()
    print(upload(pipeline.run, repo, private=private, revision=revision))


@app.command(
    epilog=_example(
        "hbr plan --sampler hybrid",
        "hbr plan --sampler hybrid --alpha 0.3 --data pairs.jsonl --batches 1000",
        "hbr plan --sampler hybrid --step 1234",
    )
)
def plan(
    sampler: Samplers = None,
    alpha: Alpha = None,
    data: Train = None,
    seed: Seed = None,
    batch_size: BatchSize = None,
    steps: Steps = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches to look at; without it, all of the run.")
    ] = None,
    step: Annotated[
        int | None, typer.Option(min=0, help="Show the batch of this step, from 0.")
    ] = None,
    config: Files = None,
    settings: Sets = None,
    output_dir: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Show what the batches will hold, without a GPU and without loading torch."""
    from hbr.data import prepare as stage
    from hbr.experiments.pipeline import complete, make_plan
    from hbr.report.plan import show_batch, show_summary
    from hbr.training.schedule import summarise

    named = {
        "sampler.name": sampler,
        "sampler.alpha": _alpha(alpha),
        "data.train": data,
        "seed": seed,
        "train.batch_size": batch_size,
        "train.max_steps": steps,
    }
    resolved = complete(_config(config, settings, named))
    if not resolved.is_trained:
        raise UserError("an untrained encoder sees no batches; name another --sampler")
    about = resolved.data
    rows = [
        stage.rows(output_dir, name, languages=about.languages, limit=about.limit)[1]
        for name in about.train
    ]
    made = make_plan(resolved, rows)
    if step is not None:
        show_batch(made.batch(step), rows, as_json)
    else:
        show_summary(summarise(made, batches or made.steps), as_json)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    debug = "--debug" in sys.argv
    if debug:  # accepted anywhere on the line
        sys.argv = [sys.argv[0], "--debug", *(a for a in sys.argv[1:] if a != "--debug")]
    try:
        app(prog_name="hbr")
    except UserError as error:
        if debug:
            raise
        print(f"hbr: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as done:
        if not done.code:
            distributed.stop()
        if done.code == 130:  # which Typer makes of an interrupt
            forced = ", without --force," if "--force" in sys.argv else ""
            print(f"hbr: interrupted; the same command{forced} goes on from here", file=sys.stderr)
        raise
    except Exception as error:
        if debug:
            raise
        print(f"hbr: {_reason(error)}", file=sys.stderr)
        sys.exit(1)


def _reason(error: Exception) -> str:
    if "No space left on device" in str(error) and not isinstance(error, OSError):
        return "no space left on device; nothing that was finished is lost"  # safetensors' words
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror.lower()}{place}; nothing that was finished is lost"
    command = shlex.join(["hbr", *sys.argv[1:]])
    return f"{type(error).__name__}: {error} (a bug? `{command} --debug` shows where)"


def _config(files: list[Path] | None, sets: list[str] | None, named: Mapping[str, Any]) -> Any:
    """Layer defaults, files, --set and the flags that were given."""
    from hbr.core.config import parse_set, read_yaml, resolve_config

    flags = {key: value for key, value in named.items() if value is not None}
    layers = [read_yaml(path) for path in files or []]
    return resolve_config(*layers, parse_set(sets or []), flags)


def _alpha(text: str | None) -> Any:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--alpha {text!r}: give a number, or START,END") from None
    return values[0] if len(values) == 1 else values


def _pipeline(
    run: Path | None,
    runs: Path,
    device: str,
    files: list[Path] | None,
    sets: list[str] | None,
    named: Mapping[str, Any],
    forced: str | bool,
) -> Any:
    """Open a run, with settings for what comes after training laid over its own."""
    from hbr.core.config import merge, nested, parse_set, read_yaml, resolve_config
    from hbr.experiments.pipeline import Pipeline, open_run

    path = run or _latest(runs)
    if run is None:
        logger.info(f"run: {path}")
    _, own = open_run(path)
    flags = {key: value for key, value in named.items() if value is not None}
    layers = [read_yaml(file) for file in files or []] + [parse_set(sets or []), flags]
    above: dict[str, Any] = {}
    for layer in layers:
        above = merge(above, nested(layer))
    if wrong := sorted(set(above) & {"seed", "sampler", "encoder", "data", "train"}):
        raise UserError(
            f"{', '.join(wrong)}: a trained run keeps these settings; change them with `hbr train`"
        )
    resolved = resolve_config(own.model_dump(mode="json"), above)
    return Pipeline(resolved, runs, device, frozenset({str(forced)} if forced else ()), path=path)


def _latest(runs: Path) -> Path:
    latest = runs / "latest"
    if not latest.exists():
        raise UserError(f"{runs} has no run yet; `hbr train` makes one, or name one with --run")
    return runs / latest.resolve().name


def _point_latest(runs: Path, run: Path) -> None:
    link = runs / f".latest.{os.getpid()}"
    link.symlink_to(run.name)
    link.replace(runs / "latest")


def _list_datasets(here: Mapping[str, str], as_json: bool) -> None:
    from hbr.report import catalogue

    if as_json:
        print(json.dumps(catalogue.plain(here), ensure_ascii=False))
    else:
        _console().print(catalogue.listing(here))


def _carry(
    bundle: Path | None,
    study: Path | None,
    from_bundle: Path | None,
    settings: list[str] | None,
    output_dir: Path,
) -> None:
    """Pack what a study reads, or unpack it."""
    from hbr.core.config import parse_set
    from hbr.experiments.prepared import pack, unpack

    if from_bundle:
        if bundle or study:
            raise UserError("--from-bundle unpacks; leave out --bundle and --study")
        put = unpack(from_bundle, output_dir)
        for place in put:
            print(output_dir / place)
        logger.info(f"{len(put)} put there; a sweep of its study needs no network now")
        return
    if not bundle or not study:
        raise UserError("--bundle FILE.tar packs what --study FILE.yaml reads: say both")
    files = pack(bundle, study, output_dir, parse_set(settings or []))
    logger.info(f"{files:,} files; unpack them with `hbr prepare --from-bundle {bundle.name}`")
    print(bundle)


def _report_training(run: Any, built: bool, as_json: bool) -> None:

    entry = run.entries()["train"]
    if as_json:
        print(json.dumps({"run": str(run.path), "built": built, **entry}))
        return
    if not built:
        logger.info("up to date; --force trains again")
    elif entry["steps"]:
        loss = entry["validation_loss"]
        best = f", validation loss {loss:.4f} at step {entry['best_step']:,}" if loss else ""
        logger.info(f"trained on {entry['pairs']:,} pairs in {entry['seconds']:.0f} s{best}")
    logger.info("next: hbr evaluate")
    print(run.path)


def _tell_state(built: bool, path: Path) -> None:

    if not built:
        logger.info("up to date; --force does it again")
    print(path)


def _show_metrics(metrics: Mapping[str, Any], by_language: bool) -> None:
    from hbr.report.metrics import to_rich

    _console().print(to_rich(metrics, by_language))


def _perturbations(specs: list[str]) -> list[str]:
    from hbr.data.perturb import expand

    try:
        return [str(spec) for spec in expand(specs)]
    except ValueError as error:
        raise UserError(f"--perturb: {error}") from error


def _show_perturbed(results: list[dict[str, Any]]) -> None:
    from hbr.report.robustness import to_rich

    known = next(iter(results[0]["drops"].values()))
    _console().print(to_rich(results, "map" if "map" in known else next(iter(known))))


def _show_study(study: Any, every: list[Any], folder: Path) -> None:
    """Show a study's report, and keep it in all its forms, drawn anew where it has changed."""
    from hbr.compare.reports import Options, assemble
    from hbr.core.store import write_atomic
    from hbr.experiments import sweep as sweeping
    from hbr.report.formats import SUFFIX, draw, write

    material, missing = sweeping.material(study, every)
    _tell_missing(missing)
    if not material.results:
        return
    report = assemble(material, Options())
    _show_report(report, "table", None)
    page, numbers = folder / "report.html", folder / "report.json"
    text = write(report, "json")
    if not page.exists() or not numbers.exists() or numbers.read_text() != text:
        from hbr.report.figures import figures

        folder.mkdir(parents=True, exist_ok=True)
        drawn = list(figures(report))
        for form, suffix in SUFFIX.items():
            shown = text if form == "json" else write(report, form, drawn)
            write_atomic(folder / f"report.{suffix}", shown)
        draw(report, folder / "figures", drawn)
    logger.info(f"report: {page}, .md, .tex, .csv, .json; figures/")


def _show_cost(stale: list[Any]) -> None:
    if not stale:
        return
    from hbr.experiments.cost import cost
    from hbr.report.cost import to_rich

    logger.info("measuring a few seconds of each encoder")
    _console().print(to_rich(cost(stale)))


def _show_report(report: Any, format: Format, output: Path | None) -> None:
    from hbr.core.store import write_atomic
    from hbr.report import formats

    if output and format == "table":
        raise UserError("--output: say --format markdown, latex, csv, json or html with it")
    if format == "table":
        formats.show(report, _console())
        return
    text = formats.write(report, format)
    if output:
        write_atomic(output, text)
        _tell_written([output])
    else:
        print(text, end="")


def _check_bundle(path: Path) -> None:
    from hbr.experiments.archive import check

    checked = check(path)
    for line in checked.differences:
        print(line)
    if checked.differences:
        raise UserError(
            f"{path} does not hold: {len(checked.differences)} differences", exit_code=1
        )
    print(f"{path} holds: {checked.files} files, {checked.numbers:,} numbers recomputed")


def _tell_missing(missing: list[str]) -> None:

    if missing:
        logger.info(f"{len(missing)} results are missing (-v says which)")
    for line in missing:
        logger.debug(line)


def _tell_written(paths: list[Path]) -> None:

    for path in paths:
        logger.info(f"written: {path}")


def _console() -> Any:
    from rich.console import Console

    console = Console()
    wide = console.is_terminal or "COLUMNS" in os.environ
    return console if wide else Console(width=160)


def _calm_libraries() -> None:
    """Keep libraries' own bars and warnings off the screen, unless their variables are set."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
