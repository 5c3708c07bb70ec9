"""Are the numbers of the embedded study the same as before? A check for changes that move code.

`python tests/same_numbers.py runs` compares a finished `hbr sweep experiments/embedded.yaml` with
`tests/same_numbers.json`: digests of every run's weights, vectors and values by query, all metrics,
and all verdicts. `--write` stores what stands there now.

Digests hold for one kind of processor and one number of threads. Elsewhere floating point differs
in the last digits: `--tolerance 0.02` then compares metrics and verdicts alone.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file

STORED = Path(__file__).with_suffix(".json")


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Return a digest of arrays by name, type, shape and content."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def text_or_number(values: list[Any]) -> np.ndarray:
    """Return a column as an array whose bytes are its content."""
    array = np.asarray(values)
    return array.astype(str) if array.dtype == object else array


def run_numbers(run: Path) -> dict[str, Any]:
    """Return the digests and metrics of one run."""
    metrics = json.loads((run / "evaluate/embedded/metrics.json").read_text(encoding="utf-8"))
    table = pq.read_table(run / "evaluate/embedded/per_query.parquet")
    columns = {name: text_or_number(table[name].to_pylist()) for name in table.column_names}
    vectors = {path.name: np.load(path) for path in (run / "encode/embedded").glob("*.npy")}
    return {
        "weights": digest(load_file(run / "model/model.safetensors")),
        "vectors": digest(vectors),
        "values by query": digest(columns),
        "metrics": metrics["settings"],
    }


def study_numbers(runs: Path) -> dict[str, Any]:
    """Return the numbers of all runs of the study, by name without fingerprint, and verdicts."""
    found = sorted(path.parent for path in runs.glob("*/manifest.json"))
    report = json.loads((runs / "studies/embedded/report.json").read_text(encoding="utf-8"))
    numbers = ("status", "effect", "low", "high", "p", "adjusted")
    return {
        "runs": {run.name.rpartition("-")[0]: run_numbers(run) for run in found},
        "verdicts": {
            claim["id"]: [
                claim["status"],
                *({key: finding[key] for key in numbers} for finding in claim["findings"]),
            ]
            for claim in report["claims"]
        },
    }


def differences(before: Any, after: Any, tolerance: float, place: str = "") -> list[str]:
    """Return a line for everything that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        lines = [f"{place}: {key} is on one side alone" for key in before.keys() ^ after.keys()]
        for key in before.keys() & after.keys():
            lines += differences(before[key], after[key], tolerance, f"{place} {key}".strip())
        return sorted(lines)
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [x for i, (b, a) in pairs for x in differences(b, a, tolerance, f"{place} {i}")]
    if before == after or (before != before and after != after):
        return []
    both_numbers = isinstance(before, int | float) and isinstance(after, int | float)
    if tolerance and (
        (both_numbers and abs(before - after) <= tolerance * max(1, abs(before)))
        or (place.rpartition(" ")[2] in {"weights", "vectors", "query"})
    ):
        return []
    return [f"{place}: {before} before, {after} now"]


def main() -> None:
    """Compare, or store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--tolerance", type=float, default=0.0)
    options = parser.parse_args()
    numbers = study_numbers(options.runs)
    if options.write:
        STORED.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        return
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    lines = differences(stored, numbers, options.tolerance)
    print(
        "\n".join(lines)
        or f"the same: {len(numbers['runs'])} runs, {len(numbers['verdicts'])} claims"
    )
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
