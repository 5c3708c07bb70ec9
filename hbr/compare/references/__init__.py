"""Printed results of papers, and the claims they make of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hbr.compare.claims import Claim
from hbr.compare.results import Result
from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.registry import near

ABOUT = ("dataset", "encoder", "setting", "metric")  # what a printed table is about


class Reference(NamedTuple):
    """A paper's figures and claims; `notes`, by data set, say what must be known of them."""

    name: str
    title: str
    source: str
    notes: tuple[tuple[str | None, str], ...]
    results: tuple[Result, ...]
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
    return Reference(
        name,
        content["title"],
        content["source"],
        tuple((note["dataset"], note["says"]) for note in content["notes"]),
        tuple(_results(content["tables"], f"as printed in {content['source']}")),
        tuple(Claim.model_validate(claim) for claim in content["claims"]),
    )


def _results(tables: Sequence[Mapping[str, Any]], protocol: str) -> Iterator[Result]:
    """Yield what tables, each of one setting and metric, hold of each encoder and sampler."""
    results: dict[tuple[str, str, str], dict[str, Any]] = {}
    for table in tables:
        dataset, encoder, setting, metric = map(table["about"].get, ABOUT)
        for sampler, mean in table["mean"].items():
            metrics = results.setdefault(
                (dataset, encoder, sampler),
                {
                    "dataset": dataset,
                    "protocol": protocol,
                    "settings": {},
                    "by_query_language": {},
                    "languages": table["languages"],
                },
            )
            metrics["settings"].setdefault(setting, {})[metric] = mean
            by_language = metrics["by_query_language"].setdefault(setting, {})
            for language, value in zip(table["languages"], table[sampler], strict=True):
                by_language.setdefault(language, {})[metric] = value
    for (_, encoder, sampler), metrics in results.items():
        yield Result(resolve_config({"encoder": encoder, "sampler": sampler}), metrics)
