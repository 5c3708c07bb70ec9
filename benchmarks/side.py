"""What benchmarks share: texts, an encoder, ways timed side by side, and the allocator's settings.

A figure is the median of several turns, shown with the least and the most, and with the cores that
other processes kept busy meanwhile. Two figures make a ratio only where those are about alike.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

# glibc returns large blocks to the kernel after each use, and each use faults all pages in again
TUNED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
SHAPES = {  # layers, width, heads, width within a layer
    "tiny": (2, 32, 2, 64),
    "minilm": (6, 384, 12, 1536),
    "xlm-r-base": (12, 768, 12, 3072),
    "xlm-r-large": (24, 1024, 16, 4096),
}
KINDS = ("sentences", "contexts")
MALLOC = {"as installed": {}, "tuned malloc": TUNED}
ALIKE = 0.25  # cores by which the load of two sides may differ


class Turn(NamedTuple):
    """One measurement: a figure, and the cores that other processes kept busy meanwhile."""

    figure: float
    others: float


class Watch:
    """Measures seconds, and the cores that other processes, children aside, keep busy."""

    def __init__(self) -> None:
        self.began = self._now()

    def read(self) -> tuple[float, float]:
        """Return the seconds since the last reading, and how many cores others kept busy."""
        before, self.began = self.began, self._now()
        seconds, busy, own = (b - a for a, b in zip(before, self.began, strict=True))
        return seconds, max(0.0, busy - own) / seconds

    def _now(self) -> tuple[float, float, float]:
        user, nice, system, _, _, *waiting = map(int, Path("/proc/stat").read_text().split()[1:9])
        busy = (user + nice + system + sum(waiting)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, sum(os.times()[:4])


@contextmanager
def competitors(count: int) -> Iterator[None]:
    """Keep so many processes busy beside this one, each on a core that it may get."""
    spin = [sys.executable, "-c", "while True: pass"]
    beside = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in beside:
            process.kill()
            process.wait()


def turns(way: Callable[[], Any], rounds: int) -> list[Turn]:
    """Return the seconds of some turns of a way that has had one which does not count."""
    made, watch = [], Watch()
    for _ in range(rounds):
        way()
        made.append(Turn(*watch.read()))
    return made


def in_turns(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Turn]]:
    """Return the seconds of each way in each round, after a round that does not count."""
    made: dict[str, list[Turn]] = {name: [] for name in ways}
    for count in range(rounds + 1):
        for name, way in ways.items():
            turn = turns(way, 1)
            made[name] += turn if count else []
    return made


def changed(turns: Sequence[Turn], change: Callable[[float], float]) -> list[Turn]:
    """Return the figures that a function makes of some."""
    return [turn._replace(figure=change(turn.figure)) for turn in turns]


def middle(turns: Sequence[Turn]) -> float:
    """Return the median figure."""
    return statistics.median(turn.figure for turn in turns)


def ratio(turns: Sequence[Turn], base: Sequence[Turn]) -> float | None:
    """Return the ratio of two medians; None where the sides ran under different loads."""
    loads = [statistics.fmean(turn.others for turn in side) for side in (turns, base)]
    if abs(loads[0] - loads[1]) > ALIKE:
        return None
    return middle(turns) / middle(base)


def compare(
    title: str, rows: Mapping[str, Sequence[Turn]], base: str, unit: str, digits: int = 1
) -> None:
    """Print the median of each way, its spread, the load beside it, and its ratio to the base.

    The base is the best of the ways whose names begin so, of more or fewer as the unit has it.
    """
    best = min if unit.endswith("s") and "/" not in unit else max
    base = best((n for n in rows if n.startswith(base)), key=lambda name: middle(rows[name]))
    print(f"\n{title}")
    print(f"{'':44}{unit:>10}{'least':>10}{'most':>10}{'×':>8}{'others':>8}")
    for name, made in rows.items():
        figures, share = [turn.figure for turn in made], ratio(made, rows[base])
        values = middle(made), min(figures), max(figures)
        print(
            f"{name:44}",
            *(f"{value:9.{digits}f}" for value in values),
            f"{'loads!' if share is None else format(share, '.2f'):>7}",
            f"{statistics.fmean(turn.others for turn in made):7.2f}",
        )


def child(words: list[str], allocator: str) -> Any:
    """Run a benchmark again in a process of its own; give the JSON of its last line."""
    env = {name: value for name, value in os.environ.items() if name not in TUNED}
    command = [sys.executable, sys.argv[0], *words]
    done = subprocess.run(
        command, env={**env, **MALLOC[allocator]}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def resident_mb(name: str = "VmHWM") -> float:
    """Return this process's resident memory: the most it had, or what it has now (`VmRSS`)."""
    # not `ru_maxrss`: a child starts with its parent's
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


