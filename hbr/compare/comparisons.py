"""Comparisons: the pairs and trends of cells that a claim stands for."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise, product
from typing import Any, NamedTuple

from hbr.compare.claims import Amount, Claim, matches, words_of
from hbr.compare.results import CENTER, word_of, written

GO_TOGETHER = frozenset({"sampler", "alpha"})  # a side that names one may differ in both
Weights = Mapping[int, float]  # by cell


class Condition(NamedTuple):
    """A weighted sum of cells that must lie above (`side` 1) or below (-1) a bound."""

    weights: Weights
    bound: float
    side: int


class Comparison(NamedTuple):
    """One of the comparisons that a claim stands for; it holds if all of its conditions do.

    It fails, too, where one of `vetoes` is violated: a trend has no step back between neighbours.

    `effect` are the weights of the difference that is shown, `base` those of what it is a share
    of. `missing` says what keeps it from being judged.
    """

    label: str
    effect: Weights
    base: Weights
    conditions: tuple[Condition, ...]
    missing: str = ""
    vetoes: tuple[Condition, ...] = ()

    @property
    def cells(self) -> list[int]:
        """The cells that the comparison rests on."""
        return sorted({cell for condition in self.conditions for cell in condition.weights})


def comparisons(
    claim: Claim,
    cells: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    varied: Collection[str],
) -> Iterator[Comparison]:
    """Yield the comparisons that a claim stands for.

    `cells` are settings by name, `values` those of the metric (NaN where not run), and `varied` the
    settings in which the cells differ.
    """
    keys = [claim.over] if claim.trend else chain.from_iterable(claim.sides)
    differing = {word_of(key) for key in chain(keys, *(claim.gap or ()))}
    differing |= GO_TOGETHER if differing & GO_TOGETHER else set()
    within = {*varied, "sampler"} if claim.within is None else claim.within
    agreeing = sorted({key for key in within if word_of(key) not in differing})
    lineup = _Lineup(claim, cells, values, agreeing)
    lined_up = lineup.trends if claim.trend else lineup.gaps if claim.gap else lineup.pairs
    for comparison in lined_up():
        unknown = any(math.isnan(values[i]) for i in comparison.cells)
        yield (
            comparison._replace(missing="not all of its cells were run") if unknown else comparison
        )


def absent(why: str) -> Comparison:
    """Return the comparison that cannot be made, and why."""
    return Comparison(why, {}, {}, (), why)


@dataclass(frozen=True)
class _Lineup:
    """The cells of a study as one claim sees them; compared ones agree in the settings `within`."""

    claim: Claim
    cells: Sequence[Mapping[str, Any]]
    values: Sequence[float]
    within: Sequence[str]

    def _named(self, side: Mapping[str, Any]) -> list[int]:
        """Return the cells that a side names; centred ones where it, or `where`, speaks of them."""
        word, where = word_of(CENTER), self.claim.where
        plain = {} if {word, CENTER} & {*where, *side} else {word: False}
        cells = [{word: False, **cell} for cell in self.cells]
        return [
            i for i, cell in enumerate(cells) if all(matches(cell, s) for s in (plain, where, side))
        ]

    def pairs(self) -> Iterator[Comparison]:
        """Yield the claim's subject beside each of its baselines, or beside the best of them."""
        subject, *baselines = self.claim.sides
        subjects = self._named(subject)
        if not subjects:
            yield absent(f"no cell of {words_of(subject)}")
        for i in subjects:
            partners = [self._partners(i, baseline) for baseline in baselines]
            for baseline, others in zip(baselines, partners, strict=True):
                if not others:
                    yield absent(f"no cell of {words_of(baseline)}{self._in_place(i)}")
            others = list(chain.from_iterable(partners))
            if self.claim.equal:
                others = [self._best(others)] if all(partners) else []
            for j in others:
                label = f"{self._name(i)} vs {self._name(j)}"
                yield self._comparison(i, label, {i: 1.0, j: -1.0}, {j: 1.0})

    def gaps(self) -> Iterator[Comparison]:
        """Yield the difference between two ends in the claim's subject beside that in a baseline.

        The ends of each agree in all that the claim does not name.
        """
        assert self.claim.gap is not None
        subject, *baselines = self.claim.sides
        first, second = self.claim.gap
        subjects = self._named({**subject, **first})
        if not subjects:
            yield absent(f"no cell of {words_of({**subject, **first})}")
        for i in subjects:
            for baseline in baselines:
                ends = [
                    self._partners(i, {**side, **end})
                    for side, end in ((subject, second), (baseline, first), (baseline, second))
                ]
                if not all(ends):
                    yield absent(f"no gap in {words_of(baseline)}{self._in_place(i)}")
                for other, j, k in product(*ends):
                    label = f"{words_of(subject)} vs {words_of(baseline)}"
                    effect = {i: 1.0, other: -1.0, j: -1.0, k: 1.0}
                    yield self._comparison(i, label, effect, {j: 1.0, k: -1.0})

    def _partners(self, i: int, baseline: Mapping[str, Any]) -> list[int]:
        """Return the cells of a baseline that agree with cell i in the settings that both have."""
        cell = self.cells[i]
        keys = [key for key in self.within if key in cell]
        return [
            j
            for j in self._named(baseline)
            if j != i and all(self.cells[j].get(key, cell[key]) == cell[key] for key in keys)
        ]

    def _best(self, partners: Sequence[int]) -> int:
        """Return the best of several cells, or one that was not run, if there is one."""
        missing = [j for j in partners if math.isnan(self.values[j])]
        sign = 1 if self.claim.measure.lower_is_better else -1
        return (missing or sorted(partners, key=lambda j: sign * self.values[j]))[0]

    def trends(self) -> Iterator[Comparison]:
        """Yield the trends over a setting, one for each group of cells that agree in the others."""
        over = self.claim.over
        groups: dict[str, list[int]] = {}
        for i in self._named({}):
            if isinstance(self.cells[i].get(over), int | float):
                agree = {key: self.cells[i][key] for key in self.within if key in self.cells[i]}
                groups.setdefault(str(agree), []).append(i)
        if not groups:
            yield absent(f"no cell has a number for {over}")
        for members in groups.values():
            if len({self.cells[i][over] for i in members}) < 3:
                yield absent(f"fewer than three values of {over}{self._in_place(members[0])}")
            else:
                yield self._trend(members)

    def _trend(self, members: Sequence[int]) -> Comparison:
        """Return the change along a least-squares line over the setting's whole range."""
        at = [float(self.cells[i][self.claim.over]) for i in members]
        middle, extent = sum(at) / len(at), max(at) - min(at)
        squares = sum((x - middle) ** 2 for x in at)
        line = {i: extent * (x - middle) / squares for i, x in zip(members, at, strict=True)}
        label = f"{self.claim.over} {min(at):g} to {max(at):g}"
        comparison = self._comparison(
            members[0], label, line, {i: 1 / len(members) for i in members}
        )
        points: dict[float, list[int]] = {}  # cells by their value, whose mean stands for it
        for x, i in sorted(zip(at, members, strict=True)):
            points.setdefault(x, []).append(i)
        if self.claim.trend != "flat":
            side = self.claim.side
            steps = [Condition(_step(a, b), 0.0, side) for a, b in pairwise(points.values())]
            return comparison._replace(vetoes=tuple(steps))
        pairs = [
            condition
            for a, b in combinations(points.values(), 2)
            for condition in _conditions(self.claim, _step(a, b), comparison.base)
        ]
        return comparison._replace(conditions=tuple(pairs))

    def _comparison(self, i: int, label: str, effect: Weights, base: Weights) -> Comparison:
        label = ": ".join(filter(None, (self._place(i), label)))
        return Comparison(label, effect, base, _conditions(self.claim, effect, base))

    def _place(self, i: int) -> str:
        """Name the settings in which compared cells agree with cell i."""
        values = (written(key, self.cells[i][key]) for key in self.within if key in self.cells[i])
        return ", ".join(filter(None, values))

    def _in_place(self, i: int) -> str:
        place = self._place(i)
        return f" in {place}" if place else ""

    def _name(self, i: int) -> str:
        """Name a cell: its sampler, α where the study has several, and what the claim names."""
        cell = self.cells[i]
        alphas = {c.get("alpha") for c in self.cells if c.get("sampler") == cell.get("sampler")}
        sampler = f"{cell['sampler']} α={cell['alpha']}" if len(alphas) > 1 else cell["sampler"]
        named = dict.fromkeys(key for side in self.claim.sides for key in side)
        told = {"sampler", "encoder", "alpha"}
        keys = [key for key in named if key in cell and word_of(key) not in told]
        return " ".join(filter(None, (sampler, *(written(key, cell[key]) for key in keys))))


def _step(before: Sequence[int], after: Sequence[int]) -> Weights:
    """Return the weights of the mean of some cells less that of others."""
    return {b: 1 / len(after) for b in after} | {a: -1 / len(before) for a in before}


def _conditions(claim: Claim, effect: Weights, base: Weights) -> tuple[Condition, ...]:
    """Return what must hold: an effect beyond one bound, or between two."""
    if claim.is_equivalence:
        assert claim.margin is not None
        return tuple(_condition(effect, base, claim.margin, side, -side) for side in (1, -1))
    return (_condition(effect, base, claim.by, claim.side, claim.side),)


def _condition(effect: Weights, base: Weights, amount: Amount, side: int, sign: int) -> Condition:
    """Compare an effect with plus or minus (`sign`) an amount, absolute or a share of the base."""
    if not amount.relative:
        return Condition(effect, sign * amount.value, side)
    share = sign * amount.value
    cells = sorted({*effect, *base})
    return Condition({i: effect.get(i, 0.0) - share * base.get(i, 0.0) for i in cells}, 0.0, side)
