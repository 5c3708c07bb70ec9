"""Tables of study cells, marked and annotated, and what plots need of them."""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from hbr.compare import fairness
from hbr.compare.claims import LEVEL, lower_is_better
from hbr.compare.evidence import (
    Evidence,
    Result,
    StudyCell,
    figure,
    flat,
    has_values,
)
from hbr.compare.model import Series
from hbr.compare.table import Cell, Row, Table, name
from hbr.core import languages, statistics
from hbr.core.target import EvaluationTarget
from hbr.data.perturb import perturbation
from hbr.evaluation.diagnostics import summary

PAPER = (  # the columns of arXiv 2408.10536
    ("mono", "map"),
    ("cross", "map"),
    ("multi", "map"),
    ("mono", "recall@1"),
    ("cross", "recall@1"),
    ("multi", "recall@10"),
    ("multi", "rank_distance"),
)
ABSOLUTE = "a drop in brackets is a share of the clean value: who finds little has little to lose"
SURE_SEEDS = 5  # fewer say little of how much training varies
FOLLOWS = {  # facts that follow from a setting, and are not told beside it
    "train.max_steps": {"steps done", "pairs seen"},
    "train.batch_size": {"pairs seen"},
    "train.gradient_accumulation_steps": {"pairs seen"},
    "train.early_stopping_patience": {"steps done", "pairs seen"},
}


def compare(
    evidence: Evidence,
    metrics: Sequence[str] | None = None,
    *,
    by: str | None = None,
    baseline: str | None = None,
    varied: Collection[str] = (),
    title: str = "",
) -> Table:
    """Return a table of cells by settings and metrics; what else may be said stands in its notes.

    Values are means over seeds. Best and second are marked within one encoder; a dagger marks what
    differs from the `baseline` sampler, or without one, a best that differs from the second. `by`
    adds groups of languages; `varied` are settings that differ on purpose.
    """
    columns = columns_of(evidence, metrics)
    rows = []
    for cell in evidence.cells:
        rows.append(_row(evidence, cell, None, columns))
        for group, keep in _groups(evidence, by):
            row = _row(evidence, cell, group, columns, keep)
            if any(not math.isnan(value.mean) for value in row.cells):
                rows.append(row)
    heads = ("encoder", "sampler", *evidence.varied)
    made = Table(
        title,
        heads,
        columns,
        tuple(rows),
        evidence.protocol,
        group_head=by or "language",
        dataset=evidence.dataset,
    )
    made, told = _with_daggers(evidence, made.marked(lower_is_better), baseline)
    return replace(made, notes=(*told, *warnings(evidence, varied)))


def robustness(
    clean: Evidence, perturbed: Sequence[Evidence], metrics: Sequence[str] | None, **how: Any
) -> list[Table]:
    """Return a table a setting: a metric of the clean queries, and what it drops under each change.

    The metric is the first of those asked for that there is, or mAP, or the first there is; `how`
    is what `compare` takes besides. Nothing is marked: a low drop is no merit of who finds little.
    """
    every = [clean, *perturbed]
    known = [m for values in perturbed[0].results[0].metrics["settings"].values() for m in values]
    lost = [m.removeprefix("drop_") for m in known if m.startswith("drop_")]
    metric = next((m for m in (*(metrics or ()), "map", *lost) if m in lost), None)
    if metric is None:
        return []
    names = [metric, *[f"drop_{metric}"] * len(perturbed)]
    tables = [compare(own, (n,), **how) for own, n in zip(every, names, strict=True)]
    found = []
    for setting, _ in tables[0].columns:
        columns, of, parts = [], [], []
        for own, table, named in zip(every, tables, names, strict=True):
            if (setting, named) not in table.columns:
                continue
            at = table.columns.index((setting, named))
            columns.append((EvaluationTarget.parse(own.dataset).perturbation or "clean", named))
            of.append((own.dataset, setting, named))
            parts.append({(row.label, row.group): row.cells[at] for row in table.rows})
        rows = [
            replace(row, cells=tuple(_beside(parts, (row.label, row.group))))
            for row in tables[0].rows
        ]
        notes = [note for table in tables for note in table.notes if not note.startswith("†")]
        found.append(
            replace(
                tables[0],
                title=f"{clean.dataset}: {setting} {name(metric)}, and its drop when queries are "
                "perturbed",
                columns=tuple(columns),
                rows=tuple(rows),
                notes=tuple(dict.fromkeys([ABSOLUTE, _changed(perturbed), *notes])),
                of=tuple(of),
            )
        )
    return found


def _beside(parts: Sequence[Mapping[Any, Cell]], row: Any) -> Iterator[Cell]:
    """Yield a row's cells of several tables, unmarked, drops with their share of the first."""
    first = parts[0].get(row, Cell(math.nan))
    for number, part in enumerate(parts):
        cell = part.get(row, Cell(math.nan))
        share = cell.mean / first.mean if number and first.mean else math.nan
        yield replace(cell, place=None, dagger=False, share=share)


