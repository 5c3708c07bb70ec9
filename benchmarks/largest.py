"""What the largest studies cost, computed from their sizes and from what a GPU does in a second.

    python benchmarks/largest.py

Nothing is measured here: sizes are the published ones, and rates are assumptions that stand below.
Put in the rates that `hbr sweep --dry-run` shows for your GPU.
"""

import argparse
from typing import NamedTuple

WIDTH, LAYERS_PARAMETERS = 768, 86e6  # of a base encoder, without its word embeddings
QUERY, TOKENS = 20, 120  # of a query, of a passage
ENCODING = 80e12  # FLOP a second of a GPU in bf16, unpadded
TRAINING = 60e12
RANKING = 10e12  # in float32
DISK = 1e9  # bytes a second that all ranks read together

MIRACL = {  # passages, dev queries (arXiv 2210.09984)
    "ar": (2_061_414, 2_896), "bn": (297_265, 411), "en": (32_893_221, 799),
    "es": (10_373_953, 648), "fa": (2_207_172, 632), "fi": (1_883_509, 1_271),
    "fr": (14_636_953, 343), "hi": (506_264, 350), "id": (1_446_315, 960),
    "ja": (6_953_614, 860), "ko": (1_486_752, 213), "ru": (9_543_918, 1_252),
    "sw": (131_924, 482), "te": (518_079, 828), "th": (542_166, 733),
    "zh": (4_934_368, 393), "de": (15_866_222, 305), "yo": (49_043, 119),
}  # fmt: skip
PASSAGES, QUERIES = 8_841_823, 6_980  # of mMARCO, in a language


class Work(NamedTuple):
    """Passages to encode, pairs of a query and a passage to score, and steps of 100 pairs."""

    passages: float
    scores: float
    steps: float = 0


def pool(languages: int) -> Work:
    passages = languages * PASSAGES
    return Work(passages, passages * languages * QUERIES)


miracl = Work(
    sum(passages for passages, _ in MIRACL.values()),
    sum(passages * queries for passages, queries in MIRACL.values()),
)
RUNS = 18 + 2  # of experiments/paper.yaml; two of them untrained
WORK = {
    "MIRACL, 18 languages, one run": miracl,
    "mMARCO dev, pool of 7 languages": pool(7),
    "mMARCO dev, pool of 14 languages": pool(14),
    "experiments/paper.yaml": Work(RUNS * miracl.passages, RUNS * miracl.scores, 18 * 100_000),
}


def hours(work: Work, gpus: int) -> dict[str, float]:
    """Return the hours of each part on some GPUs, each of which takes its share."""
    encode = 2 * LAYERS_PARAMETERS * TOKENS * work.passages / ENCODING / gpus
    rank = 2 * WIDTH * work.scores / RANKING / gpus
    train = 6 * LAYERS_PARAMETERS * 100 * (QUERY + TOKENS) * work.steps / TRAINING / gpus
    read = 2 * WIDTH * work.passages / DISK
    seconds = {"encode": encode, "rank": rank, "train": train, "read": read}
    return {name: value / 3600 for name, value in seconds.items()}


def main() -> None:
    """Print a table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| | 1 GPU | 8 GPUs | 4 × 8 GPUs | vectors, float16 | most time at 1, at 32 |")
    print("|---|---:|---:|---:|---:|---|")
    for name, work in WORK.items():
        parts = [hours(work, gpus) for gpus in (1, 8, 32)]
        total = " | ".join(f"{sum(part.values()):.1f} h" for part in parts)
        slowest = ", ".join(max(part, key=lambda p: part[p]) for part in (parts[0], parts[-1]))
        disk = 2 * WIDTH * work.passages / 1e9
        print(f"| {name} | {total} | {disk:,.0f} GB | {slowest} |")


if __name__ == "__main__":
    main()
