"""What README and docs say is typed here, and their examples are run."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from hbr.compare.claims import Claim
from tests.support import beside, hbr

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: [^\n]+\n)?```(\w*)\n(.*?)```", re.DOTALL)
STEPS = ["--set", "train.max_steps=2"]
ONE_ENCODER = [*STEPS, "--set", "encoder=xlm-r-tiny"]
SHORT = {"train": STEPS, "sweep": ONE_ENCODER, "compare": ONE_ENCODER}


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(page: Path) -> list[list[str]]:
    typed = [body for skip, kind, body in blocks(page) if not skip and not kind]
    lines = [line.partition("  #")[0] for body in typed for line in body.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("hbr ")]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda page: page.stem)
def test_every_command_of_a_page_runs_in_its_order(
    page: Path, world: Path, tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training takes two steps here; DIR is the real XQuAD-R."""
    monkeypatch.setenv("HBR_RUNS", str(beside(world, tmp_path)))
    typed = commands(page)
    if not any(words[1] in ("train", "sweep") for words in typed[:1]):
        assert hbr("train", *SHORT["train"]).code == 0
    if any("--study" in words and words[1] == "compare" for words in typed):
        assert hbr("sweep", "experiments/embedded.yaml", *SHORT["sweep"]).code == 0
    for words in typed:
        places = {name: str(tmp_path / name) for name in ("report.html", "out.tar", "study.tar")}
        places["DIR"] = str(shared_data / "xquad-r")
        arguments = [places.get(word, word) for word in words[1:]]
        result = hbr(*arguments, *_short(arguments))
        assert result.code == 0, f"{words}: {result.err}"
        if "xquad-r" in words:
            assert "13,090 queries, 13,014 passages, 11 languages" in result.out


def _short(arguments: list[str]) -> list[str]:
    """Return settings that make a command quick: two steps, one encoder of a study."""
    of_runs = arguments[0] == "compare" and "--study" not in arguments
    return [] if of_runs else SHORT.get(arguments[0], [])


def test_the_pages_have_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 20


def test_the_claims_of_the_pages_are_claims() -> None:
    studies = [yaml.safe_load(b) for p in PAGES for _, kind, b in blocks(p) if kind == "yaml"]
    claims = [Claim.model_validate(claim) for study in studies for claim in study["claims"]]
    assert len(claims) > 5


def test_every_make_target_of_the_pages_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    typed = re.findall(
        r"^make ([a-z ]+)$|`make ([a-z ]+)`", "\n".join(p.read_text() for p in PAGES), re.M
    )
    targets = {word for pair in typed for words in pair for word in words.split()}
    assert {"sweep", "test", "docs"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_fits_a_screen_or_three() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for place in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / place).exists(), f"{page.name}: {place}"
