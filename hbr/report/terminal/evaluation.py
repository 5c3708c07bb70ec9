"""What an evaluation shows: its metrics, those on perturbed queries, diagnostics of the vectors."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from hbr.compare.compression import share_kept
from hbr.compare.fairness import contamination, part
from hbr.compare.table import Cell, name
from hbr.core.target import EvaluationTarget
from hbr.evaluation.diagnostics_file import summary
from hbr.report.terminal import new_table, number

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


class EvaluationTable:
    """Settings by metrics, with a line for every query language on request.

    `metrics` is the content of `metrics.json`. Metrics that do not fit the width of the console
    stand below the others, so that no number is cut.
    """

    def __init__(self, metrics: Mapping[str, Any], by_language: bool) -> None:
        self.metrics = metrics
        self.rows: list[tuple[str, Mapping[str, float | None], str]] = []  # label, values, style
        for setting, values in metrics["settings"].items():
            self.rows.append((setting, values, "bold"))
            languages = metrics["by_query_language"][setting] if by_language else {}
            self.rows += [(f"  {code}", values_of, "") for code, values_of in languages.items()]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        parts = self._fitting(options.max_width)
        for i, names in enumerate(parts):
            title = _title(self.metrics) if i == 0 else None
            table = new_table(title)
            table.add_column("setting", no_wrap=True)
            for metric in names:
                table.add_column(name(metric), justify="right", no_wrap=True)
            for label, values, style in self.rows:
                numbers = _numbers(values, names)
                if i == 0 or any(numbers):
                    table.add_row(label, *numbers, style=style)
            yield table
        yield Text(_how(self.metrics), "dim italic")

    def _fitting(self, width: int) -> list[list[str]]:
        """Return the metrics that fit side by side."""
        every = dict.fromkeys(key for _, values, _ in self.rows for key in values)
        taken = first = 4 + max(len("setting"), *(len(label) for label, *_ in self.rows))
        parts: list[list[str]] = [[]]
        for metric in every:
            texts = (_numbers(values, [metric])[0] for _, values, _ in self.rows)
            needed = 2 + max(len(name(metric)), *map(len, texts))
            if parts[-1] and taken + needed > width:
                parts.append([])
                taken = first
            parts[-1].append(metric)
            taken += needed
        return parts


def _title(metrics: Mapping[str, Any]) -> str:
    return (
        f"{metrics['dataset']}: {metrics['queries']:,} queries, {metrics['passages']:,} passages, "
        f"{len(metrics['languages'])} languages"
    )


def _how(metrics: Mapping[str, Any]) -> str:
    """Return how it was measured, and what limits trust in it, each on a line of its own."""
    seen = contamination(metrics)
    lines = [f"{metrics['protocol']}; search: {metrics['search']}", part(metrics)]
    return "\n".join(filter(None, [*lines, f"‡ contaminated: {seen}" if seen else ""]))


def _numbers(values: Mapping[str, float | None], names: list[str]) -> list[str]:
    return [number(values[metric], metric) if metric in values else "" for metric in names]


def robustness_table(results: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Return a table of perturbations, with what a metric drops in each setting; 80 columns do.

    `results` are contents of the perturbed data set's `metrics.json`.
    """
    dataset, drops = EvaluationTarget.parse(results[0]["dataset"]).dataset, results[0]["drops"]
    clean = ", ".join(
        f"{s} {number(values[metric]['clean'], metric)}" for s, values in drops.items()
    )
    table = new_table(
        f"{dataset}: {name(metric)} of clean queries: {clean}",
        "drop of the metric, its 95 % interval over concepts, and its share",
    )
    table.add_column("perturbation", no_wrap=True)
    table.add_column("changed", justify="right")
    table.add_column("setting")
    for head in (name(metric), "drop [95 %]"):
        table.add_column(head, justify="right", no_wrap=True)
    for result in results:
        about = result["perturbation"]
        label = (f"{about['name']}:{about['strength']:g}", f"{about['changed']:.0%}")
        for setting in drops:
            values = result["drops"][setting][metric]
            clean, drop = values["clean"], values["drop"]
            known = None not in (clean, drop)
            perturbed = number(clean - drop if known else None, metric)
            table.add_row(*label, setting, perturbed, _drop(values, metric) if known else "–")
            label = ("", "")
    return table


def compression_table(whole: Mapping[str, Any], compressed: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of compressions: bytes, mAP, language bias, and what is kept by resources.

    All are contents of `metrics.json`, `whole` that of the vectors as they are.
    """
    settings = [s for s, values in whole["settings"].items() if "map" in values]
    table = new_table(
        f"{whole['dataset']}: vectors cut and quantized",
        "kept: share of the whole vectors' mAP, by resources of the query's language "
        f"({settings[-1]})"
        if settings
        else None,
    )
    table.add_column("vectors", no_wrap=True)
    heads = ["bytes", *(f"{s} mAP" for s in settings), "distance", "low kept", "high kept"]
    for head in heads:
        table.add_column(head, justify="right")
    for metrics in (whole, *compressed):
        maps = [number(metrics["settings"][s]["map"], "map") for s in settings]
        distance = metrics["settings"].get("multi", {}).get("rank_distance")
        kept = [math.nan, math.nan]
        if settings:  # else mAP is not among the metrics
            before, after = (
                {code: v["map"] for code, v in m["by_query_language"][settings[-1]].items()}
                for m in (whole, metrics)
            )
            kept = [share_kept(before, after, tier) for tier in ("low", "high")]
        table.add_row(
            str(EvaluationTarget.parse(metrics["dataset"]).compression or "whole"),
            f"{metrics['bytes_per_vector']:,}" if "bytes_per_vector" in metrics else "",
            *maps,
            number(distance, "rank_distance"),
            *("–" if math.isnan(share) else f"{share:.0%}" for share in kept),
        )
    return table


def _drop(values: Mapping[str, Any], metric: str) -> str:
    low, high = (number(bound, metric) for bound in values["interval"])
    share = values["drop"] / values["clean"] if values["clean"] else math.nan
    return f"{number(values['drop'], metric)} [{low}, {high}]{Cell(0.0, share=share).part}"


def diagnostics_table(diagnostics: Mapping[str, Any], dataset: str) -> Table:
    """Return a table of the figures of `summary`, with what a low and a high one mean."""
    table = new_table(f"{dataset}: vectors")
    table.add_column("diagnostic")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for (of, diagnostic), value in summary(diagnostics).items():
        table.add_row(f"{diagnostic} ({of})", number(value, diagnostic), MEANING[of, diagnostic])
    return table
