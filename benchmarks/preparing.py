"""How long tokenising training texts takes: `hbr`'s preparing, beside `datasets.map`.

    python benchmarks/preparing.py [--encoder FOLDER] [--texts FOLDER] [--sentences 1000000]
        [--rounds 3] [--json FILE]

All cut with the same fast tokenizer, and must give the same ids. Without folders, words are made
up, in Zipf's proportions, and tokenizers are of BERT's kind (WordPiece, 30,000 pieces) and of
XLM-R's (Unigram, 250,000), their pieces counted on the spot; `--texts` takes halves of XQuAD-R's
questions and sentences, put together anew. Each way reads texts from disk and leaves ids on disk,
in processes of its own, in turns; peak is the most resident memory, its workers' with it.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import random
import re
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import side

LENGTH = 128  # tokens at most
KNOWN = 300_000  # words of the made-up language
PIECES = {"WordPiece": 30_000, "Unigram": 250_000}
LETTERS = ("abcdefghijklmnoprstuvwz", "абвгдежзиклмнопрстух", "αβγδεζηθικλμνοπρστυω")
OURS = "hbr"
PEERS = {
    f"datasets.map, {workers or 1} process{'es' if workers else ''}, batch {size:,}": (
        workers,
        size,
    )
    for workers, size in itertools.product((None, 2), (1_000, 10_000))
}


def sentences(folder: Path | None, count: int) -> list[str]:
    """Return sentences of some twenty words: halves of real ones, or made-up words."""
    rng = random.Random(0)
    if folder is not None:
        texts = [text for pair in side.pairs(folder, "sentences", 10**6) for text in pair]
        halves = [text.split(" ") for text in texts]
        drawn = ((rng.choice(halves), rng.choice(halves)) for _ in range(count))
        return [" ".join(a[: len(a) // 2] + b[len(b) // 2 :]) for a, b in drawn]
    known = ["".join(rng.choices(LETTERS[n % 3], k=rng.randint(1, 11))) for n in range(KNOWN)]
    likely = list(itertools.accumulate(1 / rank for rank in range(1, KNOWN + 1)))
    lengths = (rng.randint(8, 32) for _ in range(count))
    return [" ".join(rng.choices(known, cum_weights=likely, k=n)) + "." for n in lengths]


def pieces(texts: Iterable[str], start: str, inside: str, size: int) -> Counter[str]:
    """Count words and their parts of up to four letters: all letters, and what is most common."""
    words = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text))
    counts: Counter[str] = Counter()
    for word, number in words.items():
        whole = start + word
        counts[whole] += number
        for i, j in itertools.combinations(range(len(whole) + 1), 2):
            if j - i <= 4:
                counts[inside * (i > 0) + whole[i:j]] += number
    letters = {p: n for p, n in counts.items() if len(p.removeprefix(inside)) == 1}
    return Counter(letters | dict(counts.most_common(size - len(letters))))


def tokenizer(kind: str, texts: list[str], place: Path) -> Path:
    """Write a tokenizer of a kind, and give its folder."""
    from transformers import BertTokenizer, XLMRobertaTokenizer

    size = PIECES[kind]
    if kind == "WordPiece":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        counts = pieces(texts, "", "##", size - len(special))
        made: Any = BertTokenizer(vocab={p: n for n, p in enumerate([*special, *counts])})
    else:
        counts, special = pieces(texts, "▁", "", size), ["<s>", "<pad>", "</s>", "<unk>"]
        total = counts.total()
        scored = [
            (p, round(math.log(n / total), 6)) for p, n in counts.items()
        ]  # last bits get lost
        vocabulary = [*((name, 0.0) for name in special), *scored, ("<mask>", 0.0)]
        made = XLMRobertaTokenizer(vocab=vocabulary)
    made.save_pretrained(place)
    return place


def make(folder: Path, texts: list[str]) -> None:
    """Write the texts as hbr and as datasets keep them: halves are queries and passages."""
    import datasets

    from hbr.core.store import Store
    from hbr.data.row_writer import write_rows

    half = len(texts) // 2
    pairs = zip(texts[:half], texts[half:], strict=True)
    rows = ({"id": "", "query": {"x": a}, "passage": {"x": b}} for a, b in pairs)
    Store(folder / "rows").build("rows", lambda at: write_rows(at, "made", rows, None), settings={})
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(folder / "texts")


def hbr(folder: Path, cut: Any) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Tokenise as `hbr train` does; give what it took, all ids, and their number in each text."""
    from transformers import BertConfig, BertModel

    from hbr.core.settings import Encoder as Settings
    from hbr.core.store import Store
    from hbr.data.rows import ROLES, open_rows
    from hbr.models.encoder import Encoder, Pooling
    from hbr.models.tokenization import tokenize_rows

    shape = {"hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertModel(BertConfig(vocab_size=8, num_hidden_layers=1, **shape))
    cut.model_max_length = 512
    encoder, store = Encoder(model, cut, Pooling()), Store(folder / "rows")
    none, lengths = (
        ("query_prompt", "passage_prompt"),
        ("query_max_seq_length", "passage_max_seq_length"),
    )
    settings = Settings(**dict.fromkeys(none, ""), **dict.fromkeys(lengths, LENGTH))
    started = os.times()
    made = tokenize_rows(store, open_rows(store.path / "rows"), encoder, settings)
    took = spent(started, 0)
    flat, counts = ([part[role] for role in ROLES] for part in (made.flat, made.offsets))
    return took, np.concatenate(flat), np.concatenate([np.diff(count) for count in counts])


def peer(folder: Path, cut: Any, way: str) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Tokenise with `datasets.map`, which keeps masks and types too; give as `hbr` does."""
    import datasets

    datasets.disable_progress_bars()
    workers, size = PEERS[way]
    started = os.times()
    made = datasets.load_from_disk(folder / "texts").map(
        lambda some: cut(some["text"], truncation=True, max_length=LENGTH),
        batched=True,
        batch_size=size,
        num_proc=workers,
        remove_columns="text",
        cache_file_name=str(folder / "mapped.arrow"),
    )
    took = spent(started, workers or 0)
    chunks = made.data.column("input_ids").chunks
    flat, counts = ([f(c) for c in chunks] for f in (_flat, _counts))
    return took, np.concatenate(flat), np.concatenate(counts)


def _flat(chunk: Any) -> np.ndarray:
    return chunk.flatten().to_numpy().astype(np.int32)


def _counts(chunk: Any) -> np.ndarray:
    return chunk.value_lengths().to_numpy().astype(np.int64)


def spent(before: os.times_result, workers: int) -> dict[str, float]:
    """Return seconds, those of all cores, and peak memory: this process's and its workers'."""
    passed = [after - then for after, then in zip(os.times(), before, strict=True)]
    who = {resource.RUSAGE_SELF: 1, resource.RUSAGE_CHILDREN: workers}
    peak = sum(number * resource.getrusage(one).ru_maxrss for one, number in who.items())
    return {"seconds": passed[-1], "cpu_seconds": sum(passed[:-1]), "peak_mb": peak / 1024}


def measure(way: str, place: Path, texts: Path) -> dict[str, Any]:
    """Run one way in this process; give its seconds, its memory, and a digest of the ids."""
    from transformers import AutoTokenizer

    cut = AutoTokenizer.from_pretrained(place, local_files_only=True)
    took, flat, counts = hbr(texts, cut) if way == OURS else peer(texts, cut, way)
    digest = hashlib.sha256(flat.tobytes() + counts.tobytes()).hexdigest()
    return {**took, "tokens": len(flat), "ids": digest}


def main() -> None:
    """Run every way with every tokenizer, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", nargs="+", choices=list(PIECES), default=list(PIECES))
    parser.add_argument("--way", nargs="+", default=[OURS, *PEERS], metavar="WAY")
    parser.add_argument("--allocator", nargs="+", default=list(side.MALLOC))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        way, place, texts = args.measure
        print(json.dumps(measure(way, Path(place), Path(texts))))
        return
    shown: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory() as name:
        texts, folder = sentences(args.texts, args.sentences), Path(name)
        make(folder / "made", texts)
        for kind in [str(args.encoder)] if args.encoder else args.kind:
            place = args.encoder or tokenizer(kind, texts[:20_000], folder / kind)
            cases = itertools.product(range(args.rounds), args.allocator, args.way)
            shown[kind] = {}
            for _, allocator, way in cases:
                with tempfile.TemporaryDirectory() as fresh:
                    shutil.copytree(folder / "made", fresh, dirs_exist_ok=True)
                    watch = side.Watch()
                    result = side.child(["--measure", way, str(place), fresh], allocator)
                _, result["others"] = watch.read()
                shown[kind].setdefault(f"{way}, {allocator}", []).append(result)
            tables(kind, shown[kind], args.sentences)
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))


def tables(kind: str, found: dict[str, list[dict[str, Any]]], count: int) -> None:
    """Print seconds, CPU seconds and memory of every way, whose ids must be equal."""
    (tokens, _), *others = {(r["tokens"], r["ids"]) for results in found.values() for r in results}
    assert not others, "ids differ"
    about = f"{kind}, {count:,} sentences of {tokens / count:.0f} tokens in the mean"
    for key, unit in (("seconds", "s"), ("cpu_seconds", "CPU s")):
        rows = {
            way: [side.Turn(result[key], result["others"]) for result in results]
            for way, results in found.items()
        }
        side.compare(about, rows, next(iter(rows)), unit)
    memory = {
        way: {"GB": max(r["peak_mb"] for r in results) / 1e3} for way, results in found.items()
    }
    side.table("memory", memory, "at most")


if __name__ == "__main__":
    main()
