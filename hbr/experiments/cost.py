"""What a study will cost before it starts: hours by the pace of each encoder, disk, downloads."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.data import prepare
from hbr.data.location import whereabouts
from hbr.data.lookup import listed
from hbr.experiments.cells import Cell
from hbr.experiments.encoders import Found
from hbr.models.presets import preset
from hbr.models.sources import encoder_folder
from hbr.report.terminal.cost import Cost, Line

SAMPLE = 512  # texts whose lengths are measured
COPIES = 3  # of the weights of a run: the encoder, its best, and a checkpoint


def cost(todo: Iterable[Cell]) -> Cost:
    """Estimate what some runs cost on this machine, one after the other, without validation.

    Texts are taken to be as long as those of the prepared data, or else as long as the settings
    allow; nothing is downloaded or prepared for it.
    """
    cells = list(todo)
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_pace_settings(cell.config), []).append(cell)
    notes: dict[str, None] = {}
    lines = [_line(group, notes) for group in groups.values()]
    device = _device_name(cells[0].run.torch_device()) if cells else ""
    return Cost(tuple(lines), device, tuple(dict.fromkeys(_downloads(cells))), tuple(notes))


def _pace_settings(config: Config) -> tuple[Any, ...]:
    """Return what decides how long a step and a text take."""
    decisive = {
        *("batch_size", "gradient_accumulation_steps", "mini_batch_size", "precision"),
        *("unpadded", "quick_dropout", "attention_dropout", "torch_compile"),
        *("gradient_checkpointing", "optimizer"),
    }
    sections: tuple[Any, ...] = (config.encoder, config.encode)
    if config.adapter.name:
        sections = (*sections, config.adapter)
    values = [value for section in sections for value in section.model_dump().values()]
    return (*values, *config.train.model_dump(include=decisive).values())


def _line(cells: list[Cell], notes: dict[str, None]) -> Line:
    from hbr.experiments.pace import pace
    from hbr.training.optimizer import moment_bytes, resident_bytes

    run, config = cells[0].run, cells[0].config
    encoder = config.encoder.name
    try:
        folder = encoder_folder(run.runs, encoder, config.encoder.revision, download=False)
    except UserError:
        notes[f"{encoder} is not here: its hours and disk are not among these"] = None
        return Line(encoder, len(cells))
    model = Found(folder, config.encoder).load()
    lengths = _row_lengths(cells, model, notes) or (
        min(config.encoder.inputs("query")[1], model.max_seq_length),
        min(config.encoder.inputs("passage")[1], model.max_seq_length),
    )
    measured = pace(model, config, lengths, run.torch_device())
    trained = [cell.config for cell in cells if cell.config.is_trained]
    of_checkpoints = 4 * (COPIES - 1) + moment_bytes(config.train)  # bytes of a trained weight
    kept = 4 * measured.parameters * len(cells) + measured.trained * of_checkpoints * len(trained)
    resident = resident_bytes(measured.parameters, measured.trained, config.train)
    tokens, vectors = _to_encode(cells, model, notes)
    vector_bytes = measured.dimension * np.dtype(config.encode.dtype).itemsize
    return Line(
        encoder,
        len(cells),
        measured.step,
        1e-9 * resident if trained else None,
        sum(c.train.max_steps for c in trained) * measured.step / 3600,
        tokens * measured.token / 3600,
        1e-9 * (kept + vectors * vector_bytes),
    )


def _row_lengths(cells: list[Cell], model: Any, notes: dict[str, None]) -> tuple[int, int] | None:
    """Return the mean tokens of a query and a passage of the training data, once prepared."""
    for cell in cells:
        if not cell.config.is_trained:
            continue
        data = cell.config.data
        for name in data.train:
            rows = prepare.ready_rows(cell.run.runs, name, data.languages, data.limit)
            if rows is not None:
                columns = rows.queries.column, rows.passages.column
                query, passage = _both_tokens(*columns, cell.config, model)
                return max(2, round(query)), max(2, round(passage))
            notes[f"{name} is not prepared: its texts are taken to be as long as may be"] = None
        return None
    return None


def _both_tokens(queries: Any, passages: Any, config: Config, model: Any) -> tuple[float, float]:
    """Return the mean number of tokens of a sample of queries, and of one of passages."""
    query = _tokens(queries, *config.encoder.inputs("query"), model)
    return query, _tokens(passages, *config.encoder.inputs("passage"), model)


def _tokens(column: Any, prompt: str, length: int, model: Any) -> float:
    """Return the mean number of tokens of a sample of a column's texts."""
    if not len(column):
        return 0.0
    places = np.random.default_rng(0).integers(0, len(column), min(SAMPLE, len(column)))
    texts = [prompt + column[int(i)].as_py() for i in np.sort(places)]
    return float(np.mean([len(ids) for ids in model.tokenize(texts, length)]))


def _to_encode(cells: list[Cell], model: Any, notes: dict[str, None]) -> tuple[float, int]:
    """Return the tokens and the texts of all evaluations."""
    tokens, texts = 0.0, 0
    run, config = cells[0].run, cells[0].config
    for dataset in dict.fromkeys(target.dataset for target in cells[0].targets):
        evaluate = config.evaluate
        task = prepare.ready_task(run.runs, dataset, evaluate.passage, evaluate.limit)
        if task is None:
            notes[f"{dataset} is not prepared: encoding it is not among these"] = None
            continue
        times = len({t.encoded for t in cells[0].targets if t.dataset == dataset})  # of the queries
        queries, passages = times * len(task.queries), len(task.passages)
        query, passage = _both_tokens(task.queries["text"], task.passages["text"], config, model)
        tokens += len(cells) * (queries * query + passages * passage)
        texts += len(cells) * (queries + passages)
    return tokens, texts


def _downloads(cells: list[Cell]) -> Iterator[str]:
    """Yield the name of what is to be downloaded, with its size where that is known."""
    for runs, encoder in dict.fromkeys((cell.run.runs, cell.config.encoder) for cell in cells):
        try:
            encoder_folder(runs, encoder.name, encoder.revision, download=False)
        except UserError:
            size = preset(encoder.name).download_gb
            yield f"encoder {encoder.name}" + (f" ({size:g} GB)" if size else "")
    wanted = {
        "train": [name for c in cells if c.config.is_trained for name in c.config.data.train],
        "evaluate": [d for cell in cells for d, source in cell.sources.items() if not source],
    }
    for kind, datasets in wanted.items():
        for name in dict.fromkeys(datasets):
            if whereabouts(cells[0].run.runs, name, kind) in ("", "download"):
                entry = listed(kind).get(name)
                yield name + (f" ({entry.size})" if entry and entry.size else "")


def _device_name(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"
