"""Benchmarks: every script starts, and does its smallest case."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from hbr.data import synthetic
from hbr.models.loading import save
from hbr.models.tiny import build

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SMALL = {
    "scaling.py": ["--rounds", "1"],
    "streaming.py": ["--passages", "300", "--queries", "5"],
    "starting.py": ["--rounds", "1", "--batches", "2"],
    "preparing.py": ["--sentences", "50", "--kind", "WordPiece", "--way", "hbr"],
    "encoding.py": [
        *("--count", "2", "--rounds", "1", "--budgets", "64", "--batches", "2"),
        *("--kind", "sentences", "--precision", "fp32", "--allocator", "as installed"),
        *("--backends", "openvino", "onnx"),
    ],
    "objectives.py": [
        *("--steps", "1", "--batch-size", "4", "--rounds", "1", "--encoders", "tiny"),
        *("--ways", "infonce", "distill-kl, 3 negatives", "st, DistillKLDiv, 3 negatives"),
    ],
    "training.py": [
        *("--steps", "2", "--rounds", "1", "--batch-size", "4", "--mini-batch-size", "2"),
        *("--length", "16", "--beside", "1"),
        *("--ways", "hbr, none of its ways", "--precision", "fp32", "--allocator", "as installed"),
    ],
}


def start(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.py")))
def test_a_benchmark_says_what_it_takes(script: str) -> None:
    done = start(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout or script == "side.py"  # which the others import


def test_a_way_of_encoding_has_one_turn_that_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    encoding = importlib.import_module("encoding")
    turns: list[int] = []
    monkeypatch.setattr(encoding, "ours", lambda *_: lambda: turns.append(1) or [[len(turns)]])
    way = {"texts": None, "kind": "sentences", "count": 2, "way": "{}", "beside": [0], "rounds": 3}
    made = encoding.measure(Namespace(**way, vectors=tmp_path / "vectors.npy"))
    assert (len(made), len(turns)) == (3, 1 + 3)
    assert np.load(tmp_path / "vectors.npy").tolist() == [[1]]  # of the one that does not count


@pytest.mark.slow
@pytest.mark.parametrize("script", SMALL)
def test_a_benchmark_does_its_smallest_case(script: str, tmp_path: Path) -> None:
    done = start(script, *SMALL[script], "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figures.json").exists()


@pytest.mark.slow
def test_the_whole_job_is_done_both_ways(tmp_path: Path) -> None:
    encoder, data = tmp_path / "encoder", tmp_path / "data"
    save(build("xlm-r-tiny"), encoder, {}, 128)
    (data / "eval").mkdir(parents=True)
    languages, documents = ("qaa", "qab", "qac"), synthetic.documents()
    for code in languages:
        text = json.dumps(documents[code], ensure_ascii=False)
        (data / "eval" / f"{code}.json").write_text(text, encoding="utf-8")
    rows = [
        row | {role: {code: row[role][code] for code in languages} for role in ("query", "passage")}
        for row in list(synthetic.rows("train"))[:64]
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (data / "train.jsonl").write_text(text, encoding="utf-8")
    words = ["--encoder", encoder, "--data", data, "--steps", "2", "--rounds", "1"]
    json_path = tmp_path / "figures.json"
    done = start("end_to_end.py", *map(str, words), "--precision", "fp32", "--json", str(json_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(json_path.read_text())["lines"]["hbr"] < 15
    assert "by hand" in done.stdout
