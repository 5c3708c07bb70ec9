"""Printed results of papers, and the claims they make of them."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hbr.compare.claims import Claim
from hbr.core.errors import UserError
from hbr.core.registry import near


class Printed(NamedTuple):
    """What a paper prints of one encoder under one sampler: `metrics` as in `metrics.json`."""

    encoder: str
    sampler: str
    metrics: Mapping[str, Any]


class Reference(NamedTuple):
    """A paper's figures and claims; `notes`, by data set, say what must be known of them."""

    name: str
    title: str
    source: str
    notes: tuple[tuple[str | None, str], ...]
    results: tuple[Printed, ...]
    claims: tuple[Claim, ...]


def names() -> list[str]:
    """Return the names of all references."""
    paths = [Path(path.name) for path in files(__package__).iterdir()]
    return sorted(path.stem for path in paths if path.suffix == ".yaml")


@cache
def reference(name: str) -> Reference:
    """Read a reference. Raises UserError for one that does not exist."""
    if name not in names():
        raise UserError(f"there is no reference {name!r}{near(name, names())}")
    text = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    misprints = content["misprints"]
    return Reference(
        name,
        content["title"],
        content["source"],
        (
            *((misprint["dataset"], _note(misprint)) for misprint in misprints),
            *((note["dataset"], note["says"]) for note in content["notes"]),
        ),
        tuple(_results(content, {_key(m): m["languages"] for m in misprints})),
        tuple(Claim.model_validate(claim) for claim in content["claims"]),
    )


def _note(misprint: Mapping[str, Any]) -> str:
    return (
        "{encoder} {sampler} on {dataset}, {setting} {metric}: prints {printed:.4f}, but its "
        "languages have the mean {languages:.4f}, which is shown".format(**misprint)
    )


def _results(
    content: Mapping[str, Any], corrected: Mapping[tuple[str, ...], float]
) -> Iterator[Printed]:
    """Yield the printed results, with the means that are corrected."""
    results: dict[tuple[str, str, str], dict[str, Any]] = {}
    for table in content["tables"]:
        for sampler, mean in table["mean"].items():
            about = table["about"] | {"sampler": sampler}
            key = (about["dataset"], about["encoder"], sampler)
            metrics = results.setdefault(key, _empty(about, content["source"], table["languages"]))
            by_language = dict(zip(table["languages"], table[sampler], strict=True))
            _add(metrics, about, corrected.get(_key(about), mean), by_language)
    for (_, encoder, sampler), metrics in results.items():
        yield Printed(encoder, sampler, metrics)


def _key(about: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(about[k] for k in ("dataset", "encoder", "setting", "metric", "sampler"))


def _empty(about: Mapping[str, str], source: str, languages: list[str]) -> dict[str, Any]:
    return {
        "dataset": about["dataset"],
        "protocol": f"as printed in {source}",
        "settings": {},
        "by_query_language": {},
        "by_pair": {},
        "languages": languages,
    }


def _add(
    metrics: dict[str, Any], about: Mapping[str, str], mean: float, values: Mapping[str, float]
) -> None:
    setting, metric = about["setting"], about["metric"]
    metrics["settings"].setdefault(setting, {})[metric] = mean
    by_language = metrics["by_query_language"].setdefault(setting, {})
    for language, value in values.items():
        by_language.setdefault(language, {})[metric] = value
