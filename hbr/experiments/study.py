"""Studies: a grid of runs, what to evaluate them on, and the claims to check; read from YAML."""

import contextlib
import itertools
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from hbr.compare.claims import Claim, doubled_id, listed
from hbr.compare.references import names as reference_names
from hbr.compare.references import reference
from hbr.core.config import full_path, resolve_config
from hbr.core.errors import UserError
from hbr.core.registry import known, near
from hbr.core.settings import UNTRAINED, Config
from hbr.core.settings.fields import Section
from hbr.core.settings.train import LOG_ONLY, SAME_RESULT
from hbr.core.target import Compression, EvaluationTarget, known_measure
from hbr.core.yaml_files import read_yaml
from hbr.data.lookup import in_languages, known_dataset
from hbr.data.perturb import expand
from hbr.experiments.run_spec import FIXED, complete, slug

logger = logging.getLogger(__name__)

MOST_CELLS = 10_000
Grid = dict[str, Annotated[list[Any], Field(min_length=1)]]  # setting -> its values


def _names(value: Any) -> list[Any]:
    """Return a text or a list of texts as a list. Raises ValueError for what is neither."""
    names = [value] if isinstance(value, str) else value or ()
    some = names if isinstance(names, list | tuple) else [None]
    if not all(isinstance(name, str | Compression) for name in some):
        raise ValueError("is no list of names, such as [typo:0.3] or [64d, int8]")
    return list(names)


def _perturbations(value: Any) -> tuple[str, ...]:
    specs = expand(_names(value))
    return tuple(str(spec) for spec in specs if spec.entry)  # which raises where there is none


def _compressions(value: Any) -> tuple[Compression, ...]:
    names = _names(value)
    found = [Compression.parse(str(name)) for name in names]
    if None in found:
        raise ValueError(f"{names[found.index(None)]!r} is none: 64d, int8, binary, 64d+int8, …")
    return tuple(filter(None, found))


class Evaluation(Section):
    """A data set to evaluate on: its files, perturbations, centred or compressed vectors.

    `languages` become part of a name of MTEB's.
    """

    dataset: Annotated[str, AfterValidator(known_dataset)]
    source: Path | None = None
    perturb: Annotated[tuple[str, ...], BeforeValidator(_perturbations)] = ()
    center_languages: bool = False
    compress: Annotated[tuple[Compression, ...], BeforeValidator(_compressions)] = ()
    diagnose: bool = False

    @model_validator(mode="before")
    @classmethod
    def _name_languages(cls, value: Any) -> Any:
        if not (isinstance(value, dict) and value.get("languages")):
            return value
        rest = {key: one for key, one in value.items() if key != "languages"}
        codes = value["languages"]
        codes = codes.split(",") if isinstance(codes, str) else codes
        try:
            return rest | {"dataset": in_languages(str(rest.get("dataset")), codes)}
        except UserError as error:
            raise ValueError(str(error)) from error

    @property
    def targets(self) -> tuple[EvaluationTarget, ...]:
        """The data set, the same with centred or compressed vectors, and under perturbations."""
        clean = EvaluationTarget(self.dataset)
        centred = [clean.centered()] if self.center_languages else []
        compressed = map(clean.compressed, self.compress)
        return clean, *centred, *compressed, *map(clean.perturbed, self.perturb)


