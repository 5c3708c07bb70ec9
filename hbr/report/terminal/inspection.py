"""Queries of a run, with what is relevant and what stands before it."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from hbr.compare.table import name
from hbr.core.errors import printable
from hbr.report.terminal import number

Values = Mapping[str, Any]
LISTS = ("worst", "best", "most changed")
RELEVANT = 3  # passages shown of a query's relevant ones


def inspection_view(found: Values) -> Group:
    """Return the lists of queries; `found` is of `hbr.experiments.inspection`."""
    metric, runs = found["metric"], found["runs"]
    beside = f", beside {', '.join(runs[1:])}" if runs[1:] else ""
    lines = [Text(printable(f"{runs[0]} on {found['dataset']}{beside}"), "bold")]
    for title in LISTS:
        for place, query in enumerate(found.get(title, ()), 1):
            if place == 1:
                lines += [
                    Text(),
                    Text(f"{title}: {found['setting']} {name(metric)}", "bold underline"),
                ]
            lines += _query(place, query, _value(query, metric))
    failed = found["failed by every run"]
    if failed:
        title = "not among the first ten of any run: perhaps judged wrongly"
        lines += [Text(), Text(title, "bold underline")]
    for place, query in enumerate(failed, 1):
        count = f"in {query['failed']:,} of {query['pairs']:,} pairs of languages"
        lines += _query(place, query, count if query["pairs"] > 1 else "")
    return Group(*lines)


def _value(query: Values, metric: str) -> str:
    pair = f"{query['query_language']}→{query['passage_language'] or 'all'}"
    text = f"{pair}  {number(query['value'], metric)}"
    if query["other"] is None:
        return text
    sign = "+" if query["change"] > 0 else ""
    return f"{text}, {sign}{number(query['change'], metric)} from {number(query['other'], metric)}"


def _query(place: int, query: Values, about: str) -> Iterator[Text]:
    yield Text.assemble(
        (f"{place:3}. ", "dim"), printable(query["question"]), ("  " + about, "cyan")
    )
    for hit in query["relevant"][:RELEVANT]:
        yield _passage("✓", hit, "", "green")
    for hit in query["before"]:
        margin = "" if hit["margin"] is None else f" +{hit['margin']:.3f}"
        yield _passage(" ", hit, margin, "")


def _passage(mark: str, hit: Values, margin: str, style: str) -> Text:
    text = printable(" ".join(hit["text"].split()))
    about = f"     {mark} #{hit['rank']:<6,} {hit['score']:.3f}{margin} {hit['language']}  "
    line = Text.assemble((about, style or "dim"), text)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
