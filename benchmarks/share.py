"""What share of the matrix product's own speed `hbr` reaches, encoding and training.

    python benchmarks/share.py [--shape xlm-r-base] [--texts FOLDER] [--device cuda] [--json FILE]

The products of one pass over the texts (one step of training) are recorded; then all are done
again alone, in the same shapes, layouts and precision. Their operations a second are the peak,
and the same operations over the seconds of the whole pass are what is achieved: tokenising,
attention's softmax, norms, dropout, the optimiser and everything else count as seconds only.
Each is the median of some rounds.
"""

import argparse
import contextlib
import io
import json
import math
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import side
import torch
import training
from torch.utils._python_dispatch import TorchDispatchMode

from hbr.core.config import resolve_config
from hbr.core.cores import map_on_cores
from hbr.evaluation.retriever import Retriever
from hbr.models.loading import load

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
LAYERS = ("linear", "_linear_pointwise")


class Products(TorchDispatchMode):
    """Counts matrix products by what they take: sizes, strides and types."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and go on."""
        name, tensors = func.overloadpacket.__name__, args[-2:]
        if name in LAYERS:  # of inference; weights in oneDNN's own layout have no strides
            weights = torch.empty(args[1].shape, dtype=args[1].dtype)
            tensors = args[0].flatten(0, -2), weights.t()
        if name in PRODUCTS + LAYERS:
            self.seen[tuple((tuple(x.shape), x.stride(), x.dtype) for x in tensors)] += 1
        return func(*args, **(kwargs or {}))


def operations(seen: Counter[tuple[Any, ...]]) -> float:
    """Return the multiplications and additions of all products."""
    return sum(2 * math.prod(one[0]) * two[0][-1] * n for (one, two), n in seen.items())


def alone(
    seen: Counter[tuple[Any, ...]], device: str, rounds: int, each: Callable[..., Iterator[Any]]
) -> list[side.Turn]:
    """Return the seconds of the same products by themselves, mapped as the whole maps them."""
    kept: dict[Any, torch.Tensor] = {}  # a matrix is in many products

    def matrix(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if (shape, stride, dtype) not in kept:
            reach = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
            dense = math.prod(shape) == reach
            made = torch.randn(reach if dense else shape, device=device).to(dtype)
            kept[shape, stride, dtype] = made.as_strided(shape, stride) if dense else made
        return kept[shape, stride, dtype]

    def product(pair: tuple[Any, Any]) -> None:
        matrix(*pair[0]) @ matrix(*pair[1])

    every = list(seen.elements())
    return clock(lambda: deque(each(product, every), 0), device, rounds)


def clock(way: Callable[[], Any], device: str, rounds: int) -> list[side.Turn]:
    """Return the seconds of each turn of a way, after one that does not count."""

    def done() -> None:
        way()
        if device == "cuda":
            torch.cuda.synchronize()

    return side.in_turns({"": done}, rounds)[""]


def encoding(args: argparse.Namespace, precision: str) -> tuple[list[side.Turn], Products]:
    """Encode texts; give the seconds, and the products."""
    texts = [text for pair in side.pairs(args.texts, args.kind, args.count) for text in pair]
    settings = {"encode.precision": precision, "encode.token_budget": args.budget}
    settings |= {"encoder.passage_prompt": "", "encoder.passage_max_seq_length": 256}
    encoder = load(args.encoder)
    retriever = Retriever(encoder, resolve_config(settings), args.device, args.encoder)

    def way() -> None:
        retriever.encode_passages(texts)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that all products are this thread's, which alone is looked at
    with Products() as products:
        way()
    torch.set_num_threads(threads)
    return clock(way, args.device, args.rounds), products


def steps(args: argparse.Namespace, precision: str, way: str) -> tuple[list[side.Turn], Products]:
    """Train on the same pairs in each step; give the seconds of a step, and the products."""
    case = argparse.Namespace(**vars(args) | {"precision": precision, "way": way})
    case.pairs = args.batch_size
    with tempfile.TemporaryDirectory() as folder, Products() as products:
        training.ours(argparse.Namespace(**vars(case) | {"steps": 1}), folder)
    with tempfile.TemporaryDirectory() as folder:
        case.steps, watch = args.rounds + 1, side.Watch()
        seconds = training.ours(case, folder)[1:]
        _, others = watch.read()
        return [side.Turn(one, others) for one in seconds], products


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
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    shown: dict[str, dict[str, list[side.Turn]]] = {}
    with tempfile.TemporaryDirectory() as place:
        args.encoder = side.encoder(args.encoder, Path(place), args.shape, args.texts)
        for precision in args.precision:
            ways = {"encoding": lambda p=precision: encoding(args, p)}
            for way in list(training.WAYS)[2:4]:
                ways[f"training, {way}"] = lambda p=precision, way=way: steps(args, p, way)
            for name, way in ways.items():
                with contextlib.redirect_stderr(io.StringIO()):
                    whole, products = way()
                each = map_on_cores if name == "encoding" and args.device == "cpu" else map
                peak = alone(products.seen, args.device, args.rounds, each)
                work = operations(products.seen) / 1e9
                title = f"{precision}, {name}: {work:,.0f} GFLOP of matrix products"
                rows = {"the products alone": peak, "all of it": whole}
                shown[title] = {
                    one: side.changed(turns, lambda seconds, work=work: work / seconds)
                    for one, turns in rows.items()
                }
                side.compare(title, shown[title], "the products", "GFLOP/s")
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
