"""Compare: line runs up by study cell, average over seeds, and say what is best."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from hbr.config import WITHOUT_ALPHA, Config, short_name
from hbr.errors import UserError
from hbr.names import near
from hbr.report.table import Cell, Row, Table
from hbr.runs import Store

PAPER = (  # the columns of arXiv 2408.10536
    ("mono", "map"),
    ("cross", "map"),
    ("multi", "map"),
    ("mono", "recall@1"),
    ("cross", "recall@1"),
    ("multi", "recall@10"),
    ("multi", "rank_distance"),
)
LOWER_IS_BETTER = {"rank_distance"}
SAMPLER_ORDER = ("untrained", "english", "mixed", "monolingual", "cross-lingual", "hybrid")


class Result(NamedTuple):
    """What one run says of one data set."""

    config: Config
    metrics: Mapping[str, Any]


def read_result(run: Store, config: Config, dataset: str) -> Result:
    """Read a run's metrics.

    Raises UserError where the data set was not evaluated, or on vectors of another model.
    """
    stages = run.entries()
    again = f"`hbr evaluate --dataset {dataset} --run {run.path}`"
    chain = ("train", f"encode/{dataset}", f"evaluate/{dataset}")
    if any(stage not in stages for stage in chain):
        raise UserError(f"{run.path} has no results on {dataset}; get them with {again}")
    for before, after in pairwise(chain):
        if stages[after]["inputs"][before.partition("/")[0]] != stages[before]["id"]:
            raise UserError(f"{run.path}: the results on {dataset} are stale; renew them: {again}")
    path = run.path / chain[-1] / "metrics.json"
    try:
        return Result(config, json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged; renew it: {again} --force") from error


def compare(
    results: Sequence[Result],
    metrics: Iterable[str] | None = None,
    *,
    by_language: bool = False,
    title: str = "",
) -> Table:
    """Give a table of cells (runs that differ in their seed alone) by settings and metrics.

    Values are means over seeds with their standard deviation. The best and the second of each
    column are marked within the rows of one encoder; `by_language` adds the query languages.
    """
    if not results:
        raise UserError("there is nothing to compare")
    results = list({(_cell_key(r.config), r.config.seed): r for r in results}.values())
    if len({r.metrics.get("task") for r in results}) > 1:
        raise UserError(
            "the runs were evaluated on different versions of the data set; evaluate all of them "
            "with the same --source"
        )
    columns = _columns(results, metrics)
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=_order):
        groups.setdefault(_cell_key(result.config), []).append(result)
    varied = _varied([members[0].config for members in groups.values()])
    rows = []
    for members in groups.values():
        label = _label(members[0].config, varied)
        seeds = 0 if members[0].config.sampler.name == "untrained" else len(members)
        rows.append(_row(members, label, None, seeds, columns))
        if by_language:
            languages = sorted({lang for m in members for lang in m.metrics["languages"]})
            rows += [_row(members, label, lang, seeds, columns) for lang in languages]
    protocols = sorted({result.metrics["protocol"] for result in results})
    table = Table(title, ("encoder", "sampler", *varied), columns, tuple(rows), tuple(protocols))
    return table.marked(LOWER_IS_BETTER)


def _columns(
    results: Sequence[Result], metrics: Iterable[str] | None
) -> tuple[tuple[str, str], ...]:
    settings: dict[str, dict[str, None]] = {}  # what any result has, in their order
    for result in results:
        for setting, values in result.metrics["settings"].items():
            settings.setdefault(setting, {}).update(dict.fromkeys(values))
    if metrics is not None:
        computed = {name for values in settings.values() for name in values}
        for metric in metrics:
            if metric not in computed:
                raise UserError(f"--metrics: {metric!r} was not computed{near(metric, computed)}")
        wanted = [(setting, metric) for metric in metrics for setting in settings]
    else:
        wanted = list(PAPER)
    found = [(s, m) for s, m in wanted if m in settings.get(s, {})]
    if not found:
        known = ", ".join(sorted({name for values in settings.values() for name in values}))
        raise UserError(f"none of these metrics was computed; there are: {known}")
    return tuple(found)


def _row(
    members: Sequence[Result],
    label: tuple[str, ...],
    language: str | None,
    seeds: int,
    columns: Sequence[tuple[str, str]],
) -> Row:
    cells = []
    for setting, metric in columns:
        values = [_value(member.metrics, setting, metric, language) for member in members]
        known = [value for value in values if value is not None]
        mean = statistics.fmean(known) if len(known) == len(values) else math.nan
        cells.append(Cell(mean, statistics.stdev(known) if len(known) > 1 else None))
    return Row(label, language, seeds, tuple(cells))


def _value(
    metrics: Mapping[str, Any], setting: str, metric: str, language: str | None
) -> float | None:
    if language is None:
        return metrics["settings"].get(setting, {}).get(metric)
    return metrics["by_query_language"].get(setting, {}).get(language, {}).get(metric)


def _cell_key(config: Config) -> str:
    identity = config.identity()
    identity.pop("seed", None)
    return json.dumps(identity, sort_keys=True)


def _flat(config: Config) -> dict[str, str]:
    sections = config.model_dump(mode="json", include={"sampler", "encoder", "data", "train"})
    flat = {f"{s}.{k}": json.dumps(v) for s, values in sections.items() for k, v in values.items()}
    if config.sampler.name in WITHOUT_ALPHA:
        flat.pop("sampler.alpha")
    return flat


def _varied(configs: Sequence[Config]) -> tuple[str, ...]:
    """Name the settings, besides sampler and encoder, in which cells of one encoder differ."""
    by_encoder: dict[str, list[dict[str, str]]] = {}
    for config in configs:
        if config.sampler.name != "untrained":
            by_encoder.setdefault(config.encoder.name, []).append(_flat(config))
    varied = {
        key
        for flat in by_encoder.values()
        for key in {key for one in flat for key in one} - {"sampler.name", "encoder.name"}
        if len({one[key] for one in flat if key in one}) > 1
    }
    return tuple(sorted(varied))


def _label(config: Config, varied: tuple[str, ...]) -> tuple[str, ...]:
    flat = {} if config.sampler.name == "untrained" else _flat(config)
    extra = (flat.get(key, "").strip('"') for key in varied)
    return (short_name(config.encoder.name), config.sampler.name, *extra)


def _order(result: Result) -> tuple[Any, ...]:
    sampler = result.config.sampler
    known = sampler.name in SAMPLER_ORDER
    place = SAMPLER_ORDER.index(sampler.name) if known else len(SAMPLER_ORDER)
    return result.config.encoder.name, place, sampler.name, str(sampler.alpha), result.config.seed