def _changed(perturbed: Sequence[Evidence]) -> str:
    """Return what share of the queries each perturbation changes at all."""
    told = []
    for own in perturbed:
        about = own.results[0].metrics["perturbation"]
        if not perturbation(about["name"]).needs_encoder:
            told.append(
                f"{EvaluationTarget.parse(own.dataset).perturbation} {about['changed']:.0%}"
            )
    return f"queries changed: {', '.join(told)}" if told else ""


def diagnostics(evidence: Evidence) -> list[Table]:
    """Return a table of what the vectors of each cell say, where they were diagnosed."""
    known = {
        i: summary(json.loads(result.diagnostics.read_text()))
        for i, result in enumerate(evidence.results)
        if result.diagnostics
    }
    if not known:
        return []
    columns = tuple(next(iter(known.values())))
    rows = []
    for cell in evidence.cells:
        own = [known[i] for i in cell.members if i in known]
        cells = []
        for column in columns:
            values = [math.nan if (value := f[column]) is None else value for f in own]
            cells.append(Cell(*_over_seeds(values)))
        seeds = len(own) if cell.is_trained else 0
        rows.append(Row(evidence.label(cell.config), None, seeds, tuple(cells)))
    return [
        Table(
            f"{evidence.dataset}: vectors",
            ("encoder", "sampler", *evidence.varied),
            columns,
            tuple(rows),
            "alignment: a distance, low is near; probe: how well a linear one tells the language, "
            "where 0 is chance",
            dataset=evidence.dataset,
        )
    ]


def warnings(evidence: Evidence, varied: Collection[str] = ()) -> list[str]:
    """Return what keeps results from being trusted: unfair comparisons, known texts, few seeds."""
    told = [*unfair(evidence, varied), *(_contamination(r) for r in evidence.results)]
    absent = sum(cell.expected - len(cell.members) for cell in evidence.cells)
    if absent:
        told.append(f"provisional: {absent} of the study's runs have no results yet")
    told.append(few_seeds(evidence))
    return [line for line in told if line]


def few_seeds(evidence: Evidence) -> str:
    """Return where there are too few seeds to speak of seeds."""
    seeds = [len(c.members) for c in evidence.cells if c.is_trained and c.members]
    if not evidence.has_queries or not seeds or min(seeds) >= SURE_SEEDS:
        return ""
    return (
        f"{min(seeds)} seed{'s' * (min(seeds) > 1)} a cell: too few to speak of seeds; tests and "
        "intervals speak of queries, for these trained encoders"
    )


def unfair(evidence: Evidence, varied: Collection[str]) -> list[str]:
    """Name what runs differ in besides sampler, encoder, seed, and what is varied on purpose."""
    if not evidence.has_queries:
        return []
    subjects = [
        fairness.Subject(r.name, r.config.encoder.name, _facts(r)) for r in evidence.results
    ]
    differing = {key for key in FOLLOWS if len({str(s.facts.get(key)) for s in subjects}) > 1}
    known = {fact for key in differing | set(varied) for fact in FOLLOWS.get(key, ())}
    if "data.train" in varied:
        known |= {fact for s in subjects for fact in s.facts if fact.startswith("data (")}
    return fairness.differences(subjects, {"sampler.name", "encoder.name", *varied, *known})


def series(evidence: Evidence) -> list[Series]:
    """Return what plots need of every cell that has results."""
    return [_series(evidence, cell) for cell in evidence.cells if cell.members]


def provenance(results: Iterable[Result]) -> list[dict[str, str]]:
    """Return where each run comes from, in one line a run."""
    lines = {}
    for result in results:
        if train := result.stages.get("train"):
            lines[result.name] = {
                "run": result.name,
                "steps": f"{train['steps']:,}",
                "pairs": f"{train['pairs']:,}",
                "batches": (train.get("plan") or {}).get("hash", "–"),
                "device": train.get("device", "–"),
                "hbr": f"{train['versions'].get('hbr', '?')}, {train['commit'] or 'no commit'}",
                "torch": train["versions"].get("torch", "?"),
                "finished": train["finished"][:16].replace("T", " "),
                "seconds": f"{train['seconds']:,.0f}",
            }
    return list(lines.values())


