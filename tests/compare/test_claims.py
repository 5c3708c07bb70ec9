"""Claims: how they are written, and what is refused."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from hbr.compare import claims
from hbr.compare.claims import Amount, Claim
from hbr.compare.evidence import Evidence
from hbr.core.config import resolve_config
from hbr.core.target import EvaluationTarget
from hbr.experiments.run_spec import complete
from tests.compare.support import claim


def examples() -> list[dict[str, Any]]:
    """Return the claims that the module's own description shows."""
    (text,) = [part for part in claims.__doc__.split("\n\n") if part.lstrip().startswith("{")]
    return [yaml.safe_load("{" + part) for part in text.strip().removeprefix("{").split("\n    {")]


def test_every_form_that_the_description_shows_can_be_read():
    read = {said["id"]: Claim.model_validate(said) for said in examples()}
    assert len(read) == 6
    best = read["hybrid-best"]
    assert best.greater == {"sampler": "hybrid"}
    assert best.than == ({"sampler": "monolingual"}, {"sampler": "untrained"})
    assert best.by == Amount(0, False)
    less = read["less-bias"]
    assert (less.less, less.than) == ({"sampler": "hybrid"}, ({"sampler": "monolingual"},))
    assert less.by == (pytest.approx(0.1), True)
    assert read["no-worse"].by == Amount(-0.005, False)
    assert read["keeps-up"].margin == Amount(0.005, False)
    assert len(read["keeps-up"].to) == 2
    assert (read["rises"].trend, read["rises"].over) == ("up", "alpha")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10%", (0.1, True)),
        ("-10%", (-0.1, True)),
        (" 2.5 % ", (0.025, True)),
        (-0.005, (-0.005, False)),
        ("-.005", (-0.005, False)),
        ("1e-3", (0.001, False)),  # PyYAML reads it as text
        (50, (50, False)),
    ],
)
def test_an_amount_is_a_number_or_a_percentage(written, meant):
    value, relative = claim(greater="hybrid", than="monolingual", by=written).by
    assert (value, relative) == (pytest.approx(meant[0]), meant[1])


def refused(**words: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        claim(**words)
    return str(raised.value)


@pytest.mark.parametrize("amount", ["ten", "10%x", "%", [1], None])
def test_an_amount_that_is_no_number_is_refused(amount):
    assert "by" in refused(greater="hybrid", than="monolingual", by=amount).splitlines()[1]


def test_a_claim_says_one_relation():
    assert "say one of greater, less, equal, trend" in refused()
    assert "say one of" in refused(greater="hybrid", less="hybrid", than="monolingual")
    assert "say one of" in refused(greater="hybrid", than="monolingual", trend="up")


def test_a_relation_needs_its_other_side():
    assert "greater needs 'than'" in refused(greater="hybrid")
    assert "less has no 'to'" in refused(less="hybrid", to="monolingual")
    assert "less needs 'than'" in refused(less="hybrid")
    assert "equal needs 'to'" in refused(equal="hybrid", margin=0.1)
    refused(greater="hybrid", than=[])


@pytest.mark.parametrize("margin", [{}, {"margin": 0}, {"margin": -0.1}, {"margin": "0%"}])
def test_equality_and_flatness_need_a_positive_margin(margin):
    assert "need a positive margin" in refused(equal="hybrid", to="monolingual", **margin)
    assert "need a positive margin" in refused(trend="flat", **margin)


def test_unknown_words_are_refused():
    assert "better" in refused(greater="hybrid", than="monolingual", better=1)
    assert "setting" in refused(greater="hybrid", than="monolingual", setting="both")
    assert "trend" in refused(trend="sideways")


@pytest.mark.parametrize(
    "words",
    [
        {"greater": "hybrid", "than": "monolingual", "margin": 0.005},
        {"greater": "hybrid", "than": "monolingual", "to": "cross-lingual"},
        {"equal": "hybrid", "to": "monolingual", "margin": 0.005, "by": "10%"},
        {"trend": "up", "than": "monolingual"},
        {"trend": "up", "margin": 0.005},
    ],
    ids=lambda words: " ".join(words),
)
def test_words_that_would_change_nothing_are_refused(words):
    refused(**words)


def test_one_name_and_a_list_of_names_are_read_alike():
    one, other = (claim(greater="hybrid", than=t) for t in ("monolingual", ["monolingual"]))
    assert one == other
    assert claim(trend="up", dataset="a").dataset == claim(trend="up", dataset=["a"]).dataset
    assert claim(trend="up", within="encoder").within == ("encoder",)


def test_a_claim_knows_which_settings_it_names():
    said = claim(
        greater={"sampler": "hybrid", "learning_rate": 1},
        than=["monolingual", {"encoder": "x"}],
        within=["train.max_steps"],
        where={"mask": "none"},
    )
    assert said.keys == {"sampler", "learning_rate", "encoder", "train.max_steps", "mask"}
    assert claim(trend="up", over="learning_rate").keys == {"learning_rate"}


def test_a_claim_has_a_sentence_its_own_or_one_of_its_form():
    assert claim(trend="up", says="It rises").sentence == "It rises"
    assert claim(trend="up").sentence == "mono map: up over alpha"
    said = claim(less={"sampler": "hybrid", "alpha": 0.2}, than=["monolingual", "untrained"])
    assert said.sentence == "mono map: hybrid alpha 0.2 less than monolingual and untrained"
    assert "hybrid equal to mixed" in claim(equal="hybrid", to="mixed", margin=1).sentence


@pytest.mark.parametrize(
    ("target", "concerned"),
    [("xquad-r", True), ("xquad-r~center", True), ("xquad-r@hnsw", True), ("xquad-r~64d", False)],
)
def test_a_claim_about_a_data_set_speaks_of_whole_vectors(target, concerned):
    about = {"id": "c", "metric": "map", "setting": "multi", "greater": "hybrid", "than": "mixed"}
    parsed = EvaluationTarget.parse(target)
    assert Claim(**about, dataset="xquad-r").concerns(parsed) == concerned
    assert Claim(**about).concerns(parsed)
    assert Claim(**about, dataset="xquad-r~64d").concerns(parsed) == (target == "xquad-r~64d")


def test_a_setting_that_came_later_and_a_list_tell_cells_apart():
    nested = {"train": {"matryoshka_dims": [32, 16]}}
    evidence = Evidence((), tuple(complete(resolve_config(given)) for given in ({}, nested)))
    assert evidence.varied == ("train.matryoshka_dims",)
    plain, cut = (cell.settings for cell in evidence.cells)
    for selector in ({"matryoshka_dims": [32, 16]}, {"matryoshka_dims": [[32, 16], [8]]}):
        assert claims.matches(cut, selector)
        assert not claims.matches(plain, selector)
    assert claims.matches(plain, {"matryoshka_dims": None})
    assert not claims.matches(cut, {"matryoshka_dims": None})
