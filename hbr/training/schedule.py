"""The batch schedule: a batch is a pure function of (seed, step), without a cursor or state.

For each step:

1. One random number chooses the mode, and one a data set among those that can serve the mode, with
   probability proportional to size ** size_exponent. Bitext serves cross-lingual modes alone: its
   passages are translations, and in the query's language the passage would be the query itself.
2. One random number chooses among the mode's choices for the data set: for a monolingual batch,
   one of its languages.
3. Rows come from an *epoch shuffle*: the rows that can serve the choice, in a seeded permutation
   per epoch, so that each is seen before any is seen twice. Choices that the same rows can serve
   share one shuffle.
4. The choice draws the languages of each row: for a cross-lingual batch, an ordered pair of
   different languages that the row has.
"""

import functools
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hbr.core.errors import UserError
from hbr.training.samplers import Choice, Mode, Weight, other_language

if TYPE_CHECKING:
    from hbr.data.rows import Rows

STEPS, PAIRS, SHUFFLE, SWAPS, TRANSLATIONS, NEGATIVES = range(
    6
)  # independent streams of random numbers


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

    def part(self, rank: int, world_size: int) -> "Batch":
        """Return the slice of one rank; the slices of all ranks join to the whole."""
        return self._replace(
            rows=np.array_split(self.rows, world_size)[rank],
            query_language=np.array_split(self.query_language, world_size)[rank],
            passage_language=np.array_split(self.passage_language, world_size)[rank],
        )


def translation_batch(batch: Batch, has: np.ndarray, seed: int) -> tuple[np.ndarray, Batch]:
    """Return the rows (m,) whose passages have a translation, and a batch of these translations.

    The language is drawn uniformly among the others of the row. `has` (n, languages) is of the
    batch's rows.
    """
    u = np.random.default_rng([seed, TRANSLATIONS, batch.step]).random(len(batch.rows))
    language = other_language(has, batch.passage_language, u)
    rows = np.flatnonzero(language != batch.passage_language)
    return rows, batch._replace(
        rows=batch.rows[rows],
        query_language=batch.query_language[rows],
        passage_language=language[rows],
    )


def swap_languages(
    batch: Batch, has: np.ndarray, share: float, seed: int, *, queries: bool, passages: bool
) -> Batch:
    """Replace texts of a batch by those of their rows in another language, each independently.

    `has` (n, languages) is of the batch's rows, `share` the probability of a swap.
    """
    u = np.random.default_rng([seed, SWAPS, batch.step]).random((4, len(batch.rows)))

    def swap(language: np.ndarray, u: np.ndarray) -> np.ndarray:
        return np.where(u[0] < share, other_language(has, language, u[1]), language)

    query, passage = batch.query_language, batch.passage_language
    return batch._replace(
        query_language=swap(query, u[:2]) if queries else query,
        passage_language=swap(passage, u[2:]) if passages else passage,
    )


