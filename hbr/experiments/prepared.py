"""A study's data and encoders to carry to where there is no network: one file, checked."""

import hashlib
import itertools
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from hbr import __version__
from hbr.core.errors import UserError
from hbr.core.progress import track
from hbr.core.settings import Config
from hbr.core.store import SUMS, Store, write_tar
from hbr.data import prepare
from hbr.experiments.study import Study, read_study
from hbr.experiments.sweep import cells
from hbr.models.presets import preset
from hbr.models.sources import (
    bundled_encoder,
    encoder_files,
    encoder_folder,
    encoder_id,
)

LISTED, STUDY = "stages.json", "study.yaml"
PLACE = re.compile(r"(data|encoders)/[^.][^/]*(/[^.][^/]*)*")  # below the runs, nothing hidden
OWN = ("state", "key", "settings", "inputs")  # what a store says of a stage by itself
BLOCK = 1 << 20  # bytes


class Held(NamedTuple):
    """A finished stage of a store below the runs, and the files in it by name."""

    store: str  # data/embedded-1f3a9c
    stage: str
    entry: Mapping[str, Any]
    files: Mapping[str, Path]

    @property
    def place(self) -> str:
        """Where its files are, below the runs and in a bundle."""
        return f"{self.store}/{self.stage}"


def pack(path: Path, study: Path, runs: Path, overrides: Mapping[str, Any] | None = None) -> int:
    """Write all that a study's runs read into a tar, with checksums; give the number of files.

    What is not prepared or downloaded yet is, first. `overrides` are laid over the study's
    settings.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
    plan = read_study(study)
    held = {one.place: one for one in _needed(plan, runs, overrides or {})}
    stages = [{"store": o.store, "stage": o.stage, "entry": o.entry} for o in held.values()]
    files = {f"{place}/{n}": file for place, one in held.items() for n, file in one.files.items()}
    listed = json.dumps({"hbr": __version__, "stages": stages}, indent=1, default=str)
    own = [(STUDY, study.read_bytes()), (LISTED, listed.encode())]
    carried = track(sorted(files.items()), "packing", len(files), "files")
    return write_tar(path, itertools.chain(own, carried))


def unpack(path: Path, runs: Path) -> list[str]:
    """Put what a bundle holds below the runs, whole or not at all; give the stages put there.

    All checksums are checked first. What is there already stays. Raises UserError where the file
    is damaged or holds something else than what `pack` writes, and where something there differs.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            members = _checked(tar)
            stages = json.loads(_content(tar, members[LISTED]))["stages"]
            held = [_listed(stage, members) for stage in stages]
            for one in held:
                _refuse_other(one, runs)
            return [one.place for one in held if _put(tar, members, one, runs)]
    except FileNotFoundError as error:
        if error.filename != str(path):
            raise
        raise UserError(f"{path}: there is no such file") from error
    except (LookupError, TypeError, ValueError, tarfile.TarError) as error:
        raise UserError(
            f"{path} is no whole bundle of `hbr prepare --bundle`: {error}; copy it again"
        ) from error


def _needed(plan: Study, runs: Path, overrides: Mapping[str, Any]) -> Iterator[Held]:
    """Bring up to date what the runs of a study read, and yield it."""
    encoders = set()
    for cell in cells(plan, runs, overrides):
        yield from _data(cell.config, runs)
        chosen = cell.config.evaluate
        for dataset, source in cell.sources.items():
            store, _ = prepare.task(runs, dataset, source, chosen.passage, limit=chosen.limit)
            yield _stage(store, "task", runs)
        encoder = cell.config.encoder.name, cell.config.encoder.revision
        if encoder not in encoders:
            encoders.add(encoder)
            yield _encoder(runs, *encoder)


def _data(config: Config, runs: Path) -> Iterator[Held]:
    if not config.is_trained:
        return
    limit = config.data.limit
    for name in config.data.train:
        store, _ = prepare.rows(runs, name, languages=config.data.languages, limit=limit)
        yield _stage(store, "rows", runs)
    if config.data.validation:
        store, _ = prepare.rows(runs, config.data.validation, limit=limit)
        yield _stage(store, "rows", runs)


