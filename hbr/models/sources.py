"""Where the files of an encoder are: made on the spot, in the hub's cache, or in a folder."""

import functools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from hbr.core.digests import fingerprint, known_digest
from hbr.core.errors import UserError
from hbr.core.registry import unknown
from hbr.core.store import Store
from hbr.models.folder import LONGEST, EncoderFolder, read_folder
from hbr.models.presets import Preset, preset

logger = logging.getLogger(__name__)

TINY_VERSION = 1  # raise it when the tiny encoders change
SUFFIXES = {".json", ".safetensors", ".txt", ".model"}  # of the files that loading reads
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # peft's files
WEIGHTS = ["model.safetensors", "*/model.safetensors", "model-*.safetensors"]
WEIGHTS += ["*/model-*.safetensors", ADAPTER_WEIGHTS]
FILES = ["*.json", "*.txt", "*.model", *WEIGHTS]
PROMPTS = "query_prompt", "passage_prompt"
LENGTHS = "query_max_seq_length", "passage_max_seq_length"
CONFIGS = ["*config.json", "modules.json", "config_sentence_transformers.json"]


def encoder_folder(runs: Path, name: str, revision: str | None, *, download: bool = True) -> Path:
    """Return the folder of an encoder: a preset's, a hub id's or a local one.

    A tiny preset is made once, under `runs/encoders`. Raises UserError where there is no such
    encoder, or where it is not on this machine and `download` is false.
    """
    chosen = preset(name)
    if chosen.source is None:
        return _make_tiny(runs, chosen)
    if Path(chosen.source).is_dir():
        return Path(chosen.source)
    bundled = bundled_encoder(runs, chosen.source, revision)
    if stages := list(bundled.entries()):
        return bundled.path / stages[0]
    if "/" not in chosen.source:
        raise UserError(unknown("encoder", name))
    return hub_snapshot(chosen.source, revision, download=download)


def read_encoder(folder: Path, *, download: bool = True) -> tuple[EncoderFolder, Path | None]:
    """Return what an encoder's files say, and the folder whose weights an adapter of it changes.

    An adapter that says nothing of its own is described by that folder.
    """
    files = read_folder(folder)
    base = adapter_base(files.path, download=download)
    return (read_folder(base) if base and files.pooling is None else files), base


def adapter_base(folder: Path, *, download: bool = True) -> Path | None:
    """Return the folder of the encoder that an adapter belongs to; None for a whole encoder.

    Without `download` the configs will do, and of an encoder on the hub they are all that is
    fetched. Raises UserError where the adapter's config names none, or its weights are not there.
    """
    path = folder / ADAPTER
    if not path.exists():
        return None
    if download and not (folder / ADAPTER_WEIGHTS).exists():
        raise UserError(f"{folder} holds no {ADAPTER_WEIGHTS}; hbr loads no pickles")
    try:
        config = json.loads(path.read_text("utf-8"))
        name, revision = str(config["base_model_name_or_path"]), config.get("revision")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no base_model_name_or_path in it") from error
    find = hub_snapshot if download else _configs
    base = Path(name) if Path(name).is_dir() else find(name, revision)
    if base and (base / ADAPTER).exists():
        raise UserError(f"{path}: {name} is itself an adapter; merge one of them first")
    return base


def encoder_defaults(
    runs: Path, name: str, revision: str | None, *, trained: bool = True
) -> dict[str, Any]:
    """Return the settings of an encoder where none are chosen: its files', else its preset's.

    One that is used as it is, not `trained`, has no prompts where neither names some. Of an encoder
    on the hub that is no preset, the configs are downloaded. Raises UserError where the files say
    what hbr cannot honour.
    """
    chosen = preset(name)
    if not trained and chosen == Preset(name, name):
        chosen = replace(chosen, query_prompt="", passage_prompt="")
    said: dict[str, Any] = {}
    if chosen.source is not None:
        folder = _described(runs, chosen, revision)
        said = read_encoder(folder, download=False)[0].resolved() if folder else {}
        if chosen.name != chosen.source and not any(said.get(prompt) for prompt in PROMPTS):
            # sentence-transformers writes empty prompts where nobody named any
            said = {name: value for name, value in said.items() if name not in PROMPTS}
    lengths = dict.fromkeys(LENGTHS, LONGEST) if chosen.max_seq_lengths is None else {}
    return {
        "normalize": True,
        "query_prompt": chosen.query_prompt,
        "passage_prompt": chosen.passage_prompt,
        **lengths,
        **said,
        **dict(zip(LENGTHS, chosen.max_seq_lengths or (), strict=False)),
    }


