"""Compressed vectors: what a metric keeps when vectors are cut or quantized."""

import math
from collections.abc import Collection, Mapping, Sequence

from hbr.compare.evidence import Evidence
from hbr.compare.fairness import warnings
from hbr.compare.robustness import with_shares
from hbr.compare.table import Table, name
from hbr.compare.tables import Column, columns_of
from hbr.core import languages

KEPT = "in brackets: the share of the value of whole vectors; d: dimensions, B: bytes a vector"


def compression(
    whole: Evidence,
    compressed: Sequence[Evidence],
    metrics: Sequence[str] | None,
    *,
    by: str | None = None,
    varied: Collection[str] = (),
) -> list[Table]:
    """Return a table a setting: a metric of whole vectors, and of each compression, largest first.

    The metric is the first of `metrics`, or mAP, or the first that there is.
    """
    shown = columns_of(whole, metrics or ["map"]) or columns_of(whole, None)
    compressed = sorted(compressed, key=lambda one: -_bytes(one))
    notes = [KEPT, *(line for one in (whole, *compressed) for line in warnings(one, varied))]
    tables = []
    for setting, metric in shown:
        if metric != shown[0][1]:
            continue
        columns = [Column(one, setting, metric) for one in (whole, *compressed)]
        title = f"{whole.dataset}: {setting} {name(metric)} of compressed vectors"
        heads = ["whole", *(f"{e.target.compression}, {_bytes(e)} B" for e in compressed)]
        tables.append(with_shares(columns, heads, title, by, notes))
    return tables


def share_kept(whole: Mapping[str, float], other: Mapping[str, float], tier: str) -> float:
    """Return the share of whole vectors' values that queries in languages of a tier keep.

    Both are values by query language, `tier` is one of resources. NaN where nothing can be kept.
    """
    codes = [code for code in whole if languages.group("resource", code, None) == tier]
    total = sum(whole[code] for code in codes)
    return sum(other[code] for code in codes) / total if total else math.nan


def _bytes(evidence: Evidence) -> int:
    """Return the bytes of a compressed vector."""
    return int(evidence.results[0].metrics["bytes_per_vector"])
