"""What each objective costs against infonce: seconds a step, peak memory, texts encoded.

    python benchmarks/objectives.py [--steps 5] [--batch-size 32] [--rounds 3] [--json FILE]

Two encoders: the tiny XLM-R, and a random BERT of MiniLM's size (12 layers of 384, 30,522 words).
Texts are random tokens, 16 a query and 64 a passage, in five languages; "3 negatives" are hard
negatives of each row, and a teacher's scores or vectors are random too, made before the first step
as `hbr score` does. "st" lines are the losses of sentence-transformers on the same encoder, texts
and optimizer, without its trainer; its guide encodes every batch.
Each figure is a process of its own, in turns with the others: one step to warm up, then the
quickest of the others, in CPU seconds on one thread (or seconds, on a GPU); peak is resident memory
(or the GPU's) above what stood there before the first step. Shown are medians over the rounds,
least and most, and the cores that other processes kept busy. Texts are those encoded a step, over
those of the batch's pairs.
Needs the extra `bench`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import side
import torch
from sentence_transformers.sentence_transformer import losses
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase

from hbr.core.config import resolve_config
from hbr.core.settings import Config
from hbr.data.row_writer import write_rows
from hbr.data.rows import Rows, open_rows
from hbr.data.teacher_vectors import TeacherVectors
from hbr.data.tokens import Tokens
from hbr.experiments.run_data import batch_schedule
from hbr.experiments.run_spec import complete
from hbr.models import tiny
from hbr.models.encoder import Encoder, Pooling
from hbr.training.trainer import Source, Trainer

LANGUAGES = ("ar", "de", "en", "ru", "zh")
LENGTHS = {"query": 16, "passage": 64}
WORDS = {"tiny": 1000, "minilm": 30_000}
NEGATIVES = 3  # of a row
MINED: dict[str, object] = {"objective.num_negatives": NEGATIVES}
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
    "infonce, 3 negatives": MINED,
    "infonce, 3 negatives, guide": MINED | {"guide": "absolute"},
    "distill-kl, 3 negatives": MINED | {"objective": "distill-kl"},
    "margin-mse, 3 negatives": MINED | {"objective": "margin-mse"},
    "embedding-mse": {"objective": "embedding-mse"},
}
PEERS: dict[str, tuple[int, Callable[["Peer", "Peer"], nn.Module]]] = {  # negatives, and the loss
    "st, MultipleNegativesRanking": (
        0,
        lambda model, _: losses.MultipleNegativesRankingLoss(model),
    ),
    "st, MNRL, 3 negatives": (
        NEGATIVES,
        lambda model, _: losses.MultipleNegativesRankingLoss(model),
    ),
    "st, GISTEmbed, 1 negative": (  # it takes no more
        1,
        lambda model, guide: losses.GISTEmbedLoss(
            model, guide, contrast_anchors=False, contrast_positives=False
        ),
    ),
    "st, DistillKLDiv, 3 negatives": (NEGATIVES, lambda model, _: losses.DistillKLDivLoss(model)),
    "st, MarginMSE, 3 negatives": (NEGATIVES, lambda model, _: losses.MarginMSELoss(model)),
    "st, MSE": (0, lambda model, _: losses.MSELoss(model)),
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


def row(number: int, negatives: int) -> dict[str, Any]:
    """Make a row, with a teacher's scores of its negatives where it has any."""

    def texts(what: str) -> dict[str, str]:
        return {language: f"{language} {what}{number}" for language in LANGUAGES}

    made: dict[str, Any] = {"id": str(number), "query": texts("q"), "passage": texts("p")}
    if negatives:
        made["negatives"] = [texts(f"n{which} ") for which in range(negatives)]
        made["scores"] = [float(score) for score in range(1 + negatives)]
    return made


def vectors(rows: Rows, width: int) -> TeacherVectors:
    """Make a teacher's random vectors."""
    rng, counts = np.random.default_rng(1), (len(rows.queries.has), len(rows.passages.has))
    drawn = (rng.normal(size=(count, width)).astype(np.float32) for count in counts)
    return TeacherVectors(*(v / np.linalg.norm(v, axis=1, keepdims=True) for v in drawn))


def trainer_of(folder: Path, name: str, settings: dict[str, object], batch_size: int) -> Trainer:
    """Make a training run of random rows."""
    negatives = int(str(settings.get("objective.num_negatives", 0)))
    write_rows(folder, "made up", [row(i, negatives) for i in range(4 * batch_size)], "en")
    opened, rng = open_rows(folder), np.random.default_rng(0)
    cells = {"query": opened.queries.start[-1], "passage": opened.passages.start[-1]}
    tokens = Tokens(
        {r: rng.integers(5, WORDS[name], cells[r] * n, np.int32) for r, n in LENGTHS.items()},
        {r: np.arange(cells[r] + 1) * n for r, n in LENGTHS.items()},
    )
    train = {"batch_size": batch_size, "learning_rate": 1e-5}
    config: Config = complete(resolve_config({"train": train}, settings))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plan, encoder = batch_schedule(config, [opened]), encoder_of(name)
    source = Source(opened, tokens, vectors(opened, encoder.embedding_dimension))
    return Trainer(folder, config, encoder, plan, [source], None, device)