def _stage(store: Store, stage: str, runs: Path) -> Held:
    folder = store.path / stage
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    shown = {name: file for name, file in files.items() if "/." not in f"/{name}"}
    place = store.path.relative_to(runs).as_posix()
    return Held(place, stage, store.entries()[stage], shown)


def _encoder(runs: Path, name: str, revision: str | None) -> Held:
    """Return an encoder: one that hbr makes as it is, others as a store of their name."""
    folder, source = encoder_folder(runs, name, revision), preset(name).source
    files = encoder_files(folder)
    if source is None:
        store = folder.parent.relative_to(runs).as_posix()
        return Held(store, folder.name, Store(folder.parent).entries()[folder.name], files)
    store = bundled_encoder(runs, source, revision).path.relative_to(runs).as_posix()
    from_hub = folder.parent.name == "snapshots"  # its name is the commit: runs tell of it
    return Held(
        store,
        f"snapshots/{folder.name}" if from_hub else "model",
        {
            "id": encoder_id(folder),
            "settings": {"encoder": source, "revision": revision},
            "source": str(folder),
        },
        files,
    )


def _checked(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Return the files of a bundle by name; raises ValueError unless all are there and as written."""
    members: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        if not member.isfile() or not _is_inside(member.name):
            raise ValueError(f"{member.name!r} is no file inside of it")
        members[member.name] = member
    if SUMS not in members:
        raise ValueError(f"it ends before {SUMS}")
    listed = _content(tar, members[SUMS]).decode().splitlines()
    sums = dict(line.split("  ", 1)[::-1] for line in listed)
    if wrong := sorted(sums.keys() ^ (members.keys() - {SUMS})):
        raise ValueError(f"{wrong[0]} is {'missing' if wrong[0] in sums else f'not in {SUMS}'}")
    for name, digest in track(sums.items(), "checking", len(sums), "files"):
        if _digest(tar, members[name]) != digest:
            raise ValueError(f"{name} is not as it was packed")
    return members


def _is_inside(name: str) -> bool:
    return name in (SUMS, LISTED, STUDY) or bool(PLACE.fullmatch(name))


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None  # it is a file
    return content


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _open(tar, member) as content:
        return content.read()


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    with _open(tar, member) as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _listed(stage: Mapping[str, Any], members: Mapping[str, tarfile.TarInfo]) -> Held:
    """Read one line of the list of stages; its files are those of the tar below its place."""
    one = Held(stage["store"], stage["stage"], stage["entry"], {})
    if not PLACE.fullmatch(one.place) or len(PurePosixPath(one.store).parts) < 2:
        raise ValueError(f"{one.place!r} is no place for data or encoders")
    above = f"{one.place}/"
    files = {name.removeprefix(above): Path(name) for name in members if name.startswith(above)}
    if not files or not {"id", "settings"} <= one.entry.keys():
        raise ValueError(f"{one.place} is not whole")
    return one._replace(files=files)


def _refuse_other(one: Held, runs: Path) -> None:
    entry = Store(runs / one.store).entries().get(one.stage)
    if entry and entry["id"] != one.entry["id"]:
        raise UserError(
            f"{runs / one.place} is there already and differs from the bundle's; delete "
            f"{runs / one.store}, or unpack into another --output-dir"
        )


def _put(
    tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], one: Held, runs: Path
) -> bool:
    """Publish a stage from a bundle, unless it is there; say whether it was put there."""
    store = Store(runs / one.store)
    if one.stage in store.entries():
        return False

    def make(folder: Path) -> Mapping[str, Any]:
        for name, whole in one.files.items():
            member = members[whole.as_posix()].replace(name=name, deep=False)
            tar.extract(member, folder, set_attrs=False, filter="data")
        return {key: value for key, value in one.entry.items() if key not in OWN}

    settings, inputs = one.entry["settings"], one.entry.get("inputs", {})
    return store.build(one.stage, make, settings=settings, inputs=inputs, wait=True)