class Study(Section):
    """A grid of runs, what to evaluate them on, and claims about the results."""

    name: str
    title: str = ""
    base: dict[str, Any] = Field(default_factory=dict)  # settings that all runs share
    grid: Grid | Annotated[list[Grid], Field(min_length=1)]  # or several, one after another
    rounds: list[dict[str, Any]] = Field(default_factory=list)  # each starts from the one before
    untrained: bool = True  # add every encoder of the grid as it is
    evaluate: Annotated[list[Evaluation], Field(min_length=1)]
    limit: Annotated[int, Field(ge=2)] | None = None  # of a trial: see `trial`
    claims: list[Claim] = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [item.dataset for item in self.evaluate]
        if len(set(names)) < len(names):
            raise ValueError("evaluate names a data set twice")
        if id := doubled_id(self.claims):
            raise ValueError(f"two claims have the id {id!r}")
        return self

    @model_validator(mode="after")
    def _grid_is_bounded(self) -> Self:
        cells = sum(math.prod(map(len, grid.values())) for grid in self.grids)
        if (cells := cells * max(len(self.rounds), 1)) > MOST_CELLS:
            raise ValueError(f"its grid has {cells:,} cells; {MOST_CELLS:,} is the most")
        for key, values in (item for grid in self.grids for item in grid.items()):
            if twice := [value for n, value in enumerate(values) if value in values[:n]]:
                raise ValueError(f"grid: {key} has {twice[0]!r} twice")
        return self

    @model_validator(mode="after")
    def _claims_are_known(self) -> Self:
        for claim in self.claims:
            try:
                for target in map(EvaluationTarget.parse, claim.dataset or ()):
                    if target not in self.targets:  # the claim stays open, if there is such a set
                        known_dataset(target.dataset)
                known_measure(claim.metric)
                for key in claim.keys:
                    if full_path(key) == "seed":
                        raise ValueError("claims are about means over seeds, not about one")
                for side in claim.sides:
                    for name in listed(side.get("sampler", ())):
                        if name != UNTRAINED:
                            known("sampler", name)
            except (UserError, ValueError) as error:
                raise ValueError(f"claim {claim.id!r}: {error}") from error
        return self

    @property
    def grids(self) -> list[Grid]:
        """The grids, whose points are runs."""
        return [self.grid] if isinstance(self.grid, dict) else self.grid

    @property
    def targets(self) -> tuple[EvaluationTarget, ...]:
        """What every run is evaluated on, in order."""
        return tuple(target for item in self.evaluate for target in item.targets)

    @property
    def sources(self) -> dict[str, Path | None]:
        """The folders with the files of the data sets, where the study names them."""
        return {item.dataset: item.source for item in self.evaluate}

    @property
    def diagnosed(self) -> tuple[EvaluationTarget, ...]:
        """The targets whose vectors are diagnosed."""
        return tuple(item.targets[0] for item in self.evaluate if item.diagnose)

    @property
    def varied(self) -> set[str]:
        """The settings that differ on purpose, by full name."""
        named = {key for settings in (*self.grids, *self.rounds) for key in settings}
        return {full_path(key) for key in named} | ({"train.round"} if self.rounds else set())


def read_study(path: Path) -> Study:
    """Read a study file. Raises one UserError that lists every mistake in it."""
    content = read_yaml(path)
    content.setdefault("name", path.stem)
    items = content.get("evaluate")
    if isinstance(items, list):
        content["evaluate"] = [{"dataset": e} if isinstance(e, str) else e for e in items]
    claims = content.get("claims") or []
    content["claims"] = _claims_of(claims, path) if isinstance(claims, str) else claims
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_mistake(path, item) for item in error.errors())) from error


def _claims_of(name: str, study: Path) -> Any:
    """Return the claims of a paper by its name, or those in a file beside the study."""
    if name in reference_names():
        return list(reference(name).claims)
    beside = study.parent / name
    if not beside.exists():
        raise UserError(f"{beside}: there is no such file{near(name, reference_names())}")
    content = read_yaml(beside)
    if "claims" not in content:
        raise UserError(f"{beside}: has no `claims:`, the list of a study's claims")
    return content["claims"] or []


def _mistake(path: Path, item: Any) -> str:
    # a grid may be one or several: which of them pydantic tried is no place in the file
    where = ".".join(str(part) for part in item["loc"] if "[" not in str(part))
    if item["type"] == "extra_forbidden" and item["loc"][0] == "claims":
        where, key = ".".join(map(str, item["loc"][:-1])), str(item["loc"][-1])
        return f"{path}: {where}: there is no {key!r} in a claim{near(key, Claim.model_fields)}"
    if item["type"] == "extra_forbidden":
        return f"{path}: there is no {where!r} in a study{near(where, Study.model_fields)}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{path}: {where}: {message[:1].lower()}{message[1:]}".replace(": : ", ": ")


