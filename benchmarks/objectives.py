"""What each objective costs against infonce: seconds a step, peak memory, texts encoded.

    python benchmarks/objectives.py [--steps 5] [--batch-size 32] [--json FILE]

Two encoders: the tiny XLM-R, and a random BERT of MiniLM's size (12 layers of 384, 30,522 words).
Texts are random tokens, 16 a query and 64 a passage, in five languages. Each line is a process of
its own: one step to warm up, then the quickest of the others, in CPU seconds (or seconds, on a
GPU); peak is resident memory (or the GPU's) above what stood there before the first step. Texts
are those encoded a step, over those of the batch.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from transformers import BertConfig, BertModel

from hbr.core.config import resolve_config
from hbr.core.settings import Config
from hbr.data.row_writer import write_rows
from hbr.data.rows import open_rows
from hbr.data.tokens import Tokens
from hbr.experiments.run_data import batch_schedule
from hbr.experiments.run_spec import complete
from hbr.models import tiny
from hbr.models.encoder import Encoder, Pooling
from hbr.training.trainer import Source, Trainer

LANGUAGES = ("ar", "de", "en", "ru", "zh")
LENGTHS = {"query": 16, "passage": 64}
WORDS = {"tiny": 1000, "minilm": 30_000}
OBJECTIVES: dict[str, dict[str, object]] = {
    "infonce": {},
    "infonce, symmetric": {"symmetric": True},
    "adversarial, FGM": {"objective": "adversarial"},
    "adversarial, PGD of 3": {"objective": "adversarial", "ascent_steps": 3},
    "adversarial, FreeLB of 3": {
        **{"objective": "adversarial", "ascent_steps": 3},
        **{"start": "random", "average": True},
    },
    "smoothing": {"objective": "smoothing"},
    "language-adversarial": {"objective": "language-adversarial"},
    "language-contrastive": {"objective": "language-contrastive"},
}


def encoder_of(name: str) -> Encoder:
    """Make an encoder with random weights."""
    torch.manual_seed(0)
    if name == "tiny":
        return tiny.build("xlm-r-tiny")
    config = BertConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536
    )
    return Encoder(BertModel(config), mock.Mock(pad_token_id=0), Pooling())


def trainer_of(folder: Path, name: str, settings: dict[str, object], batch_size: int) -> Trainer:
    """Make a training run of random rows."""
    rows = [
        {
            "id": str(i),
            "query": {language: f"{language} q{i}" for language in LANGUAGES},
            "passage": {language: f"{language} p{i}" for language in LANGUAGES},
        }
        for i in range(4 * batch_size)
    ]
    write_rows(folder, "made up", rows, "en")
    opened, rng = open_rows(folder), np.random.default_rng(0)
    cells = len(rows) * len(LANGUAGES)
    tokens = Tokens(
        {r: rng.integers(5, WORDS[name], cells * n, np.int32) for r, n in LENGTHS.items()},
        {r: np.arange(cells + 1) * n for r, n in LENGTHS.items()},
    )
    config: Config = complete(
        resolve_config({"train": {"batch_size": batch_size, "learning_rate": 1e-5, **settings}})
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plan, encoder = batch_schedule(config, [opened]), encoder_of(name)
    return Trainer(folder, config, encoder, plan, [Source(opened, tokens)], None, device)


def memory(device: torch.device) -> float:
    """Return the highest memory so far, in MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, objective: str, steps: int, batch_size: int) -> dict[str, float]:
    """Measure one objective in this process."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(Path(folder), name, OBJECTIVES[objective], batch_size)
        before, seconds, passes = memory(trainer.device), [], 0
        clock = time.perf_counter if trainer.device.type == "cuda" else time.process_time
        whole = trainer.encoder.forward

        def counted(ids: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
            nonlocal passes
            passes += len(ids)
            return whole(ids, *rest)

        with mock.patch.object(trainer.encoder, "forward", counted):
            for step in range(steps + 1):
                started = clock()
                trainer.training_step(step)
                if trainer.device.type == "cuda":
                    torch.cuda.synchronize()
                seconds.append(clock() - started)
        return {
            "seconds": min(seconds[1:]),
            "peak_mb": memory(trainer.device) - before,
            "texts": passes / (steps + 1) / (2 * batch_size),
        }


def main() -> None:
    """Measure every objective on both encoders, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*args.measure, args.steps, args.batch_size)))
        return
    shown: dict[str, dict[str, dict[str, float]]] = {}
    sizes = ["--steps", str(args.steps), "--batch-size", str(args.batch_size)]
    head = ("s/step", 8), ("×", 6), ("peak MB", 9), ("×", 6), ("texts", 6)
    print(f"{'encoder':8} {'objective':26}", *(f"{word:>{wide}}" for word, wide in head))
    for name in WORDS:
        shown[name] = {}
        for objective in OBJECTIVES:
            command = [sys.executable, __file__, "--measure", name, objective, *sizes]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            result = json.loads(done.stdout.splitlines()[-1])
            plain = shown[name].setdefault("infonce", result)
            times, more = (result[key] / plain[key] for key in ("seconds", "peak_mb"))
            shown[name][objective] = {**result, "times_seconds": times, "times_peak": more}
            print(
                f"{name:8} {objective:26} {result['seconds']:8.3f} {times:6.2f} "
                f"{result['peak_mb']:9,.0f} {more:6.2f} {result['texts']:6.2f}",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
