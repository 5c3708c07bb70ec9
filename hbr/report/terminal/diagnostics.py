"""The diagnostics of an encoder's vectors."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from hbr.evaluation.diagnostics import summary
from hbr.report.terminal import new_table, number


def diagnostics_table(diagnostics: Mapping[str, Any], dataset: str) -> Table:
    """Return a table of the figures of `summary`, with what a low and a high one mean."""
    table = new_table(f"{dataset}: vectors")
    table.add_column("diagnostic")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for (of, name), value in summary(diagnostics).items():
        table.add_row(f"{name} ({of})", number(value, name), MEANING[of, name])
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
