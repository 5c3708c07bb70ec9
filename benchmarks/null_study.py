"""How often does noise win? Runs of one sampler, split at random into two made-up ones, are judged.

    python benchmarks/null_study.py --splits 200

Reads the values by concept of 24 runs of one sampler (`tests/compare/null_values.npz`: embedded
data, xlm-r-tiny, hybrid, 150 steps, seeds 0 to 23; monolingual, cross-lingual and multilingual mAP,
recall and rank distance). Any verdict that is not open is wrong, and so is any dagger.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hbr.compare.claims import Claim
from hbr.compare.evidence import gather
from hbr.compare.model import OPEN
from hbr.compare.results import Result
from hbr.compare.tables import compare
from hbr.compare.verdicts import verdicts
from hbr.core.config import resolve_config

VALUES = Path(__file__).parents[1] / "tests" / "compare" / "null_values.npz"
SEEDS = (1, 2, 3, 5, 10)
CLAIMS = [
    Claim.model_validate(
        {"id": f"{setting}-{metric}", "setting": setting, "metric": metric, **side}
    )
    for setting, metric, side in (
        ("mono", "map", {"greater": "monolingual", "than": "cross-lingual"}),
        ("cross", "map", {"greater": "cross-lingual", "than": "monolingual"}),
        ("multi", "map", {"greater": "monolingual", "than": "cross-lingual"}),
        ("multi", "rank_distance", {"less": "monolingual", "than": "cross-lingual"}),
    )
]


class Rates(NamedTuple):
    """Shares of wrong answers."""

    supported: float  # of claims
    refuted: float
    studies: float  # with a wrong verdict
    columns: float  # with a false dagger


def write_runs(values: Any, folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Write the values of every run as an evaluation; return their folders and metrics."""
    columns = [name.split(" ") for name in values]
    settings = list(dict.fromkeys(setting for setting, _ in columns))
    concepts, runs = values["mono map"].shape
    written = []
    for run in range(runs):
        place = folder / f"run{run}" / "evaluate" / "embedded"
        place.mkdir(parents=True)
        table: dict[str, Any] = {
            "setting": [setting for setting in settings for _ in range(concepts)],
            "concept": [str(i) for _ in settings for i in range(concepts)],
            "query_language": ["x"] * concepts * len(settings),
            "passage_language": ["x"] * concepts * len(settings),
        }
        means: dict[str, dict[str, float]] = {setting: {} for setting in settings}
        for metric in dict.fromkeys(metric for _, metric in columns):
            parts = []
            for setting in settings:
                missing = np.full((concepts, runs), np.nan)
                part = np.asarray(values.get(f"{setting} {metric}", missing), dtype=float)[:, run]
                if not np.isnan(part).any():
                    means[setting][metric] = float(part.mean())
                parts.append(part)
            table[metric] = np.concatenate(parts)
        pq.write_table(pa.table(table), place / "per_query.parquet")
        metrics = {"dataset": "embedded", "protocol": "p", "settings": means, "languages": ["x"]}
        (place / "metrics.json").write_text(json.dumps(metrics))
        written.append((place, metrics))
    return written


def rates(
    runs: Sequence[tuple[Path, dict[str, Any]]], seeds: int, splits: int, rng: np.random.Generator
) -> Rates:
    """Split runs into two made-up samplers with so many seeds each, and judge them."""
    supported = refuted = studies = daggers = columns = 0
    for _ in range(splits):
        chosen = rng.permutation(len(runs))[: 2 * seeds]
        results = []
        for place, run in enumerate(chosen):
            sampler = "monolingual" if place < seeds else "cross-lingual"
            config = resolve_config({"sampler": sampler, "seed": place % seeds})
            folder, metrics = runs[run]
            results.append(Result(config, metrics, folder))
        (evidence,) = gather(results)
        statuses = [verdict.status for verdict in verdicts(CLAIMS, [evidence])]
        supported += sum(status.holds is True for status in statuses)
        refuted += sum(status.holds is False for status in statuses)
        studies += any(status != OPEN for status in statuses)
        table = compare(evidence)
        columns += len(table.columns)
        daggers += sum(
            any(row.cells[i].dagger for row in table.rows) for i in range(len(table.columns))
        )
    total = splits * len(CLAIMS)
    return Rates(supported / total, refuted / total, studies / splits, daggers / columns)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    heads = "a claim supported", "a claim refuted", "studies with a wrong verdict", "columns with †"
    print(f"| seeds a cell | {' | '.join(heads)} |")
    print("|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, np.load(VALUES) as values:
        runs = write_runs(dict(values), Path(folder))
        for seeds in SEEDS:
            found = rates(runs, seeds, options.splits, np.random.default_rng(options.seed))
            print(f"| {seeds} | " + " | ".join(f"{rate:.3f}" for rate in found) + " |", flush=True)


if __name__ == "__main__":
    main()
