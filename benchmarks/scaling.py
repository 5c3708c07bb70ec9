"""Cost against size: CPU seconds and peak memory of plan, train step, encode and evaluate.

    python benchmarks/scaling.py [--only WORD] [--rounds 3] [--json FILE] [--plot FILE.svg]

Each case does 1, 4 and 16 times some work. Each figure is the median of some processes of its own,
on one thread: seconds are its CPU's, memory is the highest resident memory above that before the
work. The spread is the widest of a case, from the least to the most as a share of the median. An
exponent is the slope through the three, both axes logarithmic: 1 is linear, 0 is flat. The encoder
is a random BERT of 4 layers, 128 wide; vectors are 256 wide; data are made up.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import side

TIMES = (1, 4, 16)
LANGUAGES = ("ar", "de", "en", "ru")
WIDTH = 256
LENGTHS = {"query": 16, "passage": 64}  # tokens
Work = Callable[[], object]


COLOURS = ("#1b6ca8", "#d1495b", "#2a9d6f")
FLOOR = {"seconds": 1e-3, "mb": 1.0}
STYLE: dict[str, Any] = {
    **{"font.size": 8.5, "axes.titlesize": 9.5, "axes.spines.top": False, "legend.fontsize": 7.5},
    **{"axes.spines.right": False, "svg.fonttype": "none", "svg.hashsalt": "hbr"},
}
LEGEND: dict[str, Any] = {"frameon": False, "handlelength": 1.4, "handletextpad": 0.5}


class Case(NamedTuple):
    """What is made larger, from which size on, and what its exponents should be."""

    stage: str
    what: str
    size: int
    make: Callable[[Path, int], Work]  # a folder and a size to the work
    seconds: float
    memory: float


def plan(rows: int, batches: int) -> Work:
    """Make all batches of a run, in ten languages, and count what they hold."""
    from hbr.training.samplers import HYBRID
    from hbr.training.schedule import BatchSchedule
    from hbr.training.summary import summarise

    has = np.random.default_rng(0).random((rows, 10), dtype=np.float32) < 0.9
    languages = tuple(f"l{number}" for number in range(10))
    data = SimpleNamespace(
        name="made up",
        languages=languages,
        pivot="l0",
        has=has,
        group=np.arange(rows),
        translations=False,
    )
    return lambda: summarise(
        BatchSchedule([data], HYBRID.mix(0.5), batch_size=64, seed=0, steps=batches), batches
    )


def encoder() -> Any:
    """Make an encoder with random weights."""
    import torch
    from transformers import BertConfig, BertModel

    from hbr.models import tiny
    from hbr.models.encoder import Encoder, Pooling

    tokenizer = tiny.build("mbert-tiny").tokenizer
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
    )
    return Encoder(BertModel(config), tokenizer, Pooling())


def train_step(folder: Path, size: int, chunk: int | None) -> Work:
    """Take one optimiser's step on a batch of `size` pairs."""
    import torch

    from hbr.core.config import resolve_config
    from hbr.data.row_writer import write_rows
    from hbr.data.rows import open_rows
    from hbr.data.tokens import Tokens
    from hbr.experiments.run_data import batch_schedule
    from hbr.experiments.run_spec import complete
    from hbr.training.trainer import Source, Trainer

    def trainer(name: str, size: int) -> Trainer:
        place = folder / name
        place.mkdir()
        count = 2 * size
        query, passage = (dict.fromkeys(LANGUAGES, text) for text in ("asked", "told"))
        texts = {"query": query, "passage": passage}
        rows = ({"id": str(i), "group": str(i), **texts} for i in range(count))
        write_rows(place, name, rows, "en")
        rng, cells = np.random.default_rng(0), count * len(LANGUAGES)
        tokens = Tokens(
            {role: rng.integers(5, 4000, cells * n, np.int32) for role, n in LENGTHS.items()},
            {role: np.arange(cells + 1) * n for role, n in LENGTHS.items()},
        )
        train = {"batch_size": size, "mini_batch_size": chunk, "learning_rate": 1e-5}
        config = complete(resolve_config({"train": train}))
        opened = open_rows(place)
        sources, device = [Source(opened, tokens)], torch.device("cpu")
        plan = batch_schedule(config, [opened])
        return Trainer(place, config, encoder(), plan, sources, None, device)

    trainer("first", 2).training_step(0)  # what is loaded and made once
    measured = trainer("measured", size)
    return lambda: measured.training_step(0)


