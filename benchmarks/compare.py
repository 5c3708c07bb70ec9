"""How long `hbr compare` takes on a full study: 27 runs × 13,090 queries of XQuAD-R's shape.

    python benchmarks/compare.py [--resamples 10000] [--rounds 3] [--json FILE]

The runs are made up (seeded normal noise around a mean for each sampler), the shape is real: 1,190
questions in eleven languages, in mono, cross and multi. Beside it, one of the paired tests and one
of the intervals by `scipy.stats` on the same values, in turns with it, times as many tests.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.stats
import side
import yaml

from hbr.compare.evidence import gather
from hbr.compare.results import read_result
from hbr.core.config import resolve_config
from hbr.core.store import Store
from hbr.core.target import EvaluationTarget
from hbr.experiments.run_spec import complete, slug

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
CONCEPTS = 1190
METRICS = ("map", "recall@1", "recall@10", "rank_distance")
LEVEL = {"monolingual": 0.50, "cross-lingual": 0.52, "hybrid": 0.53}
STUDY = {
    "name": "bench",
    "grid": {
        "sampler": list(LEVEL),
        "encoder": ["xlm-r-tiny", "labse-tiny", "mbert-tiny"],
        "seed": [0, 1, 2],
    },
    "untrained": False,
    "evaluate": [{"dataset": "lareqa"}],
    "claims": [
        {"id": f"{setting}-{a}-{b}", "metric": "map", "setting": setting, "greater": a, "than": b}
        for setting in ("mono", "cross", "multi")
        for a, b in itertools.permutations(LEVEL, 2)
    ],
}


def write_run(runs: Path, config: dict, keys: dict[str, pa.Array], seed: int) -> None:
    """Write a finished run with made-up values by query."""
    resolved = complete(resolve_config(config))
    store = Store(runs / slug(resolved))
    store.path.mkdir(parents=True)
    (store.path / "config.yaml").write_text(resolved.to_yaml())
    about = {"steps": 1, "pairs": 1, "device": "cpu"}
    store.build("train", lambda _: about, settings=resolved.identity(), inputs={})
    made = {"train": store.completion("train")}
    store.build("encode/lareqa", lambda _: {}, settings={}, inputs=made)
    rng = np.random.default_rng(seed)
    level = LEVEL[resolved.sampler.name]
    number = len(keys["concept"])
    values = {m: np.clip(rng.normal(level, 0.3, number), 0, 1) for m in METRICS}

    def make(folder: Path) -> None:
        table = pa.table(keys | {m: pa.array(v) for m, v in values.items()})
        pq.write_table(table, folder / "per_query.parquet")
        setting = np.asarray(keys["setting"])
        metrics = {
            "dataset": "lareqa",
            "protocol": "made up",
            "search": "exact",
            "task": "bench",
            "training": {"languages": {}, "contamination": {"queries": 0, "passages": 0}},
            "settings": {
                s: {m: float(v[setting == s].mean()) for m, v in values.items()}
                for s in ("mono", "cross", "multi")
            },
            "by_query_language": {},
            "by_pair": {},
            "bias": {},
            "languages": list(LANGUAGES),
            "queries": CONCEPTS * len(LANGUAGES),
            "passages": 13014,
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))

    inputs = {"encode": store.completion("encode/lareqa")}
    store.build("evaluate/lareqa", make, settings={}, inputs=inputs)


def layout() -> dict[str, pa.Array]:
    """Return setting, concept and languages of every value."""
    pairs = list(itertools.product(LANGUAGES, LANGUAGES))
    blocks = [("mono" if a == b else "cross", a, b) for a, b in pairs]
    blocks += [("multi", a, None) for a in LANGUAGES]
    repeat = CONCEPTS * len(blocks)
    return {
        "setting": pa.array(np.repeat([s for s, _, _ in blocks], CONCEPTS)),
        "concept": pa.array(np.resize(np.arange(CONCEPTS), repeat)),
        "query_language": pa.array(np.repeat([a for _, a, _ in blocks], CONCEPTS)),
        "passage_language": pa.array([b for _, _, b in blocks for _ in range(CONCEPTS)]),
    }


def by_scipy(runs: list[tuple[Store, object]], resamples: int) -> Callable[[], object]:
    """Return one paired randomisation test and one interval of scipy's, over concepts."""
    results = [read_result(store, config, EvaluationTarget("lareqa")) for store, config in runs]
    (evidence,) = gather(results)
    values, influence = evidence._by_concept("multi", "map", {})
    count = len(influence)  # of which each was stretched: see `Design.influence`
    difference = (influence[:, 0] - influence[:, 1]) * np.sqrt(count * (count - 1))
    difference += values[0] - values[1]
    drawn = {"n_resamples": resamples, "batch": 500}

    def way() -> None:
        scipy.stats.permutation_test(
            (difference,),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            **drawn,
        )
        scipy.stats.bootstrap((difference,), np.mean, method="percentile", **drawn)

    return way


def main() -> None:
    """Make the study, time the command, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs, study, keys = Path(folder) / "runs", Path(folder) / "bench.yaml", layout()
        study.write_text(yaml.safe_dump(STUDY))
        points = itertools.product(*STUDY["grid"].values())
        for number, (sampler, encoder, seed) in enumerate(points):
            config = {"sampler": sampler, "encoder": encoder, "seed": seed}
            write_run(runs, config, keys, number)
        words = ["compare", "--study", str(study), "--output-dir", str(runs), "--format", "json"]
        command = [sys.executable, "-m", "hbr", *words]

        def ours() -> str:
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        claims = json.loads(ours())["claims"]
        findings = sum(len(claim["findings"]) for claim in claims)
        tests, intervals = findings + 7 * 3, findings + 7 * 9
        stores = [
            (Store(p.parent), resolve_config(yaml.safe_load(p.read_text())))
            for p in sorted(runs.glob("*/config.yaml"))[:2]
        ]
        ways = {"hbr compare, whole command": ours, "scipy": by_scipy(stores, args.resamples)}
        rows = side.in_turns(ways, args.rounds)
    rows["scipy"] = side.changed(rows["scipy"], lambda seconds: seconds * tests)
    about = f"27 runs, 13,090 queries, {args.resamples:,} draws, {tests} tests"
    side.compare(f"{about}, {intervals} intervals ({tests} by scipy)", rows, "scipy", "s")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
