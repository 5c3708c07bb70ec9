"""What a study can decide is said before it is run."""

from hbr.compare.power import outlook
from hbr.core.target import EvaluationTarget
from tests.compare.support import claim, config

BOTH = [config(sampler, seed=seed) for sampler in ("hybrid", "monolingual") for seed in range(3)]
CLAIMS = [claim(greater="hybrid", than="monolingual")]
EMBEDDED = EvaluationTarget("embedded")


def test_each_comparison_is_counted_once_per_data_set():
    assert "3 seeds a cell, 1 comparison:" in outlook(CLAIMS, BOTH, [EMBEDDED])
    others = [EvaluationTarget("lareqa"), EMBEDDED.perturbed("typo:0.1")]
    assert "3 seeds a cell, 2 comparisons" in outlook(CLAIMS, BOTH, [EMBEDDED, *others])


def test_centred_vectors_are_no_data_set_of_their_own():
    said = outlook(CLAIMS, BOTH, [EMBEDDED, EMBEDDED.centered()])
    assert "3 seeds a cell, 1 comparison:" in said


def test_one_seed_is_told_and_no_claims_are_no_word():
    assert "stay open" in outlook(CLAIMS, BOTH[::3], [EMBEDDED])
    assert outlook([], BOTH, [EMBEDDED]) == ""
