"""What the batches of a run hold: counts over the first of them, or one in full."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hbr.core.errors import printable
from hbr.data.rows import Rows
from hbr.report.terminal import new_table
from hbr.training.schedule import Batch
from hbr.training.summary import Summary

BAR = 20  # characters of the longest bar


def summary_values(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON-like values; a pair of languages is `de->en`."""
    pairs = {f"{query}->{passage}": count for (query, passage), count in summary.pairs.items()}
    return {**summary._asdict(), "pairs": pairs}


def summary_tables(summary: Summary) -> Group:
    """Return shares of modes, coverage of the rows, and histograms of languages and pairs."""
    lines = [f"[bold]{summary.batches:,} batches[/bold], hash {summary.hash}"]
    for mode, count in summary.modes.items():
        lines.append(f"  {mode:<14} {count / summary.batches:6.1%}")
    for name, (rows, seen, drawn) in summary.seen.items():
        coverage = f"{seen:,} of {rows:,} rows seen ({seen / rows:.1%})"
        lines.append(f"  {name}: {drawn / rows:.2f} epochs, {coverage}")
    lines.append(f"  translations among the negatives, masked: {summary.false_negatives:.4%}")
    return Group(*lines, _language_table(summary), _pair_table(summary))


def batch_values(batch: Batch, rows: Sequence[Rows]) -> dict[str, Any]:
    """Return a batch as JSON-like values: every row's id, languages and texts."""
    data = rows[batch.dataset]
    pairs = [_pair(data, *pair) for pair in zip(*batch[3:], strict=True)]
    return {"step": batch.step, "mode": batch.mode, "dataset": data.name, "pairs": pairs}


def batch_table(values: dict[str, Any]) -> Table:
    """Return a table of what `batch_values` returns."""
    pairs = values["pairs"]
    table = new_table(
        f"step {values['step']}: {values['mode']}, {len(pairs)} pairs of {values['dataset']}"
    )
    table.expand = True
    labels = [
        (str(pair["row"]), pair["id"], f"{pair['query_language']}→{pair['passage_language']}")
        for pair in pairs
    ]
    for head, texts in zip(("row", "id", "pair"), zip(*labels, strict=True), strict=True):
        table.add_column(head, no_wrap=True, min_width=min(max(map(len, texts)), 24))
    for head in ("query", "passage"):
        table.add_column(head, no_wrap=True, overflow="ellipsis", ratio=1)
    for label, pair in zip(labels, pairs, strict=True):
        texts = *label, pair["query"], pair["passage"]
        table.add_row(*(Text(printable(text)) for text in texts))
    return table


def _language_table(summary: Summary) -> Table:
    table = new_table()
    for head in ("language", "queries", "", "passages", ""):
        table.add_column(head)
    roles = (summary.query_languages, summary.passage_languages)
    most = max(max(counts.values()) for counts in roles)
    for language in sorted(set(roles[0]) | set(roles[1])):
        cells = []
        for counts in roles:
            count = counts.get(language, 0)
            cells += [f"{count:,}", "█" * round(BAR * count / most)]
        table.add_row(language, *cells)
    return table


def _pair_table(summary: Summary) -> Table:
    languages = sorted({language for pair in summary.pairs for language in pair})
    table = new_table("pairs (query ↓, passage →)")
    table.add_column("")
    for language in languages:
        table.add_column(language, justify="right")
    for query in languages:
        counts = [summary.pairs.get((query, passage), 0) for passage in languages]
        table.add_row(query, *(f"{count:,}" if count else "·" for count in counts))
    return table


def _pair(data: Rows, row: int, query: int, passage: int) -> dict[str, Any]:
    """Return a row of a batch; `query` and `passage` are positions of languages."""
    query_cell = int(data.query_cells(np.array([row]), np.array([query]))[0])
    passage_cell = int(data.passage_cells(np.array([row]), np.array([passage]))[0])
    return {
        "row": int(row),
        "id": data.ids[int(row)].as_py(),
        "query_language": data.languages[query],
        "passage_language": data.languages[passage],
        "query": data.queries.column[query_cell].as_py(),
        "passage": data.passages.column[passage_cell].as_py(),
    }