def columns_of(evidence: Evidence, metrics: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """Return the columns of a table: those of the paper that there are, or of named metrics."""
    settings: dict[str, dict[str, None]] = {}  # what any result has, in their order
    for result in evidence.results:
        for setting, values in result.metrics["settings"].items():
            settings.setdefault(setting, {}).update(dict.fromkeys(values))
    wanted = PAPER if metrics is None else [(s, m) for m in metrics for s in settings]
    found = [(s, m) for s, m in wanted if m in settings.get(s, {})]
    if not found and metrics is None:  # a data set without the paper's metrics: show what it has
        found = [(s, m) for s, values in settings.items() for m in values]
    return tuple(found)


def _row(
    evidence: Evidence,
    cell: StudyCell,
    group: str | None,
    columns: Sequence[tuple[str, str]],
    keep: Any = None,
) -> Row:
    cells = []
    for setting, metric in columns:
        values = [figure(evidence.results[i].metrics, setting, metric, keep) for i in cell.members]
        mean, sd = _over_seeds(values)
        low, high = math.nan, math.nan
        rested = [evidence.results[i] for i in cell.members]
        if group is None and all(has_values(r, metric) for r in rested) and rested:
            draws = evidence.draws(setting, metric, {})
            low, high = statistics.interval(evidence.drawn(cell, draws))
        cells.append(Cell(mean, sd, None, low, high))
    marked = any(is_contaminated(evidence.results[i]) for i in cell.members)
    seeds, expected = len(cell.members), cell.expected
    if cell.members and not (cell.is_trained and evidence.has_queries):
        seeds = expected = 0  # nothing was drawn by seed, or the paper does not say
    name = evidence.label(cell.config)
    return Row(name, group, seeds, tuple(cells), expected, marked)


def _over_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation; NaN and None where a value is not known."""
    mean = fmean(values) if values else math.nan
    return mean, stdev(values) if len(values) > 1 and not math.isnan(mean) else None


def _groups(evidence: Evidence, by: str | None) -> Iterator[tuple[str, Any]]:
    """Yield the groups of languages, and which pairs are in each."""
    if by is None:
        return
    codes = sorted({code for r in evidence.results for code in r.metrics["languages"]})
    if by == "language":
        yield from ((code, lambda q, _p, code=code: q == code) for code in codes)
        return
    pairs = [(q, p) for q in codes for p in (q, None, *codes)]
    found = {languages.group(by, q, p, evidence.seen): None for q, p in pairs}
    ranked = [*("high", "mid", "low"), *("seen", "unseen"), *languages.DISTANCES]

    def place(group: str) -> tuple[Any, ...]:
        parts = group.split("→")
        ranks = [ranked.index(part) if part in ranked else len(ranked) for part in parts]
        return len(parts), ranks, group

    for group in sorted((g for g in found if g is not None), key=place):
        yield group, evidence.keep({by: group})


def _with_daggers(
    evidence: Evidence, table: Table, baseline: str | None
) -> tuple[Table, list[str]]:
    """Mark what is told apart from the baseline, or a best that is told apart from the second."""
    if not evidence.has_queries or len(evidence.cells) < 2:
        return table, []
    whole = [i for i, row in enumerate(table.rows) if row.group is None]  # one a cell
    pairs = [
        (column, a, b)
        for column in range(len(table.columns))
        for a, b in _rivals(table, whole, column, baseline)
        if _are_known(evidence, (a, b), table.columns[column][1])
    ]
    if not pairs:
        return table, []
    adjusted = statistics.holm(_tests(evidence, table, pairs))
    rows = [list(row.cells) for row in table.rows]
    for (column, a, _), p in zip(pairs, adjusted, strict=True):
        if p < LEVEL:
            cell = rows[whole[a]][column]
            rows[whole[a]][column] = replace(cell, dagger=True)
    marked = [replace(r, cells=tuple(c)) for r, c in zip(table.rows, rows, strict=True)]
    than, draws = baseline or "the second best of its encoder", evidence.chance.resamples
    note = (
        f"† differs from {than}: randomisation test over concepts, {draws:,} draws, p < .05 after "
        f"Holm over {len(pairs)} tests"
    )
    return replace(table, rows=tuple(marked)), [note, *too_few_draws(draws, len(pairs))]


def too_few_draws(draws: int, tests: int) -> list[str]:
    """Return where no p can be small enough, however clear a difference is."""
    if tests / (draws + 1) < LEVEL:
        return []
    return [f"{draws:,} draws are too few to tell anything apart in {tests} tests (--resamples)"]


def _are_known(evidence: Evidence, cells: Iterable[int], metric: str) -> bool:
    """Return whether some cells have a metric by query."""
    members = (i for cell in cells for i in evidence.cells[cell].members)
    return all(has_values(evidence.results[i], metric) for i in members)


def _rivals(
    table: Table, whole: Sequence[int], column: int, baseline: str | None
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of cells that a column's daggers tell apart."""
    groups: dict[str, list[int]] = {}
    for cell, row in enumerate(whole):
        if not math.isnan(table.rows[row].cells[column].mean):
            groups.setdefault(table.rows[row].label[0], []).append(cell)
    for members in groups.values():
        if baseline:
            labels = {cell: table.rows[whole[cell]].label for cell in members}
            for cell in members:
                bases = [b for b in members if labels[b][1] == baseline and b != cell]
                agreeing = [b for b in bases if _agree(labels[b][2:], labels[cell][2:])]
                yield from ((cell, base) for base in agreeing[:1])
            continue
        places = {table.rows[whole[cell]].cells[column].place: cell for cell in members}
        if 0 in places and 1 in places:
            yield places[0], places[1]


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether cells have the same settings, as far as both have them."""
    return all(a == b or "" in (a, b) for a, b in zip(one, other, strict=True))


def _tests(evidence: Evidence, table: Table, pairs: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Return the p of each pair of cells, those of one setting from the same draws."""
    p = np.full(len(pairs), np.nan)
    for setting in {table.columns[column][0] for column, _, _ in pairs}:
        here = [i for i, (column, _, _) in enumerate(pairs) if table.columns[column][0] == setting]
        differences = []
        for i in here:
            column, a, b = pairs[i]
            parts = evidence.parts(setting, table.columns[column][1], {})
            first, second = (list(evidence.cells[cell].members) for cell in (a, b))
            differences.append(parts[:, first].mean(1) - parts[:, second].mean(1))
        p[here] = statistics.randomisation_test(np.stack(differences, axis=1), *evidence.chance)
    return p


def is_contaminated(result: Result) -> bool:
    """Return whether any text of the data set was trained on."""
    return bool(_contamination(result))


def _contamination(result: Result) -> str:
    """Return how much of the data set was trained on, if anything was."""
    counts = result.training.get("contamination", {})
    if not any(counts.values()):
        return ""
    totals = {role: f"{counts[role]:,} of {result.metrics[role]:,} {role}" for role in counts}
    return f"‡ {result.name}: {' and '.join(totals.values())} are among the training texts"


def _facts(result: Result) -> dict[str, str]:
    """Return what was done to get a result, as far as a fair comparison depends on it."""
    stages = result.stages
    facts = {
        key: str(value) for key, value in flat(result.config).items() if key != "sampler.alpha"
    }
    if words := stages.get("encode", {}).get("inputs", {}).get("dictionary"):
        facts["dictionary"] = str(words)
    for stage in ("encode", "evaluate"):
        own = stages.get(stage, {}).get("settings", {})
        skipped = {"encoder", "block_mb", "token_budget", "shard_size", "metrics"}
        facts |= {f"{stage}.{k}": str(v) for k, v in own.items() if k not in skipped}
    train = stages.get("train", {})
    if "seed" in train.get("settings", {}):  # an untrained encoder saw nothing
        facts |= {"steps done": str(train["steps"]), "pairs seen": str(train["pairs"])}
    named = {"encoder": "encoder files"}
    inputs = train.get("inputs", {}).items()
    facts |= {named.get(name, f"data ({name})"): str(value) for name, value in inputs}
    return facts


def _series(evidence: Evidence, cell: StudyCell) -> Series:
    members = [evidence.results[i] for i in cell.members]
    every = [member.metrics for member in members]
    losses, validation = zip(*(_curves(member) for member in members), strict=True)
    name = " ".join(evidence.label(cell.config)[1:]).strip()
    alpha = cell.settings.get("alpha")
    return Series(
        evidence.dataset,
        str(cell.settings["encoder"]),
        cell.config.method,
        name,
        alpha if isinstance(alpha, float | int) else None,
        _averaged([metrics["settings"] for metrics in every]),
        {
            setting: {code: own["map"] for code, own in values.items() if "map" in own}
            for setting, values in _averaged(
                [metrics["by_query_language"] for metrics in every]
            ).items()
        },
        _averaged([metrics.get("bias", {}).get("mean_rank", {}) for metrics in every]),
        [line for line in losses if line],
        [line for line in validation if line],
    )


def _averaged(trees: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average the numbers of equal trees, leaf by leaf; what one lacks is left out."""
    made: dict[str, Any] = {}
    for key, value in trees[0].items():
        values = [tree.get(key) for tree in trees]
        if isinstance(value, Mapping):
            made[key] = _averaged([v or {} for v in values])
        elif None not in values:
            made[key] = float(np.mean([float(v or 0) for v in values]))
    return made


Curve = list[tuple[int, float]]


def _curves(result: Result) -> tuple[Curve, Curve]:
    """Read a run's training log: losses and validation losses by step."""
    losses, validation = [], []
    path = result.folder.parents[1] / "train" / "log.jsonl" if result.folder else None
    for line in path.read_text().splitlines() if path and path.exists() else ():
        try:
            said = json.loads(line)
        except ValueError:  # a line cut short: a curve can do without it
            continue
        if "loss" in said:
            losses.append((said["step"], said["loss"]))
        if "validation_loss" in said:
            validation.append((said["step"], said["validation_loss"]))
    return losses, validation
