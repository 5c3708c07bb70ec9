"""Noise does not win: runs of one sampler, split into two made-up ones, get no verdicts."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


from null_study import VALUES, rates, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list:
    with np.load(VALUES) as values:
        return write_runs(dict(values), tmp_path_factory.mktemp("null"))


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "splits"), [(2, 60), (3, 60), (5, 40), (10, 20)])
def test_at_most_one_study_in_twenty_has_a_wrong_verdict(runs, seeds, splits):
    found = rates(runs, seeds, splits, np.random.default_rng(0))
    assert found.studies <= 0.05
    assert found.columns <= 0.05


def test_one_seed_decides_nothing(runs):
    assert rates(runs, 1, 5, np.random.default_rng(0)) == (0, 0, 0, 0)
