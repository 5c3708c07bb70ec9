"""How many seeds claims need, on the terminal."""

from collections.abc import Sequence

from rich.table import Table

from hbr.compare.power import Need
from hbr.report.terminal import new_table


def power_table(needs: Sequence[Need], effect: float) -> Table:
    """Return a table of the seeds that find a difference of a size with 80 % power."""
    number = needs[0].comparisons if needs else 0
    table = new_table(
        caption=f"Seeds a cell that find a difference of {effect:g} with 80 % power, at .05 over "
        f"{number} comparisons. sd: over seeds, of the difference of two runs."
    )
    for head in ("claim", "comparison"):
        table.add_column(head)
    for head in ("seeds", "sd", "needed"):
        table.add_column(head, justify="right")
    several = len({need.dataset for need in needs}) > 1
    for need in needs:
        label = f"{need.dataset}, {need.comparison}" if several else need.comparison
        needed = "> 100" if need.needed is None else str(need.needed)
        table.add_row(need.claim, label, str(need.seeds), f"{need.deviation:.3g}", needed)
    return table
