"""A study's data and encoders to carry to where there is no network: one file, checked."""

import itertools
import json
import logging
import re
import tarfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hbr import __version__
from hbr.core.errors import UserError
from hbr.core.progress import track
from hbr.core.settings.negatives import FILE
from hbr.core.store import Store
from hbr.core.target import MTEB
from hbr.data.perturb import needs_dictionary
from hbr.experiments.bundles import Bundle, open_bundle, write_bundle
from hbr.experiments.cells import Cell, cells
from hbr.experiments.encoders import is_run
from hbr.experiments.run_data import RunData
from hbr.experiments.study import read_study
from hbr.models.presets import preset
from hbr.models.sources import (
    adapter_base,
    bundled_encoder,
    encoder_files,
    encoder_folder,
    encoder_id,
    hub_name,
)

logger = logging.getLogger(__name__)

STAGES, STUDY = "stages.json", "study.yaml"
PLACE = r"(data|encoders)/[^.][^/]*(/[^.][^/]*)*"  # below the runs, nothing hidden
NAMES = re.compile(rf"{STAGES}|{STUDY}|{PLACE}")
WRITTEN_BY_STORE = ("state", "key", "settings", "inputs", "files")  # of a stage's entry


class StoredStage(NamedTuple):
    """A finished stage of a store below the runs, and its files by their names in it."""

    store: str  # data/embedded-1f3a9c
    stage: str
    entry: Mapping[str, Any]
    files: Mapping[str, Path]

    @property
    def place(self) -> str:
        """The folder of the files, below the runs and in a bundle."""
        return f"{self.store}/{self.stage}"


