"""What a run reads from outside its folder: rows, evaluation sets, dictionaries, the encoder."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.registry import get, near
from hbr.core.settings import Config
from hbr.core.settings.negatives import BM25
from hbr.core.store import Store
from hbr.core.target import RetrievalGoal
from hbr.data import prepare
from hbr.data.contamination import overlap
from hbr.data.perturb import Dictionary
from hbr.data.perturb.dictionary import row_dictionary
from hbr.data.rows import Rows
from hbr.data.tasks import Task
from hbr.data.teacher_vectors import TeacherVectors
from hbr.experiments.encoders import Found, initial_encoder, trained_before
from hbr.experiments.negatives import mined_rows
from hbr.experiments.run_spec import RunSpec
from hbr.experiments.teachers import Teacher
from hbr.training.objectives import Needs, Recipe
from hbr.training.schedule import BatchSchedule

T = TypeVar("T")

logger = logging.getLogger(__name__)


class TrainingData(NamedTuple):
    """Prepared training rows by data set, validation rows, and the encoder to start from."""

    rows: list[tuple[Store, Rows]]  # none where the run is not trained
    validation: tuple[Store, Rows] | None
    encoder: Found


class RunData:
    """The data of a run, prepared when they are first needed, on rank 0 before the others.

    `sources` are folders with the files of evaluation sets. With `ready` nothing is downloaded, and
    what is not prepared raises UserError: NotPrepared where its files are here.
    """

    def __init__(
        self,
        run: RunSpec,
        sources: Mapping[str, Path | None] | None = None,
        *,
        ready: bool = False,
    ) -> None:
        self.run, self.sources, self.ready = run, sources or {}, ready
        self._tasks: dict[str, tuple[Store, Task]] = {}

    @cached_property
    def training(self) -> TrainingData:
        """What the training reads."""
        return self._main_first(
            lambda: TrainingData(
                self._rows, self._validation, initial_encoder(self.run, download=not self.ready)
            )
        )

    @cached_property
    def rows(self) -> list[tuple[Store, Rows]]:
        """The training rows as they are given."""
        return self._main_first(lambda: self._rows)

    @cached_property
    def validation(self) -> tuple[Store, Rows] | None:
        """The validation rows."""
        return self._main_first(lambda: self._validation)

    @cached_property
    def rows_with_negatives(self) -> list[tuple[Store, Rows]]:
        """The training rows with the negatives that the run trains with, and their scores.

        They are mined and scored if need be.
        """
        if not self.needs.scores:
            return self._with_negatives
        if self.run.config.objective.num_negatives == 0:
            name = self.run.config.objective.name
            raise UserError(f"--objective {name} needs negatives: objective.num_negatives is 0")
        rows = (data for _, data in self._with_negatives)
        if self.run.config.teacher.name is None and all(map(_is_scored, rows)):
            return self._with_negatives
        stores = (store for store, _ in self._with_negatives)
        return list(zip(stores, self.scored_rows, strict=True))

    @cached_property
    def scored_rows(self) -> list[Rows]:
        """The training rows with a teacher's scores of their passages and negatives."""
        teacher, rows = Teacher(self.run), self._with_negatives
        return [teacher.scored(store, data) for store, data in rows]

    @cached_property
    def _with_negatives(self) -> list[tuple[Store, Rows]]:
        if self.run.config.train.hard_negatives == "given" or not self._recipe.num_negatives:
            return self.rows
        return [(store, mined_rows(self.run, store, rows)) for store, rows in self.rows]

    @cached_property
    def teacher_vectors(self) -> list[TeacherVectors | None]:
        """A teacher's vectors of each of the training rows, where the objective needs them."""
        if not self.needs.vectors:
            return [None] * len(self._rows)
        return [Teacher(self.run).vectors(store, rows) for store, rows in self.rows]

    @property
    def named_encoders(self) -> list[tuple[str, str | None]]:
        """What the settings name as encoders, each with its revision.

        Runs that it starts from or mines with are among them, and files that stand for a miner or
        a teacher.
        """
        config, used = self.run.config, self.run.config.sources_of_supervision
        named = [(config.encoder.name, config.encoder.revision), (config.train.start_from, None)]
        if "mine" in used and config.mine.miner != BM25:
            named.append((config.mine.miner, None))
        if "teacher" in used:
            named.append((config.teacher.name, config.teacher.revision))
        return [(name, revision) for name, revision in named if name]

    @property
    def needs(self) -> Needs:
        """What the objective needs of a teacher."""
        objective = self.run.config.objective
        needs: Needs = get("objective", objective.name).needs(objective)
        return needs

    def task(self, dataset: str) -> Task:
        """Return an evaluation set."""
        return self._task(dataset)[1]

    @cached_property
    def goal(self) -> tuple[Store, Task] | None:
        """The evaluation set of `metric_for_best_model`, where it names one."""
        train, evaluate = self.run.config.train, self.run.config.evaluate
        goal = RetrievalGoal.parse(train.metric_for_best_model or "map multi")
        if not self.run.config.is_trained or not goal.dataset:
            return None
        source = self.sources.get(goal.dataset)
        where = (self.run.runs, goal.dataset, source, evaluate.passage)
        return self._main_first(
            lambda: prepare.task(*where, limit=train.eval_limit, ready=self.ready)
        )

    def task_store(self, dataset: str) -> Store:
        """Return the store of an evaluation set."""
        return self._task(dataset)[0]

    def task_id(self, dataset: str) -> str:
        """Return the completion id of an evaluation set."""
        return self.task_store(dataset).completion("task")

    @cached_property
    def before(self) -> "RunData | None":
        """The data of the run whose encoder this one starts from."""
        earlier, name = trained_before(self.run), self.run.config.train.start_from
        if name and not earlier:
            logger.warning(f"{self.run.name}: what {name} was trained on is not known any more")
        return RunData(earlier, self.sources, ready=self.ready) if earlier else None

    @cached_property
    def trained_on(self) -> list[tuple[Store, Rows]]:
        """The rows in the languages that batches are drawn from, of earlier trainings too.

        Mined negatives are passages of these or negatives that they have themselves.
        """
        config = self.run.config
        pivot_alone = get("sampler", config.sampler.name).pivot_only and not self._draws_languages
        languages = config.data.languages
        return [
            *(self.before.trained_on if self.before else []),
            *(
                (
                    store,
                    rows.only([rows.pivot or ""] if pivot_alone else languages or rows.languages),
                )
                for store, rows in self.rows
            ),
        ]

    @property
    def _recipe(self) -> Recipe:
        objective = self.run.config.objective
        recipe: Recipe = get("objective", objective.name).recipe(objective)
        return recipe

    @property
    def _draws_languages(self) -> bool:
        """Whether texts stand in batches in other languages than those that the sampler draws."""
        any_language = self.run.config.objective.negative_language == "any"
        return self._recipe.draws_languages or (any_language and self._recipe.num_negatives > 0)

    @property
    def _draws_negatives(self) -> bool:
        before = self.before is not None and self.before._draws_negatives
        return before or self._recipe.num_negatives > 0

    def open_trained_on(self) -> None:
        """Open what `seen_in` reads: all ranks call it, since they prepare data together."""
        _ = self.trained_on, self.goal

    def seen_in(self, dataset: str) -> dict[str, Any]:
        """Return the languages trained on, and what their texts share with a data set."""
        config = self.run.config
        validation = [] if self.goal else list(filter(None, [self._validation]))
        trained = [rows for _, rows in self._rows]
        validated = [
            (store, rows.only(validation_languages(config, rows, trained)))
            for store, rows in validation
        ]
        return overlap(
            self.trained_on,
            self._task(dataset),
            negatives=self._draws_negatives,
            validation=validated,
            chosen_on=self.goal,
            near_duplicates=config.evaluate.near_duplicates,
        )

    def _task(self, dataset: str) -> tuple[Store, Task]:
        if dataset not in self._tasks:
            settings = self.run.config.evaluate
            self._tasks[dataset] = self._main_first(
                lambda: prepare.task(
                    self.run.runs,
                    dataset,
                    self.sources.get(dataset),
                    settings.passage,
                    limit=settings.limit,
                    ready=self.ready,
                )
            )
        return self._tasks[dataset]

    @cached_property
    def dictionary(self) -> tuple[str, Dictionary]:
        """The dictionary of the first training rows, in the training languages, and its id."""
        return row_dictionary(*self.dictionary_rows, self.run.config.data.languages)

    @property
    def dictionary_rows(self) -> tuple[Store, Rows]:
        """The rows that the dictionary is made from."""
        data, runs = self.run.config.data, self.run.runs
        return prepare.rows(
            runs, data.train[0], languages=data.languages, limit=data.limit, ready=self.ready
        )

    @cached_property
    def _rows(self) -> list[tuple[Store, Rows]]:
        if not self.run.config.is_trained:
            return []
        return prepare.training_rows(self.run.config.data, self.run.runs, ready=self.ready)

    @cached_property
    def _validation(self) -> tuple[Store, Rows] | None:
        data = self.run.config.data
        if not self.run.config.is_trained or data.validation is None:
            return None
        return prepare.rows(self.run.runs, data.validation, limit=data.limit, ready=self.ready)

    def _main_first(self, read: Callable[[], T]) -> T:
        """Read something on rank 0, which prepares it, and then on the other ranks."""
        several = distributed.world_size() > 1
        distributed.init_process_group(cuda=several and self.run.torch_device().type == "cuda")
        return distributed.main_first(read)


