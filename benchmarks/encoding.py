"""How many texts a second are encoded: `hbr` with and without padding, and its peers.

    python benchmarks/encoding.py [--encoder FOLDER] [--texts FOLDER] [--rounds 3] [--json FILE]

Without folders, a random BERT of 6 layers, 384 wide, encodes made-up languages; `--texts` takes
XQuAD-R's files. Strings go in and vectors come out, so that tokenising counts. In bf16 the whole
model of sentence-transformers is in bfloat16, which is quicker than autocast. `--backends openvino
onnx` also takes these engines (`encode.backend`). Each allocator is a process of its own. Needs
the extra `bench`.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import side

LENGTH = 256  # tokens at most


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Time every way on the same texts; give texts a second."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from hbr.core.config import resolve_config
    from hbr.evaluation.retriever import Retriever
    from hbr.models.loading import load

    pairs = side.pairs(args.texts, args.kind, args.count)
    texts = [text for pair in pairs for text in pair][: args.count]
    if args.kind == "contexts":
        texts = [passage for _, passage in pairs]
    if args.one_thread:
        torch.set_num_threads(1)
    theirs = SentenceTransformer(str(args.encoder), device=args.device)
    theirs.max_seq_length = LENGTH
    if args.precision == "bf16":
        theirs = theirs.bfloat16()

    def hbr(backend: str, budget: int, unpadded: bool = True) -> Callable[[], np.ndarray]:
        settings = {"encoder.passage_prompt": "", "encoder.passage_max_seq_length": LENGTH}
        settings |= {"encode.backend": backend, "encode.precision": args.precision}
        settings |= {"encode.unpadded": unpadded, "encode.token_budget": budget}
        encoder, config = load(args.encoder), resolve_config(settings)
        retriever = Retriever(encoder, config, args.device, args.exported)
        return lambda: retriever.encode_passages(texts)

    def peer(size: int) -> np.ndarray:
        return theirs.encode(texts, batch_size=size, show_progress_bar=False)

    ways = {
        f"sentence-transformers, batch {size}": lambda size=size: peer(size)
        for size in args.batches
    }
    for budget in args.budgets:
        ways[f"hbr, padded, {budget:,} tokens"] = hbr("torch", budget, False)
        ways[f"hbr, unpadded, {budget:,} tokens"] = hbr("torch", budget)
        for backend in args.backends:
            if backend != "onnx" or args.precision == "fp32":  # it has no bfloat16 on a CPU
                ways[f"hbr, {backend}, {budget:,} tokens"] = hbr(backend, budget)
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
    parser.add_argument("--backends", nargs="*", default=[], help="openvino, onnx")
    parser.add_argument("--exported", type=Path, help=argparse.SUPPRESS)
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
        words += ["--one-thread"] * args.one_thread + ["--exported", place]
        words += ["--backends", *args.backends]
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