def pack(path: Path, study: Path, runs: Path, overrides: Mapping[str, Any] | None = None) -> int:
    """Write all that a study's runs read into a bundle; return the number of files.

    What is not prepared or downloaded yet is prepared first. `overrides` are settings laid over
    the study's. Other runs, files of negatives and scores, what adapters change and what MTEB
    reads itself are left out, and named in the log.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
    every = cells(read_study(study), runs, overrides or {})
    made = {cell.run.name for cell in every}
    read = [one for cell in every for one in _read_by(cell, made)]
    for name in sorted({one for one in read if isinstance(one, str)}):
        logger.warning(f"not in the bundle: {name}; take it along too")
    stages = {one.place: one for one in read if not isinstance(one, str)}
    files = {f"{place}/{n}": path for place, one in stages.items() for n, path in one.files.items()}
    entries = [{"store": s.store, "stage": s.stage, "entry": s.entry} for s in stages.values()]
    contents = json.dumps({"hbr": __version__, "stages": entries}, indent=1, default=str)
    head = [(STUDY, study.read_bytes()), (STAGES, contents.encode())]
    body = track(sorted(files.items()), "packing", len(files), "files")
    return write_bundle(path, itertools.chain(head, body))


def unpack(path: Path, runs: Path) -> list[str]:
    """Put what a bundle holds below the runs; return the stages put there.

    All checksums are checked first, each stage is whole or not there, and what is there already
    stays. Raises UserError where the file is damaged or no such bundle, and where a stage that is
    there differs.
    """
    try:
        with open_bundle(path, NAMES) as bundle:
            for name, how in bundle.differences("not as it was packed"):
                raise ValueError(f"{name} is {how}")
            stages = [_stage_in(bundle, **s) for s in json.loads(bundle.read(STAGES))["stages"]]
            for stage in stages:
                _refuse_other(stage, runs)
            return [stage.place for stage in stages if _put(bundle, stage, runs)]
    except FileNotFoundError as error:
        if error.filename != str(path):
            raise
        raise UserError(f"{path}: there is no such file") from error
    except (LookupError, TypeError, ValueError, tarfile.TarError) as error:
        raise UserError(
            f"{path} is no whole bundle of `hbr prepare --bundle`: {error}; copy it again"
        ) from error


def _read_by(cell: Cell, made: Collection[str]) -> Iterator[StoredStage | str]:
    """Prepare what a run reads, and yield it; of what a bundle does not hold, its name.

    Runs that the study has `made` before are no more than its settings.
    """
    run, data = cell.run, RunData(cell.run, cell.sources)
    rows = [*data.rows, *([data.validation] if data.validation else [])]
    if any(needs_dictionary(target.perturbation) for target in cell.targets):
        rows.append(data.dictionary_rows)
    for store, _ in rows:
        yield _prepared(store, "rows", run.runs)
    for store in (*map(data.task_store, cell.sources), *([data.goal[0]] if data.goal else [])):
        yield _prepared(store, "task", run.runs)
    yield from (dataset for dataset in cell.sources if dataset.startswith(MTEB))
    for name, revision in data.named_encoders:
        if name.endswith(FILE) or (name not in made and is_run(run.runs, name)):
            yield name
        elif name not in made:
            folder = encoder_folder(run.runs, name, revision)
            yield _encoder(run.runs, name, revision, folder)
            if base := adapter_base(folder):
                yield hub_name(base)[0]


def _prepared(store: Store, stage: str, runs: Path) -> StoredStage:
    folder = store.path / stage
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    visible = {name: file for name, file in files.items() if "/." not in f"/{name}"}
    place = store.path.relative_to(runs).as_posix()
    return StoredStage(place, stage, store.entries()[stage], visible)


def _encoder(runs: Path, name: str, revision: str | None, folder: Path) -> StoredStage:
    """Return an encoder as a stage: a tiny one as it is stored, others in a store of their name."""
    source, files = preset(name).source, encoder_files(folder)
    if source is None:
        return _prepared(Store(folder.parent), folder.name, runs)._replace(files=files)
    store = bundled_encoder(runs, source, revision).path
    from_hub = folder.parent.name == "snapshots"  # its name is the commit, which runs record
    entry = {
        "id": encoder_id(folder),
        "settings": {"encoder": source, "revision": revision},
        "source": str(folder),
    }
    stage = f"snapshots/{folder.name}" if from_hub else "model"
    return StoredStage(store.relative_to(runs).as_posix(), stage, entry, files)


def _stage_in(bundle: Bundle, store: str, stage: str, entry: Mapping[str, Any]) -> StoredStage:
    """Return a listed stage with its files. Raises ValueError for a wrong place or no files."""
    place = f"{store}/{stage}"
    if not re.fullmatch(PLACE, place) or len(PurePosixPath(store).parts) < 2:
        raise ValueError(f"{place!r} is no place for data or encoders")
    names = [name for name in bundle.members if name.startswith(f"{place}/")]
    if not names or not {"id", "settings"} <= entry.keys():
        raise ValueError(f"{place} is not whole")
    for name, digest in entry.get("files", {}).items():
        if bundle.sums.get(f"{store}/{name}") != digest:
            raise ValueError(f"{store}/{name} is not what its stage says")
    return StoredStage(store, stage, entry, {n.removeprefix(f"{place}/"): Path(n) for n in names})


def _refuse_other(stage: StoredStage, runs: Path) -> None:
    entry = Store(runs / stage.store).entries().get(stage.stage)
    if entry and entry["id"] != stage.entry["id"]:
        raise UserError(
            f"{runs / stage.place} is there already and differs from the bundle's; delete "
            f"{runs / stage.store}, or unpack into another --output-dir"
        )


def _put(bundle: Bundle, stage: StoredStage, runs: Path) -> bool:
    """Publish a stage of a bundle unless it is there; return whether it was put there."""
    store = Store(runs / stage.store)
    if stage.stage in store.entries():
        return False

    def make(folder: Path) -> Mapping[str, Any]:
        for name, member in stage.files.items():
            bundle.extract(member.as_posix(), folder, name)
        return {key: value for key, value in stage.entry.items() if key not in WRITTEN_BY_STORE}

    settings, inputs = stage.entry["settings"], stage.entry.get("inputs", {})
    return store.build(stage.stage, make, settings=settings, inputs=inputs)
