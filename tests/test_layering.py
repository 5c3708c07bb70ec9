"""Ten rooms, one above the other: a module imports from its own room and from those below it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import finished

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (  # from the ground up
    *("core", "data", "retrieval", "models", "training"),
    *("evaluation", "compare", "report", "experiments", "cli"),
)
HEAVY = {"torch", "transformers", "datasets", "faiss", "tensorboard", "sentence_transformers"}

MODULES = sorted((ROOT / "hbr").rglob("*.py"))
NAMES = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES}


def imports(path: Path) -> set[str]:
    """Return the modules of hbr that a module imports, also inside functions."""
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
    """Return the imports of a module that go upwards."""
    room = name.split(".")[1]
    above = ROOMS if room == "__init__" else () if room == "__main__" else _above(room)
    return [f"{name} imports {other}" for other in sorted(found) if other.split(".")[1] in above]


def _above(room: str) -> tuple[str, ...]:
    return ROOMS[ROOMS.index(room) + 1 :]


def test_there_are_ten_rooms_and_nothing_beside_them():
    assert {name.split(".")[1] for name in NAMES.values()} == {*ROOMS, "__init__", "__main__"}


def test_a_module_fits_into_400_lines():
    lines = {NAMES[path]: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > 400} == {}


@pytest.mark.parametrize("path", MODULES, ids=NAMES.get)
def test_a_module_imports_only_what_is_below_it(path):
    assert violations(NAMES[path], imports(path)) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hbr.__init__", "hbr.core.errors"),
        ("hbr.core.settings", "hbr.training.samplers"),
        ("hbr.data.rows", "hbr.models.encoder"),
        ("hbr.compare.tables", "hbr.report.terminal"),
        ("hbr.report.card", "hbr.experiments.sweep"),
        ("hbr.experiments.sweep", "hbr.cli"),
    ],
)
def test_a_wrong_import_would_be_found(name, found):
    assert violations(name, {found}) == [f"{name} imports {found}"]


def test_imports_inside_functions_and_relative_ones_are_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "hbr" / "data").mkdir(parents=True)
    path = tmp_path / "hbr" / "data" / "x.py"
    path.write_text(
        "def f():\n    import hbr.core.store\n    from hbr.core import settings\n"
        "    from ..training import trainer"
    )
    assert imports(path) == {"hbr.core.store", "hbr.core.settings", "hbr.training.trainer"}


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
    assert loaded(*words) & (HEAVY | {"numpy", "pyarrow"}) == set()


def test_plan_loads_nothing_heavy(rows_file, tmp_path):
    data = str(rows_file(count=40))
    words = ["plan", "--data", data, "--batch-size", "8", "--batches", "5"]
    assert loaded(*words, "--output-dir", str(tmp_path / "runs"), "--json") & HEAVY == set()


def test_comparing_loads_nothing_heavy(tmp_path):
    runs = [finished(tmp_path, sampler, {"mono map": 0.5}) for sampler in ("hybrid", "mixed")]
    assert loaded("compare", *map(str, runs)) & HEAVY == set()


@pytest.mark.parametrize("path", MODULES, ids=NAMES.get)
def test_text_is_read_and_written_as_utf8_whatever_the_locale(path):
    least = {"read_text": 1, "write_text": 2}  # arguments, the encoding among them
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    for call in calls:
        name = getattr(call.func, "attr", "")
        given = len(call.args) + sum(k.arg == "encoding" for k in call.keywords)
        assert given >= least.get(name, 0), f"line {call.lineno}: {name} without an encoding"
        in_locale = name in ("run", "Popen") and any(k.arg == "text" for k in call.keywords)
        assert not in_locale, f"line {call.lineno}: text=True"
