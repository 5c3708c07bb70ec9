"""How many texts a second are encoded: `hbr` with and without padding, and its peers.

    python benchmarks/encoding.py [--encoder FOLDER] [--texts FOLDER] [--rounds 3] [--json FILE]

Without folders, a random BERT of 6 layers, 384 wide, encodes made-up languages; `--texts` takes
XQuAD-R's files. Strings go in and vectors come out, so that tokenising counts. In bf16 the whole
model of sentence-transformers is in bfloat16, which is quicker than autocast. ONNX Runtime and
OpenVINO are given batches of so many tokens, longest texts first, as ours are. Each allocator is
a process of its own. Needs the extra `bench`.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import side

Run = Callable[..., Any]  # token ids and mask to vectors
LENGTH = 256  # tokens at most


def compiled(args: argparse.Namespace) -> dict[str, Run]:
    """Return what ONNX Runtime and OpenVINO make of the encoder at a precision."""
    import onnxruntime
    import openvino
    import torch

    from hbr.models.loading import load

    threads = torch.get_num_threads()
    encoder = load(args.encoder)
    encoder.backbone.set_attn_implementation("eager")  # sdpa's masks are not exported rightly
    inputs = encoder.pad(encoder.tokenize(["a text", "and a longer one"], LENGTH))
    with torch.no_grad():
        converted = openvino.convert_model(encoder, example_input=inputs)
    hints = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32"}.get(args.precision, args.precision),
        "INFERENCE_NUM_THREADS": threads,
    }
    ready = openvino.Core().compile_model(converted, "CPU", hints)
    runs: dict[str, Run] = {"OpenVINO": lambda ids, mask: ready((ids, mask))[0]}
    if args.precision == "fp32":  # it has no bfloat16 on a CPU
        with tempfile.TemporaryDirectory() as folder:
            path, names = f"{folder}/encoder.onnx", ["ids", "mask"]
            axes = {name: {0: "texts", 1: "tokens"} for name in names}
            torch.onnx.export(
                encoder, inputs, path, input_names=names, dynamic_axes=axes, dynamo=False
            )
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        runs["ONNX Runtime"] = lambda *inputs: session.run(
            None, dict(zip(names, inputs, strict=True))
        )[0]
    return runs


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Time every way on the same texts; give texts a second."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from hbr.core.settings import Encode
    from hbr.evaluation.encode import _vectors
    from hbr.models.encoder import token_batches
    from hbr.models.loading import load

    pairs = side.pairs(args.texts, args.kind, args.count)
    texts = [text for pair in pairs for text in pair][: args.count]
    if args.kind == "contexts":
        texts = [passage for _, passage in pairs]
    if args.one_thread:
        torch.set_num_threads(1)
    device = torch.device(args.device)
    ours = load(args.encoder).to(device)
    theirs = SentenceTransformer(str(args.encoder), device=args.device)
    theirs.max_seq_length = LENGTH
    if args.precision == "bf16":
        theirs = theirs.bfloat16()

    def hbr(*, unpadded: bool, budget: int) -> np.ndarray:
        settings = Encode(precision=args.precision, unpadded=unpadded, token_budget=budget)
        return _vectors(ours, ours.tokenize(texts, LENGTH), settings, device, side.Silent())

    def peer(size: int) -> np.ndarray:
        return theirs.encode(texts, batch_size=size, show_progress_bar=False)

    def batched(run: Run, budget: int) -> np.ndarray:
        tokens = ours.tokenize(texts, LENGTH)
        vectors = np.empty((len(texts), ours.embedding_dimension), np.float32)
        for some in token_batches(np.array([len(text) for text in tokens]), budget):
            vectors[some] = run(*(x.numpy() for x in ours.pad([tokens[i] for i in some])))
        return vectors

    ways = {
        f"sentence-transformers, batch {size}": lambda size=size: peer(size)
        for size in args.batches
    }
    for on in (False, True):
        for budget in args.budgets:
            name = f"hbr, {'un' * on}padded, {budget:,} tokens"
            ways[name] = lambda on=on, budget=budget: hbr(unpadded=on, budget=budget)
    if args.compiled:
        ways |= {
            f"{name}, {budget:,} tokens": lambda run=run, budget=budget: batched(run, budget)
            for name, run in compiled(args).items()
            for budget in args.budgets
        }
    first, *others = (np.asarray(way()) for way in ways.values())
    far = max(float(np.abs(first - other).max()) for other in others)
    assert far < (1e-4 if args.precision == "fp32" else 5e-2), far
    seconds = side.shortest(ways, args.rounds, cpu=args.one_thread)
    return {name: len(texts) / value for name, value in seconds.items()}


def main() -> None:
    """Run every case, and print a table."""
    parser = side.parser(__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])  # the peer's
    parser.add_argument("--kind", nargs="+", default=["sentences", "contexts"])
    parser.add_argument("--allocator", nargs="+", default=list(side.MALLOC))
    parser.add_argument("--compiled", action="store_true", help="ONNX Runtime and OpenVINO too")
    parser.add_argument("--one-thread", action="store_true", help="and count its CPU seconds")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        (args.kind,), (args.precision,) = args.kind, args.precision
        print(json.dumps(measure(args)))
        return
    shown: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        words = [
            "--measure",
            "--encoder",
            str(side.encoder(args.encoder, Path(place), args.shape, args.texts)),
        ]
        words += ["--texts", str(args.texts)] if args.texts else []
        words += ["--device", args.device]
        words += ["--one-thread"] * args.one_thread + ["--compiled"] * args.compiled
        words += ["--rounds", str(args.rounds), "--count", str(args.count)]
        words += ["--budgets", *map(str, args.budgets), "--batches", *map(str, args.batches)]
        for kind in args.kind:
            rows: dict[str, dict[str, float]] = {}
            for precision in args.precision:
                for allocator in args.allocator:
                    case = ["--kind", kind, "--precision", precision]
                    for name, value in side.child([*words, *case], allocator).items():
                        rows.setdefault(name, {})[f"{precision} {allocator}"] = value
                        side.tell(kind, precision, allocator, name, value)
            shown[kind] = rows
            side.table(kind, rows, "texts/s")
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