class EpochShuffle:
    """Seeded permutations of the eligible rows, one after another, cut into batches.

    A batch may take the end of one permutation and the start of the next. The start then has none
    of the rows that the end has, so that no batch holds a row twice.
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
        carried = epoch * len(order) % self.batch_size  # into its first batch, from before
        if carried == 0:
            return order
        # This moves rows within the first batch_size places alone, and an epoch has at least twice
        # as many: the end of the previous epoch is the end of its plain permutation.
        clash = np.isin(order, self._permutation(epoch - 1)[-carried:])
        first = np.flatnonzero(~clash)[: self.batch_size - carried]
        return np.concatenate([order[first], np.delete(order, first)])

    def _around(self, batch: int) -> np.ndarray:
        """With fewer than two batches of rows: walk one permutation in circles, n batches long."""
        n, size = len(self.eligible), self.batch_size
        lap, at = divmod(batch, n)
        return self._permutation(lap)[(at * size + np.arange(size)) % n]

    def _permutation(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([*self.seed, number])
        return rng.permutation(np.arange(len(self.eligible), dtype=np.uint32))


class BatchSchedule:
    """All batches of a run: `schedule.batch(step)` is a pure function of the seed and the step.

    `mix` has the weight of each mode (see `Sampler`), `batch_size` is the global one. Raises
    UserError where a batch could not be filled, or no data set can serve a mode.
    """

    def __init__(
        self,
        datasets: Sequence["Rows"],
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
        if not (self.weights >= 0).all() or not 0 < self.weights.sum(0).min() < np.inf:
            named = ", ".join(f"{mode.name} {weight}" for mode, weight in mix.items())
            raise UserError(f"a sampler's weights are not negative, and some positive: {named}")
        self.choices = [[self._choices(data, mode) for data in datasets] for mode in self.modes]
        self._check()
        sizes = np.array([data.has.any(1).sum() for data in datasets], dtype=float) ** size_exponent
        serves = np.array([[bool(choices) for choices in line] for line in self.choices])
        self.shares = np.cumsum(serves * sizes, axis=1)  # (modes, datasets)
        self.shuffles: dict[int, EpochShuffle] = {}
        self._drawn = np.zeros((0, 3), dtype=np.int64)
        self._shuffle = self._number = np.zeros(0, dtype=np.int64)

    @property
    def eligible_rows(self) -> int:
        """The number of rows that can stand in a batch of some mode with a weight."""
        used = [line for line, w in zip(self.choices, self.weights, strict=True) if w.max() > 0]
        by_dataset = (itertools.chain(*lists) for lists in zip(*used, strict=True))
        return sum(
            int(np.logical_or.reduce([c.eligible for c in some] or [[False]]).sum())
            for some in by_dataset
        )

    def batch(self, step: int) -> Batch:
        """Return the global batch of a step, counted from 0."""
        self._draw_until(step)
        mode, dataset, choice = (int(i) for i in self._drawn[step])
        shuffle = self.shuffles[int(self._shuffle[step])]
        rows = shuffle.take(int(self._number[step])).astype(np.int64)
        has = np.asarray(self.datasets[dataset].has[rows])
        u = np.random.default_rng([self.seed, PAIRS, step]).random((len(rows), 2))
        query, passage = self.choices[mode][dataset][choice].draw(has, u)
        return Batch(step, self.modes[mode].name, dataset, rows, query, passage)

    def _choices(self, data: "Rows", mode: Mode) -> list[Choice]:
        if data.translations and not mode.cross_lingual:
            return []
        return mode.choices(np.asarray(data.has), data.languages, data.pivot)

    def _check(self) -> None:
        for mode, weight, by_dataset in zip(self.modes, self.weights, self.choices, strict=True):
            if weight.max() == 0:
                continue
            if not any(by_dataset):
                self._raise_unserved(mode)
            for data, choices in zip(self.datasets, by_dataset, strict=True):
                for choice in choices:
                    self._check_size(data, mode, choice)

    def _raise_unserved(self, mode: Mode) -> None:
        names = ", ".join(data.name for data in self.datasets)
        message = f"no data set can serve {mode.name} batches: {names}"
        if any(data.translations for data in self.datasets) and not mode.cross_lingual:
            message += (
                "; translations serve --sampler cross-lingual, or a sampler of your own whose "
                "modes all have cross_lingual=True"
            )
        raise UserError(message)

    def _check_size(self, data: "Rows", mode: Mode, choice: Choice) -> None:
        rows = int(choice.eligible.sum())
        if rows < self.batch_size:
            raise UserError(
                f"{data.name}: {rows} rows can serve {mode.name} batches ({choice.label}), fewer "
                f"than the batch size {self.batch_size}; use a smaller --batch-size or name the "
                "languages to train on with --set data.languages=[…]"
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
        """Return the epoch shuffle of a choice, identified by a digest of its eligible rows."""
        eligible = self.choices[mode][dataset][choice].eligible
        packed = np.packbits(eligible).tobytes()
        digest = hashlib.blake2b(packed, digest_size=7, key=bytes([dataset])).digest()
        number = int.from_bytes(digest, "little")
        if number not in self.shuffles:
            seed = (self.seed, SHUFFLE, number)
            self.shuffles[number] = EpochShuffle(np.flatnonzero(eligible), self.batch_size, seed)
        return number


def schedule_hash(batches: Iterable[Batch]) -> str:
    """Return a digest of the rows and languages of batches, in their order."""
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(f"{batch.dataset}:".encode())
        for part in (batch.rows, batch.query_language, batch.passage_language):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def same_group(group: np.ndarray, negatives: np.ndarray | None = None) -> np.ndarray:
    """Return which texts of a batch may not be negatives of which queries: (n, n + m).

    They are the passages of other rows of the same group (n,), the same or a translation of it,
    and given negatives that say the same: `negatives` (m,) has their groups.
    """
    same = group[:, None] == group
    np.fill_diagonal(same, False)
    return same if negatives is None else np.hstack([same, group[:, None] == negatives])
