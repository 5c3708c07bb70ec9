"""Cells: the runs of a study with what they are evaluated on, by number or by name."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hbr.core.errors import UserError
from hbr.core.registry import near
from hbr.core.settings import Config
from hbr.core.target import EvaluationTarget
from hbr.data.location import missing as missing_source
from hbr.experiments.building import Unread, is_current
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec
from hbr.experiments.stages import Stage, all_stages
from hbr.experiments.study import Study, configs

logger = logging.getLogger(__name__)

TASK_NUMBERS = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")  # of Slurm, of Kubernetes


class Cell(NamedTuple):
    """One run of a study, and what it is evaluated on."""

    run: RunSpec
    targets: tuple[EvaluationTarget, ...]
    sources: Mapping[str, Path | None]  # folders with the files of the data sets
    diagnosed: tuple[EvaluationTarget, ...] = ()
    force: frozenset[str] = frozenset()  # kinds of stages to build again

    @property
    def config(self) -> Config:
        """The settings of the run."""
        return self.run.config

    def stages(self, *, ready: bool = False) -> list[Stage]:
        """Return all stages of the run; see `RunData` for `ready`."""
        return all_stages(
            RunData(self.run, self.sources, ready=ready), self.targets, self.diagnosed
        )


def cells(
    study: Study,
    runs: Path,
    overrides: Mapping[str, Any],
    device: str = "auto",
    force: frozenset[str] = frozenset(),
) -> list[Cell]:
    """Return all cells of a study. Raises UserError where files of its data are missing."""
    each = [
        Cell(RunSpec(config, runs, device), study.targets, study.sources, study.diagnosed, force)
        for config in configs(study, overrides, runs)
    ]
    data = {name for cell in each for name in cell.config.data.train}
    if absent := missing_source(runs, sorted(data), study.sources):
        raise UserError(f"study {study.name}: {absent}: there is no such file or folder")
    return each


class Condition(NamedTuple):
    """Whether any stage of a cell is to be built; of one that is finished, what is unread of it."""

    stale: bool
    unread: str = ""


def condition(cell: Cell) -> Condition:
    """Return the condition of a cell.

    A finished one stays finished where the data or the encoder that it was made from are not here.
    """
    listed, finished = cell.stages(ready=True), cell.run.store.entries()
    if cell.force or any(stage.name not in finished for stage in listed):
        return Condition(True)  # first, since it needs no data
    unread = ""
    for stage in listed:
        try:
            if not is_current(stage):
                return Condition(True)
        except Unread as lacking:
            unread = unread or str(lacking)
        except UserError:  # files that are altered: the run itself reports them
            return Condition(True)
    return Condition(False, unread)


def stale(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells with a stage to be built, and those that start from such a cell's encoder.

    Earlier rounds come first. Logs what of the others cannot be compared.
    """
    found: dict[str, Cell] = {}
    unread = []
    for cell in sorted(cells, key=lambda cell: cell.config.train.round):
        known = condition(cell)
        if cell.config.train.start_from in found or known.stale:
            found[cell.run.name] = cell
        else:
            unread.append(known.unread)
    warn_of_unread(unread)
    return list(found.values())


def in_rounds(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Return cells round by round: each starts from what the one before has made."""
    rounds: dict[int, list[Cell]] = {}
    for cell in cells:
        rounds.setdefault(cell.config.train.round, []).append(cell)
    return [rounds[number] for number in sorted(rounds)]


def warn_of_unread(reasons: Iterable[str]) -> None:
    """Log how many finished cells could not be compared with what they were made from, and why."""
    for reason, count in Counter(filter(None, reasons)).items():
        logger.warning(f"finished cells that were not checked: {count}; {reason}")


def cell_of(cells: Sequence[Cell], which: str) -> Cell:
    """Return a cell by its number, from 0, or its name; "" is the number of this array task.

    Raises UserError where there is no such cell.
    """
    which = which or next(filter(None, map(os.environ.get, TASK_NUMBERS)), "")
    if not which:
        raise UserError(
            f"--cell needs a number or a name: neither {' nor '.join(TASK_NUMBERS)} is set"
        )
    if which.isdigit():
        if int(which) < len(cells):
            return cells[int(which)]
        raise UserError(f"there is no cell {which}: the study has {len(cells)}, from 0 on")
    by_name = {cell.run.name: cell for cell in cells}
    if which not in by_name:
        raise UserError(f"there is no cell {which!r}{near(which, by_name)}")
    return by_name[which]
