"""What MTEB evaluates in a run: a stage like others, and its results for MTEB's own tools."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hbr.compare.results import Result
from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget
from hbr.data.lookup import dataset
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import base_model
from hbr.experiments.tracking import track_results
from hbr.report.mteb import model_meta

PLAIN = "leave out --trec, --index, --perturb, --center-languages and compression"
SETTINGS = "run_settings.jsonl"  # a line for each task


def check(data: RunData, target: EvaluationTarget, trec: bool) -> None:
    """Raise UserError for what MTEB does not do, and where it has no such task."""
    if trec or target != target.clean:
        raise UserError(f"{target.dataset} is evaluated by MTEB; {PLAIN}")
    if data.run.config.evaluate.limit:
        raise UserError(f"{target.dataset} is evaluated by MTEB, in whole; leave out a limit")
    dataset(target.dataset).check()


def settings(data: RunData) -> dict[str, Any]:
    """Return what decides MTEB's scores besides the task's data and the weights."""
    import mteb

    config = data.run.config
    encoder = config.identity()["encoder"]
    return {**data.run.encode_identity(), "encoder": encoder, "mteb": mteb.__version__}


def fill(data: RunData, target: EvaluationTarget, folder: Path) -> dict[str, Any]:
    """Fill a folder with MTEB's results and with what hbr reads of them."""
    from hbr.data.readers.mteb import loaded
    from hbr.evaluation.mteb import evaluate
    from hbr.evaluation.retriever import Retriever

    run, config = data.run, data.run.config
    data.open_trained_on()
    if distributed.rank():
        return {}
    task, training = data.task(target.dataset), data.seen_in(target.dataset)
    retriever = Retriever.open(run.path / "model", config, run.torch_device())
    width = retriever.encoder.embedding_dimension
    known = facts(run.path.resolve().name, config, run.store.entries()["train"])
    model = model_meta(known | {"embed_dim": width}, training["languages"])
    about = {
        "dataset": target.dataset,
        "task": task.id,
        "training": training,
        "queries": len(task.query_language),
        "passages": len(task.passage_language),
    }
    evaluate(folder, loaded(target.dataset), retriever, model, about)
    track_results(config, run.path, folder)
    return {"dataset": str(target)}


def facts(name: str, config: Config, train: Mapping[str, Any]) -> dict[str, Any]:
    """Return what MTEB is told of a run; `train` is the manifest's entry of its training."""
    return {
        "name": name,
        "revision": train["id"],
        "max_tokens": config.encoder.passage_max_seq_length,
        "adapted_from": base_model(train),
        "similarity_fn_name": "cosine" if config.encoder.normalize else "dot",
    }


def collect(results: Sequence[Result], folder: Path) -> list[Path]:
    """Copy MTEB's own results of a run into one cache; return the paths of the tasks' files."""
    paths = []
    for result in results:
        assert result.folder is not None
        cache = result.folder / "mteb" / "results"
        for file in sorted(cache.glob("*/*/*.json*")):
            place = folder / "results" / file.relative_to(cache)
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.name == SETTINGS:
                old = place.read_text("utf-8").splitlines() if place.exists() else []
                lines = dict.fromkeys([*old, *file.read_text("utf-8").splitlines()])
                place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            else:
                shutil.copyfile(file, place)
                paths.append(place)
    return list(dict.fromkeys(paths))
