"""What the batches of a run hold: counts of modes, languages, language pairs and rows."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from hbr.training.schedule import Batch, BatchSchedule, schedule_hash


class Summary(NamedTuple):
    """Counts of what some batches hold."""

    batches: int
    modes: dict[str, int]
    query_languages: dict[str, int]
    passage_languages: dict[str, int]
    pairs: dict[tuple[str, str], int]
    seen: dict[str, tuple[int, int, int]]  # data set: rows, distinct rows drawn, draws
    false_negatives: float  # share of (query, other passage) pairs with the same group
    hash: str


def summarise(schedule: BatchSchedule, batches: int) -> Summary:
    """Count what the first batches of a schedule hold, without keeping them."""
    modes: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    drawn = [np.zeros(len(data.group), dtype=np.int64) for data in schedule.datasets]
    masked = 0

    def count(batch: Batch) -> Batch:
        nonlocal masked
        data = schedule.datasets[batch.dataset]
        modes[batch.mode] += 1
        codes = batch.query_language * len(data.languages) + batch.passage_language
        for code, number in zip(*np.unique(codes, return_counts=True), strict=True):
            query, passage = divmod(int(code), len(data.languages))
            pairs[data.languages[query], data.languages[passage]] += int(number)
        drawn[batch.dataset][batch.rows] += 1
        _, sizes = np.unique(np.asarray(data.group)[batch.rows], return_counts=True)
        masked += int((sizes * (sizes - 1)).sum())
        return batch

    digest = schedule_hash(count(schedule.batch(step)) for step in range(batches))
    names = _distinct([data.name for data in schedule.datasets])
    seen = {
        name: (len(times), int((times > 0).sum()), int(times.sum()))
        for name, times in zip(names, drawn, strict=True)
    }
    possible = batches * schedule.batch_size * (schedule.batch_size - 1)
    return Summary(
        batches,
        dict(sorted(modes.items())),
        _by_language(pairs, side=0),
        _by_language(pairs, side=1),
        dict(sorted(pairs.items())),
        seen,
        masked / max(possible, 1),
        digest,
    )


def _by_language(pairs: Counter[tuple[str, str]], side: int) -> dict[str, int]:
    """Count the texts of each language on one side of the pairs: 0 queries, 1 passages."""
    counts: Counter[str] = Counter()
    for pair, count in pairs.items():
        counts[pair[side]] += count
    return dict(sorted(counts.items()))


def _distinct(names: list[str]) -> list[str]:
    """Add its position to each name that occurs more than once."""
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names, start=1)]
