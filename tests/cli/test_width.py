"""At 80 columns nothing is wider than the screen, and no value is cut."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support import beside, hbr

FEW = ("--max-steps", 3, "--batch-size", 16, "--report-to", "none")
COMMANDS = (
    "evaluate --run {hybrid}",
    "evaluate --run {hybrid} --by-language",
    "evaluate --run {hybrid} --perturb typo",
    "evaluate --run {hybrid} --dimensions 16 --quantize int8",
    "evaluate --run {hybrid} --diagnose",
    "prepare --list --output-dir {runs}",
    "runs --output-dir {runs}",
    "show {hybrid}",
    "compare {hybrid} {mixed}",
    "compare {hybrid} {mixed} --by resource",
    "compare {hybrid} {mixed} --metrics map,ndcg@10,recall@100,rank_distance,peer@20",
    "inspect {hybrid} --dataset embedded",
    "inspect {hybrid} --against {mixed} --dataset embedded",
)


@pytest.fixture(scope="module")
def places(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two short runs with their results, and the folder that they are in."""
    runs = beside(world, tmp_path_factory.mktemp("width"))
    for sampler in ("hybrid", "mixed"):
        assert hbr("train", "--sampler", sampler, *FEW, "--output-dir", runs).code == 0
        assert hbr("evaluate", "--output-dir", runs).code == 0
    named = {name: next(runs.glob(f"{name}-*")) for name in ("hybrid", "mixed")}
    return {"runs": runs, **named}


@pytest.mark.parametrize("command", COMMANDS)
def test_results_fit_80_columns_whole(
    places: dict[str, Path], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(places["runs"])  # names of runs as a person types them
    words = [word.format_map({k: v.name for k, v in places.items()}) for word in command.split()]
    words = ["." if word == places["runs"].name else word for word in words]
    said = hbr(*words)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if cell_len(line.rstrip()) > 80] == []
    cut = [line.rstrip() for line in lines if "…" in line]
    texts = [line for line in cut if line.endswith("…")] if words[0] == "inspect" else []
    assert cut == texts  # the text of a passage may end with its line; numbers stand before it
