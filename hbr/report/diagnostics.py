"""How the diagnostics of vectors look."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hbr.compare.table import Cell
from hbr.evaluation.diagnostics import summary


def to_rich(found: Mapping[str, Any], dataset: str) -> Table:
    """Return a table of the figures of `summary`, with what a low and a high one mean."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    table.title, table.title_justify = f"{dataset}: vectors", "left"
    table.add_column("diagnostic")
    table.add_column("value", justify="right")
    table.add_column("is")
    for (of, name), value in summary(found).items():
        shown = Cell(float("nan") if value is None else value).text(name)
        table.add_row(f"{name} ({of})", shown, MEANING[of, name])
    return table


MEANING = {
    ("mono", "alignment"): "mean squared distance of a query to its passages, 0 to 4: low is near",
    ("cross", "alignment"): "the same, across languages",
    ("passages", "uniformity"): "of passages, down to about -4: low is spread out",
    ("passages", "isoscore"): "of passages: 1 where all directions are used alike, 0 where one is",
    ("pool", "hubness"): "skewness of how often a passage is in the first ten: high has hubs",
    ("pool", "never found"): "share of passages in no query's first ten",
    ("passages", "cka"): "of translations, mean over pairs of languages: 1 is the same shape",
    ("passages", "cosine gap"): "of translations against others, mean over pairs of languages",
    ("passages", "language share"): "share of the variance of passages that is between languages",
    ("queries", "probe"): "how well a linear probe tells the language of a query: 0 is chance",
    ("passages", "probe"): "the same, of a passage",
}
