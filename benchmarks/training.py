"""How many pairs a second are trained, in how much memory: `hbr train` beside its peer.

    python benchmarks/training.py [--texts FOLDER] [--encoder FOLDER | --shape xlm-r-base]
        [--length 128] [--batch-size 100] [--mini-batch-size 100] [--device cuda] [--json FILE]

`--texts` takes XQuAD-R's files; without, made-up languages are learnt. Without `--encoder` it is
a random one of a `--shape`: `minilm`, or `xlm-r-base` and `xlm-r-large` with 250,002 words, of
which a tokenizer fitted to the texts uses some. The peer is sentence-transformers' trainer with
MultipleNegativesRankingLoss (with `--mini-batch-size` its cached form), and the same pairs, batch,
length, precision and dropout; a rank a core is `torchrun --nproc-per-node CORES -m hbr train`,
with the memory of all; LoRA is that of a BERT's queries and values, rank 16, on both sides.
Each line is a process of its own, in turns with the others: the median step after the first, of
which the median over the rounds is shown, and the peak of memory: resident, or on the GPU.
`--beside` keeps so many other processes busy meanwhile.
Needs the extra `bench`.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import side

PEER = "sentence-transformers"
RANKS = "hbr, a rank a core"
CORES = len(os.sched_getaffinity(0))
LORA = {"r": 16, "lora_alpha": 32, "target_modules": ["query", "value"]}
WAYS: dict[str, list[str]] = {
    PEER: [],
    "hbr, none of its ways": [
        "train.unpadded=false",
        "train.quick_dropout=false",
        "train.trim_vocabulary=false",
    ],
    "hbr": [],
    "hbr, no attention dropout": ["train.attention_dropout=0"],
    RANKS: [],
    f"{PEER}, LoRA": [],
    "hbr, LoRA": ["adapter.name=lora", "adapter.rank=16", "adapter.target_modules=[query,value]"],
}


def peer(args: argparse.Namespace, folder: str) -> list[float]:
    """Train as sentence-transformers does; give the seconds of each step."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from transformers import TrainerCallback

    pairs = side.pairs(args.texts, args.kind, args.pairs)
    rows = {"anchor": [a for a, _ in pairs], "positive": [b for _, b in pairs]}
    model = SentenceTransformer(str(args.encoder), device=args.device)
    model.max_seq_length = args.length
    if "LoRA" in args.way:
        model.add_adapter(LoraConfig(**LORA))
    ends = [time.perf_counter()]

    class Clock(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            if args.device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    settings = SentenceTransformerTrainingArguments(
        folder,
        per_device_train_batch_size=args.batch_size,
        max_steps=args.steps,
        bf16=args.precision == "bf16",
        use_cpu=args.device == "cpu",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    loss = MultipleNegativesRankingLoss(model)
    if args.mini_batch_size:
        loss = CachedMultipleNegativesRankingLoss(model, mini_batch_size=args.mini_batch_size)
    SentenceTransformerTrainer(
        model, settings, train_dataset=Dataset.from_dict(rows), loss=loss, callbacks=[Clock()]
    ).train()
    return [b - a for a, b in itertools.pairwise(ends)]


def ours(args: argparse.Namespace, folder: str) -> list[float]:
    """Train with the command; give the seconds of each step."""
    from hbr.cli.app import app

    pairs = side.pairs(args.texts, args.kind, args.pairs)
    data, runs = Path(folder) / "pairs.jsonl", Path(folder) / "runs"
    lines = [
        {"id": str(i), "query": {"en": query}, "passage": {"en": passage}}
        for i, (query, passage) in enumerate(pairs)
    ]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = [
        f"train.precision={args.precision}",
        f"train.mini_batch_size={args.mini_batch_size or 'null'}",
        f"encoder.query_max_seq_length={args.length}",
        f"encoder.passage_max_seq_length={args.length}",
        "encoder.query_prompt=''",
        "encoder.passage_prompt=''",
        *("data.validation=null", "train.logging_steps=1", "objective.mask=none"),
        *WAYS[args.way],
    ]
    words = ["train", "--sampler", "monolingual", "--encoder", str(args.encoder)]
    words += ["--data", str(data), "--steps", str(args.steps), "--output-dir", str(runs)]
    words += ["--batch-size", str(args.batch_size), "--device", args.device, "--lr", "5e-5"]
    words += [word for one in settings for word in ("--set", one)]
    if args.way == RANKS:
        start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(CORES)]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*start, "-m", "hbr", *words], env=one_thread, stdout=2, check=True)
    else:
        app(words, standalone_mode=False)
    (log,) = runs.glob("monolingual-*/train/log.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [args.batch_size / record["pairs_per_s"] for record in records]


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Train one way in this process: pairs a second, GB at most, cores that others kept busy."""
    watch = side.Watch()
    with tempfile.TemporaryDirectory() as folder, side.competitors(args.beside[0]):
        seconds = (peer if args.way.startswith(PEER) else ours)(args, folder)
        _, others = watch.read()
    peak = (CORES * side.largest_child_mb() if args.way == RANKS else side.resident_mb()) / 1e3
    if args.device == "cuda":
        import torch

        peak = torch.cuda.max_memory_allocated() / 1e9
    pairs = args.batch_size / statistics.median(seconds[1:])
    return {"pairs": pairs, "memory": peak, "others": others}


def main() -> None:
    """Run every case, and print a table."""
    parser = side.parser(__doc__)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--mini-batch-size", type=int, help="gradient caching; none without")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--kind", choices=["sentences", "contexts"], default="sentences")
    parser.add_argument("--allocator", nargs="+", choices=side.MALLOC, default=list(side.MALLOC))
    parser.add_argument("--beside", type=int, nargs="+", default=[0], help="busy processes")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.pairs = args.steps * args.batch_size
    if args.way:
        args.precision = args.precision[0]
        print("\n" + json.dumps(measure(args)))
        return
    shown: dict[str, dict[str, list[side.Turn]]] = {}
    memory: dict[str, dict[str, float]] = {way: {} for way in args.ways}
    with tempfile.TemporaryDirectory() as place:
        encoder = side.encoder(args.encoder, Path(place), args.shape, args.texts)
        words = ["--encoder", str(encoder), "--kind", args.kind, "--device", args.device]
        words += ["--length", str(args.length), "--batch-size", str(args.batch_size)]
        words += ["--steps", str(args.steps)]
        words += ["--texts", str(args.texts)] if args.texts else []
        words += ["--mini-batch-size", str(args.mini_batch_size)] if args.mini_batch_size else []
        cases = itertools.product(args.precision, args.allocator, args.beside)
        for precision, allocator, beside in cases:
            case = f"{precision}, {allocator}, {beside} beside"
            run = [*words, "--precision", precision, "--beside", str(beside), "--way"]
            rows = shown.setdefault(case, {way: [] for way in args.ways})
            for _, way in itertools.product(range(args.rounds), args.ways):
                result = side.child([*run, way], allocator)
                side.tell(case, way, result["pairs"], result["memory"])
                rows[way].append(side.Turn(result["pairs"], result["others"]))
                memory[way][case] = max(memory[way].get(case, 0.0), result["memory"])
            about = f"{args.kind} of {args.length} tokens at most, {args.batch_size} a batch"
            for lora in (False, True):
                some = {way: made for way, made in rows.items() if ("LoRA" in way) is lora}
                if some:
                    side.compare(f"{about}, {case}", some, next(iter(some)), "pairs/s")
    side.table("memory", memory, "GB at most")
    if args.json:
        args.json.write_text(json.dumps({"pairs/s": shown, "GB": memory}, indent=1))


if __name__ == "__main__":
    main()
