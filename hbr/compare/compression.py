"""Compressed vectors: what a metric keeps when vectors are cut or quantized."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from hbr.compare.evidence import Evidence
from hbr.compare.fairness import warnings
from hbr.compare.robustness import with_shares
from hbr.compare.table import Table, name
from hbr.compare.tables import Column, columns_of, tabulate

KEPT = "in brackets: the share of the value of whole vectors; d: dimensions, B: bytes a vector"


def beside_whole(
    evidence: Sequence[Evidence],
) -> tuple[list[Evidence], list[tuple[Evidence, list[Evidence]]]]:
    """Set results of compressed vectors beside those of whole ones, where there are any.

    Returns the evidence that stands alone, and whole evidence with the compressed, largest first.
    """
    whole = {str(one.target): one for one in evidence if not one.target.compression}
    compressed: dict[str, list[Evidence]] = {}
    alone = []
    for one in evidence:
        same = str(replace(one.target, compression=None))
        if one.target.compression and same in whole:
            compressed.setdefault(same, []).append(one)
        else:
            alone.append(one)
    return alone, [
        (whole[of], sorted(several, key=lambda one: -bytes_of(one)))
        for of, several in compressed.items()
    ]


def bytes_of(evidence: Evidence) -> int:
    """Return the bytes of a compressed vector."""
    return int(evidence.results[0].metrics["bytes_per_vector"])


def compression(
    whole: Evidence,
    compressed: Sequence[Evidence],
    metrics: Sequence[str] | None,
    *,
    by: str | None = None,
    varied: Collection[str] = (),
) -> list[Table]:
    """Return a table a setting: a metric of whole vectors, and of each compression.

    The metric is the first of `metrics`, or mAP, or the first that there is.
    """
    shown = columns_of(whole, metrics or ["map"]) or columns_of(whole, None)
    notes = [line for one in (whole, *compressed) for line in warnings(one, varied)]
    tables = []
    for setting, metric in shown:
        if metric != shown[0][1]:
            continue
        columns = [Column(one, setting, metric) for one in (whole, *compressed)]
        title = f"{whole.dataset}: {setting} {name(metric)} of compressed vectors"
        heads = [("whole", metric)]
        heads += [(f"{e.target.compression}, {bytes_of(e)} B", metric) for e in compressed]
        table = replace(
            with_shares(tabulate(columns, title, by)),
            columns=tuple(heads),
            notes=(KEPT, *dict.fromkeys(notes)),
            of=tuple((c.evidence.dataset, setting, metric) for c in columns),
        )
        tables.append(table)
    return tables
