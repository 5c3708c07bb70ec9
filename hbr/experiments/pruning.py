"""What in a folder of runs takes room and serves nothing any more."""

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hbr.core.lease import FILE as LEASE
from hbr.core.lease import in_use, lease
from hbr.core.store import Store
from hbr.core.yaml_files import read_yaml
from hbr.experiments.inventory import run_folders, setting, size
from hbr.training.log import CHECKPOINT


class Leftover(NamedTuple):
    """A file or folder that may go, why, and the store whose lease guards it."""

    path: Path
    reason: str
    bytes: int
    store: Path


def leftovers(runs: Path) -> list[Leftover]:
    """Return what may go, in this order: checkpoints, exports, unfinished stages, downloads.

    Checkpoints are those of finished runs that did not ask for them (`train.keep_checkpoint`),
    exports those of an encoder that was trained anew since, an unfinished stage is one that no
    process is at, and a download one whose data are prepared.
    """
    return [*_checkpoints(runs), *_exports(runs), *_unfinished(runs), *_downloads(runs)]


def remove(found: Iterable[Leftover]) -> int:
    """Remove leftovers; return the bytes. Raises UserError where one is in use meanwhile."""
    freed = 0
    for item in found:
        with lease(item.store, wait=False):
            if item.path.is_dir():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
        freed += item.bytes
    return freed


def _checkpoints(runs: Path) -> Iterator[Leftover]:
    for run in run_folders(runs):
        folder = run / "train" / CHECKPOINT
        kept = setting(read_yaml(run / "config.yaml"), "train.keep_checkpoint")
        if folder.is_dir() and not kept and not in_use(run) and "train" in Store(run).entries():
            yield Leftover(folder, "optimizer state of a finished run", size(folder), run)


def _exports(runs: Path) -> Iterator[Leftover]:
    for run in run_folders(runs):
        weights = sorted((run / "model").glob("*.safetensors"))  # a card may be newer
        for folder in _folders(run / "exported"):
            old = weights and folder.stat().st_mtime < weights[0].stat().st_mtime
            if old and not folder.name.startswith(".") and not in_use(run):
                yield Leftover(folder, "export of an earlier training", size(folder), run)


def _unfinished(runs: Path) -> Iterator[Leftover]:
    stores = [*run_folders(runs), *_folders(runs / "data"), *_folders(runs / "encoders")]
    for store in stores:
        if in_use(store):
            continue
        made = sorted({*store.rglob(".*.partial"), *store.rglob(".*.old")})
        for path in made:
            if not any(path.is_relative_to(other) for other in made if other != path):
                what = path.relative_to(store).as_posix().replace("/.", "/").lstrip(".")
                stage = re.sub(r"(\.[0-9a-f]{8})?\.(partial|old)$", "", what)
                yield Leftover(path, f"unfinished: {stage}", size(path), store)


def _downloads(runs: Path) -> Iterator[Leftover]:
    """Yield the downloads whose data are prepared; those of the hub stand as ORG/REPOSITORY."""
    entries = [e for s in _folders(runs / "data") for e in Store(s).entries().values()]
    sources = [Path(e["source"]).resolve() for e in entries if e.get("source")]
    for folder in _folders(runs / "downloads"):
        marks = (*folder.glob("*/.whole-*"), *folder.glob(f"*/{LEASE}"))
        repositories = sorted({mark.parent for mark in marks})
        if any(in_use(place) for place in (folder, *repositories)):
            continue
        for place in repositories or [folder]:
            whole, here = folder.resolve(), place.resolve()
            # data of several repositories are prepared from ORG
            if any(source == whole or source.is_relative_to(here) for source in sources):
                yield Leftover(place, "downloaded, and prepared since", size(place), place)


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []
