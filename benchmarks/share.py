"""What share of the matrix product's own speed `hbr` reaches, encoding and training.

    python benchmarks/share.py [--shape xlm-r-base] [--texts FOLDER] [--device cuda] [--json FILE]

The products of one pass over the texts (one step of training) are recorded; then each is done
again alone, in the same shapes, layouts and precision. Their operations a second are the peak,
and the same operations over the seconds of the whole pass are what is achieved: tokenising,
attention's softmax, norms, dropout, the optimiser and everything else count as seconds only.
"""

import argparse
import contextlib
import io
import json
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import side
import torch
import training
from torch.utils._python_dispatch import TorchDispatchMode

from hbr.core.config import resolve_config
from hbr.evaluation.retriever import Retriever
from hbr.models.loading import load

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")


class Products(TorchDispatchMode):
    """Counts matrix products by what they take: sizes, strides and types."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and go on."""
        name, tensors = func.overloadpacket.__name__, args[-2:]
        if name == "linear":  # which inference does not take apart
            tensors = args[0].flatten(0, -2), args[1].t()
        if name in (*PRODUCTS, "linear"):
            self.seen[tuple((tuple(x.shape), x.stride(), x.dtype) for x in tensors)] += 1
        return func(*args, **(kwargs or {}))


def operations(seen: Counter[tuple[Any, ...]]) -> float:
    """Return the multiplications and additions of all products."""
    return sum(2 * math.prod(one[0]) * two[0][-1] * n for (one, two), n in seen.items())


def alone(seen: Counter[tuple[Any, ...]], device: str, rounds: int) -> float:
    """Return the seconds of the same products by themselves."""
    total = 0.0
    for shapes, times in seen.items():
        one, two = (
            torch.randn(math.prod(shape), device=device).to(dtype).as_strided(shape, stride)
            if math.prod(shape) == 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
            else torch.randn(shape, device=device).to(dtype)
            for shape, stride, dtype in shapes
        )
        total += times * clock(lambda one=one, two=two: one @ two, device, rounds)
    return total


def clock(way: Any, device: str, rounds: int) -> float:
    """Return the fewest seconds a way took, after one turn that does not count."""

    def done() -> None:
        way()
        if device == "cuda":
            torch.cuda.synchronize()

    return side.shortest({"": done}, rounds)[""]


def encoding(args: argparse.Namespace, precision: str) -> tuple[float, Products]:
    """Encode texts; give the seconds, and the products."""
    texts = [text for pair in side.pairs(args.texts, args.kind, args.count) for text in pair]
    settings = {"encode.precision": precision, "encode.token_budget": args.budget}
    settings |= {"encoder.passage_prompt": "", "encoder.passage_max_seq_length": 256}
    encoder = load(args.encoder)
    retriever = Retriever(encoder, resolve_config(settings), args.device, args.encoder)

    def way() -> None:
        retriever.encode_passages(texts)

    with Products() as products:
        way()
    return clock(way, args.device, args.rounds), products


def steps(args: argparse.Namespace, precision: str, way: str) -> tuple[float, Products]:
    """Train on the same pairs in each step; give the seconds of a step, and the products."""
    case = argparse.Namespace(**vars(args) | {"precision": precision, "way": way})
    case.pairs = args.batch_size
    with tempfile.TemporaryDirectory() as folder, Products() as products:
        training.ours(argparse.Namespace(**vars(case) | {"steps": 1}), folder)
    with tempfile.TemporaryDirectory() as folder:
        case.steps = args.rounds + 1
        return min(training.ours(case, folder)[1:]), products


def main() -> None:
    """Run every case, and print a table."""
    parser = side.parser(__doc__)
    parser.set_defaults(shape="xlm-r-base")
    parser.add_argument("--count", type=int, default=100, help="pairs that are encoded")
    parser.add_argument("--budget", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--mini-batch-size", type=int)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--kind", choices=side.KINDS, default="sentences")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        args.encoder = side.encoder(args.encoder, Path(place), args.shape, args.texts)
        for precision in args.precision:
            ways = {"encoding": lambda p=precision: encoding(args, p)}
            for way in list(training.WAYS)[2:4]:
                ways[f"training, {way}"] = lambda p=precision, way=way: steps(args, p, way)
            for name, way in ways.items():
                with contextlib.redirect_stderr(io.StringIO()):
                    seconds, products = way()
                work, least = operations(products.seen), alone(products.seen, args.device, 3)
                row = {
                    "TFLOP": work / 1e12,
                    "seconds": seconds,
                    "TFLOP/s": work / seconds / 1e12,
                    "peak TFLOP/s": work / least / 1e12,
                    "share": least / seconds,
                }
                rows[f"{precision}, {name}"] = row
                side.tell(precision, name, *row.values())
    side.table(f"matrix products, {args.shape}", rows, "each alone is the peak", digits=2)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