def encode(folder: Path, size: int) -> Work:
    """Encode texts into shards of 500."""
    import torch

    from hbr.core.config import resolve_config
    from hbr.data import synthetic
    from hbr.evaluation.encode import encode
    from hbr.experiments.run_spec import complete
    from hbr.models.loading import save

    texts = itertools.cycle(
        [text for row in synthetic.rows("train") for text in row["query"].values()]
    )
    task = made_up(folder / "task", 4, size, texts)
    save(encoder(), folder / "model", {}, 512)
    settings = {"encoder": str(folder / "model"), "encode": {"shard_size": 500}}
    config, device = complete(resolve_config(settings)), torch.device("cpu")
    encode(place(folder, "first"), folder / "model", config, made_up(folder / "one", 4, 4), device)
    here = place(folder, "measured")
    return lambda: encode(here, folder / "model", config, task, device)


def evaluate(folder: Path, queries: int, passages: int) -> Work:
    """Rank in memory, 64 MiB of scores at a time, and write metrics and values by query."""
    import torch

    from hbr.core.config import resolve_config
    from hbr.evaluation.evaluate import evaluate

    config, device = resolve_config({"evaluate": {"block_mb": 64}}), torch.device("cpu")

    def work(name: str, queries: int, passages: int) -> Work:
        here = place(folder, name)
        task = made_up(here / "task", queries, passages)
        vectors = stack(here / "queries.npy", queries), stack(here / "passages.npy", passages)
        return lambda: evaluate(here, config, task, vectors, {}, device=device)

    work("first", 100, 100)()
    return work("measured", queries, passages)


def stream(folder: Path, queries: int, passages: int) -> Work:
    """Rank from disk, 8 MiB of vectors at a time."""
    from hbr.retrieval.exact import relevant_pairs
    from hbr.retrieval.streamed import streamed_ranks

    def work(name: str, queries: int, passages: int) -> Work:
        here = place(folder, name)
        task = made_up(here / "task", queries, passages)
        query_vectors = np.asarray(stack(here / "queries.npy", queries))
        passage_vectors = stack(here / "passages.npy", passages)
        pairs = relevant_pairs(task.concept, task.indptr, task.relevant)
        return lambda: list(
            streamed_ranks(query_vectors, passage_vectors, pairs, task.blocks, top=20, chunk_mb=8)
        )

    work("first", 100, 100)()
    return work("measured", queries, passages)


def made_up(folder: Path, queries: int, passages: int, texts: Iterator[str] | None = None) -> Any:
    """Write and open a task: a concept is asked and answered in every language."""
    from hbr.data.tasks import EvaluationData, Passage, Query, open_task, write_task

    texts = texts or itertools.repeat("made up")
    concepts, each = queries // len(LANGUAGES), passages // len(LANGUAGES)
    draft = EvaluationData(
        [Query(str(i), code, str(i), "made up") for code in LANGUAGES for i in range(concepts)],
        (Passage(str(i), code, next(texts)) for code in LANGUAGES for i in range(each)),
        {str(i): [(code, str(i)) for code in LANGUAGES] for i in range(concepts)},
        "made up",
    )
    folder.mkdir()
    write_task(folder, "made-up", draft)
    return open_task(folder, "made up")


def stack(path: Path, count: int) -> Any:
    """Write and open unit vectors on disk: (count, width)."""
    from hbr.retrieval.vectors import ShardedVectors

    rng = np.random.default_rng(count)
    file = np.lib.format.open_memmap(path, "w+", np.float32, (count, WIDTH))
    for at in range(0, count, 4096):
        some = rng.standard_normal((min(4096, count - at), WIDTH), dtype=np.float32)
        file[at : at + 4096] = some / np.linalg.norm(some, axis=1, keepdims=True)
    file.flush()
    del file
    return ShardedVectors([np.load(path, mmap_mode="r")])


def place(folder: Path, name: str) -> Path:
    """Make a folder."""
    (folder / name).mkdir()
    return folder / name


CASES = (
    Case("plan", "batches", 2_000, lambda _, n: plan(50_000, n), 1, 0),
    Case("plan", "rows", 50_000, lambda _, n: plan(n, 8_000), 0, 1),
    Case("train step", "pairs", 32, lambda at, n: train_step(at, n, None), 1, 1),
    Case("train step", "pairs, cached", 32, lambda at, n: train_step(at, n, 16), 1, 0),
    Case("encode", "texts", 1_000, encode, 1, 0),
    Case("evaluate", "queries", 1_000, lambda at, n: evaluate(at, n, 16_000), 1, 0),
    Case("evaluate", "passages", 16_000, lambda at, n: evaluate(at, 1_000, n), 1, 1),
    Case("evaluate", "passages, streamed", 32_000, lambda at, n: stream(at, 500, n), 1, 0),
)


