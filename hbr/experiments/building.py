"""Building: bring the stages of a run up to date, on one rank or several."""

from collections.abc import Collection, Iterable

from hbr.core import distributed, stopping
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.store import Make
from hbr.data.prepare import NotPrepared
from hbr.experiments.stages import Stage, in_order


class Unread(UserError):
    """What a finished stage was made from is not here to compare; all else that is known fits."""


def is_current(stage: Stage) -> bool:
    """Return whether a stage was finished from the settings and inputs that it has now.

    Raises Unread where so far as can be read it was, and UserError where its files are altered.
    """
    store = stage.run.store
    entry = store.entries().get(stage.name)
    if entry is None:
        return False  # its data need not even be prepared
    settings, inputs, lacking = entry.get("settings", {}), entry.get("inputs", {}), None
    needed = {name: need.completion() for name, need in stage.needs.items()}
    try:
        settings = stage.settings()
        inputs = stage.reads()
    except NotPrepared:
        return False
    except UserError as error:
        lacking = error
    current = store.is_current(stage.name, settings, {**inputs, **needed})
    if current and lacking:
        raise Unread(str(lacking))
    return current


@stopping.listening()
def update(
    goals: Iterable[Stage],
    force: Collection[str] = (),
    *,
    fresh: bool = False,
    wait: bool = True,
) -> set[str]:
    """Bring stages and what they need up to date, in order; return the names of those built.

    `force` holds kinds of stages that are built again; `fresh` starts a killed attempt again.
    Where another process works on the run this one waits, or raises InUse. Raises Stopped when
    told to go.
    """
    seen: set[str] = set()
    built: set[str] = set()
    goals = list(goals)
    stages = len(in_order(goals))
    for goal in goals:
        if goal.run.device not in ("auto", "cpu"):
            goal.run.torch_device()  # raises UserError before anything is prepared
        goal.check()
    for goal in goals:
        for stage in in_order([goal]):
            if stage.name in seen and not stage.lacks_file:
                continue
            Progress.stage = len(seen), stages
            seen.add(stage.name)
            again = stage.lacks_file or stage.kind in force
            if _update_one(stage, again, fresh, wait):
                built.add(stage.name)
    return built


def _update_one(stage: Stage, force: bool, fresh: bool, wait: bool) -> bool:
    if stage.on_all_ranks:
        stage.settings(), stage.inputs()  # on all ranks: they prepare data together

    def build(fill: Make) -> bool:
        return stage.run.store.build(
            stage.name,
            fill,
            settings=stage.settings(),
            inputs=stage.inputs(),
            products=stage.products,
            loose=stage.loose,
            force=force,
            fresh=fresh,
            wait=wait,
        )

    if stage.on_all_ranks:
        built = distributed.fill_together(build, stage.fill)
    else:
        built = distributed.rank() == 0 and build(stage.fill)
    if distributed.rank() == 0:
        stage.finish()
    return built
