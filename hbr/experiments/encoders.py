"""Encoders that a run uses besides the one it trains: miners, teachers, where it starts from."""

from pathlib import Path
from typing import Any, NamedTuple

from hbr.core.errors import UserError
from hbr.core.settings import Encoder as EncoderSettings
from hbr.experiments.run_spec import RunSpec, open_run, places
from hbr.models.presets import preset
from hbr.models.sources import ADAPTER, encoder_defaults, encoder_folder, encoder_id


class Found(NamedTuple):
    """The folder of an encoder, with its complete settings."""

    folder: Path
    settings: EncoderSettings

    @property
    def id(self) -> str:
        """A digest of its files."""
        return encoder_id(self.folder)

    def load(self) -> Any:
        """Load it."""
        from hbr.models.loading import load

        settings = self.settings
        fallback = preset(settings.name).pooling
        return load(
            self.folder,
            pooling=settings.pooling,
            fallback=fallback,
            normalize=settings.normalize,
        )


def initial_encoder(run: RunSpec, *, download: bool = True) -> Found:
    """Return the encoder that the training of a run starts from."""
    found = _initial_encoder(run, download)
    adapter = run.config.adapter
    if adapter.name and not adapter.merge and (found.folder / ADAPTER).exists():
        raise UserError(
            f"adapter.merge=false: {found.folder} holds an adapter, and one of an adapter cannot "
            "be kept alone; set adapter.merge=true"
        )
    return found


def _initial_encoder(run: RunSpec, download: bool) -> Found:
    config = run.config
    if config.train.start_from:
        if not config.is_trained:
            raise UserError(
                f"train.start_from: nothing is trained (max_steps is 0); evaluate "
                f"{config.train.start_from} itself"
            )
        earlier = trained_before(run)
        if earlier is None:
            raise UserError(
                f"train.start_from: {config.train.start_from} is no run in {run.runs} whose "
                "training has ended; `hbr train` makes one"
            )
        if (made := earlier.config.encoder.name) != config.encoder.name:
            raise UserError(
                f"train.start_from: {config.train.start_from} trained {made}, not "
                f"{config.encoder.name}; say --encoder {made}"
            )
        for name in ("query_prompt", "passage_prompt", "normalize"):
            was, now = (getattr(c.encoder, name) for c in (earlier.config, config))
            if now is not None and was != now:
                raise UserError(
                    f"train.start_from: {config.train.start_from} was trained with "
                    f"encoder.{name} {was!r}, not {now!r}; say --set encoder.{name}={was}"
                )
        return Found(earlier.path / "model", config.encoder)
    encoder = config.encoder
    where = (run.runs, encoder.name, encoder.revision)
    return Found(encoder_folder(*where, download=download), encoder)


def encoder_files_of(
    run: RunSpec, name: str, revision: str | None = None, *, download: bool = True
) -> Path:
    """Return the folder of a run's encoder, of a preset, on the hub or in a folder."""
    found = _run(run.runs, name)
    return found.folder if found else encoder_folder(run.runs, name, revision, download=download)


def other_encoder(
    run: RunSpec, name: str, revision: str | None = None, *, download: bool = True
) -> Found:
    """Return the encoder of a run, of a preset, on the hub or in a folder, by its name."""
    if found := _run(run.runs, name):
        return found
    given = {"name": name, "revision": revision}
    folder = encoder_folder(run.runs, name, revision, download=download)
    defaults = encoder_defaults(run.runs, name, revision, trained=False)
    return Found(folder, EncoderSettings.model_validate(given | defaults))


def trained_before(run: RunSpec) -> RunSpec | None:
    """Return the run whose encoder the training of another starts from, if there is one."""
    path = _run_folder(run.runs, run.config.train.start_from or "")
    return RunSpec(open_run(path)[1], run.runs, run.device, path) if path else None


def is_run(runs: Path, name: str) -> bool:
    """Return whether a name is that of a run, trained or not, or of its folder."""
    return any((folder / "config.yaml").exists() for folder in places(runs, name))


def _run(runs: Path, name: str) -> Found | None:
    """Return the trained encoder of a run, by its name or folder, if there is one."""
    path = _run_folder(runs, name)
    return Found(path / "model", open_run(path)[1].encoder) if path else None


def _run_folder(runs: Path, name: str) -> Path | None:
    ended = (
        p for p in places(runs, name) if (p / "config.yaml").exists() and (p / "model").is_dir()
    )
    return next(ended, None)
