"""Exact ranks from a corpus on disk: streamed, against all in memory, and faiss' flat search.

    python benchmarks/streaming.py [--passages 2000000] [--queries 500] [--rounds 3] [--json FILE]

Vectors are made up (seeded normal noise, unit length, 768 wide, float16 shards of 100,000), with
one relevant passage a query. Each way runs in processes of its own, in turns; peak is the most
resident memory, mapped pages of the shards included.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import side

WIDTH, SHARD, TOP = 768, 100_000, 20


def make(folder: Path, passages: int, queries: int) -> None:
    """Write shards, queries and the place of each query's relevant passage."""
    rng = np.random.default_rng(0)
    for number, start in enumerate(range(0, passages, SHARD)):
        vectors = rng.standard_normal((min(SHARD, passages - start), WIDTH), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.save(folder / f"passages-{number:05}.npy", vectors.astype(np.float16))
    relevant = np.sort(rng.choice(passages, queries, replace=False))
    np.save(folder / "relevant.npy", relevant)
    vectors = rng.standard_normal((queries, WIDTH), dtype=np.float32)
    np.save(folder / "queries.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def load(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Open what `make` wrote."""
    parts = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("passages-*.npy"))]
    return parts, np.load(folder / "queries.npy"), np.load(folder / "relevant.npy")


def streamed(folder: Path) -> np.ndarray:
    """Return the ranks by streaming."""
    from hbr.retrieval.streamed import streamed_ranks
    from hbr.retrieval.vectors import ShardedVectors

    parts, queries, relevant = load(folder)
    corpus, pairs = ShardedVectors(parts), (np.arange(len(queries)), relevant)
    *_, (_, ranks) = streamed_ranks(queries, corpus, pairs, [slice(0, len(corpus))], top=TOP)
    return ranks.pool


def in_memory(folder: Path) -> np.ndarray:
    """Return the ranks with the corpus in memory."""
    from hbr.retrieval.exact import exact_ranks

    parts, queries, relevant = load(folder)
    corpus, pairs = np.concatenate(parts), (np.arange(len(queries)), relevant)
    ranks = exact_ranks(queries, corpus, pairs, [slice(0, len(corpus))], top=TOP)
    return np.concatenate([part.pool for part in ranks])


def faiss_flat(folder: Path) -> np.ndarray:
    """Search the first 20 with faiss' flat index; ranks beyond are not known."""
    import faiss

    parts, queries, relevant = load(folder)
    index = faiss.IndexFlatIP(WIDTH)
    for part in parts:
        index.add(part.astype(np.float32))
    _, places = index.search(queries, TOP)
    hit = places == relevant[:, None]
    return np.where(hit.any(1), hit.argmax(1) + 1.0, np.inf)


WAYS = {"streamed": streamed, "in memory": in_memory, "faiss flat, first 20": faiss_flat}


def measure(way: str, folder: Path) -> None:
    """Run one way in this process, and print its seconds and memory."""
    started = time.perf_counter()
    ranks = WAYS[way](folder)
    seconds = time.perf_counter() - started
    np.save(folder / f"{way}.npy", ranks)
    print(json.dumps({"seconds": seconds, "gb": side.resident_mb() / 1e3}))


def main() -> None:
    """Make the vectors, run every way, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=2_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure[0], Path(args.measure[1]))
        return
    rows: dict[str, list[side.Turn]] = {way: [] for way in WAYS}
    memory = {way: {"GB": 0.0} for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, args.passages, args.queries)
        watch = side.Watch()
        for _, way in itertools.product(range(args.rounds), WAYS):
            result = side.child(["--measure", way, name], "as installed")
            _, others = watch.read()
            rows[way].append(side.Turn(result["seconds"], others))
            memory[way]["GB"] = max(memory[way]["GB"], result["gb"])
        ranks = {way: np.load(folder / f"{way}.npy") for way in WAYS}
    apart = np.abs(ranks["streamed"] - ranks["in memory"])
    equal = f"{int((apart == 0).sum())} of {args.queries}, else by {int(apart.max())}"
    side.compare(f"{args.queries} queries, {args.passages:,} passages", rows, "streamed", "s")
    side.table("memory", memory, "at most")
    print(f"equal ranks, streamed and in memory: {equal}")
    if args.json:
        shown = {"s": rows, "memory": memory, "equal ranks": equal}
        args.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