def are_guessed(runs: Path, name: str, revision: str | None) -> bool:
    """Return whether `encoder_defaults` guesses: neither a preset nor files here say them."""
    chosen = preset(name)
    return chosen.name == chosen.source and _described(runs, chosen, revision) is None


def _described(runs: Path, chosen: Preset, revision: str | None) -> Path | None:
    """Return a folder with an encoder's configs; None where they are not here."""
    try:
        return encoder_folder(runs, chosen.name, revision, download=False)
    except UserError:
        return None if chosen.name != chosen.source else _hub_configs(chosen.name, revision)


def _configs(hub_id: str, revision: str | None) -> Path | None:
    """Return a folder with the configs of an encoder on the hub, its snapshot where it is here."""
    try:
        return hub_snapshot(hub_id, revision, download=False)
    except UserError:
        return _hub_configs(hub_id, revision)


@functools.cache
def _hub_configs(hub_id: str, revision: str | None) -> Path | None:
    try:
        return hub_snapshot(hub_id, revision, files=CONFIGS)
    except UserError:
        guessed = "its prompts and lengths are guessed, and the names of its runs"
        logger.warning(f"{hub_id}: its files are not here; {guessed}")
        return None


def hub_snapshot(
    hub_id: str,
    revision: str | None = None,
    *,
    download: bool = True,
    files: list[str] = FILES,
) -> Path:
    """Return the folder of an encoder in the hub's cache.

    Only JSON, vocabularies and safetensors are downloaded, and without `download` nothing. Raises
    UserError where it is neither there nor to be had.
    """
    if hub_id.startswith((".", "/", "~")) or hub_id.count("/") != 1:
        raise UserError(
            f"there is no encoder folder {hub_id}; name a folder, a hub id such as "
            "FacebookAI/xlm-roberta-base, or a preset"
        )
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            hub_id, revision=revision, allow_patterns=files, local_files_only=not download
        )
        if not download and not any(Path(folder).rglob("*.safetensors")):
            raise FileNotFoundError  # its configs alone are here
        return Path(folder)
    except Exception as error:  # the hub's many kinds of "not there" and "no network"
        state = "cannot be downloaded" if download else "is not on this machine"
        raise UserError(
            f"encoder {hub_id} {state} ({type(error).__name__}); set HF_HOME to where it lies, or "
            f"fetch it where there is network (`hf download {hub_id}`) and give its folder with "
            "--encoder FOLDER",
            exit_code=1,
        ) from error


def hub_name(folder: Path) -> tuple[str, str | None]:
    """Return the hub id and commit of a folder in the hub's cache, or the folder's own name."""
    parts = folder.absolute().parts
    if len(parts) > 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/"), parts[-1]
    return str(folder.absolute()), None


def bundled_encoder(runs: Path, source: str, revision: str | None) -> Store:
    """Return the store of an encoder that comes in a bundle, be it from the hub or a folder."""
    label = Path(source).name or "encoder"
    return Store(runs / "encoders" / f"{label}-{fingerprint([source, revision], 6)}")


def encoder_files(folder: Path) -> dict[str, Path]:
    """Return the files that loading an encoder reads, by their names in its folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    by_name = {path.relative_to(folder).as_posix(): path for path in files}
    return {n: p for n, p in by_name.items() if not n.startswith(".") and "onnx" not in n}


def encoder_id(folder: Path) -> str:
    """Return a digest of the files that loading an encoder reads."""
    files = list(encoder_files(folder).items())
    if base := adapter_base(folder):
        files += encoder_files(base).items()
    return fingerprint([(name, known_digest(path)) for name, path in files])


def _make_tiny(runs: Path, tiny: Preset) -> Path:
    def make(folder: Path) -> None:
        from hbr.models.loading import save
        from hbr.models.tiny import build

        logger.info(f"making {tiny.name}: its tokenizer and weights")
        encoder = build(tiny.name)
        save(encoder, folder, {}, encoder.max_seq_length)

    settings = {"encoder": tiny.name, "version": TINY_VERSION}
    store = Store(runs / "encoders" / f"{tiny.name}-{fingerprint([tiny.name, TINY_VERSION], 6)}")
    if store.build("model", make, settings=settings):
        logger.info(f"made {tiny.name}: tiny, synthetic, for the embedded data")
    return store.path / "model"
