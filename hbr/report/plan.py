"""How a batch plan looks: counts of the first batches, or one batch in full."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hbr.data.rows import Rows
from hbr.training.schedule import Batch
from hbr.training.summary import Summary

WIDEST = 20  # characters of a bar


def show_summary(summary: Summary, as_json: bool) -> None:
    """Print histograms of languages and pairs, mode shares, coverage and the plan's hash."""
    if as_json:
        pairs = {f"{a}->{b}": count for (a, b), count in summary.pairs.items()}
        print(json.dumps({**summary._asdict(), "pairs": pairs}))
        return
    console = Console()
    console.print(f"[bold]{summary.batches:,} batches[/bold], hash {summary.hash}")
    for mode, count in summary.modes.items():
        console.print(f"  {mode:<14} {count / summary.batches:6.1%}")
    for name, (rows, seen, drawn) in summary.seen.items():
        console.print(
            f"  {name}: {drawn / rows:.2f} epochs, "
            f"{seen:,} of {rows:,} rows seen ({seen / rows:.1%})"
        )
    console.print(f"  translations among the negatives, masked: {summary.false_negatives:.4%}")
    console.print(_languages(summary))
    console.print(_pairs(summary))


def _languages(summary: Summary) -> Table:
    table = Table("language", "queries", "", "passages", "", box=None, header_style="bold")
    sides = (summary.query_languages, summary.passage_languages)
    most = max(max(side.values()) for side in sides)
    for language in sorted(set(sides[0]) | set(sides[1])):
        cells = []
        for side in sides:
            count = side.get(language, 0)
            cells += [f"{count:,}", "█" * round(WIDEST * count / most)]
        table.add_row(language, *cells)
    return table


def _pairs(summary: Summary) -> Table:
    languages = sorted({language for pair in summary.pairs for language in pair})
    table = Table(title="pairs (query ↓, passage →)", title_justify="left", header_style="bold")
    table.add_column("")
    for language in languages:
        table.add_column(language, justify="right")
    for query in languages:
        counts = [summary.pairs.get((query, passage), 0) for passage in languages]
        table.add_row(query, *(f"{count:,}" if count else "·" for count in counts))
    return table


def show_batch(batch: Batch, rows: Sequence[Rows], as_json: bool) -> None:
    """Print one batch: every row's id, languages and texts."""
    data = rows[batch.dataset]
    lines = [_line(data, *pair) for pair in zip(*batch[3:], strict=True)]
    if as_json:
        about = {"step": batch.step, "mode": batch.mode, "dataset": data.name}
        print(json.dumps({**about, "pairs": lines}, ensure_ascii=False))
        return
    title = f"step {batch.step}: {batch.mode}, {len(lines)} pairs of {data.name}"
    table = Table(title=title, title_justify="left", header_style="bold", expand=True)
    shown = [
        (str(x["row"]), x["id"], f"{x['query_language']}→{x['passage_language']}") for x in lines
    ]
    for number, head in enumerate(("row", "id", "pair")):
        longest = max(len(texts[number]) for texts in shown)
        table.add_column(head, no_wrap=True, min_width=min(longest, 24))
    for head in ("query", "passage"):
        table.add_column(head, no_wrap=True, overflow="ellipsis", ratio=1)
    for labels, line in zip(shown, lines, strict=True):
        table.add_row(*labels, line["query"], line["passage"])
    Console().print(table)


def _line(data: Rows, row: int, query: int, passage: int) -> dict[str, Any]:
    import numpy as np

    asked = int(data.query_cells(np.array([row]), np.array([query]))[0])
    answered = int(data.passage_cells(np.array([row]), np.array([passage]))[0])
    return {
        "row": int(row),
        "id": data.ids[int(row)].as_py(),
        "query_language": data.languages[query],
        "passage_language": data.languages[passage],
        "query": data.queries.column[asked].as_py(),
        "passage": data.passages.column[answered].as_py(),
    }
