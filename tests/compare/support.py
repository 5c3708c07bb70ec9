"""Runs whose results by query are chosen, and what is compared of them."""

from pathlib import Path
from typing import Any

import numpy as np

from hbr.compare.claims import Claim
from hbr.compare.evidence import Evidence, gather
from hbr.compare.model import Verdict
from hbr.compare.results import Result, read_result
from hbr.compare.table import Table
from hbr.compare.verdicts import verdicts
from hbr.core.config import resolve_config
from hbr.core.target import EvaluationTarget
from hbr.experiments.run_spec import complete, open_run
from tests.support import finished

CONCEPTS = 24
EASY = np.random.default_rng(0).normal(size=(CONCEPTS, 1))  # some questions are easier, for all
EASY = 0.05 * (EASY - EASY.mean())


def values(
    level: float = 0.5, distance: float = 50, *, noise_seed: int = 0, noise: float = 0.01
) -> Any:
    """Mono map of `level`, cross .1 and multi .2 below it, with noise that has a mean of nothing.

    `noise_seed` is what the noise of a run is drawn from.
    """
    drawn = np.random.default_rng(noise_seed).normal(size=(CONCEPTS, 1))
    by_concept = EASY + noise * (drawn - drawn.mean())
    return {
        "mono map": level + by_concept,
        "mono recall@1": level / 2 + by_concept,
        "cross map": level - 0.1 + by_concept[..., None],
        "multi map": level - 0.2 + by_concept,
        "multi rank_distance": distance + 100 * by_concept,
    }


def result(run: Path, dataset: str = "embedded") -> Result:
    return read_result(*open_run(run), EvaluationTarget.parse(dataset))


def gathered(*runs: Path, expected: Any = ()) -> Evidence:
    (evidence,) = gather([result(run) for run in runs], expected)
    return evidence


def config(sampler: str, **settings: Any) -> Any:
    named = {"sampler": sampler, "encoder": "xlm-r-tiny"} | settings
    return complete(resolve_config({key.replace("__", "."): v for key, v in named.items()}))


def shown(table: Table, column: tuple[str, str]) -> dict[str, float]:
    place = table.columns.index(column)
    return {row.label[1]: row.cells[place].mean for row in table.rows}


def daggers(table: Table) -> set[tuple[str, str]]:
    """Name the cells that have a dagger: sampler and setting."""
    return {
        (row.label[1], setting)
        for row in table.rows
        for cell, (setting, _) in zip(row.cells, table.columns, strict=True)
        if cell.dagger
    }


def claim(**words: Any) -> Claim:
    usual = {"id": "c", "metric": "map", "setting": "mono", "evidence": "these-encoders"}
    return Claim.model_validate(usual | words)


def judged(evidence: Evidence, /, **words: Any) -> Verdict:
    (verdict,) = verdicts([claim(**words)], [evidence])
    return verdict


def seeds(
    runs: Path,
    sampler: str,
    level: float,
    distance: float = 50,
    *,
    noise_seed: int = 0,
    noise: float = 0.01,
    number: int = 3,
    spread: float = 0.002,
    **more: Any,
) -> list[Path]:
    """Return runs of a cell, whose levels lie `spread` apart, the middle one at `level`."""
    middle = (number - 1) / 2
    return [
        finished(
            runs,
            sampler,
            values(
                level + spread * (seed - middle),
                distance,
                noise_seed=100 * noise_seed + seed,
                noise=noise,
            ),
            seed=seed,
            **more,
        )
        for seed in range(number)
    ]


BETTER = {"greater": "hybrid", "than": "monolingual"}


def pair(runs: Path, ours: float, theirs: float, *, noise: float = 0.01, **more: Any) -> Evidence:
    """Return a hybrid run and a monolingual one."""
    return gathered(
        finished(runs, "hybrid", values(ours, noise_seed=1, noise=noise)),
        finished(runs, "monolingual", values(theirs, noise_seed=2, noise=noise)),
        **more,
    )
