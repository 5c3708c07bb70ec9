"""All that is measured on a GPU, in one call: training, encoding and their shares of the peak.

    python benchmarks/gpu.py [--texts FOLDER] [--json FOLDER]
    python benchmarks/gpu.py --device cpu --shapes tiny --batches 8:4 --lengths 32   # tries it out

XLM-R-base and -large with random weights, bf16, texts of 64 and 256 tokens at most, 100 pairs a
batch and 2,048 with gradient caching, beside sentence-transformers on the same card. Each line of
`training.py`, `encoding.py` and `share.py` is a process of its own. Needs the extra `bench`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import side

BATCHES = ("100", "512:128", "2048:128")  # pairs, and those of a chunk


def commands(args: argparse.Namespace, shape: str, encoder: Path, into: Path) -> list[list[str]]:
    """Return the command lines for one encoder."""
    common = ["--encoder", str(encoder), "--device", args.device, "--precision", "bf16"]
    common += ["--texts", str(args.texts)] if args.texts else []
    kind = {length: "contexts" if length > 64 else "sentences" for length in args.lengths}
    lines = []
    for length in args.lengths:
        options = [*common, "--kind", kind[length]]
        name = f"{shape}-{length}"
        result = ["--json", str(into / f"encoding-{name}.json")]
        budgets = ["--budgets", *map(str, args.budgets), "--batches", *map(str, args.sizes)]
        result += ["--allocator", "as installed", "--count", str(args.count)]
        lines.append(["encoding.py", *options, *budgets, *result])
        for batch in args.batches:
            pairs, _, chunk = batch.partition(":")
            size = ["--length", str(length), "--batch-size", pairs]
            size += ["--mini-batch-size", chunk] if chunk else []
            result = ["--json", str(into / f"training-{name}-{pairs}.json")]
            lines.append(["training.py", *options, *size, "--allocator", "as installed", *result])
            result = ["--json", str(into / f"share-{name}-{pairs}.json")]
            lines.append(["share.py", *options, *size, "--budget", str(max(args.budgets)), *result])
    return lines


def main() -> None:
    """Run every case; each prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument(
        "--shapes", nargs="+", choices=side.SHAPES, default=["xlm-r-base", "xlm-r-large"]
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--batches", nargs="+", default=list(BATCHES))
    parser.add_argument("--budgets", type=int, nargs="+", default=[16_384, 65_536])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], help="the peer's batch")
    parser.add_argument("--count", type=int, default=10_000, help="texts that are encoded")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--json", type=Path, default=Path("gpu"), help="folder of the results")
    args = parser.parse_args()
    args.json.mkdir(parents=True, exist_ok=True)
    for shape in args.shapes:
        with tempfile.TemporaryDirectory() as place:
            encoder = side.encoder(None, Path(place), shape, args.texts)
            for script, *words in commands(args, shape, encoder, args.json):
                print(f"\n== {shape}: {script} {' '.join(words)}", flush=True)
                place_of = Path(__file__).with_name(script)
                subprocess.run([sys.executable, str(place_of), *words], check=True)


if __name__ == "__main__":
    main()