def measure(case: Case, times: int) -> dict[str, float]:
    """Do the work in this process; give its seconds and memory."""
    from hbr.core import log

    log.configure(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        work = case.make(Path(folder), times * case.size)
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before, started = side.resident_mb("VmRSS"), time.process_time()
        work()
        return {"seconds": time.process_time() - started, "mb": side.resident_mb() - before}


def exponent(values: list[float]) -> float:
    """Return the slope of some values over TIMES, both logarithmic."""
    return float(np.polyfit(np.log(TIMES), np.log(np.maximum(values, 0.1)), 1)[0])


def main() -> None:
    """Measure every case, print a table, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="Cases that hold this word.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--from-json", type=Path, help="Draw what was measured before.")
    parser.add_argument("--measure", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(CASES[args.measure[0]], args.measure[1])))
        return
    before = args.from_json
    shown = json.loads(before.read_text()) if before else measured(args.only, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))
    if args.plot:
        draw(shown, args.plot)


def measured(word: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Measure every case that holds a word, and print a line each."""
    shown: dict[str, dict[str, Any]] = {}
    head = "".join(f"{name:>25} {'exponent':>9} {'spread':>7}" for name in ("seconds", "MB"))
    print(f"{'':32}{'from':>7}{head} {'others':>7}")
    for number, case in enumerate(CASES):
        name = f"{case.stage}: {case.what}"
        if word not in name:
            continue
        watch, found = side.Watch(), {"seconds": [], "mb": []}
        for _ in range(rounds):
            one = [process(number, times) for times in TIMES]
            for key, values in found.items():
                values.append([result[key] for result in one])
        _, others = watch.read()
        shown[name] = {"from": case.size, "others": others}
        line = f"{name:32}{case.size:7,}"
        for key, should in (("seconds", case.seconds), ("mb", case.memory)):
            values = np.median(found[key], axis=0).tolist()
            spread = float((np.ptp(found[key], axis=0) / np.maximum(values, FLOOR[key])).max())
            shown[name][key] = values
            shown[name][f"{key} exponent"] = exponent(values)
            shown[name][f"{key} exponent should be"] = should
            shown[name][f"{key} spread"] = spread
            figures = " ".join(f"{value:7,.2f}" for value in values)
            line += f" {figures:>24} {exponent(values):9.2f} {spread:7.2f}"
        print(f"{line} {others:7.2f}", flush=True)
    return shown


def process(number: int, times: int) -> dict[str, float]:
    """Measure a case in a process of its own."""
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, "--measure", str(number), str(times)]
    done = subprocess.run(command, env=one_thread, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def draw(shown: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw seconds and memory over the amount of work, a column a stage, all axes logarithmic."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(STYLE)
    stages = list(dict.fromkeys(name.partition(": ")[0] for name in shown))
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    panels = figure.subplots(2, len(stages), squeeze=False, sharex=True, sharey="row")
    for column, stage in zip(panels.T, stages, strict=True):
        column[0].set_title(stage, fontweight="bold")
        cases = {n.partition(": ")[2]: one for n, one in shown.items() if n.startswith(f"{stage}:")}
        for axes, key in zip(column, ("seconds", "mb"), strict=True):
            for (what, one), colour, marker in zip(cases.items(), COLOURS, "osD", strict=False):
                label = f"{what}, from {one['from']:,}"
                style = {"color": colour, "marker": marker, "ms": 5, "lw": 1.6, "label": label}
                axes.plot(TIMES, np.maximum(one[key], FLOOR[key]), **style, zorder=3)
        column[1].set_xlabel("work")
        column[1].legend(loc="upper left", bbox_to_anchor=(-0.12, -0.26), **LEGEND)
    for axes, label in zip(panels[:, 0], ("CPU seconds", "peak memory, MB"), strict=True):
        axes.set_ylabel(label)
    for axes in panels.flat:
        axes.set(xscale="log", yscale="log", xlim=(0.8, 20))
        axes.set_xticks(TIMES, [f"×{times}" for times in TIMES])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.grid(axis="y", color="#e3e3e3", lw=0.6)
    for line in panels:
        low, high = line[0].get_ylim()
        starts = low / 16 * 4.0 ** np.arange(math.log(16 * high / low, 4) + 1)
        ends = np.array([[start / 2, start * 32, math.nan] for start in starts]).ravel()
        across = np.tile([0.5, 32, math.nan], len(starts))
        for axes in line:  # all lines at once, each a factor of 4 above the last
            axes.plot(across, ends, color="#d5d5d5", lw=0.8, ls=(0, (4, 3)), zorder=1)
            axes.set_ylim(low, high)
    figure.suptitle("Cost against size: dashed lines rise in proportion to the work", fontsize=10)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
