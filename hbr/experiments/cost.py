"""What a study will cost before it starts: hours by the pace of each encoder, disk, downloads."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget
from hbr.data import prepare
from hbr.data.dataset import listed
from hbr.data.location import whereabouts
from hbr.data.rows import Rows
from hbr.data.tasks import Task
from hbr.experiments.pipeline import Pipeline
from hbr.experiments.sweep import Cell
from hbr.models.presets import preset
from hbr.models.sources import encoder_folder
from hbr.report.cost import Cost, Line

SAMPLE = 512  # texts whose lengths are looked at
BYTES = {"float32": 4, "float16": 2}
COPIES = 5  # of the weights of a run: the encoder, its best, a checkpoint with Adam's two


def cost(todo: Iterable[Cell]) -> Cost:
    """Say about what some runs cost on this machine, one after the other, validation left out.

    Texts are taken to be as long as those of the data that are prepared, or else as the config
    allows; nothing is downloaded or prepared for it.
    """
    cells = list(todo)
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_pace_of(cell.config), []).append(cell)
    notes: dict[str, None] = {}
    lines = [_line(own, notes) for own in groups.values()]
    device = (
        Pipeline(cells[0].config, cells[0].runs, cells[0].device).torch_device() if cells else None
    )
    return Cost(tuple(lines), _named(device), tuple(dict.fromkeys(_downloads(cells))), tuple(notes))


def _pace_of(config: Config) -> tuple[Any, ...]:
    """Return what decides how long a step and a text take."""
    train = config.train
    step = (
        train.batch_size,
        train.gradient_accumulation_steps,
        train.mini_batch_size,
        train.precision,
    )
    way = (train.unpadded, train.quick_dropout, train.attention_dropout, train.torch_compile)
    return (
        *config.encoder.model_dump().values(),
        *step,
        *way,
        *config.encode.model_dump().values(),
    )


def _line(cells: list[Cell], notes: dict[str, None]) -> Line:
    from hbr.experiments.pace import pace
    from hbr.models.loading import load

    config, runs = cells[0].config, cells[0].runs
    encoder = config.encoder.name
    try:
        folder = encoder_folder(runs, encoder, config.encoder.revision, download=False)
    except UserError:
        notes[f"{encoder} is not here: its hours and disk are not among these"] = None
        return Line(encoder, len(cells))
    model = load(folder)
    allowed = config.encoder.query_max_seq_length, config.encoder.passage_max_seq_length
    longest = min(allowed[0], model.max_seq_length), min(allowed[1], model.max_seq_length)
    lengths = _row_lengths(cells, model, notes) or longest
    found = pace(folder, config, lengths, Pipeline(config, runs, cells[0].device).torch_device())
    trained = [cell.config for cell in cells if cell.config.is_trained]
    copies = len(cells) + (COPIES - 1) * len(trained)
    tokens, vectors = _to_encode(cells, model, notes)
    return Line(
        encoder,
        len(cells),
        found.step,
        sum(c.train.max_steps for c in trained) * found.step / 3600,
        tokens * found.token / 3600,
        1e-9 * (4 * found.parameters * copies + vectors * found.width * BYTES[config.encode.dtype]),
    )


def _row_lengths(cells: list[Cell], model: Any, notes: dict[str, None]) -> tuple[int, int] | None:
    """Return the mean tokens of a query and a passage of the training data, if they are prepared."""
    for cell in cells:
        config = cell.config
        if not config.is_trained:
            continue
        for name in config.data.train:
            data = config.data
            rows = prepare.ready_rows(cell.runs, name, data.languages, data.limit)
            if rows is None:
                notes[f"{name} is not prepared: its texts are taken to be as long as may be"] = None
                continue
            return _lengths(rows, config, model)
    return None


def _lengths(rows: Rows, config: Config, model: Any) -> tuple[int, int]:
    chosen = config.encoder
    asked = _tokens(rows.queries.column, chosen.query_prompt, chosen.query_max_seq_length, model)
    told = _tokens(
        rows.passages.column, chosen.passage_prompt, chosen.passage_max_seq_length, model
    )
    return max(2, round(asked)), max(2, round(told))


def _tokens(column: Any, prefix: str, length: int, model: Any) -> float:
    """Return the mean number of tokens of some of a column's texts."""
    if not len(column):
        return 0.0
    places = np.random.default_rng(0).integers(0, len(column), min(SAMPLE, len(column)))
    texts = [prefix + column[int(i)].as_py() for i in np.sort(places)]
    return float(np.mean([len(ids) for ids in model.tokenize(texts, length)]))


def _to_encode(cells: list[Cell], model: Any, notes: dict[str, None]) -> tuple[float, int]:
    """Return the tokens and the texts of all evaluations."""
    tokens, texts = 0.0, 0
    for dataset in dict.fromkeys(
        EvaluationTarget.parse(name).dataset for cell in cells for name in cell.tasks
    ):
        config, chosen = cells[0].config, cells[0].config.evaluate
        task = prepare.ready_task(cells[0].runs, dataset, chosen.passage, chosen.limit)
        if task is None:
            notes[f"{dataset} is not prepared: encoding it is not among these"] = None
            continue
        changes = (
            sum(EvaluationTarget.parse(name).dataset == dataset for name in cells[0].tasks) - 1
        )
        tokens += len(cells) * _task_tokens(task, config, model, 1 + changes)
        texts += len(cells) * (len(task.queries) * (1 + changes) + len(task.passages))
    return tokens, texts


def _task_tokens(task: Task, config: Config, model: Any, times: int) -> float:
    """Return the tokens of a task whose queries are encoded several times."""
    chosen = config.encoder
    asked = _tokens(task.queries["text"], chosen.query_prompt, chosen.query_max_seq_length, model)
    told = _tokens(
        task.passages["text"], chosen.passage_prompt, chosen.passage_max_seq_length, model
    )
    return times * len(task.queries) * asked + len(task.passages) * told


def _downloads(cells: list[Cell]) -> Iterator[str]:
    """Name what is not here, with its size where that is known."""
    for runs, encoder in dict.fromkeys((cell.runs, cell.config.encoder) for cell in cells):
        try:
            encoder_folder(runs, encoder.name, encoder.revision, download=False)
        except UserError:
            size = preset(encoder.name).download_gb
            yield f"encoder {encoder.name}" + (f" ({size:g} GB)" if size else "")
    if not cells:
        return
    trained = [c for c in cells if c.config.is_trained]
    wanted = {
        "train": dict.fromkeys(name for cell in trained for name in cell.config.data.train),
        "evaluate": dict.fromkeys(
            EvaluationTarget.parse(name).dataset
            for c in cells
            for name, source in c.tasks.items()
            if not source
        ),
    }
    for kind, named in wanted.items():
        for name in named:
            if whereabouts(cells[0].runs, name, kind) in ("", "download"):
                entry = listed(kind).get(name)
                yield name + (f" ({entry.size})" if entry and entry.size else "")


def _named(device: Any) -> str:
    if device is None:
        return ""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"
