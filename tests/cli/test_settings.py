"""Settings are documented from their declarations, on the page and in the terminal."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import Field

from hbr.cli.settings import page, reference
from hbr.core.settings import Objective
from hbr.core.values import leaves
from hbr.training import objectives as registered
from tests.support import hbr

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_of_settings_is_what_is_generated() -> None:
    said = hbr("settings", "--markdown")
    assert said.code == 0
    message = "write it anew: hbr settings --markdown > docs/settings.md"
    assert PAGE.read_text(encoding="utf-8") == said.out, message


def test_every_setting_is_listed_with_all_that_is_known_of_it() -> None:
    rows = reference([])
    assert {row["setting"] for row in rows} == set(leaves())
    for row in rows:
        assert row["default"]
        assert row["allowed"]
        assert row["description"].endswith(".")
        assert f"`{row['setting']}`" in page(rows)
    assert len([row for row in rows if row["unit"]]) > 20


def test_one_section_is_shown_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = hbr("settings", "train")
    assert said.code == 0
    assert "gradient_accumulation_steps" in said.out
    assert "query_prompt" not in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    said = hbr("settings", "trian")
    assert (said.code, "there is no section 'trian'; did you mean train?" in said.err) == (2, True)


def test_an_objective_from_outside_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Objective):
        shift: float = Field(0.5, description="How far.")

    module = ModuleType("mine_losses")
    monkeypatch.setattr(module, "LOSS", registered.Objective("mine", Mine), raising=False)
    monkeypatch.setitem(sys.modules, "mine_losses", module)
    said = hbr("settings", "objective", "--objective", "mine_losses:LOSS", "--json")
    (mine,) = (row for row in json.loads(said.out) if row["setting"] == "objective.shift")
    assert mine["section"] == "objective mine_losses:LOSS"
    assert (mine["default"], mine["description"]) == ("0.5", "How far.")
