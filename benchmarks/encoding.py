"""How many texts a second are encoded: `hbr` with and without padding, and sentence-transformers.

    python benchmarks/encoding.py [--encoder FOLDER] [--texts FOLDER] [--rounds 3] [--json FILE]

Without folders, a random BERT of 6 layers, 384 wide, encodes made-up languages; `--texts` takes
XQuAD-R's files. Strings go in and vectors come out, so that tokenising counts. In bf16 the peer's
whole model is in bfloat16, which is quicker than autocast. Each allocator is a process of its own.
"""

import argparse
import json
import tempfile
from pathlib import Path

import side

LENGTH = 256  # tokens at most


class Silent:
    """Progress that nobody sees."""

    def advance(self, *_: object) -> None:
        """Say nothing."""


def own(asked: argparse.Namespace) -> dict[str, float]:
    """Time every way on the same texts; give texts a second."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from hbr import encoders
    from hbr.config import Encode
    from hbr.stages.encode import _vectors

    found = side.pairs(asked.texts, asked.kind, asked.count)
    texts = [text for pair in found for text in pair][: asked.count]
    if asked.kind == "contexts":
        texts = [told for _, told in found]
    if asked.one_thread:
        torch.set_num_threads(1)
    ours = encoders.load(asked.encoder)
    theirs = SentenceTransformer(str(asked.encoder), device="cpu")
    theirs.max_seq_length = LENGTH
    if asked.precision == "bf16":
        theirs = theirs.bfloat16()

    def hbr(*, unpadded: bool, budget: int) -> np.ndarray:
        settings = Encode(precision=asked.precision, unpadded=unpadded, token_budget=budget)
        return _vectors(ours, texts, LENGTH, settings, torch.device("cpu"), Silent())

    def peer(size: int) -> np.ndarray:
        return theirs.encode(texts, batch_size=size, show_progress_bar=False)

    ways = {
        f"sentence-transformers, batch {size}": lambda size=size: peer(size)
        for size in asked.batches
    }
    for on in (False, True):
        for budget in asked.budgets:
            name = f"hbr, {'un' * on}padded, {budget:,} tokens"
            ways[name] = lambda on=on, budget=budget: hbr(unpadded=on, budget=budget)
    first, last = (np.asarray(ways[name]()) for name in (next(iter(ways)), list(ways)[-1]))
    assert np.abs(first - last).max() < (1e-4 if asked.precision == "fp32" else 5e-2)
    seconds = side.shortest(ways, asked.rounds, cpu=asked.one_thread)
    return {name: len(texts) / value for name, value in seconds.items()}


def main() -> None:
    """Run every case, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])  # the peer's
    parser.add_argument("--kind", nargs="+", default=["sentences", "contexts"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--allocator", nargs="+", default=list(side.MALLOC))
    parser.add_argument("--one-thread", action="store_true", help="and count its CPU seconds")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.own:
        (asked.kind,), (asked.precision,) = asked.kind, asked.precision
        print(json.dumps(own(asked)))
        return
    shown: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        words = ["--own", "--encoder", str(side.encoder(asked.encoder, Path(place)))]
        words += ["--texts", str(asked.texts)] if asked.texts else []
        words += ["--one-thread"] * asked.one_thread
        words += ["--rounds", str(asked.rounds), "--count", str(asked.count)]
        words += ["--budgets", *map(str, asked.budgets), "--batches", *map(str, asked.batches)]
        for kind in asked.kind:
            rows: dict[str, dict[str, float]] = {}
            for precision in asked.precision:
                for allocator in asked.allocator:
                    case = ["--kind", kind, "--precision", precision]
                    for name, value in side.child([*words, *case], allocator).items():
                        rows.setdefault(name, {})[f"{precision} {allocator}"] = value
                        side.tell(kind, precision, allocator, name, value)
            shown[kind] = rows
            side.table(kind, rows, "texts/s")
    if asked.json:
        asked.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
