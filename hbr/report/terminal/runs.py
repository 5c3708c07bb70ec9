"""Lists of runs, one run in full, and what may be removed."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hbr.compare.table import SUMMARY, name
from hbr.core.errors import printable
from hbr.core.yaml_files import dump
from hbr.report.terminal import new_table, number

WIDE = 120  # columns from which sampler and encoder have columns of their own
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
Values = Mapping[str, Any]


def size_text(bytes: float) -> str:
    """Write a number of bytes: `905 MB`."""
    for unit in ("B", "kB", "MB"):
        if bytes < 999.5:
            return f"{bytes:.0f} {unit}"
        bytes /= 1000
    return f"{bytes:,.1f} GB"


def age_text(seconds: float) -> str:
    """Write how long ago something was: `3 h`."""
    length, unit = next((u for u in UNITS if seconds >= u[0]), UNITS[-1])
    return f"{seconds // length:.0f} {unit}"


def runs_table(runs: Sequence[Values], latest: str, width: int) -> Group:
    """Return a table of runs; `latest` is marked. Below 120 columns a run's name tells its parts.

    `runs` are values of `hbr.experiments.inventory.run_values`.
    """
    table = new_table()
    table.add_column("run", overflow="fold")
    wide = width >= WIDE
    for head in ("sampler", "encoder", "seed") if wide else ():
        table.add_column(head, justify="right" if head == "seed" else "left", overflow="fold")
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for head in ("score", "age", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    for run in runs:
        label = str(run["run"]).rpartition("/")[2]
        parts = [_sampler(run), run["encoder"], str(run["seed"])] if wide else []
        table.add_row(
            Text(printable(label), "bold" if label == latest else ""),
            *(Text(printable(str(part))) for part in parts),
            _steps(run),
            run["state"],
            _score(run["score"]),
            age_text(run["age"]),
            size_text(run["bytes"]),
        )
    total = size_text(sum(run["bytes"] for run in runs))
    noun = "run" if len(runs) == 1 else "runs"
    note = f"{len(runs)} {noun}, {total}; bold: the last hbr train; score: mAP in the pool, of mono"
    return Group(table, Text(f"{note} where there is none", "dim"))


def _sampler(run: Values) -> str:
    alpha = run["alpha"] if run["sampler"] == "hybrid" else None
    return f"{run['sampler']} α = {alpha}" if alpha is not None else run["sampler"]


def _steps(run: Values) -> str:
    made, wanted = run["steps"], run["max_steps"]
    return f"{made:,}" if made == wanted else f"{made:,} of {wanted:,}"


def _score(score: Values | None) -> str:
    if score is None:
        return "–"
    metric = "" if score["metric"] == "map" else f" {name(score['metric'])}"
    return f"{score['dataset']}{metric} {number(score['value'], score['metric'])}"


def run_view(run: Values) -> Group:
    """Return one run: what it is, its settings, stages and scores."""
    title = Text(printable(str(run["run"])), "bold")
    facts = [
        f"{run['state']}, {_steps(run)} steps, {size_text(run['bytes'])}",
        *(f"{metric.replace('_', ' ')} {value:.4f}" for metric, value in run["best"].items()),
    ]
    parts: list[Any] = [title, Text(", ".join(facts)), Text(), _settings_table(run["settings"])]
    parts += [_stages_table(run["stages"])] if run["stages"] else []
    parts += [_scores_table(run["scores"])] if run["scores"] else []
    return Group(*parts)


def _settings_table(settings: Sequence[Values]) -> Table:
    table = new_table("settings that are not the default")
    for head in ("setting", "value", "default"):
        table.add_column(head, overflow="fold")
    for line in settings:
        values = (_yaml(line["value"]), _yaml(line["default"]))
        table.add_row(Text(printable(line["setting"])), *map(Text, values))
    return table


def _yaml(value: Any) -> str:
    return printable(dump({"x": value}, default_flow_style=True).strip()[4:-1].replace("\n", " "))


def _stages_table(stages: Sequence[Values]) -> Table:
    table = new_table("stages")
    table.add_column("stage", overflow="fold")
    for head in ("state", "finished"):
        table.add_column(head, no_wrap=True)
    for head in ("time", "memory", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    for stage in stages:
        memory = stage["peak_memory_mb"]
        table.add_row(
            Text(printable(stage["stage"])),
            Text(stage["state"], "bold red" if stage["state"] == "stale" else ""),
            (stage["finished"] or "–")[:16].replace("T", " "),
            age_text(stage["seconds"] or 0),
            "–" if memory is None else size_text(memory * 2**20),
            size_text(stage["bytes"]),
        )
    return table


def _scores_table(scores: Sequence[Values]) -> Table:
    metrics = [metric for metric in SUMMARY if any(metric in line for line in scores)]
    table = new_table("scores")
    table.add_column("data set", overflow="fold")
    table.add_column("setting", no_wrap=True)
    for metric in metrics:
        table.add_column(name(metric), justify="right", no_wrap=True)
    for line in scores:
        values = [number(line[m], m) if m in line else "" for m in metrics]
        table.add_row(Text(printable(line["dataset"])), line["setting"], *values)
    return table


def leftovers_table(found: Sequence[tuple[str, str, int]]) -> Table:
    """Return a table of what may be removed: path, reason, bytes."""
    table = new_table()
    table.add_column("what", overflow="fold")
    table.add_column("why")
    table.add_column("size", justify="right", no_wrap=True)
    for path, reason, bytes in found:
        table.add_row(Text(printable(path)), Text(printable(reason)), size_text(bytes))
    return table
