"""How many texts a second are encoded: `hbr`, its engines, and its peer, on free and busy cores.

    python benchmarks/encoding.py [--encoder FOLDER] [--texts FOLDER] [--rounds 3] [--json FILE]
        [--beside 0 1 2 4]

Without folders, a random BERT of 6 layers, 384 wide, encodes made-up languages; `--texts` takes
XQuAD-R's files. Strings go in and vectors come out, so that tokenizing counts. In bf16 the whole
model of sentence-transformers is in bfloat16, which is quicker than autocast. `--backends openvino
onnx` also takes these engines (`encode.backend`). `--beside` keeps so many other processes busy
meanwhile. Ways take turns, each time in a process of its own, as a user would start it, where one
turn does not count; shown are medians of some rounds. Needs the extra `bench`.
"""

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import side

LENGTH = 256  # tokens at most
PEER = "sentence-transformers"
FAR = {"fp32": 1e-4, "bf16": 5e-2, "int8": 0.1}  # numbers of two ways' vectors, at most


def ways(args: argparse.Namespace, precision: str) -> dict[str, dict[str, Any]]:
    """Return what is measured: the peer's batch sizes, our token budgets and engines."""
    made: dict[str, dict[str, Any]] = {}
    for size in args.batches:
        made[f"{PEER}, batch {size}"] = {"peer": size}
    for budget in args.budgets:
        for name, settings in {
            "padded": {"encode.unpadded": False},
            "unpadded": {},
            **{backend: {"encode.backend": backend} for backend in args.backends},
        }.items():
            if {"fp32": True, "bf16": name != "onnx", "int8": name == "onnx"}[precision]:
                made[f"hbr, {name}, {budget:,} tokens"] = {
                    **settings,
                    **{"encode.precision": precision, "encode.token_budget": budget},
                }
    return made


def measure(args: argparse.Namespace) -> list[side.Turn]:
    """Time one way in this process, keep its vectors, and return texts a second."""
    pairs = side.pairs(args.texts, args.kind, args.count)
    texts = [text for pair in pairs for text in pair][: args.count]
    if args.kind == "contexts":
        texts = [passage for _, passage in pairs]
    way = json.loads(args.way)
    make = peer if "peer" in way else ours
    run = make(args, way, texts)
    with side.competitors(args.beside[0]):
        np.save(args.vectors, np.asarray(run(), np.float32))  # the turn that does not count
        made = side.turns(run, args.rounds)
    return [side.Turn(len(texts) / seconds, others) for seconds, others in made]


def peer(args: argparse.Namespace, way: dict[str, Any], texts: list[str]) -> Any:
    """Return how sentence-transformers encodes."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(args.encoder), device=args.device)
    model.max_seq_length = LENGTH
    if args.precision == ["bf16"]:
        model = model.bfloat16()
    return lambda: model.encode(
        texts, batch_size=way["peer"], show_progress_bar=False, convert_to_tensor=True
    ).float()


def ours(args: argparse.Namespace, way: dict[str, Any], texts: list[str]) -> Any:
    """Return how the command encodes: its threads sleep while they wait."""
    from hbr.core.config import resolve_config
    from hbr.core.cores import share_cores

    share_cores()
    from hbr.evaluation.retriever import Retriever
    from hbr.models.loading import load

    settings = {"encoder.passage_prompt": "", "encoder.passage_max_seq_length": LENGTH} | way
    retriever = Retriever(load(args.encoder), resolve_config(settings), args.device, args.exported)
    return lambda: retriever.encode_passages(texts)


def main() -> None:
    """Run every case, check that vectors are alike, and print tables."""
    parser = side.parser(__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])  # the peer's
    parser.add_argument("--kind", nargs="+", default=["sentences", "contexts"])
    parser.add_argument("--allocator", nargs="+", default=list(side.MALLOC))
    parser.add_argument("--backends", nargs="*", default=[], help="openvino, onnx")
    parser.add_argument("--beside", type=int, nargs="+", default=[0], help="busy processes")
    for hidden in ("--exported", "--vectors"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        (args.kind,) = args.kind
        print(json.dumps(measure(args)))
        return
    shown: dict[str, dict[str, list[side.Turn]]] = {}
    with tempfile.TemporaryDirectory() as place:
        encoder = side.encoder(args.encoder, Path(place) / "encoder", args.shape, args.texts)
        words = ["--encoder", str(encoder), "--exported", place, "--device", args.device]
        words += ["--texts", str(args.texts)] if args.texts else []
        words += ["--rounds", "1", "--count", str(args.count)]
        for kind in args.kind:
            for precision in args.precision:
                for allocator in args.allocator:
                    for beside in args.beside:
                        title = f"{kind}, {precision}, {allocator}, {beside} beside"
                        case = ["--kind", kind, "--precision", precision, "--beside", str(beside)]
                        run = [*words, *case]
                        made = measured(run, ways(args, precision), allocator, place, args.rounds)
                        side.compare(title, made, PEER, "texts/s")
                        shown[title] = made
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))


def measured(
    words: list[str], ways: dict[str, dict[str, Any]], allocator: str, place: str, rounds: int
) -> dict[str, list[side.Turn]]:
    """Run the ways in turns, each time in a process of its own; return their turns."""
    precision = words[words.index("--precision") + 1]
    found: dict[str, list[side.Turn]] = {name: [] for name in ways}
    first = None
    for _, (name, way) in itertools.product(range(rounds), ways.items()):
        path = f"{place}/vectors.npy"
        run = [*words, "--vectors", path, "--way", json.dumps(way)]
        found[name] += [side.Turn(*turn) for turn in side.child(run, allocator)]
        vectors = np.load(path)
        first = vectors if first is None else first
        far = float(np.abs(first - vectors).max())
        assert far < FAR[precision], (name, far)
    return found


if __name__ == "__main__":
    main()
