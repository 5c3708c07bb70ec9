"""Are runs compared fairly? What they differ in besides what is compared, and what they were
trained on.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from hbr.compare.evidence import Evidence
from hbr.compare.results import CENTER, Result
from hbr.core.errors import UserError
from hbr.core.settings.train import LOG_ONLY
from hbr.core.target import EvaluationTarget
from hbr.data.lookup import dataset

PER_ENCODER = frozenset(  # these go with the encoder: they may differ from one to another
    {
        *("encoder.pooling", "encoder.normalize", "encoder.revision", "encoder files"),
        *("train.learning_rate", "encoder.query_prompt", "encoder.passage_prompt"),
    }
)
IDLE = {"sampler.name", "sampler.alpha", "adapter.merge", *(f"train.{name}" for name in LOG_ONLY)}
NO_DIFFERENCE = {"encoder", "block_mb", "token_budget", "shard_size", "metrics"}  # of a stage
FOLLOWS = {  # facts that follow from a setting, and are not named beside it
    "train.max_steps": {"steps done", "pairs seen"},
    "train.batch_size": {"pairs seen"},
    "train.gradient_accumulation_steps": {"pairs seen"},
    "train.early_stopping_patience": {"steps done", "pairs seen"},
    "train.round": {"train.start_from", "encoder files", "data (miner)", "data (teacher)"},
}


class RunFacts(NamedTuple):
    """A run to be compared: its name, its encoder, and what was done, by name."""

    name: str
    encoder: str
    facts: Mapping[str, str]


def differences(runs: Sequence[RunFacts], varied: Collection[str]) -> list[str]:
    """Name every fact, other than those `varied` on purpose, in which runs differ.

    A fact that only some runs have (an untrained encoder has no steps) is compared among those.
    """
    lines = []
    for fact in dict.fromkeys(name for run in runs for name in run.facts):
        if fact in varied:
            continue
        for encoder in sorted({r.encoder for r in runs}) if fact in PER_ENCODER else [None]:
            values: dict[str, list[str]] = {}
            for run in runs:
                if fact in run.facts and encoder in (None, run.encoder):
                    values.setdefault(run.facts[fact], []).append(run.name)
            if len(values) > 1:
                lines.append(_line(fact, values))
    return lines


def _line(fact: str, values: Mapping[str, Sequence[str]]) -> str:
    parts = [
        f"{value} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
        for value, names in sorted(values.items(), key=lambda item: -len(item[1]))
    ]
    return f"runs differ in {fact}: {', '.join(parts)}"


def unfair(evidence: Evidence, varied: Collection[str]) -> list[str]:
    """Name what runs differ in besides sampler, encoder, seed, and what is varied on purpose."""
    if not evidence.has_queries:
        return []
    runs = [RunFacts(r.name, r.config.encoder.name, _facts(r)) for r in evidence.results]
    values = {key: {run.facts[key] for run in runs if key in run.facts} for key in FOLLOWS}
    differing = {key for key, some in values.items() if len(some) > 1}
    allowed = {fact for key in differing | set(varied) for fact in FOLLOWS.get(key, ())}
    if "data.train" in varied:
        allowed |= {fact for run in runs for fact in run.facts if fact.startswith("data (")}
    return differences(runs, {"sampler.name", "encoder.name", CENTER, *varied, *allowed})


def _facts(result: Result) -> dict[str, str]:
    """Return what was done to get a result, as far as a fair comparison depends on it."""
    config = result.config
    parts = {"sampler", "encoder"}
    if config.is_trained:
        parts |= {"data", "objective", "train", "adapter"} | config.sources_of_supervision
    sections = config.model_dump(mode="json", include=parts)
    if config.is_trained and not config.adapter.name:
        sections["adapter"] = {"name": None}
    facts = {f"{s}.{key}": str(v) for s, values in sections.items() for key, v in values.items()}
    facts = {key: value for key, value in facts.items() if key not in IDLE}
    for stage, entry in result.stages.items():
        if "versions" in entry:
            code = entry["versions"].get("hbr", "?"), entry.get("commit") or "no commit"
            facts[f"hbr ({stage})"] = ", ".join(code)
    if words := result.stages.get("encode", {}).get("inputs", {}).get("dictionary"):
        facts["dictionary"] = str(words)
    for stage in ("encode", "index", "evaluate"):
        of_stage = result.stages.get(stage, {}).get("settings", {})
        facts |= {f"{stage}.{k}": str(v) for k, v in of_stage.items() if k not in NO_DIFFERENCE}
    train = result.stages.get("train", {})
    if "seed" in train.get("settings", {}):  # an untrained encoder saw nothing
        facts |= {"steps done": str(train["steps"]), "pairs seen": str(train["pairs"])}
    for name, value in train.get("inputs", {}).items():
        facts["encoder files" if name == "encoder" else f"data ({name})"] = str(value)
    return facts


def contamination(metrics: Mapping[str, Any]) -> str:
    """Return how much of a data set was trained on, as a sentence; "" where nothing was.

    `metrics` is the content of `metrics.json`.
    """
    parts = []
    for kind, among in (
        ("contamination", "among the training texts"),
        ("near_duplicates", "nearly so"),
        ("validation", "among the validation texts, by which the checkpoint was chosen"),
    ):
        counts = metrics.get("training", {}).get(kind, {})
        if any(counts.values()):
            shares = [f"{count:,} of {metrics[role]:,} {role}" for role, count in counts.items()]
            parts.append(f"{' and '.join(shares)} are {among}")
    return "; ".join(parts)


def part(metrics: Mapping[str, Any]) -> str:
    """Return how much of a published data set was evaluated on, in words; "" for the whole.

    `metrics` is the content of `metrics.json`.
    """
    name = EvaluationTarget.parse(metrics["dataset"]).dataset
    if "queries" not in metrics:  # printed figures
        return ""
    try:
        entry = dataset(name)
    except UserError:  # from outside, and not installed here
        return ""
    some = entry.part(metrics["queries"], len(metrics["languages"]))
    return f"a part of {name}, {some}: no figure of the whole compares with these" if some else ""


def _languages_seen(evidence: Evidence) -> list[str]:
    """Return a note where runs were trained on different languages."""
    seen = {
        " ".join(result.metrics.get("training", {}).get("languages", ()))
        for result in evidence.results
        if result.config.is_trained and evidence.has_queries
    }
    if len(seen) < 2:
        return []
    return [f"languages trained on differ ({' | '.join(sorted(seen))}); seen: by any of the runs"]


def warnings(evidence: Evidence, varied: Collection[str] = ()) -> list[str]:
    """Return what limits trust: unfair comparisons, contamination, missing runs."""
    parts = dict.fromkeys(part(result.metrics) for result in evidence.results)
    lines = [
        *filter(None, parts),
        *unfair(evidence, varied),
        *_languages_seen(evidence),
    ]
    for result in evidence.results:
        if sentence := contamination(result.metrics):
            lines.append(f"‡ {result.name}: {sentence}")
    missing = sum(cell.expected - len(cell.members) for cell in evidence.cells)
    if missing:
        lines.append(f"provisional: {missing} of the study's runs have no results yet")
    return lines
