"""Encoders that are no runs: callables and objects of others, evaluated in a folder that passes."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from hbr.compare.results import Result
from hbr.core.config import nested, resolve_config
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Config, Evaluate
from hbr.core.target import EvaluationTarget
from hbr.data import prepare
from hbr.data.tasks import EvaluationData, Task, limited, open_task, write_task
from hbr.experiments.run_spec import RunSpec, laid_over
from hbr.models.folder import passage_prompt_name

CHUNK = 1_024  # texts given to an encoder at a time


class TextEncoder(Protocol):
    """What is evaluated: texts in, vectors (texts, width) out."""

    def encode_queries(self, texts: Sequence[str], language: str | None = None) -> Any:
        """Return the vectors of queries in one language."""
        ...

    def encode_passages(self, texts: Sequence[str], language: str | None = None) -> Any:
        """Return the vectors of passages in one language."""
        ...


class _OfFunctions:
    """An encoder made of a function for queries and one for passages."""

    def __init__(self, queries: Callable[..., Any], passages: Callable[..., Any]) -> None:
        self.queries, self.passages = queries, passages

    def encode_queries(self, texts: Sequence[str], language: str | None = None) -> Any:  # noqa: ARG002
        return self.queries(list(texts))

    def encode_passages(self, texts: Sequence[str], language: str | None = None) -> Any:  # noqa: ARG002
        return self.passages(list(texts))


def as_encoder(encoder: Any) -> tuple[TextEncoder, bool]:
    """Return an encoder of texts, and whether its vectors are as they are to be.

    A SentenceTransformer encodes with its prompts, and scales as its similarity asks. Raises
    UserError for what is none of the kinds.
    """
    if hasattr(encoder, "encode_queries") and hasattr(encoder, "encode_passages"):
        return encoder, True
    if hasattr(encoder, "encode_query") and hasattr(encoder, "encode_document"):
        return _of_sentence_transformer(encoder), True
    if callable(encoder):
        return _OfFunctions(encoder, encoder), False
    raise UserError(
        f"a {type(encoder).__name__} is no encoder: give a run, a SentenceTransformer, an object "
        "with encode_queries and encode_passages, or a callable from texts to vectors"
    )


def _of_sentence_transformer(encoder: Any) -> _OfFunctions:
    similarity = getattr(encoder, "similarity_fn_name", "cosine")
    kinds = {kind.__name__ for kind in type(encoder).__mro__}
    if similarity not in ("cosine", "dot") or kinds & {"SparseEncoder", "MultiVectorEncoder"}:
        raise UserError(
            f"a {type(encoder).__name__} whose similarity is {similarity}: hbr compares one dense "
            "vector of each text, by cosine or dot product"
        )
    how = {"normalize_embeddings": similarity == "cosine", "show_progress_bar": False}
    passage = passage_prompt_name(getattr(encoder, "prompts", {}))
    return _OfFunctions(
        partial(encoder.encode_query, **how),
        partial(encoder.encode_document, **how | ({"prompt_name": passage} if passage else {})),
    )


def evaluate_encoder(
    encoder: Any,
    task: str | EvaluationData,
    *,
    source: Path | None,
    runs: Path,
    device: str,
    name: str | None,
    trained: Config | None,
    normalize: bool | None,
    settings: Mapping[str, Any],
) -> tuple[Result, TemporaryDirectory[str]]:
    """Evaluate an encoder that is no run, or that of a run with the settings it was `trained` by.

    The folder of the result goes with the second value.
    """
    from hbr.evaluation.evaluate import evaluate

    texts, as_is = as_encoder(encoder)
    if as_is and normalize is not None:
        raise UserError("`normalize` is of callables; this encoder's vectors are taken as they are")
    if others := sorted(nested(settings).keys() - {"evaluate"}):
        raise UserError(
            f"{', '.join(others)}: `evaluate` has no use for these settings with an encoder that "
            "is no run; prompts, lengths and batches are the encoder's own"
        )
    kept = TemporaryDirectory(prefix="hbr-")
    label = re.sub(r"[^\w.+-]", "-", name or _name_of(encoder))
    untrained = {"encoder": label, "max_steps": 0}
    config = laid_over(trained, settings) if trained else resolve_config(untrained, settings)
    opened = _task(task, source, runs, config.evaluate, Path(kept.name))
    if opened.mining:
        kept.cleanup()
        raise UserError(f"{opened.name} is mined, not ranked: evaluate a run on it")
    folder = Path(kept.name) / label / "evaluate" / EvaluationTarget(opened.name).folder
    folder.mkdir(parents=True)
    vectors = encode_task(texts, opened, scaled=normalize is not False and not as_is)
    unit = all(np.allclose(np.linalg.norm(side, axis=1), 1, atol=1e-3) for side in vectors)
    # where it has vectors of length 1, they have it again once they are centred
    encoder_settings = config.encoder.model_copy(update={"normalize": unit})
    config = config.model_copy(update={"encoder": encoder_settings})
    training: dict[str, Any] = {"languages": {}}  # nobody knows
    where = RunSpec(config, runs, device).torch_device()
    evaluate(folder, config, opened, vectors, training, device=where)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    return Result(config, metrics, folder), kept


def encode_task(encoder: TextEncoder, task: Task, *, scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of a task's queries and passages, float32, encoded language by language.

    With `scaled` they are brought to unit length. Raises UserError for what are no vectors.
    """
    sides = (
        (encoder.encode_queries, task.queries["text"], task.query_blocks),
        (encoder.encode_passages, task.passages["text"], task.blocks),
    )
    total = sum(len(texts) for _, texts, _ in sides)
    both = []
    with Progress(f"encoding {task.name}", total, "texts") as progress:
        for encode, texts, blocks in sides:
            parts: list[np.ndarray] = []
            for language, block in zip(task.languages, blocks, strict=True):
                for at in range(block.start, block.stop, CHUNK):
                    some = texts[at : min(at + CHUNK, block.stop)].to_pylist()
                    parts.append(_checked(encode(some, language), len(some)))
                    progress.advance(len(some))
            both.append(np.concatenate(parts))
    if scaled:
        both = [_unit(vectors) for vectors in both]
    return both[0], both[1]


def _checked(vectors: Any, count: int) -> np.ndarray:
    array = np.asarray(vectors.cpu() if hasattr(vectors, "cpu") else vectors, dtype=np.float32)
    if array.ndim != 2 or len(array) != count:
        raise UserError(
            f"the encoder gave {array.shape} for {count} texts; it must be (texts, width)"
        )
    if not np.isfinite(array).all():
        raise UserError("the encoder gave numbers that are not finite")
    return array


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise UserError("the encoder gave a vector of length 0, which has no direction")
    return vectors / lengths


def _task(
    task: str | EvaluationData, source: Path | None, runs: Path, settings: Evaluate, folder: Path
) -> Task:
    if isinstance(task, str):
        target = EvaluationTarget.parse(task)
        if target.is_mteb:
            raise UserError(f"{task} is evaluated by MTEB: give a run, or call mteb.evaluate")
        if target != target.clean:
            raise UserError(f"{task}: give a run, or the name {target.dataset} alone")
        return prepare.task(runs, target.dataset, source, settings.passage, limit=settings.limit)[1]
    place = folder / "task"
    place.mkdir()
    write_task(place, "in memory", limited(task, settings.limit) if settings.limit else task)
    return open_task(place, "in memory")


def _name_of(encoder: Any) -> str:
    card = getattr(getattr(encoder, "model_card_data", None), "base_model", None)
    return card or getattr(encoder, "__name__", None) or type(encoder).__name__
