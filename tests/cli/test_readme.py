"""What the README says is typed here, and its examples are run."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from hbr.compare.claims import Claim
from hbr.data import synthetic
from hbr.data.dataset import Dataset
from hbr.data.tasks import EvaluationData, Passage, Query
from hbr.models.presets import Preset
from hbr.training.samplers import Choice
from tests.support import beside, hbr

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(<!-- not run[^\n]*\n)?```(\w*)\n(.*?)```", re.DOTALL)
SHORT = {"train": ["--set", "train.max_steps=2"], "sweep": ["--set", "train.max_steps=2"]}


def commands() -> list[list[str]]:
    blocks = [body for skip, kind, body in BLOCK.findall(README) if not skip and not kind]
    lines = [line.partition("  #")[0] for body in blocks for line in body.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("hbr ")]


@pytest.mark.slow
def test_every_command_of_the_readme_runs_in_its_order(
    world: Path, tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training takes two steps here; DIR is the real XQuAD-R."""
    monkeypatch.setenv("HBR_RUNS", str(beside(world, tmp_path)))
    typed = commands()
    assert len(typed) > 10
    for words in typed:
        places = {name: str(tmp_path / name) for name in ("report.html", "out.tar", "study.tar")}
        places["DIR"] = str(shared_data / "xquad-r")
        given = [places.get(word, word) for word in words[1:]]
        said = hbr(*given, *SHORT.get(given[0], []))
        assert said.code == 0, f"{words}: {said.err}"
        if "xquad-r" in words:
            assert "13,090 queries, 13,014 passages, 11 languages" in said.out


def test_the_claims_of_the_readme_are_claims() -> None:
    studies = [yaml.safe_load(body) for _, kind, body in BLOCK.findall(README) if kind == "yaml"]
    claims = [Claim.model_validate(claim) for study in studies for claim in study["claims"]]
    assert len(claims) > 5


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    for target in {word for line in re.findall(r"make ([a-z ]+)", README) for word in line.split()}:
        if target in ("sweep", "test", "lint", "types"):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The README's Python, as a module that a config can name."""
    module = ModuleType("readme_examples")
    module.__dict__.update(np=np, Choice=Choice, Dataset=Dataset, EvaluationData=EvaluationData)
    module.__dict__.update(
        queries=[Query("q", "en", "c", "Who?")],
        passages=[Passage("p", "en", "She."), Passage("n", "en", "He.")],
        relevant={"c": [("en", "p")]},
    )
    monkeypatch.setitem(sys.modules, "readme_examples", module)
    for _, kind, body in BLOCK.findall(README):
        if kind == "python":
            exec(body, module.__dict__)
    return module


def test_the_sampler_of_the_readme_makes_batches(examples: ModuleType, tmp_path: Path) -> None:
    import json

    rows = [
        {"id": r["id"], "query": {"en": "a", "de": "b"}, "passage": {"en": "c", "de": "d"}}
        for r in synthetic.rows("validation")
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["plan", "--sampler", "readme_examples:sampler", "--data", file, "--output-dir"]
    said = hbr(*words, tmp_path / "runs", "--alpha", "0.7", "--batches", "100", "--json")
    told = json.loads(said.out)
    assert set(told["modes"]) == {"into-english", "monolingual"}
    assert 50 < told["modes"]["into-english"] < 90
    assert "en->de" not in told["pairs"]


def test_the_data_set_and_the_metric_of_the_readme_evaluate(
    examples: ModuleType, world: Path, tmp_path: Path
) -> None:
    import json

    runs = beside(world, tmp_path / "runs")
    assert hbr("train", "--sampler", "untrained", "--output-dir", runs).code == 0
    words = ["evaluate", "--dataset", "readme_examples:MINE", "--source", tmp_path]
    measured = ["--set", "evaluate.metrics=[readme_examples:success]"]
    said = hbr(*words, *measured, "--output-dir", runs, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["settings"]["mono"]["readme_examples:success"] in (0.0, 1.0)
    assert told["passages"] == 2


def test_the_preset_of_the_readme_is_one() -> None:
    example = re.search(r"`MINE = (Preset\([^`]+\))`", README)
    assert example is not None
    assert eval(example.group(1), {"Preset": Preset}).lr == 2e-5
