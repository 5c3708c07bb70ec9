"""Where an encoder's files are: a preset's, made on the spot or from the hub, or a folder's."""

import functools
import logging
from pathlib import Path

from hbr.core.errors import UserError
from hbr.core.registry import get, names, unknown
from hbr.core.store import Store, file_digest, fingerprint

logger = logging.getLogger(__name__)

TINY_VERSION = 1  # raise it when the tiny encoders change


def encoder_folder(runs: Path, name: str, revision: str | None, *, download: bool = True) -> Path:
    """Return the folder of an encoder: a preset's, a hub id's or a local one.

    A tiny preset is made on the spot, once, under `runs/encoders`. Raises UserError where there is
    none, or without `download` none here.
    """
    source = encoder_source(name)
    if Path(source).is_dir():
        return Path(source)
    if not source.startswith("tiny:"):
        carried = carried_encoder(runs, source, revision)
        if stages := list(carried.entries()):
            return carried.path / stages[0]
        if "/" not in source:
            raise UserError(unknown("encoder", name))
        from hbr.models.encoders import locate

        return locate(source, revision, download=download)

    def make(folder: Path) -> None:
        from hbr.models import encoders, tiny

        made = tiny.build(source.removeprefix("tiny:"))
        pooling = encoders.Pooling("cls" if made.dense else made.pooling, made.dense)
        encoder = encoders.Encoder(made.model, made.tokenizer, pooling)
        encoders.save(encoder, folder, {}, encoder.longest)

    store = Store(runs / "encoders" / f"{name}-{fingerprint([name, TINY_VERSION], 6)}")
    if store.build("model", make, settings={"encoder": name, "version": TINY_VERSION}, wait=True):
        logger.info(f"made {name}: tiny, synthetic, for the embedded data")
    return store.path / "model"


def encoder_source(name: str) -> str:
    """Return what an encoder's name stands for: a hub id, a folder, or `tiny:` and a name."""
    return get("encoder", name).source if name in names("encoder") else name


def carried_encoder(runs: Path, source: str, revision: str | None) -> Store:
    """Return the place of an encoder that came in a bundle: the hub's, or a folder from elsewhere."""
    label = Path(source).name or "encoder"
    return Store(runs / "encoders" / f"{label}-{fingerprint([source, revision], 6)}")


def encoder_files(folder: Path) -> dict[str, Path]:
    """Return the files that loading an encoder reads, by their names in its folder."""
    kinds = {".json", ".safetensors", ".txt", ".model"}
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds]
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {n: p for n, p in named.items() if not n.startswith(".") and "onnx" not in n}


def encoder_id(folder: Path) -> str:
    """Return a digest of the files that loading an encoder reads."""
    shown = encoder_files(folder).items()
    return _digest(tuple((n, str(p), p.stat().st_size, p.stat().st_mtime_ns) for n, p in shown))


@functools.cache
def _digest(files: tuple[tuple[str, str, int, int], ...]) -> str:
    """Digest files by name and content, once for as long as their sizes and times stay."""
    return fingerprint([(name, file_digest(Path(path))) for name, path, _, _ in files])
