"""How many pairs a second are trained: `hbr train` against sentence-transformers' trainer.

    python benchmarks/training.py [--encoder FOLDER] [--texts FOLDER] [--steps 4] [--json FILE]

Without folders, a random BERT of 6 layers, 384 wide, learns made-up languages; `--texts` takes
XQuAD-R's files. The peer has MultipleNegativesRankingLoss and the same batch, length, precision and
dropout; both learn from the same pairs. Each line is a process of its own, in turns with the
others, and the quickest step after the first counts. Needs the extra `bench`.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import side

OURS = {
    "hbr, padded": ["train.unpadded=false"],
    "hbr, unpadded": [],
    "hbr, unpadded, no attention dropout": ["train.attention_dropout=0"],
}
PEER = "sentence-transformers"


def peer(asked: argparse.Namespace) -> float:
    """Train as sentence-transformers does; give pairs a second."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    found = side.pairs(asked.texts, asked.kind[0], asked.steps * asked.batch_size)
    rows = {"anchor": [a for a, _ in found], "positive": [b for _, b in found]}
    model = SentenceTransformer(str(asked.encoder), device="cpu")
    model.max_seq_length = asked.length
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        settings = SentenceTransformerTrainingArguments(
            folder,
            per_device_train_batch_size=asked.batch_size,
            max_steps=asked.steps,
            bf16=asked.precision == ["bf16"],
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model,
            settings,
            train_dataset=Dataset.from_dict(rows),
            loss=MultipleNegativesRankingLoss(model),
            callbacks=[Clock()],
        )
        trainer.train()
    return asked.batch_size / min(b - a for a, b in itertools.pairwise(ends))


def ours(asked: argparse.Namespace, changes: list[str], allocator: str) -> float:
    """Train with the command; give pairs a second."""
    found = side.pairs(asked.texts, asked.kind[0], asked.steps * asked.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        data, runs = Path(folder) / "pairs.jsonl", Path(folder) / "runs"
        lines = [
            {"id": str(i), "query": {"en": query}, "passage": {"en": passage}}
            for i, (query, passage) in enumerate(found)
        ]
        data.write_text("".join(json.dumps(line) + "\n" for line in lines))
        settings = [
            f"train.precision={asked.precision[0]}",
            f"encoder.query_length={asked.length}",
            f"encoder.passage_length={asked.length}",
            "encoder.query_prefix=''",
            "encoder.passage_prefix=''",
            *("data.validation=null", "train.log_every=1", "train.mask=none"),
            *changes,
        ]
        words = ["train", "--sampler", "monolingual", "--encoder", str(asked.encoder)]
        words += ["--data", str(data), "--steps", str(asked.steps), "--output-dir", str(runs)]
        words += ["--batch-size", str(asked.batch_size), "--device", "cpu", "--lr", "5e-5"]
        command = [
            sys.executable,
            "-m",
            "hbr",
            *words,
            *(w for s in settings for w in ("--set", s)),
        ]
        env = {name: value for name, value in os.environ.items() if name not in side.TUNED}
        done = subprocess.run(
            command, env={**env, **side.MALLOC[allocator]}, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        (log,) = runs.glob("monolingual-*/train/log.jsonl")
        steps = [json.loads(line)["pairs_per_s"] for line in log.read_text().splitlines()]
        return max(steps[1:])


def main() -> None:
    """Run every case, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--kind", nargs="+", default=["sentences", "contexts"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--allocator", nargs="+", default=list(side.MALLOC))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.own:
        print(json.dumps(peer(asked)))
        return
    shown: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        asked.encoder = side.encoder(asked.encoder, Path(place))
        for kind in asked.kind:
            rows: dict[str, dict[str, float]] = {}
            for precision in asked.precision:
                case = argparse.Namespace(
                    **{**vars(asked), "kind": [kind], "precision": [precision]}
                )
                words = ["--own", "--encoder", str(asked.encoder), "--kind", kind]
                words += ["--precision", precision, "--length", str(asked.length)]
                words += ["--steps", str(asked.steps), "--batch-size", str(asked.batch_size)]
                words += ["--texts", str(asked.texts)] if asked.texts else []
                for allocator in asked.allocator * asked.rounds:
                    found = {PEER: side.child(words, allocator)}
                    found |= {name: ours(case, own, allocator) for name, own in OURS.items()}
                    for name, value in found.items():
                        best = rows.setdefault(name, {})
                        at = f"{precision} {allocator}"
                        best[at] = max(best.get(at, 0.0), value)
                        side.tell(kind, precision, allocator, name, value)
            shown[kind] = rows
            side.table(f"{kind}, at most {asked.length} tokens", rows, "pairs/s")
    if asked.json:
        asked.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
