"""Building: bring the stages of a run up to date, on one rank or several."""

from collections.abc import Collection, Iterable

from hbr.core import distributed
from hbr.experiments.stages import Stage, in_order


def is_current(stage: Stage) -> bool:
    """Return whether a stage was finished from the settings and inputs that it has now."""
    store = stage.run.store
    finished = stage.name in store.entries()  # else its data need not even be prepared
    return finished and store.is_current(stage.name, stage.settings(), stage.inputs())


def update(goals: Iterable[Stage], force: Collection[str] = (), *, fresh: bool = False) -> set[str]:
    """Bring stages and what they need up to date, in order; return the names of those built.

    `force` holds kinds of stages that are built again; `fresh` starts a killed attempt again.
    """
    seen: set[str] = set()
    built: set[str] = set()
    for goal in goals:
        if goal.run.device not in ("auto", "cpu"):
            goal.run.torch_device()  # raises UserError before anything is prepared
        goal.check()
        for stage in in_order([goal]):
            if stage.name in seen and not stage.lacks_file:
                continue
            seen.add(stage.name)
            again = stage.lacks_file or stage.kind in force
            if _update_one(stage, again, fresh):
                built.add(stage.name)
    return built


def _update_one(stage: Stage, force: bool, fresh: bool) -> bool:
    if stage.on_all_ranks and distributed.world_size() > 1:
        built = _update_on_ranks(stage, force, fresh)
    else:
        built = distributed.rank() == 0 and _build(stage, force, fresh)
    if distributed.rank() == 0:
        stage.finish()
    return built


def _update_on_ranks(stage: Stage, force: bool, fresh: bool) -> bool:
    """Build a stage that all ranks fill, in one folder that rank 0 publishes."""
    settings, inputs = stage.settings(), stage.inputs()  # on all ranks: they may prepare data
    store, todo = stage.run.store, None
    if distributed.rank() == 0:
        todo = force or not store.is_current(stage.name, settings, inputs, products=stage.products)
    if not distributed.broadcast(todo):
        return False
    if distributed.rank() == 0:
        _build(stage, force, fresh)
    else:
        stage.fill(store.partial(stage.name))
    distributed.broadcast(None)  # what comes next reads what rank 0 published
    return True


def _build(stage: Stage, force: bool, fresh: bool) -> bool:
    return stage.run.store.build(
        stage.name,
        stage.fill,
        settings=stage.settings(),
        inputs=stage.inputs(),
        products=stage.products,
        loose=stage.loose,
        force=force,
        fresh=fresh,
    )