def largest_child_mb() -> float:
    """Return the most resident memory that a process started by this one had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def parser(text: str | None) -> argparse.ArgumentParser:
    """Return the options of every benchmark of an encoder, described by a text."""
    made = argparse.ArgumentParser(description=text)
    made.add_argument("--encoder", type=Path)
    made.add_argument("--shape", choices=SHAPES, default="minilm")
    made.add_argument("--texts", type=Path)
    made.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    made.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    made.add_argument("--json", type=Path)
    return made


def pairs(folder: Path | None, kind: str, count: int | None = None) -> list[tuple[str, str]]:
    """Return questions with the sentence or the context that answers them.

    From XQuAD-R's files in a folder, of all their languages; without one, made up.
    """
    pairs = []
    if folder is None:
        from hbr.data import synthetic

        for row in synthetic.rows("train"):
            for language, question in row["query"].items():
                passage = row["passage"].get(language)
                if passage:
                    answer = passage * 4 if kind == "contexts" else passage
                    pairs.append((question, answer))
    else:
        for path in sorted(folder.glob("*.json")):
            for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
                for paragraph in article["paragraphs"]:
                    pairs += _questions(paragraph, kind)
    random.Random(0).shuffle(pairs)
    return pairs[:count]


def _questions(paragraph: Mapping[str, Any], kind: str) -> list[tuple[str, str]]:
    pairs = []
    for question in paragraph["qas"]:
        passage, at = paragraph["context"], question["answers"][0]["answer_start"]
        if kind == "sentences":
            breaks = zip(paragraph["sentence_breaks"], paragraph["sentences"], strict=True)
            passage = next((text for (_, end), text in breaks if at < end), passage)
        pairs.append((question["question"], passage))
    return pairs


def encoder(chosen: Path | None, place: Path, shape: str, texts: Path | None) -> Path:
    """Return the folder of an encoder: the one given, or a random one of a shape, made in a place.

    XLM-R's shapes have a tokenizer that is fitted to the texts.
    """
    if chosen is not None:
        return chosen
    import torch
    from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

    from hbr.models import tiny
    from hbr.models.encoder import Encoder, Pooling
    from hbr.models.loading import save

    torch.manual_seed(0)
    layers, width, heads, inner = SHAPES[shape]
    settings: dict[str, Any] = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": inner,
    }
    if shape == "minilm":
        tokenizer = tiny.build("mbert-tiny").tokenizer
        backbone = BertModel(BertConfig(vocab_size=len(tokenizer), **settings))
    else:
        tokenizer = _fitted([text for kind in KINDS for p in pairs(texts, kind) for text in p])
        settings |= {"vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1}
        special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        backbone = XLMRobertaModel(XLMRobertaConfig(**settings, **special))
    tokenizer.model_max_length = 512
    made = Encoder(backbone, tokenizer, Pooling())
    save(made, place, {}, 512)
    return place


def _fitted(texts: list[str]) -> Any:
    """Return a tokenizer of XLM-R's kind for some texts."""
    from tokenizers import SentencePieceUnigramTokenizer
    from transformers import XLMRobertaTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    fitted = SentencePieceUnigramTokenizer()
    fitted.train_from_iterator(sorted(set(texts)), vocab_size=20_000, unk_token="<unk>")
    pieces = [tuple(one) for one in json.loads(fitted.to_str())["model"]["vocab"]]
    known = [(piece, score) for piece, score in pieces if piece not in special]
    return XLMRobertaTokenizer(vocab=[*((one, 0.0) for one in special), *known, ("<mask>", 0.0)])


def tell(*words: object) -> None:
    """Say figures as soon as they are there."""
    said = (f"{word:.3g}" if isinstance(word, float) else str(word) for word in words)
    print(*said, sep=" · ", file=sys.stderr, flush=True)


def table(
    title: str, rows: Mapping[str, Mapping[str, float]], unit: str, *, digits: int = 1
) -> None:
    """Print the figures of each way, one column a case."""
    cases = list(dict.fromkeys(case for values in rows.values() for case in values))
    print(f"\n{title}, {unit}")
    print(f"{'':44}" + "".join(f"{case:>22}" for case in cases))
    for name, values in rows.items():
        figures = (values.get(case, float("nan")) for case in cases)
        print(f"{name:44}" + "".join(f"{figure:22.{digits}f}" for figure in figures))
