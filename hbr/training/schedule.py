"""Batches as a pure function of (seed, step): no cursor, no state that a run could lose.

For step s:

1. one number chooses the mode and one a data set among those that can serve the mode, with
   probability proportional to size ** size_exponent; translations, of which a text in the same
   language is the text itself, serve cross-lingual modes alone;
2. one number chooses the language (monolingual) among those of the data set;
3. rows come from an *epoch shuffle*: the rows that can serve this choice, in a seeded permutation
   per epoch, so that each is seen before any is seen twice. Choices that the same rows can serve
   share one: where every row has every language there is one over the data set;
4. for cross-lingual batches every row draws an ordered pair of different languages it has.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from hbr.core.errors import UserError
from hbr.training.samplers import Choice, Mode, Weight, other_language

STEPS, PAIRS, SHUFFLE, SWAPS, TRANSLATIONS = range(5)  # streams of random numbers, kept apart


class Parallel(Protocol):
    """What sampling needs to know of a data set: see `hbr.data.rows.Rows`."""

    @property
    def name(self) -> str: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def pivot(self) -> str | None: ...
    @property
    def has(self) -> np.ndarray: ...
    @property
    def group(self) -> np.ndarray: ...
    @property
    def translations(self) -> bool: ...


class Batch(NamedTuple):
    """Rows of one data set and the language of each row's query and passage, all (n,).

    Languages are positions in the data set's `languages`.
    """

    step: int
    mode: str
    dataset: int
    rows: np.ndarray
    query_language: np.ndarray
    passage_language: np.ndarray

    def part(self, rank: int, ranks: int) -> "Batch":
        """Return the slice of one rank; the slices join to the whole."""
        piece = np.array_split(np.arange(len(self.rows)), ranks)[rank]
        return self._replace(
            rows=self.rows[piece],
            query_language=self.query_language[piece],
            passage_language=self.passage_language[piece],
        )


def translations(batch: Batch, has: np.ndarray, seed: int) -> np.ndarray:
    """Return each row of a batch another language of its passage, or the same if it has no other."""
    u = np.random.default_rng([seed, TRANSLATIONS, batch.step]).random(len(batch.rows))
    return other_language(has, batch.passage_language, u)


def swapped(
    batch: Batch, has: np.ndarray, share: float, seed: int, *, queries: bool, passages: bool
) -> Batch:
    """Swap texts of a batch for those of their rows in another language, each by itself.

    `has` (n, languages) is of the batch's rows, `share` the probability of a swap.
    """
    u = np.random.default_rng([seed, SWAPS, batch.step]).random((4, len(batch.rows)))

    def drawn(language: np.ndarray, u: np.ndarray) -> np.ndarray:
        return np.where(u[0] < share, other_language(has, language, u[1]), language)

    asked, told = batch.query_language, batch.passage_language
    return batch._replace(
        query_language=drawn(asked, u[:2]) if queries else asked,
        passage_language=drawn(told, u[2:]) if passages else told,
    )


class EpochShuffle:
    """Seeded permutations of the eligible rows, one after another, cut into batches.

    Where a batch takes the end of one permutation and the start of the next, rows that the end
    holds stand back in the start, so that no batch holds a row twice.
    """

    def __init__(self, eligible: np.ndarray, batch_size: int, seed: tuple[int, ...]) -> None:
        self.eligible = eligible  # (n,) row numbers
        self.batch_size = batch_size
        self.seed = seed
        self.order = functools.lru_cache(maxsize=2)(self._order)

    def take(self, batch: int) -> np.ndarray:
        """Return the rows of the batch with this number, counted from 0: (batch_size,)."""
        n, size = len(self.eligible), self.batch_size
        if n < 2 * size and n % size:
            return self.eligible[self._around(batch)]
        epoch, at = divmod(batch * size, n)
        rows = self.order(epoch)[at : at + size]
        if len(rows) < size:
            rows = np.concatenate([rows, self.order(epoch + 1)[: size - len(rows)]])
        return self.eligible[rows]

    def _order(self, epoch: int) -> np.ndarray:
        order = self._permutation(epoch)
        carried = epoch * len(order) % self.batch_size  # rows its first batch has from before
        if carried == 0:
            return order
        # Standing back moves rows within the first batch_size places only, and there are twice
        # as many: the end of the epoch before is the end of its plain permutation.
        clash = np.isin(order, self._permutation(epoch - 1)[-carried:])
        first = np.flatnonzero(~clash)[: self.batch_size - carried]
        return np.concatenate([order[first], np.delete(order, first)])

    def _around(self, batch: int) -> np.ndarray:
        """Fewer than two batches of rows: go around one permutation till batches repeat."""
        n, size = len(self.eligible), self.batch_size
        lap, at = divmod(batch, n)
        return self._permutation(lap)[(at * size + np.arange(size)) % n]

    def _permutation(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([*self.seed, number])
        return rng.permutation(np.arange(len(self.eligible), dtype=np.uint32))


class BatchSchedule:
    """All batches of a run: `schedule.batch(step)` is a pure function of the seed and the step.

    Raises UserError where a batch could not be filled, or no data set can serve a mode.
    """

    def __init__(
        self,
        datasets: Sequence[Parallel],
        mix: Mapping[Mode, Weight],
        *,
        batch_size: int,
        seed: int,
        steps: int,
        size_exponent: float = 1.0,
    ) -> None:
        self.datasets, self.batch_size, self.seed, self.steps = datasets, batch_size, seed, steps
        if not mix:
            raise UserError("this sampler makes no batches")
        self.modes = list(mix)
        weights = [w if isinstance(w, tuple) else (w, w) for w in mix.values()]
        self.weights = np.array(weights, dtype=float)  # (modes, first and last step)
        self.choices = [[self._choices(data, mode) for data in datasets] for mode in self.modes]
        self._check()
        sizes = np.array([data.has.any(1).sum() for data in datasets], dtype=float) ** size_exponent
        serves = np.array([[bool(choices) for choices in line] for line in self.choices])
        self.shares = np.cumsum(serves * sizes, axis=1)  # (modes, datasets)
        self.shuffles: dict[int, EpochShuffle] = {}
        self._drawn = np.zeros((0, 3), dtype=np.int64)
        self._shuffle = self._number = np.zeros(0, dtype=np.int64)

    def batch(self, step: int) -> Batch:
        """Return the global batch of a step, counted from 0."""
        self._draw_until(step)
        mode, dataset, choice = (int(i) for i in self._drawn[step])
        rows = (
            self.shuffles[int(self._shuffle[step])].take(int(self._number[step])).astype(np.int64)
        )
        has = np.asarray(self.datasets[dataset].has[rows])
        u = np.random.default_rng([self.seed, PAIRS, step]).random((len(rows), 2))
        query, passage = self.choices[mode][dataset][choice].draw(has, u)
        return Batch(step, self.modes[mode].name, dataset, rows, query, passage)

    def _choices(self, data: Parallel, mode: Mode) -> list[Choice]:
        if data.translations and not mode.cross_lingual:
            return []
        return mode.choices(np.asarray(data.has), data.languages, data.pivot)

    def _check(self) -> None:
        for mode, weight, by_dataset in zip(self.modes, self.weights, self.choices, strict=True):
            if weight.max() == 0:
                continue
            if not any(by_dataset):
                names = ", ".join(data.name for data in self.datasets)
                bitext = any(data.translations for data in self.datasets)
                why = "; translations serve --sampler cross-lingual alone" if bitext else ""
                raise UserError(f"no data set can serve {mode.name} batches: {names}{why}")
            for data, choices in zip(self.datasets, by_dataset, strict=True):
                for choice in choices:
                    rows = int(choice.eligible.sum())
                    if rows < self.batch_size:
                        raise UserError(
                            f"{data.name}: {rows} rows can serve {mode.name} batches "
                            f"({choice.label}), fewer than the batch size {self.batch_size}; "
                            "use a smaller --batch-size or name the languages to train on with "
                            "--set data.languages=[…]"
                        )

    def _draw_until(self, step: int) -> None:
        """Draw mode, data set and choice of the first steps, and number each within its shuffle."""
        if step < len(self._drawn):
            return
        steps = max(step + 1, 2 * len(self._drawn), min(self.steps, 4096))
        u = np.random.default_rng([self.seed, STEPS]).random((steps, 3))
        progress = np.clip(np.arange(steps) / max(self.steps - 1, 1), 0, 1)
        weights = self.weights[:, :1] + progress * np.diff(self.weights, axis=1)  # (modes, steps)
        bounds = np.cumsum(weights / weights.sum(0), axis=0)
        mode = np.minimum((u[:, 0] >= bounds).sum(0), len(self.modes) - 1)
        shares = self.shares[mode]  # (steps, datasets)
        dataset = (u[:, 1:2] * shares[:, -1:] >= shares).sum(1)
        counts = np.array([[len(choices) for choices in line] for line in self.choices])
        choice = (u[:, 2] * counts[mode, dataset]).astype(np.int64)
        self._drawn = np.stack([mode, dataset, choice], axis=1)
        places, which = np.unique(self._drawn, axis=0, return_inverse=True)
        self._shuffle = np.array([self._shuffle_of(*map(int, place)) for place in places])[which]
        self._number = np.empty(steps, dtype=np.int64)
        for shuffle in np.unique(self._shuffle):
            here = self._shuffle == shuffle
            self._number[here] = np.arange(here.sum())

    def _shuffle_of(self, mode: int, dataset: int, choice: int) -> int:
        """Return the epoch shuffle of a choice, known by a digest of the rows that can serve it."""
        eligible = self.choices[mode][dataset][choice].eligible
        packed = np.packbits(eligible).tobytes()
        digest = hashlib.blake2b(packed, digest_size=7, key=bytes([dataset])).digest()
        number = int.from_bytes(digest, "little")
        if number not in self.shuffles:
            seed = (self.seed, SHUFFLE, number)
            self.shuffles[number] = EpochShuffle(np.flatnonzero(eligible), self.batch_size, seed)
        return number


def schedule_hash(batches: Iterable[Batch]) -> str:
    """Return a digest that is equal for equal rows and languages in equal order only."""
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(f"{batch.dataset}:".encode())
        for part in (batch.rows, batch.query_language, batch.passage_language):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def same_group(group: np.ndarray) -> np.ndarray:
    """Return which passages of a batch may not be negatives of which queries: (n, n), diagonal False.

    They belong to rows of the same group (n,): the same passage, or a translation of it.
    """
    same = group[:, None] == group
    np.fill_diagonal(same, False)
    return same


class Summary(NamedTuple):
    """What some batches hold, counted."""

    batches: int
    modes: dict[str, int]
    query_languages: dict[str, int]
    passage_languages: dict[str, int]
    pairs: dict[tuple[str, str], int]
    seen: dict[str, tuple[int, int, int]]  # data set -> rows, different rows seen, rows drawn
    false_negatives: float  # share of (query, other passage) pairs with the same group
    hash: str


def _unlike(names: list[str]) -> list[str]:
    """Tell equal names apart by their place."""
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names, start=1)]


def summarise(schedule: BatchSchedule, batches: int) -> Summary:
    """Count what the first batches of a schedule hold."""
    modes: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    seen = [np.zeros(len(data.group), dtype=np.int64) for data in schedule.datasets]
    masked = 0

    def counted(batch: Batch) -> Batch:
        nonlocal masked
        data = schedule.datasets[batch.dataset]
        modes[batch.mode] += 1
        codes = batch.query_language * len(data.languages) + batch.passage_language
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            query, passage = divmod(int(code), len(data.languages))
            pairs[data.languages[query], data.languages[passage]] += int(count)
        seen[batch.dataset][batch.rows] += 1
        _, counts = np.unique(np.asarray(data.group)[batch.rows], return_counts=True)
        masked += int((counts * (counts - 1)).sum())
        return batch

    digest = schedule_hash(counted(schedule.batch(step)) for step in range(batches))  # none is kept
    queries: Counter[str] = Counter()
    passages: Counter[str] = Counter()
    for (query_language, passage_language), count in pairs.items():
        queries[query_language] += count
        passages[passage_language] += count
    names = _unlike([data.name for data in schedule.datasets])
    possible = batches * schedule.batch_size * (schedule.batch_size - 1)
    return Summary(
        batches,
        dict(sorted(modes.items())),
        dict(sorted(queries.items())),
        dict(sorted(passages.items())),
        dict(sorted(pairs.items())),
        {
            name: (len(count), int((count > 0).sum()), int(count.sum()))
            for name, count in zip(names, seen, strict=True)
        },
        masked / max(possible, 1),
        digest,
    )
