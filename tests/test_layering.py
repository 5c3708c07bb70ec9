"""Imports go one way: errors ← config, names, runs ← parts ← stages ← pipeline ← sweep ← cli."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOW = ("errors", "talk", "names", "presets", "config", "runs")
PARTS = (
    *("adversary", "alignment", "allocator", "bias", "claims", "data", "diagnosis", "dropout"),
    *("encoders", "fairness", "gradcache", "languages", "metrics", "mining", "objectives"),
    *("packed", "perturb", "probe", "ranks", "recipes", "references", "report", "sampling"),
    *("search", "significance", "streaming", "tiny", "vocabulary"),
)
HIGH = ("stages", "pipeline", "sweep", "cost", "bundle", "prepared", "cli", "__main__")
LEVEL = {"errors": 0, "talk": 1, "names": 1, "presets": 1, "config": 2, "runs": 2}
LEVEL |= dict.fromkeys(PARTS, 3) | {name: 4 + i for i, name in enumerate(HIGH)}
KEPT_FROM_PARTS = {"config", "runs"}
HEAVY = {"torch", "transformers", "datasets", "faiss", "tensorboard", "sentence_transformers"}

MODULES = sorted((ROOT / "hbr").rglob("*.py"))
NAMES = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES}


def imports(path: Path) -> set[str]:
    """Give the modules of hbr that a module imports, also inside functions."""
    found = set()
    package = path.parent.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("hbr.")}


def violations(name: str, found: set[str]) -> list[str]:
    """Say which imports of a module go the wrong way."""
    if name == "hbr.__init__":
        return [f"the package imports {other}" for other in sorted(found)]
    own = name.split(".")[1]
    wrong = []
    for other in sorted(found):
        if other == "hbr.__version__":
            continue
        group = other.split(".")[1]
        upwards = LEVEL[group] > LEVEL[own]
        sideways = own == group == "stages" and _stage(other) != _stage(name)
        if upwards or sideways or (own in PARTS and group in KEPT_FROM_PARTS):
            wrong.append(f"{name} imports {other}")
    return wrong


def _stage(name: str) -> str:
    return name.split(".")[2]


def test_every_module_has_a_place():
    groups = {name.split(".")[1] for name in NAMES.values()} - {"__init__"}
    assert groups <= set(LEVEL), "give the new module a level in this test"


@pytest.mark.parametrize("path", MODULES, ids=NAMES.get)
def test_a_module_imports_only_what_is_below_it(path):
    assert violations(NAMES[path], imports(path)) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hbr.errors", "hbr.names.near"),
        ("hbr.config", "hbr.sampling.Plan"),
        ("hbr.talk", "hbr.config.Config"),
        ("hbr.sampling", "hbr.config.Config"),
        ("hbr.data.rows", "hbr.runs.Store"),
        ("hbr.stages.train", "hbr.stages.encode.encode"),
        ("hbr.report.table", "hbr.stages.compare"),
        ("hbr.stages.train", "hbr.pipeline"),
        ("hbr.pipeline", "hbr.sweep"),
    ],
)
def test_a_wrong_import_would_be_found(name, found):
    assert violations(name, {found}) == [f"{name} imports {found}"]


def test_imports_inside_functions_and_relative_ones_are_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "hbr" / "data").mkdir(parents=True)
    path = tmp_path / "hbr" / "data" / "x.py"
    path.write_text(
        "def f():\n    import hbr.runs\n    from hbr import config\n    from ..stages import train"
    )
    assert imports(path) == {"hbr.runs", "hbr.config", "hbr.stages.train"}


TYPED = """
import json, sys
from hbr.cli import main
sys.argv = ["hbr", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as done:
    code = done.code or 0
print("\\n" + json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def loaded(*words: str) -> set[str]:
    """Type a command in a process of its own; give the packages it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", TYPED, *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize(
    "words", [["--help"], ["plan", "--help"], ["train", "--help"], ["evaluate", "--help"]], ids=str
)
def test_help_loads_nothing_heavy(words):
    assert loaded(*words) & HEAVY == set()


def test_plan_loads_nothing_heavy(rows_file, tmp_path):
    data = str(rows_file(count=40))
    words = ["plan", "--data", data, "--batch-size", "8", "--batches", "5"]
    assert loaded(*words, "--output-dir", str(tmp_path / "runs"), "--json") & HEAVY == set()
