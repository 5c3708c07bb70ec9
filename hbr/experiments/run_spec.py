"""Runs: their settings in full, their names, and the folders that these decide."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbr.core import registry
from hbr.core.config import nested, resolve_config
from hbr.core.digests import fingerprint
from hbr.core.errors import UserError, first_line
from hbr.core.files import write_atomic
from hbr.core.settings import Config
from hbr.core.store import Store
from hbr.core.target import folder_name, short_name
from hbr.core.yaml_files import read_yaml
from hbr.data import prepare
from hbr.models.presets import preset
from hbr.models.sources import (
    LENGTHS,
    PROMPTS,
    adapter_base,
    encoder_defaults,
    encoder_id,
    hub_name,
)

if TYPE_CHECKING:
    import torch

DEFAULTED = {"normalize", *PROMPTS, *LENGTHS}  # decided by an encoder's files where they are null
FIXED = {  # sections that training has used
    *("seed", "sampler", "encoder", "data", "objective", "train", "adapter", "mine", "teacher"),
}


@dataclass(frozen=True)
class RunSpec:
    """A run, done or not: its complete settings, its folder and its device.

    `folder` is that of an existing run; without it the settings decide the folder.
    """

    config: Config
    runs: Path
    device: str = "auto"
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The readable name of the run, which its settings decide."""
        return slug(self.config)

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self.folder or self.runs / self.name

    @property
    def store(self) -> Store:
        """The finished stages of the run."""
        return Store(self.path)

    def training_id(self) -> str:
        """Return the completion id of the training.

        Raises UserError for an untrained run, and for an adapter whose encoder has changed since.
        """
        if "train" not in self.store.entries():
            raise UserError(
                f"{self.path} is not trained yet; go on with "
                f"`hbr train -C {self.path / 'config.yaml'}`"
            )
        base = adapter_base(self.path / "model")
        if base and self.store.entries()["train"].get("base") not in (None, encoder_id(base)):
            raise UserError(
                f"{base} has changed since {self.path}, an adapter of it, was trained; "
                "bring it back or train again"
            )
        return self.store.completion("train")

    def encode_identity(self) -> dict[str, Any]:
        """Return the settings that decide vectors here: for `auto` the engine that it takes."""
        settings = self.config.encode
        if settings.backend == "auto":
            from hbr.models.backends import choose

            engine = choose("auto", self.torch_device(), settings.precision)
            settings = settings.model_copy(update={"backend": engine})
        return settings.identity()

    def write_config(self) -> None:
        """Write `config.yaml`, from which the run can be repeated."""
        write_atomic(self.path / "config.yaml", self.config.to_yaml())

    def torch_device(self) -> "torch.device":
        """Return the device: for `auto` the GPU of this rank, or the CPU where there is none."""
        import torch

        if self.device == "auto":
            cuda = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            return torch.device(cuda if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"--device {self.device}: {first_line(error)}") from error
        return device


def check_run(path: Path) -> None:
    """Raise UserError where a folder holds no run."""
    if not (path / "config.yaml").exists():
        runs = sorted(file.parent.name for file in path.parent.glob("*/config.yaml"))
        likely = registry.near(path.name, runs[:10]) if runs else "; `hbr train` makes one"
        raise UserError(f"{path} is no run: it holds no config.yaml{likely}")


def open_run(path: Path) -> tuple[Store, Config]:
    """Open an existing run with its settings. Raises UserError where the folder holds none."""
    check_run(path)
    manifest = path / "manifest.json"
    if manifest.exists():  # it may name data sets and perturbations from outside
        registry.trust(manifest, manifest.read_text(encoding="utf-8"))
    store, config = Store(path), resolve_config(read_yaml(path / "config.yaml"))
    trained = store.entries().get("train", {}).get("settings", {})
    for key, now, then in _differences(config.model_dump(mode="json"), trained):
        raise UserError(
            f"{path / 'config.yaml'} says {key} = {now!r}, and the run was trained with {then!r}; "
            "put that back, or train another run with `hbr train -C`"
        )
    return store, config


def laid_over(trained: Config, *layers: Mapping[str, Any]) -> Config:
    """Return the settings of a trained run with others for what comes after training.

    Raises UserError for those of training.
    """
    if fixed := sorted({section for layer in layers for section in nested(layer)} & FIXED):
        raise UserError(
            f"{', '.join(fixed)}: a trained run keeps these settings; change them with `hbr train`"
        )
    return resolve_config(trained.model_dump(mode="json"), *layers)


def _differences(now: Any, then: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the settings that stand in both of two configs with other values."""
    if isinstance(now, dict) and isinstance(then, dict):
        for name in now.keys() & then.keys():
            yield from _differences(now[name], then[name], f"{key}.{name}" if key else name)
    elif now != then:
        yield key, now, then


def complete(config: Config, runs: Path = Path("runs")) -> Config:
    """Fill in what other settings and the encoder's files decide, in whole.

    These are the encoder's prompts, lengths and normalization, the learning rate and the validation
    set. Runs that a link such as `latest` names are named by themselves. `runs` may hold the
    encoder, from a bundle.
    """
    encoder = config.encoder
    given = encoder.model_dump(exclude_none=True)
    if DEFAULTED - set(given):
        given = encoder_defaults(runs, encoder.name, encoder.revision) | given
    rate = config.train.learning_rate or preset(encoder.name).learning_rate
    validation = config.data.validation
    if validation == "auto":
        validation = prepare.validation_name(config.data.train)
    return config.model_copy(
        update={
            "encoder": type(encoder)(**given),
            "train": config.train.model_copy(
                update={
                    "learning_rate": rate,
                    "start_from": _linked(runs, config.train.start_from),
                }
            ),
            "data": config.data.model_copy(update={"validation": validation}),
            "mine": config.mine.model_copy(update={"miner": _linked(runs, config.mine.miner)}),
            "teacher": config.teacher.model_copy(
                update={"name": _linked(runs, config.teacher.name)}
            ),
        }
    )


def places(runs: Path, name: str | None) -> tuple[Path, ...]:
    """Return where the run of a name may be: among the runs, or in the folder that it names."""
    return (runs / name, Path(name)) if name else ()


def _linked(runs: Path, name: str | None) -> str | None:
    """Return the name of the run that a link leads to, which may lead elsewhere later."""
    for place in places(runs, name):
        if place.is_symlink() and (place / "config.yaml").exists():
            return str(Path(str(name)).parent / place.readlink())
    return name


def slug(config: Config) -> str:
    """Return the name of a run's folder; the fingerprint at its end tells similar runs apart."""
    sampler = config.sampler
    words = [config.method.replace(":", ".")]
    uses_alpha = config.is_trained and registry.get("sampler", sampler.name).uses_alpha
    if uses_alpha and sampler.alpha != type(sampler)().alpha:
        alpha = sampler.alpha if isinstance(sampler.alpha, tuple) else (sampler.alpha,)
        words.append("a" + "to".join(f"{a:g}" for a in alpha))
    words.append(short_name(config.encoder.name))
    if config.is_trained and config.train.round > 1:
        words.append(f"r{config.train.round}")
    if config.is_trained:
        words.append(f"s{config.seed}")
    return folder_name("-".join([*words, fingerprint(config.identity(), 6)]))


def base_model(train: Mapping[str, Any]) -> str | None:
    """Return the hub id of the encoder that training started from, if it came from the hub.

    `train` is the manifest's entry of the training.
    """
    name, commit = hub_name(Path(train.get("started_from", "")))
    return name if commit else None