def _is_scored(rows: Rows) -> bool:
    """Return whether the data themselves have a teacher's scores of every row and negative."""
    if rows.positive_score is None or rows.negative_score is None or not len(rows.negative):
        return False
    if len(lacking := rows.unscored):
        raise UserError(
            f"{rows.name}: {len(lacking):,} of {len(rows):,} rows lack scores, the first being "
            f"{rows.ids[int(lacking[0])]}; give all, or name a teacher: --set teacher=NAME"
        )
    return True


def batch_schedule(config: Config, rows: list[Rows]) -> BatchSchedule:
    """Return the batches of a run over its prepared training rows."""
    if config.data.languages:
        available = {language for data in rows for language in data.languages}
        _check_languages(
            config.data.languages, available, "the training data have", "data.languages"
        )
        rows = [data.only(config.data.languages) for data in rows]
    for data in rows:
        _check_groups(config, data, negatives=True)
        if not np.asarray(data.has).any():
            raise UserError(f"data.languages: {data.name} has no row in one of them; leave it out")
        if data.translations and getattr(config.objective, "swap", False):
            raise UserError(
                f"objective.swap: query and passage of {data.name} say the same, so that a swapped "
                "one may be its own answer; leave it out"
            )
    return BatchSchedule(
        rows,
        get("sampler", config.sampler.name).mix(config.sampler.alpha),
        batch_size=config.train.batch_size,
        seed=config.seed,
        steps=config.train.max_steps * config.train.gradient_accumulation_steps,
        size_exponent=config.data.size_exponent,
    )