class Peer(nn.Module):
    """An encoder as the losses of sentence-transformers call it."""

    max_seq_length = 512
    tokenizer = mock.Mock(spec=PreTrainedTokenizerBase, **{"get_vocab.return_value": {}})

    def __init__(self, name: str, device: torch.device) -> None:
        super().__init__()
        self.backbone, self.texts = encoder_of(name).backbone.to(device), 0

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean of the tokens as `sentence_embedding`: (texts, width)."""
        self.texts += len(features["input_ids"])
        hidden = self.backbone(**features).last_hidden_state
        mask = features["attention_mask"][..., None]
        return {"sentence_embedding": (hidden * mask).sum(1) / mask.sum(1)}


def peer_step(name: str, peer: str, batch_size: int, device: torch.device) -> tuple[Any, Peer]:
    """Return a step of a loss of sentence-transformers, and the model that it trains."""
    negatives, make = PEERS[peer]
    torch.manual_seed(0)
    model, guide = Peer(name, device).train(), Peer(name, device).eval()
    loss, optimizer = make(model, guide), torch.optim.AdamW(model.parameters(), 1e-5)
    lengths = [LENGTHS["query"], *[LENGTHS["passage"]] * (1 + negatives)]
    ids = [torch.randint(5, WORDS[name], (batch_size, n), device=device) for n in lengths]
    columns = [{"input_ids": x, "attention_mask": torch.ones_like(x)} for x in ids]
    width = model.backbone.config.hidden_size
    labels = torch.randn(batch_size, width if peer == "st, MSE" else 1 + negatives, device=device)

    def step(_: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss([dict(column) for column in columns], labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step, model


def memory(device: torch.device) -> float:
    """Return the highest memory so far, in MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(
    step: Callable[[int], object], count: Callable[[], int], steps: int, device: torch.device
) -> dict[str, float]:
    """Return the seconds of the quickest step but the first, the peak, and the texts of a step."""
    before, seconds, watch = memory(device), [], side.Watch()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for number in range(steps + 1):
        started = clock()
        step(number)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - started)
    peak = memory(device) - before
    texts, (_, others) = count() / (steps + 1), watch.read()
    return {"seconds": min(seconds[1:]), "peak_mb": peak, "texts": texts, "others": others}


def measure(name: str, objective: str, steps: int, batch_size: int) -> dict[str, float]:
    """Measure one objective in this process."""
    torch.set_num_threads(1)  # on more, waiting threads add CPU seconds of their own
    if objective in PEERS:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        step, model = peer_step(name, objective, batch_size, device)
        return timed(step, lambda: model.texts, steps, device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(Path(folder), name, OBJECTIVES[objective], batch_size)
        whole, sizes = trainer.encoder.encode, []

        def counted(token_ids: Sequence[Any], *rest: Any, **how: Any) -> Tensor:
            sizes.append(len(token_ids))
            return whole(token_ids, *rest, **how)

        with mock.patch.object(trainer.encoder, "encode", counted):
            return timed(trainer.training_step, lambda: sum(sizes), steps, trainer.device)


def main() -> None:
    """Measure every objective on both encoders, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoders", nargs="+", choices=WORDS, default=list(WORDS))
    parser.add_argument("--ways", nargs="+", choices=[*OBJECTIVES, *PEERS], metavar="WAY")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*args.measure, args.steps, args.batch_size)))
        return
    chosen = args.ways or [*OBJECTIVES, *PEERS]
    ways = [(name, objective) for name in args.encoders for objective in chosen]
    found: dict[tuple[str, str], list[dict[str, float]]] = {way: [] for way in ways}
    sizes = ["--steps", str(args.steps), "--batch-size", str(args.batch_size)]
    for _ in range(args.rounds):
        for way in ways:
            command = [sys.executable, __file__, "--measure", *way, *sizes]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    show(found, 2 * args.batch_size)
    if args.json:
        args.json.write_text(
            json.dumps({" | ".join(way): of for way, of in found.items()}, indent=1)
        )


def show(found: dict[tuple[str, str], list[dict[str, float]]], texts: int) -> None:
    """Print medians over rounds, with the least and the most seconds."""
    head = ("s/step", 8), ("least", 8), ("most", 8), ("×", 6), ("peak MB", 9), ("×", 6)
    print(
        f"{'encoder':8} {'objective':30}",
        *(f"{word:>{wide}}" for word, wide in head),
        " texts others",
    )
    for (name, objective), rounds in found.items():
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        plain = found.get((name, "infonce"), rounds)
        turns, base = (
            [side.Turn(one["seconds"], one["others"]) for one in of] for of in (rounds, plain)
        )
        times = side.ratio(turns, base)
        more = middle["peak_mb"] / statistics.median(one["peak_mb"] for one in plain)
        seconds = [one["seconds"] for one in rounds]
        print(
            f"{name:8} {objective:30} {middle['seconds']:8.3f} {min(seconds):8.3f} "
            f"{max(seconds):8.3f} {'loads!' if times is None else format(times, '.2f'):>6} "
            f"{middle['peak_mb']:9,.0f} {more:6.2f} {middle['texts'] / texts:6.2f} "
            f"{middle['others']:6.2f}"
        )


if __name__ == "__main__":
    main()