def configs(study: Study, overrides: Mapping[str, Any], runs: Path = Path("runs")) -> list[Config]:
    """Return the complete settings of every run of a study, each run once."""
    idle = {f"train.{name}" for name in LOG_ONLY | SAME_RESULT}
    if without_effect := sorted(idle & study.varied):
        raise UserError(
            f"study {study.name}: a grid over {without_effect[0]} makes one run, not several: it "
            "changes the log or the speed, not the result"
        )
    if later := sorted(key for key in study.varied if key.partition(".")[0] not in FIXED):
        raise UserError(
            f"study {study.name}: a grid over {later[0]} makes one run, not several: it is a "
            "setting of what comes after training; say it in `base`"
        )
    points = [
        dict(zip(grid, point, strict=True))
        for grid in study.grids
        for point in itertools.product(*grid.values())
    ]
    if study.untrained:
        points += [{"sampler": UNTRAINED} | point for point in _encoders(study)]
    by_name = {}
    try:
        for point in points:
            earlier = None
            is_trained = point.get("sampler") != UNTRAINED
            for number, changes in enumerate(study.rounds if is_trained else [], start=1):
                place = {"train.round": number, "train.start_from": earlier}
                config = _config(study, {**point, **changes, **place}, overrides, runs)
                by_name[earlier := slug(config)] = config
            if not (study.rounds and is_trained):
                config = _config(study, point, overrides, runs)
                by_name[slug(config)] = config
    except UserError as error:
        raise UserError(f"study {study.name}: {error}") from error
    return list(by_name.values())


def _encoders(study: Study) -> Iterator[dict[str, Any]]:
    """Yield the settings of every encoder of the grids, as far as these vary it."""
    for grid in study.grids:
        own = {key: values for key, values in grid.items() if full_path(key).startswith("encoder.")}
        yield from (
            dict(zip(own, point, strict=True)) for point in itertools.product(*own.values())
        )


def _config(
    study: Study, point: Mapping[str, Any], overrides: Mapping[str, Any], runs: Path
) -> Config:
    config = complete(resolve_config(study.base, point, overrides), runs)
    if config.evaluate.center_languages:
        raise UserError("center_languages is said of a data set, in `evaluate`")
    return _cut(config, study.limit) if study.limit else config


def trial(study: Study, limit: int, runs: Path) -> tuple[Study, Path]:
    """Return a study cut down for a trial, and the folder for its runs, beside full results.

    It has no more than `limit` steps, and as many rows and questions of each language. Tasks of
    MTEB, which evaluates them in whole, are left out.
    """
    kept = [item for item in study.evaluate if not item.targets[0].is_mteb]
    if left_out := len(study.evaluate) - len(kept):
        logger.warning(f"a trial leaves out data sets that MTEB evaluates, in whole: {left_out}")
    folder = runs / f"limit-{limit}"
    folder.mkdir(parents=True, exist_ok=True)
    for shared in ("encoders", "data", "downloads"):
        (runs / shared).mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):  # here, or of a trial that began as this one did
            (folder / shared).symlink_to(f"../{shared}")
    title = f"{study.title or study.name} (a trial, limited to {limit})"
    cut = {"limit": limit, "title": title, "evaluate": kept}
    return study.model_copy(update=cut), folder


def _cut(config: Config, limit: int) -> Config:
    train = config.train
    small = {
        "max_steps": min(train.max_steps, limit),
        "batch_size": min(train.batch_size, max(2, limit // 4)),
        "eval_steps": min(train.eval_steps, limit),
    }
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"limit": limit}),
            "evaluate": config.evaluate.model_copy(update={"limit": limit}),
            "train": train.model_copy(update=small),
        }
    )
