"""Are runs compared fairly? What they differ in beside what is compared."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

Facts = Mapping[str, str]  # what was done, by name
PER_ENCODER = frozenset(  # these go with the encoder: they may differ from one to another
    {
        *("encoder.pooling", "encoder.normalize", "encoder.revision", "encoder files"),
        *("train.learning_rate", "encoder.query_prompt", "encoder.passage_prompt"),
    }
)


class Subject(NamedTuple):
    """A run to be compared: its name, its encoder, and what was done."""

    name: str
    encoder: str
    facts: Facts


def differences(runs: Sequence[Subject], varied: Collection[str]) -> list[str]:
    """Name every fact, other than those `varied` on purpose, in which runs differ.

    A fact that only some runs have (an untrained encoder has no steps) is compared among those.
    """
    told = []
    for fact in dict.fromkeys(name for run in runs for name in run.facts):
        if fact in varied:
            continue
        for encoder in sorted({r.encoder for r in runs}) if fact in PER_ENCODER else [None]:
            values: dict[str, list[str]] = {}
            for run in runs:
                if fact in run.facts and encoder in (None, run.encoder):
                    values.setdefault(run.facts[fact], []).append(run.name)
            if len(values) > 1:
                told.append(_line(fact, values))
    return told


def _line(fact: str, values: Mapping[str, Sequence[str]]) -> str:
    shown = [
        f"{value} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
        for value, names in sorted(values.items(), key=lambda item: -len(item[1]))
    ]
    return f"runs differ in {fact}: {', '.join(shown)}"
