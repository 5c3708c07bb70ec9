"""What mining has found, as a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

MOST = 12  # pairs of languages shown
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def mined_table(name: str, entry: Mapping[str, Any]) -> Table:
    """Return how many rows got how many negatives, what was passed over, and the languages."""
    table = Table(title=f"negatives of {name}", title_justify="left")
    table.add_column("")
    for column in ("number", "share"):
        table.add_column(column, justify="right")

    def add(what: str, number: int, of: int) -> None:
        table.add_row(what, f"{number:,}", f"{number / of:.1%}" if of else "")

    for count, rows in entry["rows_by_number"].items():
        add(f"rows with {count}", rows, entry["rows"])
    table.add_section()
    add("candidates", entry["candidates"], entry["candidates"])
    for rule, number in entry["passed_over"].items():
        add(f"passed over by {rule}", number, entry["candidates"])
    table.add_section()
    add("negatives", entry["negatives"], entry["negatives"])
    pairs = sorted(entry["languages"].items(), key=lambda pair: -pair[1])
    for languages, number in pairs[:MOST]:
        add(f"found by {languages.replace('->', ' → ')}", number, entry["negatives"])
    if rest := pairs[MOST:]:
        total = sum(number for _, number in rest)
        add(f"found by {len(rest)} other pairs", total, entry["negatives"])
    return table


def spread(rows: Any) -> dict[str, Any]:
    """Return the distribution of a teacher's scores of rows and of their negatives."""
    parts = {"passages": np.asarray(rows.positive_score), "negatives": rows.negative_score}
    above = np.asarray(rows.negative_score) > np.asarray(rows.positive_score)[rows.owner]
    quantiles = {
        name: [round(float(q), 6) for q in np.quantile(scores, QUANTILES)]
        for name, scores in parts.items()
    }
    counts = {name: len(scores) for name, scores in parts.items()}
    return {"number": counts, "quantiles": quantiles, "above_passage": int(above.sum())}


def scored_table(name: str, found: Mapping[str, Any]) -> Table:
    """Return how a teacher's scores are distributed, and how many negatives it prefers."""
    table = Table(title=f"scores of {name}", title_justify="left")
    table.add_column("")
    for column in ("number", "min", "25 %", "50 %", "75 %", "max"):
        table.add_column(column, justify="right")
    for part, quantiles in found["quantiles"].items():
        table.add_row(part, f"{found['number'][part]:,}", *(f"{q:.3f}" for q in quantiles))
    above, of = found["above_passage"], found["number"]["negatives"]
    table.add_section()
    table.add_row("negatives above passage", f"{above:,}", f"{above / of:.1%}")
    return table
