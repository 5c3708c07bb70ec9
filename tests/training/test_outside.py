"""Objectives and samplers from outside the package are used like the built-in ones."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from tests.support import Said, beside, hbr, log_of, only_run

SMALL = [
    *("train", "--steps", "2", "--batch-size", "8", "--device", "cpu"),
    *("--set", "logging_steps=1", "--set", "validation=null", "--set", "report_to=none"),
]
OUTSIDE = '''
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.training.losses import info_nce
from hbr.training.objectives import Objective, Recipe
from hbr.training.samplers import Choice, Mode, Sampler


class Scaled(Settings):
    """InfoNCE times a factor."""

    strength: float = Field(1.0, ge=0, description="The factor.")
    twice: bool = Field(False, description="Double the factor.")


def scaled(queries, passages, negatives=None, *, mask=None, temperature, strength, twice):
    loss = info_nce(queries, passages, negatives, mask=mask, temperature=temperature)
    return strength * (2 if twice else 1) * loss


@dataclass(frozen=True)
class ScaledRecipe(Recipe):
    settings: Scaled

    def backward(self, batch):
        factor = self.settings.strength * (2 if self.settings.twice else 1)
        clean = batch.backward(batch.contrastive_loss, weight=factor)
        return {"loss": factor * clean, "clean": clean}


LOSS = Objective("scaled", Scaled, loss=scaled)
RECIPE = Objective("scaled", Scaled, recipe=ScaledRecipe)


def first_to_second(has, languages, pivot):
    def draw(has, u):
        return np.zeros(len(has), dtype=int), np.ones(len(has), dtype=int)

    return [Choice("first to second", has[:, :2].all(1), draw)]


CROSS = Mode("first-second", first_to_second, cross_lingual=True)
FORWARD = Sampler("forward", lambda alpha: {CROSS: 1.0})
SILENT = Sampler("silent", lambda alpha: {Mode("first-second", first_to_second): 1.0})
'''


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `outside` that can be imported."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "outside.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))


def train(world: Path, folder: Path, *words: object) -> Said:
    return hbr(*SMALL, "--output-dir", beside(world, folder), *words)


def assignments(**settings: object) -> list[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def test_an_objective_from_outside_trains_with_its_settings_as_a_loss_and_as_a_recipe(
    world: Path, tmp_path: Path
) -> None:
    chosen = {"objective.strength": 0.25, "objective.twice": "true"}
    runs = {}
    for name in ("infonce", "outside:LOSS", "outside:RECIPE"):
        settings = {} if name == "infonce" else chosen
        folder = tmp_path / name.replace(":", "-")
        done = train(world, folder, *assignments(objective=name, **settings))
        assert done.code == 0, done.err
        runs[name] = only_run(folder)
    losses = {name: [line["loss"] for line in log_of(run)] for name, run in runs.items()}
    assert losses["outside:LOSS"][0] == pytest.approx(losses["infonce"][0] / 2)
    assert losses["outside:RECIPE"] == pytest.approx(losses["outside:LOSS"])
    assert "clean" in log_of(runs["outside:RECIPE"])[0]
    weights = [load_file(run / "model" / "model.safetensors") for run in runs.values()]
    assert weights[1].keys() == weights[2].keys()
    assert not any(key.startswith("head") for key in weights[2])


@pytest.mark.parametrize("name", ["outside:LOSS", "outside:RECIPE"])
def test_the_settings_of_an_objective_from_outside_are_in_the_identity_of_a_run(name: str) -> None:
    configs = [
        resolve_config({"objective": name, "objective.strength": value}) for value in (1.0, 0.3)
    ]
    assert configs[1].identity()["objective"]["strength"] == 0.3
    assert configs[0].identity() != configs[1].identity()
    assert configs[0].identity() == resolve_config({"objective": name}).identity()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective.strength": -1}, r"objective\.strength = -1: .*greater than or equal to 0"),
        ({"objective.strenght": 1}, r"'objective\.strenght'; did you mean objective\.strength\?"),
        ({"objective.epsilon": 1}, r"there is no setting 'objective\.epsilon'"),
        ({"objective": "outside:scaled"}, r"'outside:scaled' is a function; .*Objective"),
        ({"objective": "outside:NONE"}, r"'outside:NONE' cannot be imported"),
    ],
)
def test_mistakes_in_an_objective_from_outside_are_named(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        resolve_config({"objective": "outside:LOSS"}, settings)


@pytest.fixture
def bitext(tmp_path: Path) -> Path:
    """Line-parallel files of 20 sentences."""
    folder = tmp_path / "bitext"
    folder.mkdir()
    for language in ("de", "en"):
        lines = "".join(f"{language} sentence {number}\n" for number in range(20))
        (folder / f"toy.de-en.{language}").write_text(lines)
    return folder


def test_a_cross_lingual_mode_from_outside_trains_on_bitext(
    world: Path, tmp_path: Path, bitext: Path
) -> None:
    prepared = hbr(
        *("prepare", "--data", "bitext", "--source", bitext),
        *("--output-dir", beside(world, tmp_path / "runs")),
    )
    assert prepared.code == 0, prepared.err
    words = ["--data", "bitext", "--sampler"]
    done = train(world, tmp_path / "runs", *words, "outside:FORWARD", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["steps"] == 2
    assert {line["mode"] for line in log_of(only_run(tmp_path / "runs"))} == {"first-second"}
    refused = train(world, tmp_path / "runs", *words, "outside:SILENT")
    assert refused.code == 2
    assert (
        refused.err.strip()
        .splitlines()[-1]
        .startswith(
            "hbr: no data set can serve first-second batches: bitext; translations serve "
            "--sampler cross-lingual"
        )
    )
    assert "cross_lingual=True" in refused.err


def test_a_sampler_from_outside_can_be_planned(world: Path, tmp_path: Path) -> None:
    done = hbr(
        *("plan", "--sampler", "outside:FORWARD", "--steps", "5", "--batch-size", "8", "--json"),
        *("--output-dir", beside(world, tmp_path / "runs")),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["modes"] == {"first-second": 5}
