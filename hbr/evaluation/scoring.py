"""Metrics by query from the ranks of the relevant passages, and their averages."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hbr.core.target import Measure
from hbr.data.tasks import Task
from hbr.evaluation.bias import NOWHERE, Pool, pool_share
from hbr.retrieval.exact import Ranks, relevant_pairs


class Scores(NamedTuple):
    """Metrics of queries, (queries,), in one setting; `passage_language` is -1 for the pool.

    `pool_rank` is the mean rank in the pool of the relevant passages in that language.
    """

    query: np.ndarray
    passage_language: np.ndarray
    values: dict[Measure, np.ndarray]
    pool_rank: np.ndarray | None = None

    def where(self, chosen: np.ndarray) -> "Scores":
        """Return the scores of some queries."""
        assert self.pool_rank is not None
        values = {measure: value[chosen] for measure, value in self.values.items()}
        language = self.passage_language[chosen]
        return Scores(self.query[chosen], language, values, self.pool_rank[chosen])


class _Lists:
    """Lays the values of pairs out in a row for each group of equal keys, by ascending rank."""

    def __init__(self, key: np.ndarray, ranks: np.ndarray) -> None:
        self.order = np.lexsort((ranks, key))
        self.starts = np.flatnonzero(np.diff(key, prepend=-1))
        self.sizes = np.diff(self.starts, append=len(key))
        self.line = np.repeat(np.arange(len(self.starts)), self.sizes)
        self.column = np.arange(len(key)) - self.starts[self.line]

    def table(self, values: np.ndarray, padding: float) -> np.ndarray:
        """Return values (pairs,) as (groups, largest group)."""
        shape = len(self.starts), int(self.sizes.max(initial=1))
        table = np.full(shape, padding, dtype=values.dtype)
        table[self.line, self.column] = values[self.order]
        return table


class _Judged(NamedTuple):
    """All that is judged relevant for each query, (pairs,): ranks of what is absent are infinite.

    In order of queries, and of the languages of the passages.
    """

    query: np.ndarray
    language: np.ndarray
    gain: np.ndarray
    block: np.ndarray
    pool: np.ndarray

    @classmethod
    def of(cls, task: Task, ranks: Ranks) -> "_Judged":
        """Return the ranks of a task's passages with what is absent among them."""
        gain = relevant_pairs(task.concept, task.indptr, task.gain)[1]
        language = task.passage_language[ranks.passage]
        there = cls(ranks.query, language, gain, ranks.block, ranks.pool)
        if not task.absent:
            return there
        concept, names, _, worth = map(np.array, zip(*task.absent, strict=True))
        indptr = np.searchsorted(concept, np.arange(len(task.indptr)))
        query, place = relevant_pairs(task.concept, indptr, np.arange(len(concept)))
        codes = np.searchsorted(task.languages, names).astype(language.dtype)
        nowhere = np.full(len(query), np.inf)
        more = cls(query, codes[place], worth[place], nowhere, nowhere)
        together = [np.concatenate(pair) for pair in zip(there, more, strict=True)]
        order = np.lexsort((together[1], together[0]))
        return cls(*(values[order] for values in together))


def score_languages(task: Task, ranks: Ranks, measures: Sequence[Measure]) -> Scores:
    """Score the ranks within the passages of each language, query by query."""
    query, language, gain, block, pool = _Judged.of(task, ranks)
    lists = _Lists(query * (int(language.max(initial=0)) + 1) + language, block)
    within, gains = lists.table(block.astype(float), np.inf), lists.table(gain, 0)
    values = {
        measure: _from_ranks(measure, within, lists.sizes, gains)
        for measure in measures
        if measure.metric.reads == "ranks"
    }
    pool_rank = np.add.reduceat(pool, lists.starts) / lists.sizes
    return Scores(query[lists.starts], language[lists.starts], values, pool_rank)


def score_settings(
    task: Task, ranks: Ranks, measures: Sequence[Measure], by_language: Scores
) -> dict[str, Scores]:
    """Return the scores in each setting of the task that has queries: mono, cross, multi."""
    same = task.query_language[by_language.query] == by_language.passage_language
    settings = {"mono": by_language.where(same), "cross": by_language.where(~same)}
    if "multi" in task.settings:
        settings["multi"] = _score_pool(task, ranks, measures)
    return {s: v for s, v in settings.items() if s in task.settings and len(v.query)}


def average(task: Task, settings: Mapping[str, Scores]) -> dict[str, Any]:
    """Average scores: mono and cross over language pairs, multi over query languages."""
    averages: dict[str, Any] = {"settings": {}, "by_query_language": {}, "by_pair": {}}
    number = len(task.languages)
    for setting, scores in settings.items():
        groups = task.query_language[scores.query].astype(np.int64) * number
        groups += 0 if setting == "multi" else scores.passage_language
        codes, which = np.unique(groups, return_inverse=True)
        sizes = np.bincount(which)
        means = {str(m): np.bincount(which, v) / sizes for m, v in scores.values.items()}
        source, target = codes // number, codes % number
        if setting != "multi":
            for i, (query, passage) in enumerate(zip(source, target, strict=True)):
                pair = f"{task.languages[query]}->{task.languages[passage]}"
                averages["by_pair"][pair] = _mean(means, np.array([i]))
        averages["by_query_language"][setting] = {
            task.languages[code]: _mean(means, np.flatnonzero(source == code))
            for code in np.unique(source)
        }
        averages["settings"][setting] = _mean(means, np.arange(len(codes)))
    return averages


def _score_pool(task: Task, ranks: Ranks, measures: Sequence[Measure]) -> Scores:
    """Score the ranks in the pool of all languages, query by query."""
    judged = _Judged.of(task, ranks)
    lists = _Lists(judged.query, judged.pool)
    query, gains = judged.query[lists.starts], lists.table(judged.gain, 0)
    pool = Pool(
        lists.table(judged.pool.astype(float), np.inf),
        lists.table(judged.language, NOWHERE),
        lists.sizes,
        np.where(ranks.top < 0, NOWHERE, task.passage_language[ranks.top])[query],
        task.query_language[query],
        pool_share(task.passage_language, len(task.languages)),
    )
    values = {
        measure: _from_ranks(measure, pool.ranks, pool.relevant, gains)
        if measure.metric.reads == "ranks"
        else _from_pool(measure, pool, len(task.passage_language))
        for measure in measures
    }
    return Scores(query, np.full(len(query), NOWHERE), values)


def _from_ranks(
    measure: Measure, ranks: np.ndarray, relevant: np.ndarray, gains: np.ndarray
) -> np.ndarray:
    graded = {"gains": gains} if measure.metric.graded else {}
    with np.errstate(invalid="ignore"):
        return measure.metric.compute(ranks, relevant, measure.cutoff, **graded)


def _from_pool(measure: Measure, pool: Pool, passages: int) -> np.ndarray:
    """Compute a measure of bias; NaN where an index searched less deep than its cut-off."""
    cutoff = measure.cutoff
    if cutoff and pool.top.shape[1] < min(cutoff, passages):
        return np.full(len(pool.top), np.nan)
    return measure.metric.compute(pool, cutoff)


def _mean(means: Mapping[str, np.ndarray], groups: np.ndarray) -> dict[str, float | None]:
    """Average some groups; None where a metric is not defined for one of them."""
    averages = {name: float(values[groups].mean()) for name, values in means.items()}
    return {name: value if np.isfinite(value) else None for name, value in averages.items()}