def _check_groups(config: Config, rows: Rows, *, negatives: bool) -> None:
    """Raise UserError where no row has a negative: all of one group, and none given."""
    given = negatives and config.objective.num_negatives and len(rows.negative)
    alone = config.objective.mask == "group" and not given
    if alone and len(rows) > 1 and (rows.group == rows.group[0]).all():
        raise UserError(
            f"{rows.name}: all {len(rows):,} rows are one group, so that none is a negative of "
            "another and the loss is 0; give each passage its own `group`, or use "
            "--set objective.mask=none"
        )


def validation_languages(config: Config, rows: Rows, trained: Sequence[Rows]) -> tuple[str, ...]:
    """Return the languages of validation: those in the settings, else the pivot.

    A metric is measured in all languages that are trained on. Raises UserError where the rows have
    none of these.
    """
    _check_groups(config, rows, negatives=False)
    if languages := config.data.validation_languages:
        _check_languages(languages, rows.languages, f"{rows.name} has", "data.validation_languages")
        return languages
    if config.train.metric_for_best_model:
        known = {
            language
            for data in trained
            for language, has in zip(data.languages, np.asarray(data.has).T, strict=True)
            if has.any() and language in (config.data.languages or data.languages)
        }
        if not known & set(rows.languages):
            raise UserError(
                f"train.metric_for_best_model: {rows.name} has none of the training languages; "
                "set data.validation or data.validation_languages"
            )
        return tuple(language for language in rows.languages if language in known)
    return (rows.pivot,) if rows.pivot else rows.languages


def _check_languages(
    languages: Iterable[str], available: Collection[str], owner: str, setting: str
) -> None:
    for language in languages:
        if language not in available:
            likely = near(language, available)
            raise UserError(f"{setting}: {owner} no language {language!r}{likely}")
