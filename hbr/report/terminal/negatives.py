"""What mining has found, as a table."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

MOST = 12  # pairs of languages shown


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
