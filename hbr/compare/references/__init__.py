"""Printed results of papers, and the claims they make of them."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
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
    found = (path.name for path in files(__package__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


@cache
def reference(name: str) -> Reference:
    """Read a reference. Raises UserError for one that there is not."""
    if name not in names():
        raise UserError(f"there is no reference {name!r}{near(name, names())}")
    text = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    misprints = {_key(m): m["languages"] for m in content["misprints"]}
    told = [
        (
            m["dataset"],
            f"{m['encoder']} {m['sampler']} on {m['dataset']}, {m['setting']} {m['metric']}: "
            f"prints {m['printed']:.4f}, but its languages have the mean {m['languages']:.4f}, "
            "which is shown",
        )
        for m in content["misprints"]
    ]
    results: dict[tuple[str, str, str], dict[str, Any]] = {}
    for table in content["tables"]:
        for sampler, mean in table["mean"].items():
            about = table["about"] | {"sampler": sampler}
            key = (about["dataset"], about["encoder"], sampler)
            metrics = results.setdefault(key, _empty(about, content["source"], table["languages"]))
            value = misprints.get(_key(about), mean)
            _add(metrics, about, value, dict(zip(table["languages"], table[sampler], strict=True)))
    return Reference(
        name,
        content["title"],
        content["source"],
        (*told, *((note["dataset"], note["says"]) for note in content["notes"])),
        tuple(Printed(encoder, sampler, m) for (_, encoder, sampler), m in results.items()),
        tuple(Claim.model_validate(claim) for claim in content["claims"]),
    )


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
